"""Bounds on values: relu, minimum and maximum with a number, and clips become one clip, or one relu."""

from __future__ import annotations

from dlc.ir.core import Op
from dlc.ir.dialects.graph_math import Clip, Maximum, Minimum, Relu
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter
from dlc.passes.graph.constants import Number, number

Bound = Number | None


def clip_bounds(op: Op) -> tuple[Bound, Bound] | None:
    """Between what a clip or a relu holds its operand."""
    if isinstance(op, Relu):
        return (0.0 if tensor(op.x).scalar.is_float else 0), None
    return (op.low, op.high) if isinstance(op, Clip) else None


class PlainClip(Pattern[Clip]):
    """clip(x, 0, none) -> relu(x); clip(x, none, none) -> x"""

    def rewrite(self, op: Clip, rw: Rewriter) -> NoMatch | None:
        if op.high is not None or op.low not in (None, 0):
            return NoMatch("the bounds are not those of a relu")
        if op.low is not None:
            rw.replace(op, rw.insert(Relu(op.x, layout=op.layout)).result)
            return None
        if op.x.type != op.result.type:
            return NoMatch("the clip changes the layout")
        rw.replace(op, op.x)
        return None


class ClipOfClip(Pattern[Clip | Relu]):
    """clip(clip(x, a, b), c, d) -> clip(x, max(a, c), min(b, d)) where the intervals meet"""

    def rewrite(self, op: Clip | Relu, rw: Rewriter) -> NoMatch | None:
        inner, outer = op.x.defining_op, clip_bounds(op)
        within = clip_bounds(inner) if inner is not None else None
        if inner is None or within is None or outer is None:
            return NoMatch("x is no clip")
        if not op.x.has_one_use():
            return NoMatch("the inner clip has other users")
        if isinstance(inner, Relu) and isinstance(op, Relu):
            return NoMatch("idempotent")
        low, high = tighter(within[0], outer[0], max), tighter(within[1], outer[1], min)
        if empty(within) or empty(outer) or empty((low, high)):
            return NoMatch("the intervals do not meet")
        rw.replace(op, rw.insert(Clip(inner.operands[0], low=low, high=high, layout=op.layout), inner).result)
        return None


def tighter(a: Bound, b: Bound, choose: object) -> Bound:
    if a is None or b is None:
        return b if a is None else a
    return max(a, b) if choose is max else min(a, b)


def empty(interval: tuple[Bound, Bound]) -> bool:
    low, high = interval
    return low is not None and high is not None and low > high


class ExtremeIsClip(Pattern[Maximum | Minimum]):
    """max(x, c) -> clip(x, c, none); min(x, c) -> clip(x, none, c)"""

    def rewrite(self, op: Maximum | Minimum, rw: Rewriter) -> NoMatch | None:
        bound = number(op.b, rw.pool)
        if bound is None or bound != bound or op.a.type != op.result.type:
            return NoMatch("b is no known number")
        low, high = (bound, None) if isinstance(op, Maximum) else (None, bound)
        rw.replace(op, rw.insert(Clip(op.a, low=low, high=high, layout=op.layout)).result)
        return None
