"""Recurrent kernels give what `dlc.ir.eval` says: batches, directions, hidden units and lengths that fit no tile."""

from __future__ import annotations

import re

import ml_dtypes
import numpy as np
import pytest

from dlc.ir.core import Op
from dlc.ir.dialects import graph_recurrent as ops
from dlc.ir.expr import sym
from dlc.ir.types import Layout, TensorType, scalar_of
from dlc.passes.graph.layouts import recurrent_layout
from dlc.target import Target
from tests.eval import cases_recurrent
from tests.eval.cases import Array, Case
from tests.eval.cases_recurrent import arrays_of
from tests.kernels.test_kernels import check
from tests.support.asm import inner_loops
from tests.support.kernel_run import compiled

SIZES = [  # steps, batch, directions, hidden
    (3, 1, 1, 16), (4, 2, 2, 5), (5, 7, 1, 33), (3, 13, 2, 48), (2, 3, 1, 1), (0, 2, 1, 8), (3, 0, 2, 5), (9, 1, 2, 40),
]  # fmt: skip
VARIANTS: list[tuple[type[Op], dict[str, object]]] = [
    (ops.Rnn, {}), (ops.Gru, {}), (ops.Gru, {"linear_before_reset": True}), (ops.Lstm, {}),
]  # fmt: skip
NAMED = pytest.mark.parametrize("case", cases_recurrent.CASES, ids=lambda case: case.name)
MULTIPLY_ADD = re.compile(r"\bvfmadd231ps\b.*zmm")


def types_of(arrays: list[Array], symbolic: bool = False, lanes: int = 0) -> list[TensorType]:
    """Types for operands; weights packed for so many lanes, or plain; steps and batch named or known."""
    layout: Layout | None = recurrent_layout(lanes) if lanes else None
    kinds = [TensorType(a.shape, scalar_of(a.dtype), layout if a.ndim == 4 else None) for a in arrays]
    return [named(kind, arrays[0].shape) for kind in kinds] if symbolic else kinds


def named(kind: TensorType, x: tuple[int, ...]) -> TensorType:
    """The type of an operand with names for the number of steps and of rows; peepholes have neither."""
    steps, batch = sym("steps"), sym("batch")
    if kind.rank == 5:
        return TensorType((steps, batch, *kind.shape[2:]), kind.element)
    if kind.rank == 1:
        return TensorType((batch,), kind.element)
    if kind.rank == 3 and kind.shape != (x[2], 3, x[4]):
        return TensorType((kind.shape[0], batch, kind.shape[2]), kind.element)
    return kind


@NAMED
def test_case(case: Case) -> None:
    check(case.make, case.arrays)


@pytest.mark.parametrize("case", [c for c in cases_recurrent.CASES if "lengths" in c.name], ids=lambda case: case.name)
def test_case_with_named_dimensions(case: Case) -> None:
    """What is named is the number of steps and of rows; that of hidden units is known."""
    check(case.make, case.arrays, types_of(list(case.arrays), symbolic=True))


@pytest.mark.parametrize("low", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
@pytest.mark.parametrize("case", cases_recurrent.CASES[2:9:3], ids=lambda case: case.name)
def test_case_in_half_precision(case: Case, low: type) -> None:
    check(case.make, [a.astype(low) if a.dtype == np.float32 else a for a in case.arrays])


@pytest.mark.parametrize(("sizes", "lanes"), [*((sizes, 16) for sizes in SIZES), (SIZES[1], 0), (SIZES[2], 4)], ids=str)
@pytest.mark.parametrize(("kind", "attrs"), VARIANTS, ids=str)
def test_sizes_and_packed_weights(kind: type[Op], attrs: dict[str, object], sizes: tuple[int, ...], lanes: int) -> None:
    direction = "bidirectional" if sizes[2] == 2 else "reverse"
    arrays = arrays_of(kind, *sizes)
    check(lambda *v: kind(*v, direction=direction, **attrs), arrays, types_of(arrays, lanes=lanes))


@pytest.mark.parametrize("batch", [1, 7, 20])
@pytest.mark.parametrize(("kind", "attrs"), VARIANTS, ids=str)
def test_a_batch_of_unknown_size(kind: type[Op], attrs: dict[str, object], batch: int) -> None:
    arrays = arrays_of(kind, 3, batch, 2, 21)
    types = types_of(arrays, symbolic=True)
    check(lambda *v: kind(*v, direction="bidirectional", **attrs), arrays, types)


@pytest.mark.parametrize(
    "target", [pytest.param(name, marks=pytest.mark.isa(name)) for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4")]
)
@pytest.mark.parametrize(("kind", "attrs"), VARIANTS, ids=str)
def test_other_instruction_sets(kind: type[Op], attrs: dict[str, object], target: str) -> None:
    machine = Target.parse(target)
    for sizes in ((3, 1, 2, 21), (3, 4, 1, 9)):
        direction = "bidirectional" if sizes[2] == 2 else "forward"
        arrays = arrays_of(kind, *sizes)
        types = types_of(arrays, lanes=machine.facts.vector_bits // 32)
        check(lambda *v, d=direction: kind(*v, direction=d, **attrs), arrays, types, target=machine)


def test_long_sums_stay_accurate() -> None:
    arrays = arrays_of(ops.Lstm, 40, 1, 1, 130)
    check(ops.Lstm, arrays, close="network")


@pytest.mark.isa("x86-64-v4")
@pytest.mark.parametrize(("kind", "wanted"), [(ops.Rnn, 8), (ops.Gru, 9), (ops.Lstm, 8)])
def test_a_lone_row_has_accumulators_enough_to_hide_the_latency(kind: type[Op], wanted: int) -> None:
    arrays = arrays_of(kind, 3, 1, 1, 16 * 24)
    attrs = {"linear_before_reset": True} if kind is ops.Gru else {}
    kernel = compiled(types_of(arrays, lanes=16), lambda *v: kind(*v, **attrs), target=Target.parse("x86-64-v4"))
    counts = [sum(bool(MULTIPLY_ADD.search(line)) for line in loop) for loop in inner_loops(kernel.assembly())]
    assert wanted in counts
