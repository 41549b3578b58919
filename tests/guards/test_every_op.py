"""No size and no index makes an op touch memory outside of its buffers: each op of the graph level, by itself.

Every axis of every operand is a symbol, and so is every size in an attribute. One of them disagrees at a time (0, 1,
one less, one more, 10^6), those that belong together change together, and operands that hold indices, lengths or counts
hold what they must not. Each operand, each result, each buffer of the arena and each scratch array of each thread lies
alone between pages without access, flush with its end in one build and with its start in another; with one thread and
two. Sizes beyond all memory are bound and not run.

The cases follow from the declarations (`probes.py`): an op that is declared tomorrow is tried as it is, and one that
declares too little fails (test_planted.py shows it). By default each op is tried with its first case, a slice of two
minutes; DLC_GUARDS=all takes every case of tests/eval in all builds:

    DLC_GUARDS=all python -m pytest tests/guards -n 2
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dlc.ir.core import Op
from dlc.ir.dialects import all_ops
from dlc.ir.dialects.graph_flow import Fail, Group, If, Loop, Require, Yield
from dlc.ir.dialects.graph_index import ReadSizes
from dlc.ir.dialects.graph_shape import Constant, Relayout
from dlc.ir.dialects.graph_strassen import StrassenWeights
from dlc.ir.dialects.graph_winograd import WinogradWeights
from dlc.ir.opdef import ELEMENTWISE
from tests.eval.cases import Case
from tests.eval.test_meanings import CASES
from tests.guards.judge import BUILDS, Tally, judged
from tests.guards.probes import VARIANTS, probes
from tests.guards.worker import Worker

EVERYTHING = os.environ.get("DLC_GUARDS") == "all"
SHOWN = 20  # faults of one op

NO_MODEL = {
    Constant: "has no sizes but numbers",
    Group: "holds other ops",
    Yield: "ends a region",
    Require: "is a guard",
    If: "holds other ops",
    Loop: "holds other ops",
    Fail: "stands in a branch that could not be compiled",
    ReadSizes: "has no result: tests/sizes/test_from_data.py",
    Relayout: "choose-layout puts it into groups of its own; every blocked op here has one before it",
    WinogradWeights: "of constants only: folded, has no kernel",
    StrassenWeights: "of constants only: folded, has no kernel",
}

# what a kernel must know at compile time, and why
MUST_BE_KNOWN = {
    "graph.rnn": "the state of a row lies in scratch memory of known size",
    "graph.gru": "the state of a row lies in scratch memory of known size",
    "graph.lstm": "the state of a row lies in scratch memory of known size",
    "graph.attention": "a block of queries and of sums lies in scratch memory: the channels of q and of v",
    "graph.winograd_products": "a row of places lies in scratch memory: the channels; only made where known",
    "graph.winograd_conv": "tiles lie in scratch memory: the channels of x and of the result; only made where known",
}

# cases beside the first that have shown a fault, and are in every slice since
TRIED_TOO = {"graph.attention": ("attention-columns-of-masks",)}

KINDS = [kind for kind in all_ops() if kind.spec.name.startswith("graph.") and kind not in NO_MODEL]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def total() -> Iterator[Tally]:
    tally = Tally()
    yield tally
    print(f"\ntests/guards: {tally}")


def cases_of(kind: type[Op]) -> list[Case]:
    return [case for case in CASES if type(case.op()) is kind]


def narrow(case: Case) -> list[Case]:
    """The case in half precision, for which vectors and memory are of other widths."""
    if not any(array.dtype == np.float32 for array in case.arrays) or "exact" in case.close:
        return []
    with np.errstate(over="ignore"):
        arrays = [array.astype(np.float16) if array.dtype == np.float32 else array for array in case.arrays]
    return [Case(f"{case.name}-f16", case.make, arrays, case.right, case.close)]


def builds_of(kind: type[Op], number: int, variant: str) -> tuple[tuple[int, str], ...]:
    """All builds for the first case of an op, two for each that follows; of the slice one, or two for what differs."""
    first, second = BUILDS[::2], BUILDS[1::2]
    if EVERYTHING:
        return BUILDS if number == 0 else (first[number % 2], second[1 - number % 2])
    at = (KINDS.index(kind) + VARIANTS.index(variant)) % len(BUILDS)
    return BUILDS[:2] if variant == "all" and not kind.spec.has(ELEMENTWISE) else BUILDS[at : at + 1]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.spec.name.removeprefix("graph."))
def test_stays_inside_its_buffers(kind: type[Op], worker: Worker, total: Tally, tmp_path: Path) -> None:
    cases = cases_of(kind)
    assert cases, f"{kind.spec.name} has no case in tests/eval"
    if EVERYTHING and not kind.spec.has(ELEMENTWISE):
        cases += narrow(cases[0])
    tally = Tally()
    always = TRIED_TOO.get(kind.spec.name, ())
    for number, case in enumerate(cases):
        if not EVERYTHING and number > 0 and case.name not in always:
            continue
        for probe in probes(case):
            tally += judged(probe, worker, tmp_path, builds_of(kind, number, probe.variant))
    total += tally
    assert not tally.faults, f"{len(tally.faults)} faults:\n" + "\n".join(tally.faults[:SHOWN])
    assert tally.runs > tally.stopped, "nothing ran to its end"
    if kind.spec.name not in MUST_BE_KNOWN:
        assert not tally.known, f"must be known at compile time: {sorted(tally.known)}"
