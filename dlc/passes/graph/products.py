"""Products and sums seen flat, so that a formula is recognised in every order in which exporters write it."""

from __future__ import annotations

from dlc.ir.core import Value
from dlc.ir.dialects.graph_math import Add, Div, Mul, Neg, Pow, Sub
from dlc.ir.pool import ConstantPool
from dlc.passes.graph.constants import number
from dlc.record import record

DEPTH = 8
POWERS = (2, 3)


@record
class Product:
    """``coefficient`` times the values in ``factors``."""

    coefficient: float
    factors: tuple[Value, ...]

    def __mul__(self, other: Product) -> Product:
        return Product(self.coefficient * other.coefficient, self.factors + other.factors)

    def scaled(self, by: float) -> Product:
        return Product(self.coefficient * by, self.factors)

    def without(self, value: Value) -> tuple[Value, ...]:
        """The factors but for one occurrence of `value`."""
        at = self.factors.index(value)
        return self.factors[:at] + self.factors[at + 1 :]


def product_of(value: Value, pool: ConstantPool, depth: int = DEPTH) -> Product:
    """A value as a product of factors that are no products, and a number."""
    known = number(value, pool)
    if known is not None:
        return Product(float(known), ())
    alone = Product(1.0, (value,))
    op = value.defining_op
    if depth == 0 or op is None:
        return alone
    if isinstance(op, Neg):
        return product_of(op.x, pool, depth - 1).scaled(-1.0)
    if isinstance(op, Mul):
        return product_of(op.a, pool, depth - 1) * product_of(op.b, pool, depth - 1)
    if isinstance(op, Div | Pow):
        return quotient_or_power(op, pool, depth) or alone
    return alone


def quotient_or_power(op: Div | Pow, pool: ConstantPool, depth: int) -> Product | None:
    known = number(op.b, pool)
    if known is None or known == 0:
        return None
    base = product_of(op.a, pool, depth - 1)
    if isinstance(op, Div):
        return base.scaled(1 / known)
    return Product(base.coefficient**known, base.factors * int(known)) if known in POWERS else None


@record
class Affine:
    """``constant + product``"""

    constant: float
    product: Product


def affine_of(value: Value, pool: ConstantPool) -> Affine:
    """A value as a number plus a product."""
    op = value.defining_op
    if isinstance(op, Add):
        for one, other in ((op.a, op.b), (op.b, op.a)):
            if (known := number(other, pool)) is not None:
                inner = affine_of(one, pool)
                return Affine(inner.constant + known, inner.product)
    if isinstance(op, Sub):
        if (known := number(op.b, pool)) is not None:
            inner = affine_of(op.a, pool)
            return Affine(inner.constant - known, inner.product)
        if (known := number(op.a, pool)) is not None:
            inner = affine_of(op.b, pool)
            return Affine(known - inner.constant, inner.product.scaled(-1.0))
    return Affine(0.0, product_of(value, pool))
