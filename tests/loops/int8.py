"""An int8 matrix product and its schedule: rows by panels of columns, the sum in groups of four."""

from __future__ import annotations

import numpy as np

from dlc.ir.core import Func, Value
from dlc.ir.dialects import arith
from dlc.ir.expr import Expr, as_expr
from dlc.ir.packing import pack
from dlc.ir.types import SI8, SI32, UI8, Array, Layout, ScalarType, TensorType
from dlc.passes.loop.cleanup import clean
from dlc.passes.loop.contract import contract
from dlc.passes.loop.loops import named_loops
from dlc.passes.loop.reorder import reorder
from dlc.passes.loop.split import split
from dlc.passes.loop.unroll import unroll
from tests.loops.nests import Case, Nest

GROUP = 4


def product(
    rows: int,
    depth: int,
    columns: int,
    panel: int,
    left: ScalarType = UI8,
    right: ScalarType = SI8,
    symbol: Expr | None = None,
) -> Case:
    """c[m, n] = sum over k of a[m, k] * b[k, n], b in panels of columns and groups of k."""
    k_extent = symbol if symbol is not None else as_expr(depth)
    k = symbol if symbol is not None else depth
    a, c = TensorType((rows, k), left), TensorType((rows, columns), SI32)
    b = TensorType((k, columns), right, Layout((1, 0), ((1, panel), (0, GROUP))))
    nest = Nest([a.buffer("input"), b.buffer("const"), c.buffer("output")])

    def body(n: Nest, index: list[Expr]) -> None:
        row, column = index

        def term(t: Nest, terms: list[Expr], acc: Value) -> Value:
            x = t.add(arith.Cast(t.load(t.args[0], row, terms[0]), to=SI32))
            y = t.add(arith.Cast(t.load(t.args[1], *b.layout.physical_index((terms[0], column))), to=SI32))  # type: ignore[union-attr]
            return t.add(arith.Add(acc, t.add(arith.Mul(x, y))))

        total = n.sums([("k", k_extent)], n.constant(0, SI32), term)
        n.store(total, n.args[2], row, column)

    nest.loops([("m", as_expr(rows)), ("n", as_expr(columns))], body)
    rng = np.random.default_rng(rows + depth + columns)
    x, y = (rng.integers(np.iinfo(t.dtype).min, np.iinfo(t.dtype).max + 1, shape).astype(t.dtype)
            for t, shape in ((left, (rows, depth)), (right, (depth, columns))))  # fmt: skip
    packed = pack(y, TensorType((depth, columns), right, b.layout))
    packed = fill_of_blocks(packed, y, TensorType((depth, columns), right, b.layout))
    symbols = {} if symbol is None else {str(symbol): depth}
    case = Case(nest.done(), [x, packed, np.zeros((rows, columns), "i4")], symbols)
    case.expected = x.astype("i4") @ y.astype("i4")  # type: ignore[attr-defined]
    return case


def fill_of_blocks(packed: Array, array: Array, kind: TensorType) -> Array:
    """What fills up blocks is undefined: put junk there."""
    present = pack(np.ones_like(array), kind) != 0
    return np.where(present, packed, 77).astype(packed.dtype)


def schedule(func: Func, panel: int, rows: int, lanes: int, tail: str = "peel") -> None:
    """As a schedule of the kernel library would do it."""
    for op in named_loops(func, "k"):
        split(op, GROUP, "k.o", "k.i", tail)
    for op in named_loops(func, "n"):
        split(op, panel, "n.o", "n.i", "guard")
    for op in named_loops(func, "m"):
        split(op, rows, "m.o", "m.i")
    for op in named_loops(func, "m.o"):
        reorder(op, ["m.o", "n.o", "m.i", "n.i"]) if len(named_loops(func, "m.o")) else None
    for op in named_loops(func, "n.i"):
        split(op, lanes, "n.j", "n.v", "guard")
    for op in named_loops(func, "k.i"):
        contract(op, "n.v", lanes)
    for name in ("n.j", "m.i"):
        for op in named_loops(func, name):
            if op.trip_count is not None:
                unroll(op)
    clean(func)
