"""Cases of elementwise arithmetic."""

from __future__ import annotations

import numpy as np

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as ops
from dlc.ir.types import BF16, BOOL, F16, F32, F64, SI8, SI32, SI64, UI8, ScalarType
from tests.eval.cases import Array, Case, Onnx, bools, f32, ints, vector

SPECIAL = np.array([[-np.inf, -1e30, -2.5, -1.5, -0.0], [0.0, 0.5, 2.5, np.inf, np.nan]], np.float32)


def unary(kind: type[Op], onnx: str, x: Array, close: str = "function") -> Case:
    return Case(kind.spec.name, kind, [x], Onnx(onnx), close)


def binary(kind: type[Op], onnx: str, a: Array, b: Array, close: str = "rounded") -> Case:
    return Case(f"{kind.spec.name}-{a.dtype}", kind, [a, b], Onnx(onnx), close)


ANYWHERE = [
    (ops.Abs, "Abs"),
    (ops.Neg, "Neg"),
    (ops.Sign, "Sign"),
    (ops.Exp, "Exp"),
    (ops.Reciprocal, "Reciprocal"),
    (ops.Sin, "Sin"),
    (ops.Cos, "Cos"),
    (ops.Tan, "Tan"),
    (ops.Atan, "Atan"),
    (ops.Sinh, "Sinh"),
    (ops.Cosh, "Cosh"),
    (ops.Tanh, "Tanh"),
    (ops.Asinh, "Asinh"),
    (ops.Erf, "Erf"),
    (ops.Ceil, "Ceil"),
    (ops.Floor, "Floor"),
    (ops.Round, "Round"),
    (ops.Sigmoid, "Sigmoid"),
    (ops.Relu, "Relu"),
    (ops.Softplus, "Softplus"),
    (ops.Softsign, "Softsign"),
    (ops.Mish, "Mish"),
    (ops.IsNan, "IsNaN"),
]
SPECIAL_TOO = (
    ops.Abs, ops.Neg, ops.Exp, ops.Ceil, ops.Floor, ops.Round, ops.Relu, ops.IsNan, ops.Reciprocal,
)  # fmt: skip
UNARY = [
    *(unary(kind, onnx, f32(2, 3, 7)) for kind, onnx in ANYWHERE),
    *(unary(kind, onnx, SPECIAL) for kind, onnx in ANYWHERE if kind in SPECIAL_TOO),
    unary(ops.Exp, "Exp", f32(2, 0, 3)),
    unary(ops.Log, "Log", f32(5, 3, low=0.01, high=9)),
    unary(ops.Sqrt, "Sqrt", f32(5, 3, low=0, high=9)),
    unary(ops.Asin, "Asin", f32(11, low=-1, high=1)),
    unary(ops.Acos, "Acos", f32(11, low=-1, high=1)),
    unary(ops.Atanh, "Atanh", f32(11, low=-0.9, high=0.9)),
    unary(ops.Acosh, "Acosh", f32(11, low=1, high=9)),
    unary(ops.Abs, "Abs", ints(7)),
    unary(ops.Not, "Not", bools(7)),
    unary(ops.BitwiseNot, "BitwiseNot", ints(7)),
    Case("is_inf", lambda x: ops.IsInf(x, detect_negative=False), [SPECIAL], Onnx("IsInf", {"detect_negative": 0})),
]
ACTIVATIONS = [
    Case("leaky_relu", lambda x: ops.LeakyRelu(x, alpha=0.2), [f32(13)], Onnx("LeakyRelu", {"alpha": 0.2})),
    Case("elu", lambda x: ops.Elu(x, alpha=0.7), [f32(13)], Onnx("Elu", {"alpha": 0.7})),
    Case("selu", lambda x: ops.Selu(x, alpha=2.0, gamma=3.0), [f32(13)], Onnx("Selu", {"alpha": 2.0, "gamma": 3.0})),
    Case("selu-default", ops.Selu, [f32(13)], Onnx("Selu")),
    Case("celu", lambda x: ops.Celu(x, alpha=2.0), [f32(13)], Onnx("Celu", {"alpha": 2.0})),
    Case(
        "thresholded_relu",
        lambda x: ops.ThresholdedRelu(x, alpha=0.5),
        [f32(13)],
        Onnx("ThresholdedRelu", {"alpha": 0.5}),
        "exact",
    ),
    Case("hard_sigmoid", lambda x: ops.HardSigmoid(x, alpha=0.3), [f32(13)], Onnx("HardSigmoid", {"alpha": 0.3})),
    unary(ops.HardSwish, "HardSwish", f32(13), "op"),
    Case("gelu", ops.Gelu, [f32(13)], Onnx("Gelu")),
    Case("gelu-tanh", lambda x: ops.Gelu(x, approximate="tanh"), [f32(13)], Onnx("Gelu", {"approximate": "tanh"})),
    Case("swish", lambda x: ops.Swish(x, alpha=1.5), [f32(13)], lambda x: x / (1 + np.exp(-np.float32(1.5) * x))),
    Case(
        "shrink",
        lambda x: ops.Shrink(x, bias=0.5, lambd=1.0),
        [f32(13)],
        Onnx("Shrink", {"bias": 0.5, "lambd": 1.0}),
        "exact",
    ),
    Case("prelu", ops.Prelu, [f32(2, 3, 4), f32(3, 1)], Onnx("PRelu"), "exact"),
    Case(
        "clip",
        lambda x: ops.Clip(x, low=-1.0, high=2.0),
        [SPECIAL],
        Onnx("Clip", extra=(np.array(-1, np.float32), np.array(2, np.float32))),
        "exact",
    ),
    Case("clip-low", lambda x: ops.Clip(x, low=3), [ints(7)], Onnx("Clip", extra=(np.array(3, np.int32),)), "exact"),
    Case("clip-beyond", lambda x: ops.Clip(x, low=-500, high=500), [ints(7, dtype=np.int8)], lambda x: x, "exact"),
]

A, B = f32(2, 3, 1), f32(3, 5)
SIGNED, DIVISOR = ints(7, 3), ints(3, low=1, high=5) * vector(1, -1, 1, dtype=np.int32)
BINARY = [
    binary(ops.Add, "Add", A, B),
    binary(ops.Sub, "Sub", A, B),
    binary(ops.Mul, "Mul", A, B),
    binary(ops.Div, "Div", A, B),
    binary(ops.Div, "Div", SIGNED, DIVISOR),
    binary(ops.Add, "Add", SIGNED, DIVISOR),
    binary(ops.Add, "Add", f32(0, 3), f32(1, 3)),
    binary(ops.Mul, "Mul", f32(), f32(2)),
    binary(ops.Pow, "Pow", np.abs(A), B, "function"),
    binary(ops.Pow, "Pow", SIGNED, np.abs(DIVISOR)),
    binary(ops.Mod, "Mod", SIGNED, DIVISOR),
    Case("fmod", lambda a, b: ops.Mod(a, b, fmod=True), [A, B], Onnx("Mod", {"fmod": 1}), "exact"),
    Case("fmod-int", lambda a, b: ops.Mod(a, b, fmod=True), [SIGNED, DIVISOR], Onnx("Mod", {"fmod": 1}), "exact"),
    Case("mod-float", ops.Mod, [A, B], np.mod, "exact"),
    binary(ops.Minimum, "Min", A, B),
    binary(ops.Maximum, "Max", A, B),
    binary(ops.Maximum, "Max", SPECIAL, SPECIAL[::-1]),
    binary(ops.And, "And", bools(2, 1), bools(3)),
    binary(ops.Or, "Or", bools(2, 1), bools(3)),
    binary(ops.Xor, "Xor", bools(2, 1), bools(3)),
    binary(ops.BitwiseAnd, "BitwiseAnd", SIGNED, DIVISOR),
    binary(ops.BitwiseOr, "BitwiseOr", SIGNED, DIVISOR),
    binary(ops.BitwiseXor, "BitwiseXor", SIGNED, DIVISOR),
    Case(
        "shift_left",
        ops.ShiftLeft,
        [ints(7, low=0, dtype=np.uint8), ints(7, low=0, high=7, dtype=np.uint8)],
        Onnx("BitShift", {"direction": "LEFT"}),
        "exact",
    ),
    Case(
        "shift_right",
        ops.ShiftRight,
        [ints(7, low=0, dtype=np.uint8), ints(7, low=0, high=7, dtype=np.uint8)],
        Onnx("BitShift", {"direction": "RIGHT"}),
        "exact",
    ),
    Case("shift_right-signed", ops.ShiftRight, [vector(-9, 9), vector(1, 1)], lambda a, b: vector(-5, 4), "exact"),
    Case(
        "pow-negative",
        ops.Pow,
        [vector(-1, -1, 1, 2, 3), vector(-3, -2, -5, -1, 2)],
        lambda a, b: vector(-1, 1, 1, 0, 9),
        "exact",
    ),
    Case("pow-square", ops.Pow, [f32(9), np.float32([2.0] * 9)], lambda a, b: a * a, "rounded"),
]

COMPARE = [
    binary(kind, onnx, a, b)
    for kind, onnx in (
        (ops.Equal, "Equal"),
        (ops.Less, "Less"),
        (ops.LessEqual, "LessOrEqual"),
        (ops.Greater, "Greater"),
        (ops.GreaterEqual, "GreaterOrEqual"),
    )
    for a, b in ((SPECIAL, SPECIAL[0]), (SIGNED, DIVISOR))
]


def cast(name: str, x: Array, to: ScalarType, right: Onnx | Array) -> Case:
    def make(value: Value) -> Op:
        return ops.Cast(value, to=to)

    return Case(f"cast-{name}", make, [x], right if isinstance(right, Onnx) else lambda _: right, "exact")


FINITE = f32(4, 3, low=-100, high=100)
CAST = [
    cast("f32-si32", FINITE, SI32, Onnx("Cast", {"to": 6})),
    cast("f32-si64", FINITE, SI64, Onnx("Cast", {"to": 7})),
    cast("f32-bool", SPECIAL, BOOL, Onnx("Cast", {"to": 9})),
    cast("f32-f16", FINITE, F16, Onnx("Cast", {"to": 10})),
    cast("f32-f64", SPECIAL, F64, Onnx("Cast", {"to": 11})),
    cast("bool-f32", bools(5), F32, Onnx("Cast", {"to": 1})),
    cast("si32-ui8", ints(9), UI8, Onnx("Cast", {"to": 2})),
    cast("si32-si8", ints(9, high=300), SI8, Onnx("Cast", {"to": 3})),
    cast("f32-bf16", FINITE, BF16, FINITE.astype(BF16.dtype)),
    cast("saturate", SPECIAL, UI8, np.array([[0, 0, 0, 0, 0], [0, 0, 2, 255, 0]], np.uint8)),
    cast(
        "saturate-wide",
        vector(1e20, -1e20, 2.0**63, 2.0**62, dtype=np.float64),
        SI64,
        vector(2**63 - 1, -(2**63), 2**63 - 1, 2**62),
    ),
]

CASES = [
    *UNARY,
    *ACTIVATIONS,
    *BINARY,
    *COMPARE,
    *CAST,
    Case("where", ops.Where, [bools(3, 1), A, f32(5)], Onnx("Where"), "exact"),
    Case("where-int", ops.Where, [bools(3), ints(2, 1), ints(3)], Onnx("Where"), "exact"),
]
