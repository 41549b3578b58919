"""Operators of com.microsoft, ONNX Runtime's own: standard ones by another name, or two of them in one.

Those with scales for their operands are in `ops_quant`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlc.frontends.build import cast, rank_of, reshaped, scaled, transposed
from dlc.frontends.context import Handler, Item, NodeContext, Unsupported
from dlc.frontends.known import RULES
from dlc.frontends.ops_index import gather_nd, unique_of
from dlc.frontends.ops_nn import convolved, gemm, product_of, with_bias
from dlc.frontends.ops_norm import affine, moments
from dlc.frontends.ops_sample import grid_sample
from dlc.frontends.ops_shape import known, pad, range_, trilu
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Value
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.graph_nn import LayerNorm, RmsNorm
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.types import F32, F64, SI32, TensorType

# -- standard ones -----------------------------------------------------------------------------------------------------


def as_of(handler: Handler, opset: int) -> Handler:
    """A handler of a standard operator, whose forms differ by opset, in the form of `opset`."""
    return lambda cx: handler(standard(cx, opset))


def standard(cx: NodeContext, opset: int) -> NodeContext:
    return NodeContext(cx.node, opset, cx.inputs, cx.builder, cx.store, cx.scope)


def optional_step(cx: NodeContext) -> Value | Item:
    """Range, whose delta may be absent."""
    inner = standard(cx, 11)
    if not cx.has(2):
        one = np.array(1, cx.type().scalar.dtype)
        inner.inputs = [*cx.inputs[:2], Item(TensorType((), cx.type().scalar), contents=one, builder=cx.builder)]
    numbers = RULES["Range"](inner)
    return known(cx, numbers) if isinstance(numbers, np.ndarray) else range_(inner)


def expand_dims(cx: NodeContext) -> Value:
    x = cx.x()
    (axis,) = cx.numbers(1, "axis")
    at = canonical_axis(axis, rank_of(x) + 1)
    shape = tensor(x).shape
    return reshaped(cx, x, (*shape[:at], 1, *shape[at:]))


def unique(cx: NodeContext) -> tuple[Value, ...]:
    """In the order of their first occurrence, for each element the index of its value, and how often each occurs."""
    values, _, inverse, counts = unique_of(cx, None, ordered=False)
    return values, inverse, counts


# -- products and convolutions with what follows -----------------------------------------------------------------------


def fused_matmul(cx: NodeContext) -> Value:
    a, b = (_turned(cx, cx.x(n), name) for n, name in enumerate("AB"))
    return scaled(cx, product_of(cx, a, b), cx.decimal("alpha", 1.0))


def _turned(cx: NodeContext, x: Value, name: str) -> Value:
    """`transBatch` moves the first axis behind the others of the batch, then `trans` exchanges the last two."""
    axes = list(range(rank_of(x)))
    if cx.flag(f"transBatch{name}") and len(axes) > 2:
        axes = [*axes[1:-1], 0, axes[-1]]
    if cx.flag(f"trans{name}") and len(axes) > 1:
        axes[-2:] = axes[:-3:-1]
    return transposed(cx, x, axes)


def matmul_integer16(cx: NodeContext) -> Value:
    return product_of(cx, cast(cx, cx.x(0), SI32), cast(cx, cx.x(1), SI32))


def fused_gemm(cx: NodeContext) -> Value:
    y = gemm(cx)
    name = cx.text("activation", "")
    return activated(cx, y, name, lambda at, default: cx.decimal(("activation_alpha", "activation_beta")[at], default))


def fused_conv(cx: NodeContext) -> Value:
    y = with_bias(cx, convolved(cx, cx.x(0), cx.x(1)), 2)
    if (addend := cx.maybe(3)) is not None:
        y = cx.put(m.Add(y, addend))
    given = cx.attribute("activation_params")
    numbers = [float(each) for each in given if isinstance(each, float | int)] if isinstance(given, tuple) else []
    return activated(cx, y, cx.text("activation", ""), lambda at, default: [*numbers, *[default] * 2][at])


def activated(cx: NodeContext, x: Value, name: str, number: Callable[[int, float], float]) -> Value:
    """x through an activation; `number(at, default)` is its first or second parameter."""
    match name:
        case "":
            return x
        case "Relu" | "Sigmoid" | "Tanh" | "Softplus" | "Softsign" | "HardSwish":
            return cx.put(getattr(m, name)(x))
        case "LeakyRelu":
            return cx.put(m.LeakyRelu(x, alpha=number(0, 0.01)))
        case "Elu":
            return cx.put(m.Elu(x, alpha=number(0, 1.0)))
        case "ThresholdedRelu":
            return cx.put(m.ThresholdedRelu(x, alpha=number(0, 1.0)))
        case "HardSigmoid":
            return cx.put(m.HardSigmoid(x, alpha=number(0, 0.2), beta=number(1, 0.5)))
        case "Clip":
            return cx.put(m.Clip(x, low=number(0, -3.4e38), high=number(1, 3.4e38)))
    raise Unsupported(f"its activation {name} is not supported")


# -- activations and norms after a sum ---------------------------------------------------------------------------------


def total(cx: NodeContext) -> Value:
    """The sum of all inputs."""
    first, *rest = cx.values()
    for value in rest:
        first = cx.put(m.Add(first, value))
    return first


def gelu(approximate: str) -> Handler:
    return lambda cx: cx.put(m.Gelu(total(cx), approximate=approximate))


def quick_gelu(cx: NodeContext) -> Value:
    return cx.put(m.Swish(cx.x(), alpha=cx.decimal("alpha", 1.702)))


def skip_norm(kind: type[LayerNorm] | type[RmsNorm]) -> Handler:
    """The norm over the last axis of input + skip + bias: output, mean, 1 / deviation, and the sum itself."""

    def handler(cx: NodeContext) -> tuple[Value | None, ...]:
        shift = cx.maybe(3) if kind is LayerNorm else None
        bias = cx.maybe(4 if kind is LayerNorm else 3)
        x = cx.put(m.Add(cx.x(0), cx.x(1)))
        x = x if bias is None else cx.put(m.Add(x, bias))
        axes, epsilon = (rank_of(x) - 1,), cx.decimal("epsilon", 1e-12 if kind is LayerNorm else 1e-6)
        y = affine(cx, cx.put(kind(x, axes=axes, epsilon=epsilon)), cx.x(2), shift)
        if not any(cx.node.outputs[1:3]):
            return y, None, None, x
        if kind is RmsNorm:
            raise Unsupported("its statistics are results, which is not supported")
        mean, var = moments(cx, x if tensor(x).scalar == F64 else cast(cx, x, F32), axes)
        deviation = cx.put(m.Sqrt(cx.put(m.Add(var, cx.number(epsilon, var)))))
        return y, mean, cx.put(m.Reciprocal(deviation)), x

    return handler


HANDLERS: dict[str, Handler] = {
    "Pad": as_of(pad, 13), "Trilu": as_of(trilu, 14), "GatherND": as_of(gather_nd, 13), "Range": optional_step,
    "ExpandDims": expand_dims, "Unique": unique, "FusedMatMul": fused_matmul, "TransposeMatMul": fused_matmul,
    "MatMulInteger16": matmul_integer16, "FusedGemm": fused_gemm, "FusedConv": fused_conv, "Gelu": gelu("none"),
    "BiasGelu": gelu("none"), "FastGelu": gelu("tanh"), "QuickGelu": quick_gelu, "BiasAdd": total,
    "GridSample": grid_sample, "SkipLayerNormalization": skip_norm(LayerNorm),
    "SkipSimplifiedLayerNormalization": skip_norm(RmsNorm),
}  # fmt: skip
