"""Scalar arithmetic of the loop level. Every op also works lane by lane on vectors.

Integers wrap around; ``div`` and ``rem`` of integers truncate towards zero, and by zero both give 0. Floats follow
IEEE 754 with denormals flushed; nothing is reassociated.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op
from dlc.ir.expr import Expr
from dlc.ir.opdef import (
    BOOL_VALUE,
    COMMUTATIVE,
    CONSTANT,
    INDEX_VALUE,
    PURE,
    SCALAR_OR_VECTOR,
    attr,
    op_def,
    operand,
    operands,
)
from dlc.ir.types import BOOL, INDEX, ScalarType, Type, VectorType, scalar_type


def same_shape(like: Type, element: ScalarType) -> Type:
    """`element` as a scalar, or as a vector with the lanes of `like`."""
    return VectorType(like.lanes, element) if isinstance(like, VectorType) else element


class Unary(Op):
    x = operand(SCALAR_OR_VECTOR)

    def infer(self) -> tuple[Type, ...]:
        return (self.x.type,)


class Binary(Op):
    x = operand(SCALAR_OR_VECTOR)
    y = operand(SCALAR_OR_VECTOR)

    def infer(self) -> tuple[Type, ...]:
        return (self.x.type,)

    def check(self) -> Iterator[str]:
        if self.x.type != self.y.type:
            yield f"c1: operands must have one type, got {self.x.type} and {self.y.type}"


@op_def("arith.constant", traits={PURE, CONSTANT})
class Constant(Op):
    """A known number; a vector constant has the value in every lane."""

    value = attr(kind=object)
    type = attr(kind=Type)

    def infer(self) -> tuple[Type, ...]:
        return (self.type,)


@op_def("arith.index", traits={PURE})
class Index(Op):
    """The value of an integer expression over index operands (``d0``, ``d1``, …) and named dimensions."""

    indices = operands(INDEX_VALUE)
    expr = attr(kind=Expr)

    def infer(self) -> tuple[Type, ...]:
        return (INDEX,)


@op_def("arith.add", traits={PURE, COMMUTATIVE})
class Add(Binary):
    """x + y."""


@op_def("arith.sub", traits={PURE})
class Sub(Binary):
    """x - y."""


@op_def("arith.mul", traits={PURE, COMMUTATIVE})
class Mul(Binary):
    """x * y."""


@op_def("arith.div", traits={PURE})
class Div(Binary):
    """x / y; integers truncate towards zero."""


@op_def("arith.rem", traits={PURE})
class Rem(Binary):
    """x - y * trunc(x / y): the sign follows x."""


@op_def("arith.min", traits={PURE, COMMUTATIVE})
class Min(Binary):
    """The lesser; a NaN operand gives NaN."""


@op_def("arith.max", traits={PURE, COMMUTATIVE})
class Max(Binary):
    """The greater; a NaN operand gives NaN."""


@op_def("arith.and", traits={PURE, COMMUTATIVE})
class And(Binary):
    """Bitwise and."""


@op_def("arith.or", traits={PURE, COMMUTATIVE})
class Or(Binary):
    """Bitwise or."""


@op_def("arith.xor", traits={PURE, COMMUTATIVE})
class Xor(Binary):
    """Bitwise exclusive or."""


@op_def("arith.shl", traits={PURE})
class Shl(Binary):
    """x shifted left by y bits; 0 when y is not less than the width."""


@op_def("arith.shr", traits={PURE})
class Shr(Binary):
    """x shifted right by y bits (signed types: the sign is kept); y not less than the width shifts all bits out."""


@op_def("arith.fma", traits={PURE})
class Fma(Op):
    """x * y + z, rounded once where the target has fused multiply-add."""

    x = operand(SCALAR_OR_VECTOR)
    y = operand(SCALAR_OR_VECTOR)
    z = operand(SCALAR_OR_VECTOR)

    def infer(self) -> tuple[Type, ...]:
        return (self.z.type,)

    def check(self) -> Iterator[str]:
        if not self.x.type == self.y.type == self.z.type:
            yield f"c1: operands must have one type, got {self.x.type}, {self.y.type} and {self.z.type}"


@op_def("arith.neg", traits={PURE})
class Neg(Unary):
    """-x."""


@op_def("arith.abs", traits={PURE})
class Abs(Unary):
    """|x|."""


@op_def("arith.sqrt", traits={PURE})
class Sqrt(Unary):
    """The square root, correctly rounded."""


@op_def("arith.floor", traits={PURE})
class Floor(Unary):
    """The next integer downwards."""


@op_def("arith.ceil", traits={PURE})
class Ceil(Unary):
    """The next integer upwards."""


@op_def("arith.trunc", traits={PURE})
class Trunc(Unary):
    """The next integer towards zero."""


@op_def("arith.round", traits={PURE})
class Round(Unary):
    """The nearest integer, halves to even."""


PREDICATES = ("eq", "ne", "lt", "le", "gt", "ge")


@op_def("arith.cmp", traits={PURE})
class Compare(Binary):
    """Compare; with a NaN all are false but ``ne``."""

    predicate = attr(kind=str)

    def infer(self) -> tuple[Type, ...]:
        return (same_shape(self.x.type, BOOL),)

    def check(self) -> Iterator[str]:
        yield from super().check()
        if self.predicate not in PREDICATES:
            yield f"c2: predicate must be one of {', '.join(PREDICATES)}, got {self.predicate!r}"


@op_def("arith.select", traits={PURE})
class Select(Op):
    """`x` where the condition holds, else `y`."""

    condition = operand(BOOL_VALUE)
    x = operand(SCALAR_OR_VECTOR)
    y = operand(SCALAR_OR_VECTOR)

    def infer(self) -> tuple[Type, ...]:
        return (self.x.type,)

    def check(self) -> Iterator[str]:
        if self.x.type != self.y.type:
            yield f"c1: operands must have one type, got {self.x.type} and {self.y.type}"
        if isinstance(self.condition.type, VectorType) and self.condition.type != same_shape(self.x.type, BOOL):
            yield "c2: a vector condition must have as many lanes as the operands"


@op_def("arith.cast", traits={PURE})
class Cast(Op):
    """Convert to the element type `to`: float to integer truncates and saturates, integers wrap, bool is ``!= 0``."""

    x = operand(SCALAR_OR_VECTOR)
    to = attr(kind=ScalarType)

    def infer(self) -> tuple[Type, ...]:
        return (same_shape(self.x.type, self.to),)


@op_def("arith.bitcast", traits={PURE})
class Bitcast(Op):
    """The same bits as another type of the same width."""

    x = operand(SCALAR_OR_VECTOR)
    to = attr(kind=ScalarType)

    def infer(self) -> tuple[Type, ...]:
        return (same_shape(self.x.type, self.to),)

    def check(self) -> Iterator[str]:
        if scalar_type(self.x.type).bits != self.to.bits:
            yield f"c1: {self.x.type} and {self.to} differ in width"


OPS = (
    Constant, Index, Add, Sub, Mul, Div, Rem, Min, Max, And, Or, Xor, Shl, Shr, Fma, Neg, Abs, Sqrt, Floor, Ceil, Trunc,
    Round, Compare, Select, Cast, Bitcast,
)  # fmt: skip
