"""Read as halves what is read once: weights that meet few rows, keys and values that meet few queries.

    matmul(x: 1 x K, w: f32)            →    matmul(x, w: f16)                 where w holds nothing but halves
    attention(q: one, cast(k), cast(v)) →    attention(q, k: f16, v: f16)

Such ops wait for memory, and half the bytes take half the time; widening them in registers costs nothing beside. With
more rows the weights are widened at compile time instead (widen_halves.py), as each of them meets many numbers.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from dlc.ir.core import Func, Module, Value
from dlc.ir.dialects.graph_attention import Attention
from dlc.ir.dialects.graph_math import Cast
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.graph_shape import Constant, Reshape, Transpose
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import product
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.ir.types import BF16, F16, F32, Array, ScalarType, TensorType
from dlc.ir.typical import batch_names, typical
from dlc.passes.base import Pass, PassContext
from dlc.record import record

HALVES = (F16, BF16)
SAMPLE = 4096  # elements that are looked at before all are


@record
class ReadHalves(Pass):
    name: ClassVar[str] = "read-halves"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    rows: int = 4  # with so many the time is still that of the bytes: measured on products of one core

    def run(self, module: Module, cx: PassContext) -> bool:
        main = module.main
        halves = tuple(kind for kind in HALVES if any(kind == stored(value) for value in interface(main)))
        if not halves:
            return False  # a model of other numbers: its weights need not be looked at
        batches = frozenset().union(*(batch_names(func) for func in module.funcs.values()))
        return apply_patterns(module, [WeightsOfFewRows(halves, self.rows, batches), CacheOfFewQueries(self.rows)], cx)


def interface(main: Func) -> list[Value]:
    """What a model gets and gives."""
    return [*main.body.blocks[0].args, *main.terminator.operands]


def stored(value: Value) -> ScalarType | None:
    return getattr(value.type, "element", None)


@record
class WeightsOfFewRows(Pattern[MatMul]):
    halves: tuple[ScalarType, ...]
    rows: int
    batches: frozenset[str]

    def rewrite(self, op: MatMul, rw: Rewriter) -> NoMatch | None:
        a, b, constant = tensor(op.a), tensor(op.b), op.b.defined_by(Constant)
        if constant is None or b.element != F32 or a.element != F32 or b.rank != 2:
            return NoMatch("b is no constant matrix of f32")
        if typical(product(a.shape[:-1]), self.batches) > self.rows:
            return NoMatch("many rows meet the weights")
        array = rw.pool.get(constant.value)
        for kind in self.halves:
            if (narrow := exactly(array, kind)) is not None:
                weights = rw.insert(Constant(value=rw.pool.add(narrow), type=TensorType(b.shape, kind)), constant)
                rw.replace(op, rw.insert(rebuilt(op, [op.a, weights.result]), op).result)
                return None
        return NoMatch("the weights are no halves")


def exactly(array: Array, kind: ScalarType) -> Array | None:
    """The same numbers as halves, if they are."""
    with np.errstate(over="ignore"):
        for part in (array.reshape(-1)[:SAMPLE], array):
            narrow = part.astype(kind.dtype)
            if not np.array_equal(narrow.astype(part.dtype), part):
                return None
    return narrow


@record
class CacheOfFewQueries(Pattern[Attention]):
    queries: int

    def rewrite(self, op: Attention, rw: Rewriter) -> NoMatch | None:
        count = tensor(op.q).shape[1]
        if not isinstance(count, int) or count > self.queries or tensor(op.q).element != F32:
            return NoMatch("many queries meet the keys")
        parts = [before_cast(value) for value in (op.k, op.v)]
        kinds = {stored(cast.x) for _, cast in parts if cast is not None}
        if any(cast is None for _, cast in parts) or len(kinds) != 1:
            return NoMatch("keys or values are not stored as halves")
        k, v = (moved(cast.x, moves, rw) for moves, cast in parts if cast is not None)
        rw.replace(op, rw.insert(rebuilt(op, [op.q, k, v, *op.operands[3:]]), op).result)
        return None


def before_cast(value: Value) -> tuple[list[Reshape | Transpose], Cast | None]:
    """What moves a half about after it was widened, the last first, and what widens it."""
    moves: list[Reshape | Transpose] = []
    while (move := value.defined_by(Reshape) or value.defined_by(Transpose)) is not None:
        moves.append(move)
        value = move.x
    cast = value.defined_by(Cast)
    widens = cast is not None and cast.to == F32 and stored(cast.x) in HALVES
    return moves, cast if widens else None


def moved(value: Value, moves: list[Reshape | Transpose], rw: Rewriter) -> Value:
    for move in reversed(moves):
        value = rw.insert(rebuilt(move, [value]), move).result
    return value
