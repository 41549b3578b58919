"""LLVM text to objects, on several processor cores when there is enough of it.

llvmlite holds one lock around LLVM, so threads gain nothing; helper processes do. They are started as this very module
(`python -m dlc.driver.workers`), never by forking the caller's program, and only for work of more than about a second.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Sequence

from dlc.codegen.llvm_backend import compile_object
from dlc.driver.watch import ignore_step
from dlc.errors import InternalError
from dlc.target import Target

WORTH_A_HELPER = 2_500_000  # characters of LLVM text: about a second of code generation


def compile_texts(texts: Sequence[str], target: Target, step: Callable[[], None] = ignore_step) -> list[bytes]:
    """The object of each text, in order; `step` is called as they get done."""

    def compiled(text: str) -> bytes:
        made = compile_object(text, *settings)
        step()
        return made

    settings = (target.triple, target.llvm_cpu, target.llvm_features)
    cores = len(os.sched_getaffinity(0))
    total = sum(map(len, texts))
    helpers = min(cores - 1, total // WORTH_A_HELPER, 7)
    if helpers < 1:
        return [compiled(text) for text in texts]
    shares: list[list[int]] = [[] for _ in range(helpers + 1)]
    load = [0] * (helpers + 1)
    for number in sorted(range(len(texts)), key=lambda n: -len(texts[n])):
        lightest = load.index(min(load))
        shares[lightest].append(number)
        load[lightest] += len(texts[number])
    started = [_start([texts[n] for n in share], settings) for share in shares[1:]]
    objects: dict[int, bytes] = {n: compiled(texts[n]) for n in shares[0]}
    for process, share in zip(started, shares[1:], strict=True):
        for number, made in zip(share, _finish(process), strict=True):
            objects[number] = made
            step()
    return [objects[n] for n in range(len(texts))]


def _start(texts: list[str], settings: tuple[str, str, str]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dlc.driver.workers"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )  # fmt: skip
    if process.stdin is None:
        raise InternalError("a helper process has no input")
    process.stdin.write(pickle.dumps((texts, settings)))
    process.stdin.close()
    process.stdin = None
    return process


def _finish(process: subprocess.Popen[bytes]) -> list[bytes]:
    output, errors = process.communicate()
    if process.returncode:
        raise InternalError(f"a helper process failed: {errors.decode(errors='replace')[-2000:]}")
    objects: list[bytes] = pickle.loads(output)
    return objects


def main() -> None:
    texts, settings = pickle.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(pickle.dumps([compile_object(text, *settings) for text in texts]))


if __name__ == "__main__":
    main()
