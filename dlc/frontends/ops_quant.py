"""Quantized operators.

Those that carry scales for their operands become dequantize, compute, quantize: the one form that the passes know.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlc.frontends.build import (
    broadcasted,
    cast,
    per_channel,
    rank_of,
    reduced,
    reshaped,
    scaled,
    shape_of,
    sliced,
    transposed,
)
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.frontends.ops_math import element_from
from dlc.frontends.ops_nn import convolved, pooled, product_of
from dlc.frontends.shapes import canonical_axis, quotient
from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.graph_nn import Softmax
from dlc.ir.dialects.graph_quant import Dequantize, Quantize
from dlc.ir.dialects.graph_shape import Concat
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Expr, as_dim, as_expr
from dlc.ir.types import SI32, UI8, ScalarType


def quantize_linear(cx: NodeContext) -> Value:
    zero = cx.maybe(2)
    to = tensor(zero).scalar if zero is not None else element_from(cx, "output_dtype", UI8)
    return quantized(cx, cx.x(0), cx.x(1), zero, to, cx.integer("axis", 1), cx.integer("block_size", 0))


def dequantize_linear(cx: NodeContext) -> Value:
    axis, block = cx.integer("axis", 1), cx.integer("block_size", 0)
    y = dequantized(cx, cx.x(0), cx.x(1), cx.maybe(2), axis, block)
    return cast(cx, y, element_from(cx, "output_dtype", tensor(y).scalar))


def quantized(
    cx: NodeContext, x: Value, scale: Value, zero: Value | None, to: ScalarType, axis: int = 1, block: int = 0
) -> Value:
    x = cast(cx, x, tensor(scale).scalar)  # ONNX divides in the type of the scale
    if block and not _rows_of_blocks(x, axis, block):
        return _quantized_by_parts(cx, x, scale, zero, to, axis, block)
    scale, zero, at, shape = scales(cx, x, scale, zero, to, axis, block)
    return reshaped(cx, cx.put(Quantize(reshaped(cx, x, shape), scale, zero, axis=at, to=to)), shape_of(x))


def dequantized(
    cx: NodeContext, x: Value, scale: Value, zero: Value | None = None, axis: int = 1, block: int = 0
) -> Value:
    if block and not _rows_of_blocks(x, axis, block):
        return _dequantized_by_parts(cx, x, scale, zero, axis, block)
    scale, zero, at, shape = scales(cx, x, scale, zero, tensor(x).scalar, axis, block)
    return reshaped(cx, cx.put(Dequantize(reshaped(cx, x, shape), scale, zero, axis=at)), shape_of(x))


def _rows_of_blocks(x: Value, axis: int, block: int) -> bool:
    """Whether blocks lie evenly along the last axis of x, so that each can be a row of a matrix."""
    shape = shape_of(x)
    last = shape[-1]
    static = all(isinstance(dim, int) for dim in shape)
    return canonical_axis(axis, len(shape)) == len(shape) - 1 and static and isinstance(last, int) and not last % block


def _repeated(cx: NodeContext, values: Value, x: Value, axis: int, block: int) -> Value:
    """One value per element of x from one per block."""
    at, shape = canonical_axis(axis, rank_of(x)), shape_of(values)
    wide = broadcasted(
        cx, reshaped(cx, values, (*shape[: at + 1], 1, *shape[at + 1 :])), (*shape[: at + 1], block, *shape[at + 1 :])
    )
    grown = reshaped(cx, wide, (*shape[:at], as_dim(as_expr(shape[at]) * block), *shape[at + 1 :]))
    return sliced(cx, grown, at, 0, shape_of(x)[at])


def _dequantized_by_parts(cx: NodeContext, x: Value, scale: Value, zero: Value | None, axis: int, block: int) -> Value:
    element = tensor(scale).scalar
    y = cast(cx, x, element)
    if zero is not None:
        y = cx.put(m.Sub(y, cast(cx, _repeated(cx, zero, x, axis, block), element)))
    return cx.put(m.Mul(y, _repeated(cx, scale, x, axis, block)))


def _quantized_by_parts(
    cx: NodeContext, x: Value, scale: Value, zero: Value | None, to: ScalarType, axis: int, block: int
) -> Value:
    y = cx.put(m.Round(cx.put(m.Div(x, _repeated(cx, scale, x, axis, block)))))
    if zero is not None:
        y = cx.put(m.Add(y, cast(cx, _repeated(cx, zero, x, axis, block), tensor(y).scalar)))
    limits = np.iinfo(to.dtype)
    return cast(cx, cx.put(m.Clip(y, low=float(limits.min), high=float(limits.max))), to)


Scales = tuple[Value, Value, int | None, tuple[int | Expr, ...]]


def scales(
    cx: NodeContext, x: Value, scale: Value, zero: Value | None, element: ScalarType, axis: int, block: int
) -> Scales:
    """Scale, zero point, axis, and the shape under which x has one scale per position of the axis.

    A vector of one element is a scalar. Blocks along an axis become rows of a matrix, each with its own scale.
    """
    shape, rank = shape_of(x), rank_of(x)
    many = shape_of(scale)
    if zero is None:
        zero = broadcasted(cx, cx.constant(np.array(0, element.dtype)), many)
    if all(dim == 1 for dim in many):
        return reshaped(cx, scale, ()), reshaped(cx, zero, ()), None, shape
    if not block and len(many) == 1:
        return scale, zero, canonical_axis(axis, rank), shape
    total = quotient(shape, (block,))
    return reshaped(cx, scale, (total,)), reshaped(cx, zero, (total,)), 0, (total, block)


# -- integer arithmetic with an int32 result ---------------------------------------------------------------------------


def matmul_integer(cx: NodeContext) -> Value:
    """(A - za)(B - zb) = AB - za·colsum(B) - rowsum(A)·zb + k·za·zb"""
    a, b = cx.x(0), cx.x(1)
    za, zb = _zero_point(cx, 2, a, rows=True), _zero_point(cx, 3, b, rows=False)
    if rank_of(a) == 1 or rank_of(b) == 1:
        return product_of(cx, _shifted(cx, a, za), _shifted(cx, b, zb))
    y = product_of(cx, a, b, SI32)
    if za is not None:
        y = cx.put(m.Sub(y, cx.put(m.Mul(za, reduced(cx, _shifted(cx, b, zb), "sum", (rank_of(b) - 2,))))))
    if zb is not None:
        y = cx.put(m.Sub(y, cx.put(m.Mul(zb, reduced(cx, cast(cx, a, SI32), "sum", (rank_of(a) - 1,))))))
    return y


def _zero_point(cx: NodeContext, position: int, x: Value, rows: bool) -> Value | None:
    """The int32 zero point of a matrix, so that it broadcasts over the product; None if it is 0."""
    known = cx.contents(position)
    if not cx.has(position) or (known is not None and not known.any()):
        return None
    zero = cast(cx, cx.x(position), SI32)
    if rank_of(zero) == 1 and rows and shape_of(zero)[0] != 1 and rank_of(x) > 1:
        return reshaped(cx, zero, (shape_of(zero)[0], 1))
    return reshaped(cx, zero, ()) if shape_of(zero) == (1,) else zero


def _shifted(cx: NodeContext, x: Value, zero: Value | None) -> Value:
    wide = cast(cx, x, SI32)
    return wide if zero is None else cx.put(m.Sub(wide, zero))


def conv_integer(cx: NodeContext) -> Value:
    x, w = cx.x(0), cx.x(1)
    zx, zw = _zero_point(cx, 2, x, rows=False), _zero_point(cx, 3, w, rows=False)
    if zx is None and zw is None:
        return convolved(cx, x, w, SI32)
    if zw is not None and rank_of(zw) == 1:
        zw = per_channel(cx, zw, rank_of(w), 0)
    return convolved(cx, _shifted(cx, x, zx), _shifted(cx, w, zw))  # pads are zeros of what is shifted


# -- operators that carry the scales of their operands -----------------------------------------------------------------


def qlinear_conv(cx: NodeContext) -> Value:
    """`channels_last` is an attribute of com.microsoft's."""
    x = dequantized(cx, cx.x(0), cx.x(1), cx.x(2))
    y = _channels_first(cx, x, lambda first: _convolved(cx, first))
    return quantized(cx, y, cx.x(6), cx.x(7), cx.type(7).scalar)


def _convolved(cx: NodeContext, x: Value) -> Value:
    w = dequantized(cx, cx.x(3), cx.x(4), cx.x(5), axis=0)
    y = convolved(cx, x, w)
    if cx.has(8):
        scale = cx.put(m.Mul(reshaped(cx, cx.x(1), ()), _scalar_or_vector(cx, cx.x(4))))
        y = cx.put(m.Add(y, per_channel(cx, dequantized(cx, cx.x(8), scale, axis=0), rank_of(y))))
    return y


def _scalar_or_vector(cx: NodeContext, scale: Value) -> Value:
    return reshaped(cx, scale, ()) if shape_of(scale) == (1,) else scale


def qlinear_matmul(cx: NodeContext) -> Value:
    a = dequantized(cx, cx.x(0), cx.x(1), cx.x(2), axis=rank_of(cx.x(0)) - 2)
    b = dequantized(cx, cx.x(3), cx.x(4), cx.x(5), axis=rank_of(cx.x(3)) - 1)
    return quantized(cx, product_of(cx, a, b), cx.x(6), cx.x(7), cx.type(7).scalar, rank_of(a) - 2)


def qlinear_binary(kind: type[Op]) -> Handler:
    """com.microsoft: a, a_scale, a_zero, b, b_scale, b_zero, c_scale, c_zero."""

    def handler(cx: NodeContext) -> Value:
        a = dequantized(cx, cx.x(0), cx.x(1), cx.maybe(2))
        b = dequantized(cx, cx.x(3), cx.x(4), cx.maybe(5))
        return quantized(cx, cx.put(kind(a, b)), cx.x(6), cx.maybe(7), cx.type(0).scalar)

    return handler


def qlinear_unary(compute: Callable[[NodeContext, Value], Value]) -> Handler:
    """com.microsoft: x, x_scale, x_zero, y_scale, y_zero."""

    def handler(cx: NodeContext) -> Value:
        y = compute(cx, dequantized(cx, cx.x(0), cx.x(1), cx.maybe(2)))
        return quantized(cx, y, cx.x(3), cx.maybe(4), cx.type(0).scalar)

    return handler


def _pooled(cx: NodeContext, x: Value) -> Value:
    return _channels_first(cx, x, lambda first: pooled(cx, first, "average"))


def _global_pooled(cx: NodeContext, x: Value) -> Value:
    return _channels_first(cx, x, lambda first: reduced(cx, first, "mean", range(2, rank_of(first))))


def _channels_first(cx: NodeContext, x: Value, compute: Callable[[Value], Value]) -> Value:
    if not cx.flag("channels_last"):
        return compute(x)
    rank = rank_of(x)
    y = compute(transposed(cx, x, (0, rank - 1, *range(1, rank - 1))))
    return transposed(cx, y, (0, *range(2, rank), 1))


def _softmax(cx: NodeContext, x: Value) -> Value:
    axis = canonical_axis(cx.integer("axis", -1), rank_of(x))
    if cx.integer("opset", 13) < 13 and axis != rank_of(x) - 1:
        raise Unsupported("its form before opset 13 is supported for the last axis only")
    return cx.put(Softmax(x, axis=axis))


def qlinear_concat(cx: NodeContext) -> Value:
    parts = [dequantized(cx, cx.x(n), cx.x(n + 1), cx.x(n + 2)) for n in range(2, len(cx.inputs), 3)]
    y = cx.put(Concat(*parts, axis=canonical_axis(cx.integer("axis"), rank_of(parts[0]))))
    return quantized(cx, y, cx.x(0), cx.x(1), cx.type(1).scalar)


def qlinear_where(cx: NodeContext) -> Value:
    """com.microsoft: condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero."""
    x = dequantized(cx, cx.x(1), cx.x(2), cx.maybe(3))
    y = dequantized(cx, cx.x(4), cx.x(5), cx.maybe(6))
    return quantized(cx, cx.put(m.Where(cx.x(0), x, y)), cx.x(7), cx.maybe(8), cx.type(1).scalar)


def qgemm(cx: NodeContext) -> Value:
    """com.microsoft: a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero; c is int32 in steps of both scales."""
    a = dequantized(cx, cx.x(0), cx.x(1), cx.maybe(2))
    b = dequantized(cx, cx.x(3), cx.x(4), cx.maybe(5), axis=0 if cx.flag("transB") else 1)
    a = transposed(cx, a, (1, 0)) if cx.flag("transA") else a
    b = transposed(cx, b, (1, 0)) if cx.flag("transB") else b
    y, alpha = product_of(cx, a, b), cx.decimal("alpha", 1.0)
    y = scaled(cx, y, alpha)
    if cx.has(6):
        step = cx.put(m.Mul(reshaped(cx, cx.x(1), ()), _scalar_or_vector(cx, cx.x(4))))
        y = cx.put(m.Add(y, cx.put(m.Mul(cast(cx, cx.x(6), tensor(y).scalar), scaled(cx, step, alpha)))))
    return quantized(cx, y, cx.x(7), cx.maybe(8), cx.type(0).scalar) if cx.has(7) else y


def matmul_to_float(cx: NodeContext) -> Value:
    """com.microsoft: a, b, a_scale, b_scale, a_zero, b_zero, bias."""
    b = cx.x(1)
    right = dequantized(cx, b, cx.x(3), cx.maybe(5), axis=rank_of(b) - 1)
    y = product_of(cx, dequantized(cx, cx.x(0), cx.x(2), cx.maybe(4)), right)
    return cx.put(m.Add(y, cx.x(6))) if cx.has(6) else y


HANDLERS: dict[str, Handler] = {
    "QuantizeLinear": quantize_linear, "DequantizeLinear": dequantize_linear, "MatMulInteger": matmul_integer,
    "ConvInteger": conv_integer, "QLinearConv": qlinear_conv, "QLinearMatMul": qlinear_matmul,
}  # fmt: skip

MICROSOFT: dict[str, Handler] = {
    "QuantizeLinear": quantize_linear, "DequantizeLinear": dequantize_linear,
    "QLinearAdd": qlinear_binary(m.Add), "QLinearMul": qlinear_binary(m.Mul),
    "QLinearAveragePool": qlinear_unary(_pooled), "QLinearGlobalAveragePool": qlinear_unary(_global_pooled),
    "QLinearSoftmax": qlinear_unary(_softmax), "QLinearSigmoid": qlinear_unary(lambda cx, x: cx.put(m.Sigmoid(x))),
    "QLinearLeakyRelu": qlinear_unary(lambda cx, x: cx.put(m.LeakyRelu(x, alpha=cx.decimal("alpha", 0.01)))),
    "QLinearConcat": qlinear_concat, "QLinearConv": qlinear_conv, "QLinearWhere": qlinear_where,
    "QGemm": qgemm, "MatMulIntegerToFloat": matmul_to_float,
}  # fmt: skip
