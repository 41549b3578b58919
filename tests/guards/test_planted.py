"""An op that declares too little of what it needs is found, without a case of its own in these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dlc.ir.core import Op
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.eval.frame import Array, pure
from dlc.ir.eval.interpreter import RUNS
from dlc.ir.opdef import FLOAT_TENSOR, PURE, op_def, operand, rank
from dlc.ir.requirements import Requirement, equal
from dlc.ir.types import Type
from dlc.kernel_files import kernel_root
from dlc.kernel_language.library import Library
from dlc.passes.lower import lower_graph
from tests.eval.cases import Case, f32
from tests.eval.test_meanings import CASES
from tests.guards.judge import judged
from tests.guards.probes import probes
from tests.guards.worker import Worker

KERNEL = """
kernel planted(a, b) -> y {
  for i: dim(a, 0) { y[i] = a[i] - b[i] }
}
"""


@op_def("graph.planted", traits={PURE})
class Planted(Op):
    """The difference of two vectors, which must be of one length: it does not say so."""

    a = operand(FLOAT_TENSOR, rank(1))
    b = operand(FLOAT_TENSOR, rank(1))

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.a),)


class Declared(Planted):
    """The same, and says so."""

    def requires(self) -> Iterator[Requirement]:
        yield from equal(tensor(self.a).shape[0], tensor(self.b).shape[0], "c1: a and b must be of one length")


def difference(op: Op, a: Array, b: Array) -> Array:
    return a - b


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.stop()


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "planted.kernel"
    path.write_text(KERNEL)
    library = Library([*sorted(kernel_root().glob("*.kernel")), path])
    monkeypatch.setattr(lower_graph, "standard_library", lambda: library)
    for kind in (Planted, Declared):
        monkeypatch.setitem(RUNS, kind, pure(difference))


def case_of(kind: type[Op]) -> Case:
    return Case("planted", lambda a, b: kind(a, b), [f32(1030), f32(1030)], np.subtract, "rounded")


def test_an_op_that_declares_too_little_is_found(planted: None, worker: Worker, tmp_path: Path) -> None:
    probe = probes(case_of(Planted))[0]
    for flush in ("end", "start"):
        tally = judged(probe, worker, tmp_path, ((3, flush),))
        assert any("a0 alone" in fault for fault in tally.faults)
        assert any("b0 alone" in fault for fault in tally.faults)
        assert any("planted" in fault and "SIGSEGV" in fault for fault in tally.faults)


def test_the_same_op_that_declares_enough_passes(planted: None, worker: Worker, tmp_path: Path) -> None:
    probe = probes(case_of(Declared))[0]
    assert judged(probe, worker, tmp_path).faults == []


def test_a_declaration_that_is_taken_away_is_missed(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MatMul, "requires", lambda self: iter(()))
    case = next(case for case in CASES if type(case.op()) is MatMul)
    tally = judged(probes(case)[0], worker, tmp_path, ((3, "end"),))
    assert any("alone" in fault for fault in tally.faults)
