"""Elementwise arithmetic on tensors that broadcast as NumPy's do, of one element type unless an op says otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlc.ir.core import Op
from dlc.ir.dialects.shape_rules import Shape, broadcast, elementwise_type, tensor
from dlc.ir.opdef import (
    BOOL_TENSOR,
    COMMUTATIVE,
    COMPARES,
    ELEMENTWISE,
    FLOAT_TENSOR,
    INTEGER_TENSOR,
    NUMBER_TENSOR,
    PURE,
    TENSOR,
    AttrDef,
    attr,
    op_def,
    operand,
)
from dlc.ir.requirements import Requirement, broadcast_alike
from dlc.ir.types import BOOL, Layout, ScalarType, Type

MAP = frozenset({PURE, ELEMENTWISE})
SYMMETRIC = frozenset({PURE, ELEMENTWISE, COMMUTATIVE})


class Elementwise(Op):
    """Base of all: `layout` overrides the memory layout that the full-shape operands share."""

    layout: AttrDef[Layout | None] = attr(None)

    def infer(self) -> tuple[Type, ...]:
        return (elementwise_type(self.operands, self.layout),)

    def check(self) -> Iterator[str]:
        types = [tensor(value) for value in self.operands]
        if any(each.element != types[0].element for each in types):
            yield "c2: the operands must have one element type"

    def requires(self) -> Iterable[Requirement]:
        shapes = [tensor(value).shape for value in self.operands]
        return broadcast_alike(shapes, "c1: the shapes of the operands must broadcast")

    def stretched(self) -> Iterable[tuple[int, Shape]]:
        whole = broadcast(tensor(value).shape for value in self.operands)
        return ((number, whole) for number in range(len(self.operands)))


class Unary(Elementwise):
    x = operand(NUMBER_TENSOR)


class FloatUnary(Elementwise):
    x = operand(FLOAT_TENSOR)


class FloatTest(Elementwise):
    x = operand(FLOAT_TENSOR)

    def infer(self) -> tuple[Type, ...]:
        return (elementwise_type(self.operands, self.layout, BOOL),)


class Binary(Elementwise):
    a = operand(NUMBER_TENSOR)
    b = operand(NUMBER_TENSOR)


class BoolBinary(Elementwise):
    a = operand(BOOL_TENSOR)
    b = operand(BOOL_TENSOR)


class IntegerBinary(Elementwise):
    a = operand(INTEGER_TENSOR)
    b = operand(INTEGER_TENSOR)


class Compare(Elementwise):
    a = operand(TENSOR)
    b = operand(TENSOR)

    def infer(self) -> tuple[Type, ...]:
        return (elementwise_type(self.operands, self.layout, BOOL),)


# -- of one operand ---------------------------------------------------------------------------------------------------


@op_def("graph.abs", traits=MAP)
class Abs(Unary):
    """|x|"""


@op_def("graph.neg", traits=MAP)
class Neg(Unary):
    """-x"""


@op_def("graph.sign", traits=MAP)
class Sign(Unary):
    """-1, 0 or 1; NaN stays"""


@op_def("graph.exp", traits=MAP)
class Exp(FloatUnary):
    """e to the x"""


@op_def("graph.log", traits=MAP)
class Log(FloatUnary):
    """The natural logarithm"""


@op_def("graph.sqrt", traits=MAP)
class Sqrt(FloatUnary):
    """The square root"""


@op_def("graph.reciprocal", traits=MAP)
class Reciprocal(FloatUnary):
    """1 / x"""


@op_def("graph.sin", traits=MAP)
class Sin(FloatUnary):
    """The sine"""


@op_def("graph.cos", traits=MAP)
class Cos(FloatUnary):
    """The cosine"""


@op_def("graph.tan", traits=MAP)
class Tan(FloatUnary):
    """The tangent"""


@op_def("graph.asin", traits=MAP)
class Asin(FloatUnary):
    """The inverse sine"""


@op_def("graph.acos", traits=MAP)
class Acos(FloatUnary):
    """The inverse cosine"""


@op_def("graph.atan", traits=MAP)
class Atan(FloatUnary):
    """The inverse tangent"""


@op_def("graph.sinh", traits=MAP)
class Sinh(FloatUnary):
    """The hyperbolic sine"""


@op_def("graph.cosh", traits=MAP)
class Cosh(FloatUnary):
    """The hyperbolic cosine"""


@op_def("graph.tanh", traits=MAP)
class Tanh(FloatUnary):
    """The hyperbolic tangent"""


@op_def("graph.asinh", traits=MAP)
class Asinh(FloatUnary):
    """The inverse hyperbolic sine"""


@op_def("graph.acosh", traits=MAP)
class Acosh(FloatUnary):
    """The inverse hyperbolic cosine"""


@op_def("graph.atanh", traits=MAP)
class Atanh(FloatUnary):
    """The inverse hyperbolic tangent"""


@op_def("graph.erf", traits=MAP)
class Erf(FloatUnary):
    """The error function"""


@op_def("graph.ceil", traits=MAP)
class Ceil(FloatUnary):
    """The least integer not below x"""


@op_def("graph.floor", traits=MAP)
class Floor(FloatUnary):
    """The greatest integer not above x"""


@op_def("graph.round", traits=MAP)
class Round(FloatUnary):
    """The nearest integer, halves to even"""


@op_def("graph.sigmoid", traits=MAP)
class Sigmoid(FloatUnary):
    """1 / (1 + exp(-x))"""


@op_def("graph.relu", traits=MAP)
class Relu(Unary):
    """max(x, 0); NaN stays"""


@op_def("graph.softplus", traits=MAP)
class Softplus(FloatUnary):
    """log(1 + exp(x))"""


@op_def("graph.softsign", traits=MAP)
class Softsign(FloatUnary):
    """x / (1 + |x|)"""


@op_def("graph.not", traits=MAP)
class Not(Elementwise):
    """Logical negation"""

    x = operand(BOOL_TENSOR)


@op_def("graph.bitwise_not", traits=MAP)
class BitwiseNot(Elementwise):
    """All bits flipped"""

    x = operand(INTEGER_TENSOR)


@op_def("graph.is_nan", traits=MAP)
class IsNan(FloatTest):
    """Whether x is NaN"""


@op_def("graph.is_inf", traits=MAP)
class IsInf(FloatTest):
    """Whether x is an infinity of a sign that counts"""

    detect_negative = attr(True)
    detect_positive = attr(True)


# -- activations with attributes --------------------------------------------------------------------------------------


@op_def("graph.leaky_relu", traits=MAP)
class LeakyRelu(FloatUnary):
    """x if x >= 0 else alpha * x"""

    alpha = attr(0.01)


@op_def("graph.elu", traits=MAP)
class Elu(FloatUnary):
    """x if x >= 0 else alpha * (exp(x) - 1)"""

    alpha = attr(1.0)


@op_def("graph.selu", traits=MAP)
class Selu(FloatUnary):
    """gamma * (x if x > 0 else alpha * (exp(x) - 1))"""

    alpha = attr(1.6732631921768188)
    gamma = attr(1.0507010221481323)


@op_def("graph.celu", traits=MAP)
class Celu(FloatUnary):
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))"""

    alpha = attr(1.0)


@op_def("graph.thresholded_relu", traits=MAP)
class ThresholdedRelu(FloatUnary):
    """x if x > alpha else 0"""

    alpha = attr(1.0)


@op_def("graph.hard_sigmoid", traits=MAP)
class HardSigmoid(FloatUnary):
    """alpha * x + beta held between 0 and 1"""

    alpha = attr(0.2)
    beta = attr(0.5)


@op_def("graph.hard_swish", traits=MAP)
class HardSwish(FloatUnary):
    """x times (x / 6 + 1 / 2 held between 0 and 1)"""


@op_def("graph.gelu", traits=MAP)
class Gelu(FloatUnary):
    """x times the normal distribution function of x, by erf (``none``) or by ``tanh``"""

    approximate = attr("none")

    def check(self) -> Iterator[str]:
        if self.approximate not in ("none", "tanh"):
            yield "c3: approximate must be none or tanh"


@op_def("graph.mish", traits=MAP)
class Mish(FloatUnary):
    """x * tanh(log(1 + exp(x)))"""


@op_def("graph.swish", traits=MAP)
class Swish(FloatUnary):
    """x * sigmoid(alpha * x)"""

    alpha = attr(1.0)


@op_def("graph.shrink", traits=MAP)
class Shrink(Unary):
    """x + bias if x < -lambd, x - bias if x > lambd, else 0"""

    bias = attr(0.0)
    lambd = attr(0.5)


@op_def("graph.cast", traits=MAP)
class Cast(Elementwise):
    """x as another type: floats to integers truncate and saturate (NaN is 0), numbers to bool compare with 0"""

    x = operand(TENSOR)
    to: AttrDef[ScalarType] = attr(kind=ScalarType)

    def infer(self) -> tuple[Type, ...]:
        return (elementwise_type(self.operands, self.layout, self.to),)


@op_def("graph.clip", traits=MAP)
class Clip(Elementwise):
    """x held between low and high; None is no bound; NaN stays"""

    x = operand(NUMBER_TENSOR)
    low: AttrDef[float | int | None] = attr(None)
    high: AttrDef[float | int | None] = attr(None)


# -- of two operands --------------------------------------------------------------------------------------------------


@op_def("graph.add", traits=SYMMETRIC)
class Add(Binary):
    """a + b"""


@op_def("graph.sub", traits=MAP)
class Sub(Binary):
    """a - b"""


@op_def("graph.mul", traits=SYMMETRIC)
class Mul(Binary):
    """a * b"""


@op_def("graph.div", traits=MAP)
class Div(Binary):
    """a / b; integers round towards zero"""


@op_def("graph.pow", traits=MAP)
class Pow(Binary):
    """a to the power of b"""


@op_def("graph.mod", traits=MAP)
class Mod(Binary):
    """The remainder, with the sign of b; with `fmod` of a"""

    fmod = attr(False)


@op_def("graph.minimum", traits=SYMMETRIC)
class Minimum(Binary):
    """The smaller; NaN if either is"""


@op_def("graph.maximum", traits=SYMMETRIC)
class Maximum(Binary):
    """The larger; NaN if either is"""


@op_def("graph.prelu", traits=MAP)
class Prelu(Binary):
    """a if a >= 0 else b * a; b is the slope"""


@op_def("graph.and", traits=SYMMETRIC)
class And(BoolBinary):
    """Logical and"""


@op_def("graph.or", traits=SYMMETRIC)
class Or(BoolBinary):
    """Logical or"""


@op_def("graph.xor", traits=SYMMETRIC)
class Xor(BoolBinary):
    """Logical exclusive or"""


@op_def("graph.bitwise_and", traits=SYMMETRIC)
class BitwiseAnd(IntegerBinary):
    """Bitwise and"""


@op_def("graph.bitwise_or", traits=SYMMETRIC)
class BitwiseOr(IntegerBinary):
    """Bitwise or"""


@op_def("graph.bitwise_xor", traits=SYMMETRIC)
class BitwiseXor(IntegerBinary):
    """Bitwise exclusive or"""


@op_def("graph.shift_left", traits=MAP)
class ShiftLeft(IntegerBinary):
    """a shifted left by b bits"""


@op_def("graph.shift_right", traits=MAP)
class ShiftRight(IntegerBinary):
    """a shifted right by b bits; zeros enter unsigned, the sign bit signed integers"""


@op_def("graph.equal", traits=SYMMETRIC | {COMPARES})
class Equal(Compare):
    """a == b"""


@op_def("graph.less", traits=MAP | {COMPARES})
class Less(Compare):
    """a < b"""


@op_def("graph.less_equal", traits=MAP | {COMPARES})
class LessEqual(Compare):
    """a <= b"""


@op_def("graph.greater", traits=MAP | {COMPARES})
class Greater(Compare):
    """a > b"""


@op_def("graph.greater_equal", traits=MAP | {COMPARES})
class GreaterEqual(Compare):
    """a >= b"""


# -- of three operands ------------------------------------------------------------------------------------------------


@op_def("graph.where", traits=MAP)
class Where(Elementwise):
    """x where c holds, else y"""

    c = operand(BOOL_TENSOR)
    x = operand(TENSOR)
    y = operand(TENSOR)

    def infer(self) -> tuple[Type, ...]:
        return (elementwise_type(self.operands, self.layout, tensor(self.x).element),)

    def check(self) -> Iterator[str]:
        if tensor(self.x).element != tensor(self.y).element:
            yield "c2: x and y must have one element type"


OPS: tuple[type[Op], ...] = (
    Abs, Neg, Sign, Exp, Log, Sqrt, Reciprocal, Sin, Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Tanh, Asinh,
    Acosh, Atanh, Erf, Ceil, Floor, Round, Sigmoid, Relu, Softplus, Softsign, Not, BitwiseNot, IsNan, IsInf,
    LeakyRelu, Elu, Selu, Celu, ThresholdedRelu, HardSigmoid, HardSwish, Gelu, Mish, Swish, Shrink, Cast,
    Clip, Add, Sub, Mul, Div, Pow, Mod, Minimum, Maximum, Prelu, And, Or, Xor, BitwiseAnd, BitwiseOr,
    BitwiseXor, ShiftLeft, ShiftRight, Equal, Less, LessEqual, Greater, GreaterEqual, Where,
)  # fmt: skip
