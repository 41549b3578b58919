"""The meaning of elementwise arithmetic."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from dlc.ir.core import Op
from dlc.ir.dialects import graph_math as ops
from dlc.ir.eval.conversion import converted
from dlc.ir.eval.frame import Array, Meaning
from dlc.ir.types import STRING

# -- of one operand ----------------------------------------------------------------------------------------------------

_erf = np.frompyfunc(math.erf, 1, 1)  # NumPy has none


def erf(x: Array) -> Array:
    return np.asarray(_erf(x.astype(np.float64))).astype(np.float64).astype(x.dtype)


def sigmoid(x: Array) -> Array:
    small = np.exp(-np.abs(x))  # never overflows
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def softplus(x: Array) -> Array:
    return np.logaddexp(x.dtype.type(0), x)


def softsign(x: Array) -> Array:
    return x / (1 + np.abs(x))


def reciprocal(x: Array) -> Array:
    return 1 / x


def relu(x: Array) -> Array:
    return np.maximum(x, x.dtype.type(0))


def is_inf(op: ops.IsInf, x: Array) -> Array:
    return (np.isposinf(x) & op.detect_positive) | (np.isneginf(x) & op.detect_negative)


# -- activations with attributes ---------------------------------------------------------------------------------------


def leaky_relu(op: ops.LeakyRelu, x: Array) -> Array:
    return np.where(x >= 0, x, op.alpha * x)


def elu(op: ops.Elu, x: Array) -> Array:
    return np.where(x >= 0, x, op.alpha * np.expm1(x))


def selu(op: ops.Selu, x: Array) -> Array:
    return op.gamma * np.where(x > 0, x, op.alpha * np.expm1(x))


def celu(op: ops.Celu, x: Array) -> Array:
    return np.maximum(x, 0) + np.minimum(0, op.alpha * np.expm1(x / op.alpha))


def thresholded_relu(op: ops.ThresholdedRelu, x: Array) -> Array:
    return np.where(x > op.alpha, x, 0)


def hard_sigmoid(op: ops.HardSigmoid, x: Array) -> Array:
    return np.clip(op.alpha * x + op.beta, 0, 1)


def hard_swish(op: ops.HardSwish, x: Array) -> Array:
    return x * np.clip(x / 6 + 0.5, 0, 1)


def gelu(op: ops.Gelu, x: Array) -> Array:
    if op.approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)))
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))


def mish(op: ops.Mish, x: Array) -> Array:
    return x * np.tanh(softplus(x))


def swish(op: ops.Swish, x: Array) -> Array:
    return x * sigmoid(op.alpha * x)


def shrink(op: ops.Shrink, x: Array) -> Array:
    return np.where(x < -op.lambd, x + op.bias, np.where(x > op.lambd, x - op.bias, 0))


def clip(op: ops.Clip, x: Array) -> Array:
    if op.low is not None:
        x = np.maximum(x, bound(op.low, x.dtype))
    return x if op.high is None else np.minimum(x, bound(op.high, x.dtype))


def bound(number: float | int, dtype: np.dtype) -> Array:
    """A number as an element, held in the range of an integer type."""
    if dtype.kind in "iu":
        number = min(max(number, np.iinfo(dtype).min), np.iinfo(dtype).max)
    return np.asarray(number).astype(dtype)


def cast(op: ops.Cast, x: Array) -> Array:
    dtype = op.to.dtype
    if op.to == STRING:
        return np.array([number_text(item) for item in x.reshape(-1)], object).reshape(x.shape)
    if x.dtype == object:
        x = x.astype(np.float64) if dtype.kind not in "iu" else x.astype(np.int64)
    return converted(x, op.to)


def number_text(item: np.generic | object) -> str:
    """A number as ONNX writes it in a string."""
    if not isinstance(item, np.floating):
        return str(item)
    if np.isnan(item):
        return "NaN"
    if np.isinf(item):
        return "INF" if item > 0 else "-INF"
    return f"{item:.17g}" if item.dtype == np.float64 else f"{item:.8g}"


# -- of two operands ---------------------------------------------------------------------------------------------------


def div(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return a / b
    quotient = a // b  # rounds down
    return quotient + ((a % b != 0) & ((a < 0) != (b < 0))).astype(a.dtype)


def power(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.power(a, b)
    unit = np.where(a == 1, 1, np.where(a == -1, np.where(b % 2 == 0, 1, -1), 0))
    return np.where(b < 0, unit.astype(a.dtype), np.power(a, np.maximum(b, 0)))


def mod(op: ops.Mod, a: Array, b: Array) -> Array:
    return np.fmod(a, b) if op.fmod else np.mod(a, b)


def prelu(a: Array, b: Array) -> Array:
    return np.where(a >= 0, a, a * b)


def where(c: Array, x: Array, y: Array) -> Array:
    return np.where(c, x, y)


def plain(function: Callable[..., Array]) -> Meaning:
    """The meaning of an op without attributes."""
    return lambda op, *arrays: function(*arrays)


PLAIN: dict[type[Op], Callable[..., Array]] = {
    ops.Abs: np.abs, ops.Neg: np.negative, ops.Sign: np.sign, ops.Exp: np.exp, ops.Log: np.log, ops.Sqrt: np.sqrt,
    ops.Reciprocal: reciprocal, ops.Sin: np.sin, ops.Cos: np.cos, ops.Tan: np.tan, ops.Asin: np.arcsin,
    ops.Acos: np.arccos, ops.Atan: np.arctan, ops.Sinh: np.sinh, ops.Cosh: np.cosh, ops.Tanh: np.tanh,
    ops.Asinh: np.arcsinh, ops.Acosh: np.arccosh, ops.Atanh: np.arctanh, ops.Erf: erf, ops.Ceil: np.ceil,
    ops.Floor: np.floor, ops.Round: np.rint, ops.Sigmoid: sigmoid, ops.Relu: relu, ops.Softplus: softplus,
    ops.Softsign: softsign, ops.Not: np.logical_not, ops.BitwiseNot: np.invert, ops.IsNan: np.isnan,
    ops.Add: np.add, ops.Sub: np.subtract, ops.Mul: np.multiply, ops.Div: div, ops.Pow: power,
    ops.Minimum: np.minimum, ops.Maximum: np.maximum, ops.Prelu: prelu, ops.And: np.logical_and,
    ops.Or: np.logical_or, ops.Xor: np.logical_xor, ops.BitwiseAnd: np.bitwise_and, ops.BitwiseOr: np.bitwise_or,
    ops.BitwiseXor: np.bitwise_xor, ops.ShiftLeft: np.left_shift, ops.ShiftRight: np.right_shift,
    ops.Equal: np.equal, ops.Less: np.less, ops.LessEqual: np.less_equal, ops.Greater: np.greater,
    ops.GreaterEqual: np.greater_equal, ops.Where: where,
}  # fmt: skip

MEANINGS: dict[type[Op], Meaning] = {
    **{kind: plain(function) for kind, function in PLAIN.items()},
    ops.IsInf: is_inf, ops.LeakyRelu: leaky_relu, ops.Elu: elu, ops.Selu: selu, ops.Celu: celu,
    ops.ThresholdedRelu: thresholded_relu, ops.HardSigmoid: hard_sigmoid, ops.HardSwish: hard_swish, ops.Gelu: gelu,
    ops.Mish: mish, ops.Swish: swish, ops.Shrink: shrink, ops.Clip: clip, ops.Cast: cast, ops.Mod: mod,
}  # fmt: skip
