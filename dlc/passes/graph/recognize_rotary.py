"""Recognise rotary embeddings.

    x · cos + concat(-x[…, half:], x[…, :half]) · sin      →      rotary(x, cos, sin)

The halves are exchanged in no memory of their own. Before simplify-shapes, which may move a reshape or a transpose of
the halves below one product and not below the other.
"""

from __future__ import annotations

from itertools import product
from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_attention import Rotary
from dlc.ir.dialects.graph_math import Add, Mul, Neg
from dlc.ir.dialects.graph_shape import Concat, Slice
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.passes.base import Pass, PassContext
from dlc.record import record


@record
class RecognizeRotary(Pass):
    name: ClassVar[str] = "recognize-rotary"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [SumOfTurned()], cx)


class SumOfTurned(Pattern[Add]):
    def rewrite(self, op: Add, rw: Rewriter) -> NoMatch | None:
        left, right = op.a.defined_by(Mul), op.b.defined_by(Mul)
        if left is None or right is None:
            return NoMatch("not the sum of two products")
        for plain, turned in ((left, right), (right, left)):
            orders = product(((plain.a, plain.b), (plain.b, plain.a)), ((turned.a, turned.b), (turned.b, turned.a)))
            for (x, cos), (halves, sin) in orders:
                fits = all(serves(tensor(angle).shape, tensor(x).shape) for angle in (cos, sin))
                if fits and exchanges_halves(halves, x):
                    rw.replace(op, rw.insert(Rotary(x, cos, sin), op).result)
                    return None
        return NoMatch("no product is of the other's exchanged halves")


def serves(angles: tuple[Dim, ...], shape: tuple[Dim, ...]) -> bool:
    """Whether angles broadcast to x without making it larger."""
    pairs = zip(angles[::-1], shape[::-1], strict=False)
    return len(angles) <= len(shape) and all(extent in (1, dim) for extent, dim in pairs)


def exchanges_halves(value: Value, x: Value) -> bool:
    """Whether `value` is ``concat(-x[…, half:], x[…, :half])`` along the last axis, and used once."""
    concat = value.defined_by(Concat)
    shape = tensor(x).shape
    if concat is None or not value.has_one_use() or concat.axis != len(shape) - 1 or len(concat.parts) != 2:
        return False
    last = shape[-1]
    negated = concat.parts[0].defined_by(Neg)
    if negated is None or not isinstance(last, int) or last % 2:
        return False
    half = last // 2
    return is_part(negated.x, x, half, half) and is_part(concat.parts[1], x, 0, half)


def is_part(value: Value, x: Value, start: int, size: int) -> bool:
    """Whether `value` is `size` elements of x from `start` on along the last axis, and all along the others."""
    piece, outer = value.defined_by(Slice), tensor(x).shape[:-1]
    if piece is None or piece.x is not x:
        return False
    is_whole = not any(piece.starts[:-1]) and tuple(piece.sizes[:-1]) == outer
    return is_whole and piece.starts[-1] == start and piece.sizes[-1] == size and set(piece.steps) <= {1}
