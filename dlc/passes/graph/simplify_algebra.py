"""Rewrite arithmetic to less arithmetic.

    x + 0, x - 0, x * 1, x / 1, x ** 1, x and true    ->  x
    c + x                                             ->  x + c             constants stand on the right
    x - c                                             ->  x + (-c)
    (x + c1) + c2,  (x * c1) * c2                     ->  x + (c1 + c2),  x * (c1 * c2)
    x / c                                             ->  x * (1 / c)       c a power of two, or unless `exact`
    0 - x, 1 / x                                      ->  -x, reciprocal(x)
    x ** 2, x ** 3, x ** 0.5, x ** -1                 ->  x * x, x * x * x, sqrt(x), reciprocal(x)
    -(-x), not not x, relu(relu(x)), |(|x|)|          ->  x, x, relu(x), |x|
    max(x, c), min(x, c), clips of clips and relus    ->  one clip;  clip(x, 0, none) is relu(x)
    where(true, x, y), where(c, x, x)                 ->  x
    cast to x's own type; cast of a widening cast     ->  x; one cast
    average over a whole image, reduce over nothing   ->  reduce mean, x

Sums of -0 and 0 apart, each is exact but for the order of constant arithmetic and the rounding of 1 / c.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from dlc.ir.core import Module, Op, Value
from dlc.ir.dialects.graph_math import (
    Abs,
    Add,
    And,
    BitwiseNot,
    Cast,
    Ceil,
    Div,
    Floor,
    Mul,
    Neg,
    Not,
    Or,
    Pow,
    Reciprocal,
    Relu,
    Round,
    Sign,
    Sqrt,
    Sub,
    Where,
)
from dlc.ir.dialects.graph_nn import Pool, Reduce
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.opdef import COMMUTATIVE
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.ir.types import BOOL, ScalarType
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.clips import ClipOfClip, ExtremeIsClip, PlainClip
from dlc.passes.graph.constants import Number, is_constant, is_constant_expression, is_number, number, scalar_like
from dlc.record import record


@record
class SimplifyAlgebra(Pass):
    name: ClassVar[str] = "simplify-algebra"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        patterns: list[AnyPattern] = [
            ConstantToTheRight(), NeutralOperand(), SubtractConstant(), FromZero(), OneOver(), MergeConstants(),
            PowerByNumber(), DivideByNumber(cx.options.exact), Involution(), Idempotent(), PlainClip(), ClipOfClip(),
            ExtremeIsClip(), WhereKnown(), CastToSame(), CastOfCast(), AverageOfAll(), ReduceNothing(),
        ]  # fmt: skip
        return apply_patterns(module, patterns, cx)


# -- operands that are known -------------------------------------------------------------------------------------------


@record
class ConstantToTheRight(Pattern[Op]):
    """c + x -> x + c, so that other patterns look at one side only."""

    def rewrite(self, op: Op, rw: Rewriter) -> NoMatch | None:
        if not op.spec.has(COMMUTATIVE):
            return NoMatch("not commutative")
        if not is_constant(op.operands[0]) or is_constant(op.operands[1]):
            return NoMatch("the constant stands on the right, or there is none")
        swapped = rw.insert(rebuilt(op, reversed(op.operands)))
        rw.replace(op, *swapped.results)
        return None


NEUTRAL: dict[type[Op], Number] = {Add: 0, Sub: 0, Mul: 1, Div: 1, Pow: 1, And: True, Or: False}


class NeutralOperand(Pattern[Add | Sub | Mul | Div | Pow | And | Or]):
    """x + 0 -> x; a commutative op has its constant on the right by now."""

    def rewrite(self, op: Add | Sub | Mul | Div | Pow | And | Or, rw: Rewriter) -> NoMatch | None:
        if not is_number(op.b, rw.pool, NEUTRAL[type(op)]):
            return NoMatch("the right operand is not neutral")
        if op.a.type != op.result.type:
            return NoMatch("the right operand gives the result its shape")
        rw.replace(op, op.a)
        return None


class SubtractConstant(Pattern[Sub]):
    """x - c -> x + (-c)"""

    def rewrite(self, op: Sub, rw: Rewriter) -> NoMatch | None:
        if not is_constant(op.b):
            return NoMatch("b is no constant")
        if not has_sign(op.b):
            return NoMatch("unsigned numbers have no negative")
        negative = rw.insert(Neg(op.b))
        rw.replace(op, rw.insert(Add(op.a, negative.result, layout=op.layout)).result)
        return None


class FromZero(Pattern[Sub]):
    """0 - x -> -x"""

    def rewrite(self, op: Sub, rw: Rewriter) -> NoMatch | None:
        if not is_number(op.a, rw.pool, 0):
            return NoMatch("a is not 0")
        if op.b.type != op.result.type or not has_sign(op.b):
            return NoMatch("the result is not simply -b")
        rw.replace(op, rw.insert(Neg(op.b)).result)
        return None


class OneOver(Pattern[Div]):
    """1 / x -> reciprocal(x)"""

    def rewrite(self, op: Div, rw: Rewriter) -> NoMatch | None:
        if not tensor(op.b).scalar.is_float:
            return NoMatch("integers have no reciprocal")
        if not is_number(op.a, rw.pool, 1) or op.b.type != op.result.type:
            return NoMatch("a is not 1")
        rw.replace(op, rw.insert(Reciprocal(op.b)).result)
        return None


class MergeConstants(Pattern[Add | Mul]):
    """(x + c1) + c2 -> x + (c1 + c2); the sum of constants is left to fold-constants."""

    def rewrite(self, op: Add | Mul, rw: Rewriter) -> NoMatch | None:
        kind: type[Add | Mul] = Add if isinstance(op, Add) else Mul
        inner = op.a.defined_by(kind)
        if inner is None or not is_constant_expression(op.b) or not is_constant_expression(inner.b):
            return NoMatch("not two constants in a row")
        if is_constant_expression(inner.a):
            return NoMatch("all is constant")
        if not op.a.has_one_use():
            return NoMatch("the inner result has other users")
        if kind is Mul and vanishes(inner.b, op.b, rw):
            return NoMatch("the product of the constants leaves the range of the type")
        both = kind(inner.b, op.b)
        merged = rw.fitting(kind(inner.a, both.result, layout=op.layout), op)
        if merged is None:
            both.drop_operands()
            return NoMatch("the order of the operands matters for the shape")
        rw.insert(both)
        rw.replace(op, rw.insert(merged, inner).result)
        return None


def vanishes(left: Value, right: Value, rw: Rewriter) -> bool:
    """Whether a product of two float constants overflows or underflows, as far as their numbers are known."""
    a, b = number(left, rw.pool), number(right, rw.pool)
    kind = tensor(left).scalar
    if a is None or b is None or not kind.is_float or not a or not b:
        return False
    with np.errstate(all="ignore"):
        made = float(np.array(a * b).astype(kind.dtype))
    return math.isinf(made) or made == 0


def has_sign(value: Value) -> bool:
    return tensor(value).scalar.is_float or tensor(value).scalar.is_signed


# -- powers and quotients ----------------------------------------------------------------------------------------------


class PowerByNumber(Pattern[Pow]):
    """x ** 2 -> x * x and the like."""

    def rewrite(self, op: Pow, rw: Rewriter) -> NoMatch | None:
        exponent = number(op.b, rw.pool)
        if exponent is None or op.a.type != op.result.type:
            return NoMatch("the exponent is no known number")
        if exponent in (2, 3):
            made = rw.insert(Mul(op.a, op.a))
            if exponent == 3:
                made = rw.insert(Mul(made.result, op.a))
            rw.replace(op, made.result)
            return None
        kind = {0.5: Sqrt, -1: Reciprocal}.get(exponent)
        if kind is None or not tensor(op.a).scalar.is_float:
            return NoMatch("no cheaper op for this exponent")
        rw.replace(op, rw.insert(kind(op.a)).result)
        return None


@record
class DivideByNumber(Pattern[Div]):
    """x / c -> x * (1 / c)"""

    exact: bool

    def rewrite(self, op: Div, rw: Rewriter) -> NoMatch | None:
        kind = tensor(op.b).scalar
        divisor = number(op.b, rw.pool)
        if divisor is None or not kind.is_float:
            return NoMatch("the divisor is no known float")
        if divisor == 0 or not math.isfinite(divisor):
            return NoMatch("the divisor has no reciprocal")
        if self.exact and abs(math.frexp(divisor)[0]) != 0.5:
            return NoMatch("the reciprocal would round, and the user wants exact results")
        inverse = np.array(1 / divisor).astype(kind.dtype)
        if not is_normal(float(inverse), kind):
            return NoMatch("the reciprocal leaves the range of the type")
        if op.a.type != op.result.type:
            return NoMatch("the divisor gives the result its shape")
        factor = scalar_like(rw, op.b, 1 / divisor)
        rw.replace(op, rw.insert(Mul(op.a, factor, layout=op.layout)).result)
        return None


SMALLEST_NORMAL = {"f64": 2.0**-1022, "f32": 2.0**-126, "bf16": 2.0**-126, "f16": 2.0**-14}


def is_normal(value: float, kind: ScalarType) -> bool:
    return math.isfinite(value) and abs(value) >= SMALLEST_NORMAL[kind.name]


# -- twice the same ----------------------------------------------------------------------------------------------------


class Involution(Pattern[Neg | Not | BitwiseNot]):
    """-(-x) -> x"""

    def rewrite(self, op: Neg | Not | BitwiseNot, rw: Rewriter) -> NoMatch | None:
        inner = op.x.defined_by(type(op))
        if inner is None:
            return NoMatch("x is not of the same op")
        rw.replace(op, inner.x)
        return None


class Idempotent(Pattern[Relu | Abs | Ceil | Floor | Round | Sign]):
    """relu(relu(x)) -> relu(x)"""

    def rewrite(self, op: Relu | Abs | Ceil | Floor | Round | Sign, rw: Rewriter) -> NoMatch | None:
        if op.x.defined_by(type(op)) is None:
            return NoMatch("x is not of the same op")
        rw.replace(op, op.x)
        return None


class WhereKnown(Pattern[Where]):
    """where(true, x, y) -> x; where(c, x, x) -> x"""

    def rewrite(self, op: Where, rw: Rewriter) -> NoMatch | None:
        condition = number(op.c, rw.pool)
        if condition is None and op.x is not op.y:
            return NoMatch("the condition is not known")
        chosen = op.x if condition or op.x is op.y else op.y
        if chosen.type != op.result.type:
            return NoMatch("the other operands give the result its shape")
        rw.replace(op, chosen)
        return None


# -- casts -------------------------------------------------------------------------------------------------------------


class CastToSame(Pattern[Cast]):
    def rewrite(self, op: Cast, rw: Rewriter) -> NoMatch | None:
        if op.x.type != op.result.type:
            return NoMatch("the cast changes the type")
        rw.replace(op, op.x)
        return None


class CastOfCast(Pattern[Cast]):
    """Two casts are one if the first loses nothing."""

    def rewrite(self, op: Cast, rw: Rewriter) -> NoMatch | None:
        if (inner := op.x.defined_by(Cast)) is None:
            return NoMatch("x is no cast")
        source, between = tensor(inner.x).scalar, tensor(op.x).scalar
        if not holds_all(source, between):
            return NoMatch("the inner cast may lose something")
        if source.is_integer and between.is_float and op.to.is_integer and not holds_all(source, op.to):
            return NoMatch("floats saturate as integers, and integers wrap around")
        rw.replace(op, rw.insert(Cast(inner.x, to=op.to, layout=op.layout), inner).result)
        return None


MANTISSA = {"f64": 53, "f32": 24, "f16": 11, "bf16": 8}
EXPONENT = {"f64": 11, "f32": 8, "f16": 5, "bf16": 8}


def holds_all(narrow: ScalarType, wide: ScalarType) -> bool:
    """Whether every value of `narrow` is one of `wide`."""
    if narrow == wide:
        return True
    if narrow == BOOL:
        return wide.is_integer or wide.is_float
    if narrow.is_float:
        fits = wide.is_float and MANTISSA[narrow.name] <= MANTISSA[wide.name]
        return fits and EXPONENT[narrow.name] <= EXPONENT[wide.name]
    if not narrow.is_integer:
        return False
    digits = narrow.bits - (1 if narrow.is_signed else 0)
    if wide.is_float:
        return digits <= MANTISSA[wide.name] and EXPONENT[wide.name] >= 8
    signs_fit = wide.is_signed or not narrow.is_signed
    return wide.is_integer and signs_fit and digits <= wide.bits - (1 if wide.is_signed else 0)


# -- reductions --------------------------------------------------------------------------------------------------------


class AverageOfAll(Pattern[Pool]):
    """The average over windows that cover the whole image -> reduce mean"""

    def rewrite(self, op: Pool, rw: Rewriter) -> NoMatch | None:
        if op.kind not in ("average", "max") or any(op.pads) or set(op.dilations) - {1}:
            return NoMatch("not a plain average or maximum")
        spatial = tensor(op.x).shape[2:]
        if tuple(op.window) != spatial:
            return NoMatch("the window is not the whole image")
        axes = tuple(range(2, 2 + len(spatial)))
        kind = "mean" if op.kind == "average" else "max"
        rw.replace(op, rw.insert(Reduce(op.x, kind=kind, axes=axes, keepdims=True, layout=op.layout)).result)
        return None


class ReduceNothing(Pattern[Reduce]):
    """A sum, mean, maximum, minimum or product over no axis, or over axes of size 1 that are kept -> x"""

    def rewrite(self, op: Reduce, rw: Rewriter) -> NoMatch | None:
        if op.kind not in ("sum", "mean", "max", "min", "prod"):
            return NoMatch("the reduction changes single elements")
        if op.x.type != op.result.type or any(tensor(op.x).shape[axis] != 1 for axis in op.axes):
            return NoMatch("there is something to reduce")
        rw.replace(op, op.x)
        return None
