"""Elementwise operators."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlc.frontends.build import broadcasted, cast, rank_of, scaled, shape_of
from dlc.frontends.context import Handler, Item, NodeContext, Unsupported
from dlc.frontends.records import ELEMENTS
from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.types import BOOL, ScalarType

Output = Value | Item

# -- one operand -------------------------------------------------------------------------------------------------------


def unary(kind: type[Op], **defaults: float) -> Handler:
    """One op for one operator; `defaults` are the attributes, which ONNX and the op call alike."""

    def handler(cx: NodeContext) -> Value:
        attrs: dict[str, Any] = {name: cx.decimal(name, default) for name, default in defaults.items()}
        return cx.put(kind(cx.x(), **attrs))

    return handler


def is_inf(cx: NodeContext) -> Value:
    negative, positive = cx.flag("detect_negative", True), cx.flag("detect_positive", True)
    return cx.put(m.IsInf(cx.x(), detect_negative=negative, detect_positive=positive))


def gelu(cx: NodeContext) -> Value:
    return cx.put(m.Gelu(cx.x(), approximate=cx.text("approximate", "none")))


def celu(cx: NodeContext) -> Value:
    alpha = cx.decimal("alpha", 1.0)
    if alpha == 0:
        raise Unsupported("its alpha, by which it divides, is 0")
    return cx.put(m.Celu(cx.x(), alpha=alpha))


def abs_(cx: NodeContext) -> Value:
    x = cx.x()
    return x if tensor(x).scalar.name.startswith("ui") else cx.put(m.Abs(x))


def element_from(cx: NodeContext, name: str, default: ScalarType | None = None) -> ScalarType:
    """An attribute that holds an ONNX element type."""
    code = cx.integer(name, 0 if default is not None else None)
    if code == 0 and default is not None:
        return default
    if code not in ELEMENTS:
        raise Unsupported(f"its attribute {name} is ONNX element type {code}, which dlc does not have")
    return ELEMENTS[code]


def cast_(cx: NodeContext) -> Value:
    return cast(cx, cx.x(), element_from(cx, "to"))


def cast_like(cx: NodeContext) -> Value:
    return cast(cx, cx.x(), cx.type(1).scalar)


def clip(cx: NodeContext) -> Value:
    if cx.version < 11:
        return _clip_static(cx, _limit(cx, "min"), _limit(cx, "max"))
    bounds = [cx.contents(1), cx.contents(2)]
    if all(bound is not None or not cx.has(n + 1) for n, bound in enumerate(bounds)):
        low, high = (None if bound is None else bound.reshape(-1)[0].item() for bound in bounds)
        return _clip_static(cx, low, high)
    x = cx.x()
    if (low_value := cx.maybe(1)) is not None:
        x = cx.put(m.Maximum(x, low_value))
    if (high_value := cx.maybe(2)) is not None:
        x = cx.put(m.Minimum(x, high_value))
    return x


def _limit(cx: NodeContext, name: str) -> float | None:
    return cx.decimal(name) if cx.attribute(name) is not None else None


def _clip_static(cx: NodeContext, low: float | None, high: float | None) -> Value:
    x = cx.x()
    if tensor(x).scalar.is_float:  # the largest float that float32 holds says: no bound
        low = None if low is not None and low <= -3.4028e38 else low
        high = None if high is not None and high >= 3.4028e38 else high
    if low is None and high is None:
        return x
    if low is not None and high is not None and low > high:
        low = high
    if low == 0 and high is None:
        return cx.put(m.Relu(x))
    return cx.put(m.Clip(x, low=low, high=high))


# -- two operands ------------------------------------------------------------------------------------------------------


def binary(kind: type[Op]) -> Handler:
    return lambda cx: cx.put(kind(cx.x(0), cx.x(1)))


def power(cx: NodeContext) -> Value:
    base, exponent = cx.x(0), cx.x(1)
    element, other = tensor(base).scalar, tensor(exponent).scalar
    if element.is_float or other.is_integer:
        return cx.put(m.Pow(base, cast(cx, exponent, element)))
    return cast(cx, cx.put(m.Pow(cast(cx, base, other), exponent)), element)


def modulo(cx: NodeContext) -> Value:
    return cx.put(m.Mod(cx.x(0), cx.x(1), fmod=cx.flag("fmod")))


def bit_shift(cx: NodeContext) -> Value:
    match cx.text("direction"):
        case "LEFT":
            return cx.put(m.ShiftLeft(cx.x(0), cx.x(1)))
        case "RIGHT":
            return cx.put(m.ShiftRight(cx.x(0), cx.x(1)))
    raise Unsupported(f"its direction is {cx.text('direction')}, expected LEFT or RIGHT")


def prelu(cx: NodeContext) -> Value:
    x, slope = cx.x(0), cx.x(1)
    if rank_of(slope) > rank_of(x):
        raise Unsupported("its slope has more axes than its input")
    return cx.put(m.Prelu(x, slope))


# -- many operands -----------------------------------------------------------------------------------------------------


def chain(kind: type[Op]) -> Handler:
    def handler(cx: NodeContext) -> Value:
        first, *rest = cx.values()
        for value in rest:
            first = cx.put(kind(first, value))
        return first

    return handler


def mean(cx: NodeContext) -> Value:
    values = cx.values()
    total = values[0]
    for value in values[1:]:
        total = cx.put(m.Add(total, value))
    return total if len(values) == 1 else scaled(cx, total, 1 / len(values))


def where(cx: NodeContext) -> Value:
    return cx.put(m.Where(cx.x(0), cx.x(1), cx.x(2)))


# -- operators that change nothing at inference ------------------------------------------------------------------------


def identity(cx: NodeContext) -> Item:
    return cx.item(0)


def dropout(cx: NodeContext) -> tuple[Output, ...]:
    training = cx.contents(2) if cx.version >= 12 and cx.has(2) else None
    if cx.version >= 12 and cx.has(2) and (training is None or bool(training.reshape(-1)[0])):
        ratio = cx.contents(1)
        if ratio is None or ratio.reshape(-1)[0] != 0:
            raise Unsupported("it is in training mode, which is random")
    if len(cx.node.outputs) < 2 or not cx.node.outputs[1]:
        return (cx.item(0),)
    element = BOOL if cx.version >= 10 else cx.type().scalar
    kept = cx.constant(np.array(1, element.dtype))
    return cx.item(0), broadcasted(cx, kept, shape_of(cx.x()))


def _simple(*names: str) -> dict[str, Handler]:
    return {name: unary(getattr(m, name)) for name in names}


HANDLERS: dict[str, Handler] = {
    **_simple(
        "Neg", "Sign", "Exp", "Log", "Sqrt", "Reciprocal", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh",
        "Cosh", "Tanh", "Asinh", "Acosh", "Atanh", "Erf", "Ceil", "Floor", "Round", "Sigmoid", "Relu", "Softplus",
        "Softsign", "Not", "HardSwish", "Mish",
    ),
    "Abs": abs_, "BitwiseNot": unary(m.BitwiseNot), "IsNaN": unary(m.IsNan), "IsInf": is_inf, "Gelu": gelu,
    "LeakyRelu": unary(m.LeakyRelu, alpha=0.01), "Elu": unary(m.Elu, alpha=1.0), "Celu": celu,
    "Selu": unary(m.Selu, alpha=1.67326319217681884765625, gamma=1.05070102214813232421875),
    "ThresholdedRelu": unary(m.ThresholdedRelu, alpha=1.0),
    "HardSigmoid": unary(m.HardSigmoid, alpha=0.2, beta=0.5), "Swish": unary(m.Swish, alpha=1.0),
    "Shrink": unary(m.Shrink, bias=0.0, lambd=0.5), "Cast": cast_, "CastLike": cast_like, "Clip": clip,
    "Add": binary(m.Add), "Sub": binary(m.Sub), "Mul": binary(m.Mul), "Div": binary(m.Div), "Pow": power,
    "Mod": modulo, "BitShift": bit_shift, "PRelu": prelu, "And": binary(m.And), "Or": binary(m.Or),
    "Xor": binary(m.Xor), "BitwiseAnd": binary(m.BitwiseAnd), "BitwiseOr": binary(m.BitwiseOr),
    "BitwiseXor": binary(m.BitwiseXor), "Equal": binary(m.Equal), "Less": binary(m.Less),
    "LessOrEqual": binary(m.LessEqual), "Greater": binary(m.Greater), "GreaterOrEqual": binary(m.GreaterEqual),
    "Min": chain(m.Minimum), "Max": chain(m.Maximum), "Sum": chain(m.Add), "Mean": mean, "Where": where,
    "Identity": identity, "Dropout": dropout,
}  # fmt: skip
