"""Recognise the Gaussian error linear unit in the forms in which exporters write it.

    x · ½ · (1 + erf(x / √2))                                ->  gelu(x)
    x · ½ · (1 + tanh(√(2/π) · (x + 0.044715·x³)))           ->  gelu(x) {approximate = "tanh"}

Factors may stand in any order and anywhere in the product; x³ is a power or a product, and √(2/π) may be multiplied
out. Constants may be off by what their float32 text loses.
"""

from __future__ import annotations

import math
from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_math import Add, Erf, Gelu, Mul, Tanh
from dlc.ir.levels import Level
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import is_near
from dlc.passes.graph.products import affine_of, product_of
from dlc.record import record

TANH_SCALE = math.sqrt(2 / math.pi)
CUBE_SCALE = 0.044715


@record
class RecognizeGelu(Pass):
    name: ClassVar[str] = "recognize-gelu"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [GeluProduct()], cx)


class GeluProduct(Pattern[Mul]):
    def rewrite(self, op: Mul, rw: Rewriter) -> NoMatch | None:
        whole = product_of(op.result, rw.pool)
        if len(whole.factors) != 2:
            return NoMatch("not a product of two factors and a number")
        for gate, x in (whole.factors, whole.factors[::-1]):
            approximate = gate_of(gate, x, whole.coefficient, rw.pool)
            if approximate is None:
                continue
            if x.type != op.result.type:
                return NoMatch("x is broadcast")
            rw.replace(op, rw.insert(Gelu(x, approximate=approximate)).result)
            return None
        return NoMatch("no factor is half of 1 + erf(x / √2), or of 1 + tanh(√(2/π)(x + 0.044715 x³))")


def gate_of(gate: Value, x: Value, coefficient: float, pool: ConstantPool) -> str | None:
    """Which gelu has ``coefficient · gate`` for the probability that x is kept."""
    form = affine_of(gate, pool)
    if not is_near(form.constant * coefficient, 0.5) or not is_near(form.product.coefficient * coefficient, 0.5):
        return None
    if len(form.product.factors) != 1:
        return None
    curve = form.product.factors[0].defining_op
    if isinstance(curve, Erf) and is_scaled(curve.x, x, math.sqrt(0.5), pool):
        return "none"
    if isinstance(curve, Tanh) and is_cubic(curve.x, x, pool):
        return "tanh"
    return None


def is_scaled(value: Value, x: Value, by: float, pool: ConstantPool) -> bool:
    found = product_of(value, pool)
    return found.factors == (x,) and is_near(found.coefficient, by)


def is_cubic(value: Value, x: Value, pool: ConstantPool) -> bool:
    """Whether a value is √(2/π) · (x + 0.044715·x³)."""
    linear = cubic = 0.0
    for coefficient, power in terms(value, x, pool) or ():
        linear += coefficient if power == 1 else 0
        cubic += coefficient if power == 3 else 0
        if power not in (1, 3):
            return False
    return is_near(linear, TANH_SCALE) and is_near(cubic, TANH_SCALE * CUBE_SCALE)


def terms(value: Value, x: Value, pool: ConstantPool, depth: int = 3) -> list[tuple[float, int]] | None:
    """A value as a polynomial in x: coefficients and powers; None if it is none."""
    found = product_of(value, pool)
    power = found.factors.count(x)
    rest = [factor for factor in found.factors if factor is not x]
    if not rest:
        return [(found.coefficient, power)]
    inner = rest[0].defined_by(Add)
    if len(rest) > 1 or inner is None or depth == 0:
        return None
    left, right = (terms(each, x, pool, depth - 1) for each in (inner.a, inner.b))
    if left is None or right is None:
        return None
    return [(found.coefficient * coefficient, power + more) for coefficient, more in left + right]
