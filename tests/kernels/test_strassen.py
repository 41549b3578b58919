"""Products by Strassen's algorithm, compiled, against the plain product: tails of tiles, parts, panels."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.ir.core import Block, Op, Value
from dlc.ir.dialects import graph_strassen as ops
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.expr import sym
from dlc.ir.types import F32, Array, TensorType
from dlc.passes.graph.layouts import strassen_layout
from dlc.target import Target
from tests.eval.cases import f32
from tests.support.kernel_run import compiled
from tests.tolerances import assert_close

TARGETS = ["host", *(pytest.param(name, marks=pytest.mark.isa(name)) for name in ("x86-64-v3", "x86-64-v2"))]
# axes of the rows, depth, columns; rows of a tile, tiles at a time, columns of a panel
SIZES = [
    ((64,), 16, 64, 8, 4, 32), ((37,), 10, 96, 4, 3, 48), ((2, 3, 5), 6, 64, 3, 2, 16), ((1,), 2, 32, 4, 14, 16),
    ((2,), 34, 32, 9, 12, 16), ((103,), 8, 128, 9, 2, 64), ((1, 40), 18, 64, 7, 9, 32), ((0, 4), 8, 32, 8, 12, 16),
]  # fmt: skip
FEW = 7


def transformed(op: type[Op], array: Array, **attrs: object) -> Array:
    made = op(*Block([TensorType(array.shape, F32)]).args, **attrs)
    return evaluate_op(made, [array])[0]


@pytest.mark.parametrize("few", [0, FEW], ids=["never-few", "few"])
@pytest.mark.parametrize("named", [False, True], ids=["static", "named"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products(size: tuple[tuple[int, ...], int, int, int, int, int], named: bool, few: int) -> None:
    outer, depth, columns, rows, part, panel = size
    if few > rows * part:
        pytest.skip("the tiles do not hold few rows")
    a, b = f32(*outer, depth), f32(depth, columns)
    names = [f"m{n}" for n in range(len(outer))] if named else []
    known = dict(zip(names, outer, strict=False))
    shape = tuple(map(sym, names)) if named else outer

    def taken(x: Value) -> Op:
        return ops.StrassenInput(x, rows=rows, quarters=few > 0)

    s = compiled([TensorType((*shape, depth), F32)], taken, names)([a], known)[0]
    assert_close(s, transformed(ops.StrassenInput, a, rows=rows, quarters=few > 0).astype(np.float32), "op")
    u = transformed(ops.StrassenWeights, b).astype(np.float32)
    height = ops.rows_of_half(shape, rows)
    types = [TensorType((s.shape[0], height, depth // 2), F32), TensorType(u.shape, F32, strassen_layout(panel))]

    def product(x: Value, w: Value) -> Op:
        return ops.StrassenMatMul(x, w, size=shape, rows=rows, part=part, panel=panel, few=few)

    assert_close(compiled(types, product, names)([s, u], known)[0], a @ b, "op")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rows", [1, 6, 7, 30])
def test_targets(rows: int, target: str) -> None:
    a, b = f32(rows, 12), f32(12, 64)
    u = transformed(ops.StrassenWeights, b).astype(np.float32)
    s = transformed(ops.StrassenInput, a, rows=4, quarters=True).astype(np.float32)
    types = [
        TensorType((9, ops.rows_of_half((sym("m"),), 4), 6), F32),
        TensorType(u.shape, F32, strassen_layout(16)),
    ]

    def product(x: Value, w: Value) -> Op:
        return ops.StrassenMatMul(x, w, size=(sym("m"),), rows=4, part=2, panel=16, few=FEW)

    kernel = compiled(types, product, ["m"], target=Target.parse(target))
    assert_close(kernel([s, u], {"m": rows})[0], a @ b, "op")
