"""Recognise activations that gate x by a function of x.

    1 / (1 + exp(-x))                    ->  sigmoid(x)
    clip(x + 3, 0, 6) / 6                ->  hard_sigmoid(x) {alpha = 1/6, beta = 1/2}
    log(1 + exp(x))                      ->  softplus(x)
    x · sigmoid(alpha·x)                 ->  swish(x)
    x · hard_sigmoid(x), alpha = 1/6     ->  hard_swish(x)
    x · clip(x + 3, 0, 6) / 6            ->  hard_swish(x)
    x · tanh(softplus(x))                ->  mish(x)
    x / (1 + exp(-x))                    ->  swish(x)
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Op, Value
from dlc.ir.dialects.graph_math import (
    Clip,
    Div,
    Exp,
    HardSigmoid,
    HardSwish,
    Log,
    Mish,
    Mul,
    Reciprocal,
    Sigmoid,
    Softplus,
    Swish,
    Tanh,
)
from dlc.ir.levels import Level
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import is_near
from dlc.passes.graph.products import affine_of, product_of
from dlc.record import record


@record
class RecognizeSwish(Pass):
    name: ClassVar[str] = "recognize-swish"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [GatedBySigmoid(), SigmoidFormula(), SoftplusFormula(), GatedProduct()], cx)


def one_plus_exp(value: Value, pool: ConstantPool) -> Value | None:
    """What e is raised to in ``1 + exp(…)``."""
    form = affine_of(value, pool)
    if form.constant != 1 or form.product.coefficient != 1 or len(form.product.factors) != 1:
        return None
    exp = form.product.factors[0].defined_by(Exp)
    return exp.x if exp is not None else None


def negated(value: Value, pool: ConstantPool) -> Value | None:
    """x for the value -x."""
    found = product_of(value, pool)
    return found.factors[0] if found.coefficient == -1 and len(found.factors) == 1 else None


def sigmoid_argument(value: Value, pool: ConstantPool) -> Value | None:
    """x for the value 1 + exp(-x)."""
    power = one_plus_exp(value, pool)
    return negated(power, pool) if power is not None else None


class SigmoidFormula(Pattern[Reciprocal]):
    """1 / (1 + exp(-x)) -> sigmoid(x)"""

    def rewrite(self, op: Reciprocal, rw: Rewriter) -> NoMatch | None:
        x = sigmoid_argument(op.x, rw.pool)
        if x is None or x.type != op.result.type:
            return NoMatch("x is not 1 + exp(-…)")
        rw.replace(op, rw.insert(Sigmoid(x)).result)
        return None


class GatedBySigmoid(Pattern[Div]):
    """x / (1 + exp(-x)) -> swish(x)"""

    def rewrite(self, op: Div, rw: Rewriter) -> NoMatch | None:
        x = sigmoid_argument(op.b, rw.pool)
        if x is None or x is not op.a or x.type != op.result.type:
            return NoMatch("not x over 1 + exp(-x)")
        rw.replace(op, rw.insert(Swish(x)).result)
        return None


class SoftplusFormula(Pattern[Log]):
    """log(1 + exp(x)) -> softplus(x)"""

    def rewrite(self, op: Log, rw: Rewriter) -> NoMatch | None:
        x = one_plus_exp(op.x, rw.pool)
        if x is None or x.type != op.result.type:
            return NoMatch("x is not 1 + exp(…)")
        rw.replace(op, rw.insert(Softplus(x)).result)
        return None


class GatedProduct(Pattern[Mul]):
    """x · f(x) for the gates of the table; a lone clip(x + 3, 0, 6) / 6 is a hard sigmoid."""

    def rewrite(self, op: Mul, rw: Rewriter) -> NoMatch | None:
        whole = product_of(op.result, rw.pool)
        if len(whole.factors) == 1:
            x = held_sum(whole.factors[0], whole.coefficient, rw.pool)
            if x is None or x.type != op.result.type:
                return NoMatch("not a product of two factors")
            rw.replace(op, rw.insert(HardSigmoid(x, alpha=1 / 6, beta=0.5)).result)
            return None
        if len(whole.factors) != 2:
            return NoMatch("not a product of two factors")
        for gate, x in (whole.factors, whole.factors[::-1]):
            made = gated(gate, x, whole.coefficient, rw.pool)
            if made is not None and x.type == op.result.type:
                rw.replace(op, rw.insert(made).result)
                return None
        return NoMatch("no factor is a known gate of the other")


def gated(gate: Value, x: Value, coefficient: float, pool: ConstantPool) -> Op | None:
    """The activation that ``coefficient · x · gate`` is."""
    op = gate.defining_op
    if isinstance(op, Clip):
        return HardSwish(x) if held_sum(gate, coefficient, pool) is x else None
    if coefficient != 1:
        return None
    if isinstance(op, HardSigmoid):
        is_hard_swish = op.x is x and is_near(op.alpha, 1 / 6) and is_near(op.beta, 0.5)
        return HardSwish(x) if is_hard_swish else None
    if isinstance(op, Sigmoid):
        argument = product_of(op.x, pool)
        return Swish(x, alpha=argument.coefficient) if argument.factors == (x,) else None
    if isinstance(op, Tanh):
        inner = op.x.defined_by(Softplus)
        return Mish(x) if inner is not None and inner.x is x else None
    return None


def held_sum(value: Value, coefficient: float, pool: ConstantPool) -> Value | None:
    """x where ``coefficient · value`` is clip(x + 3, 0, 6) / 6."""
    clip = value.defined_by(Clip)
    if clip is None or clip.low != 0 or clip.high != 6 or not is_near(coefficient, 1 / 6):
        return None
    form = affine_of(clip.x, pool)
    plain = form.constant == 3 and form.product.coefficient == 1 and len(form.product.factors) == 1
    return form.product.factors[0] if plain else None
