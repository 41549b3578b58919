"""Repeat one mutant in this process, or run many by hand.

    python -m tests.mutations structural 17              one, with its trace; --save FILE writes the model
    python -m tests.mutations bytes 0:3000               many; prints the faults, and the counts at the end
"""

from __future__ import annotations

import argparse
import collections
import sys
import time
from pathlib import Path

from tests.mutations import worker
from tests.mutations.mutants import MAKERS, mutant
from tests.mutations.runner import run


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=MAKERS)
    parser.add_argument("number", help="one number, or FIRST:LAST")
    parser.add_argument("--save", type=Path, help="write the mutant to this file instead of compiling it")
    given = parser.parse_args()
    first, colon, last = given.number.partition(":")
    if colon:
        return many(given.kind, range(int(first), int(last)))
    made = mutant(given.kind, int(first))
    print(made, flush=True)
    if given.save is not None:
        given.save.write_bytes(made.data)
        return 0
    print(worker.outcome(made))
    return 0


def many(kind: str, numbers: range) -> int:
    counts: collections.Counter[str] = collections.Counter()
    started, faults, slowest, largest = time.monotonic(), 0, 0.0, 0
    for result in run((kind, number) for number in numbers):
        counts[result.outcome] += 1
        slowest, largest = max(slowest, result.seconds), max(largest, result.peak)
        if result.is_fault:
            faults += 1
            print(f"{mutant(kind, result.number)}\n{result}\n", flush=True)
    seconds = time.monotonic() - started
    print(f"{dict(counts)} in {seconds:.0f} s; the slowest took {slowest:.1f} s, the largest {largest} MB")
    return min(faults, 1)


if __name__ == "__main__":
    sys.exit(main())
