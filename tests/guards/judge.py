"""Whether a compiled op keeps to its memory: builds it, tries the sizes, and says what went wrong.

Right is an error that names the node (or the input, where that is not what the model declares), or the evaluator's
answer. All else is a fault: another answer, a crash, a refusal of sizes that are fine, an internal error.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from dlc.errors import UserError
from dlc.ir.dialects.graph_attention import Attention
from dlc.ir.dialects.graph_shape import Pad, Slice
from dlc.ir.dialects.graph_strassen import StrassenMatMul
from dlc.ir.types import TensorType
from dlc.passes.lower.scalars import UnknownSize
from tests.guards.build import NODE, Built, built
from tests.guards.probes import MOST_ELEMENTS, Probe, Trial
from tests.guards.worker import Answer, Binding, Died, Run, Worker
from tests.tolerances import assert_close

BUILDS = ((3, "end"), (3, "start"), (0, "end"), (0, "start"))
ONLY_MEMORY = (StrassenMatMul,)  # any two ways to its result agree on transforms of matrices, not on any numbers
STRICTER = {  # what refuses sizes of the run that it takes as numbers
    Pad: "reads the place of an element also where there are none; a kernel that asks first could not be inlined",
    Attention: "as many heads of queries as of keys, unless they are numbers: the kernel divides by numbers alone",
    Slice: "an empty part whose size is open lies in its axis too: importers hold starts inside (frontends/slices.py)",
}
MOST_DEATHS = 3  # of workers with one artefact: each takes a while to be replaced


@dataclass
class Tally:
    """What has been tried, and what went wrong."""

    builds: int = 0
    bound: int = 0  # sizes given to dlc_bind
    refused: int = 0  # by dlc_bind
    runs: int = 0
    stopped: int = 0  # runs that ended in an error
    large: int = 0  # sizes that agree, but would take long
    faults: list[str] = field(default_factory=list)
    known: set[tuple[str, str]] = field(default_factory=set)  # op and size that must be known at compile time

    def __iadd__(self, other: Tally) -> Tally:
        for name in ("builds", "bound", "refused", "runs", "stopped", "large"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.known |= other.known
        return self

    def __str__(self) -> str:
        return (
            f"{self.builds} artefacts; {self.bound} sets of sizes, {self.refused} of them refused, {self.large} too "
            f"large to run; {self.runs} runs, {self.stopped} of them ended in an error; {len(self.faults)} faults"
        )


def judged(
    probe: Probe, worker: Worker, folder: Path, builds: Sequence[tuple[int, str]] = BUILDS,
    threads: Sequence[int] = (1, 2),
) -> Tally:  # fmt: skip
    """Try everything with an op."""
    tally = Tally()
    for level, flush in builds:
        where = f"{probe.op.name} {probe} at level {level}, flush with the {flush}"
        try:
            probe, made = compiled(probe, level, flush, folder, tally)
        except Exception as error:  # noqa: BLE001  # the compiler's own mistake, whatever it is
            cause = error.__cause__ or error
            tally.faults.append(f"{where}: does not compile: {type(cause).__name__}: {cause}")
            continue
        tally.builds += 1
        worker.deaths = 0
        for trial in probe.trials():
            for problem in attempted(trial, made, worker, threads, tally):
                tally.faults.append(f"{where}: {trial}: {problem}")
            if worker.deaths >= MOST_DEATHS:
                break
        made.path.unlink()
    return tally


def compiled(probe: Probe, level: int, flush: str, folder: Path, tally: Tally) -> tuple[Probe, Built]:
    """Sizes that a kernel must know are given to it, one after the other, and the others stay symbols."""
    while True:
        try:
            return probe, built(probe.module(), level, flush, folder)
        except UserError as error:
            open_size = error.__cause__
            if NODE not in str(error) or not isinstance(open_size, UnknownSize):
                raise
            names = open_size.expr.symbols() & probe.base.keys()
            if not names:
                raise
            tally.known |= {(probe.op.name, name) for name in names}
            probe = probe.knowing(names)


def attempted(trial: Trial, made: Built, worker: Worker, threads: Sequence[int], tally: Tally) -> Iterator[str]:
    """What is wrong with how the artefact takes these sizes."""
    probe = trial.probe
    ranks = tuple(value.type.rank for value in probe.op.results if isinstance(value.type, TensorType))
    sizes = tuple(size for shape in trial.shapes for size in shape)
    tally.bound += 1
    for count in threads:
        binding = Binding(str(made.path), count, sizes, ranks)
        bound = worker.ask(binding)
        if isinstance(bound, Died):
            yield f"dlc_bind: {bound.reason}"
            return
        if bound.code:
            tally.refused += 1
            yield from wrong_refusal(trial, bound)
            return
        if bound.workspace != (right := made.workspace(trial.numbers, count)):
            yield f"dlc_bind asks for {bound.workspace} bytes of workspace, right is {right}"
        if trial.only_bind or trial.elements > MOST_ELEMENTS:
            tally.large += 1
            yield from wrong_shapes(trial, bound)
            return
        dtypes = tuple(value.type.scalar.dtype for value in probe.op.results if isinstance(value.type, TensorType))
        regions = made.regions(trial.numbers, count)
        answer = worker.ask(Run(binding, made.flush, tuple(trial.arrays), dtypes, regions))
        tally.runs += 1
        if isinstance(answer, Died):
            yield f"{count} threads: {answer.reason}"
            return
        tally.stopped += answer.code != 0
        yield from wrong_answer(trial, answer)


def names_the_cause(message: str) -> bool:
    return NODE in message or "input '" in message


def wrong_refusal(trial: Trial, bound: Answer) -> Iterator[str]:
    if not names_the_cause(bound.message):
        yield f"the error names no node: {bound.message}"
    if trial.probe.kind in STRICTER and (trial.probe.kind is not Slice or 0 in trial.result_shapes[0]):
        return
    if not trial.only_bind and trial.elements <= MOST_ELEMENTS and trial.is_fine:
        yield f"sizes that are fine are refused: {bound.message}"


def wrong_shapes(trial: Trial, bound: Answer) -> Iterator[str]:
    if trial.probe.found:
        return
    wanted = tuple(trial.result_shapes)
    if bound.shapes != wanted or max((size for shape in wanted for size in shape), default=0) >= 1 << 63:
        yield f"dlc_bind gives the shapes {bound.shapes}, right is {wanted}"


def wrong_answer(trial: Trial, answer: Answer) -> Iterator[str]:
    expected = trial.expected
    if answer.code:
        if answer.code < 0 or not names_the_cause(answer.message):
            yield f"the error names no node: {answer.code} {answer.message}"
        elif not isinstance(expected, Exception):
            yield f"the run ends in an error, the evaluator has an answer: {answer.message}"
        return
    if isinstance(expected, Exception):
        yield f"the run gives an answer, the evaluator has none: {type(expected).__name__}: {expected}"
        return
    kind = trial.probe.case.close
    if kind == "op":  # sums are longer than in the cases
        kind = "network-low" if any(array.dtype.itemsize == 2 for array in trial.arrays) else "network"
    if not trial.is_case and issubclass(trial.probe.kind, ONLY_MEMORY):
        return
    if trial.data.startswith("floats"):
        return  # what infinities add up to depends on the order of a sum; this is about memory
    for number, (actual, right) in enumerate(zip(answer.arrays, expected, strict=True)):
        try:
            with np.errstate(all="ignore"):
                assert_close(flushed(actual), flushed(right), kind, name=f"result {number}")
        except AssertionError as difference:
            yield str(difference)


def flushed(array: np.ndarray) -> np.ndarray:
    """Without denormals, which runs flush to zero."""
    if array.dtype.kind != "f":
        return array
    return np.where(np.abs(array) < np.finfo(array.dtype).tiny, np.zeros_like(array), array)
