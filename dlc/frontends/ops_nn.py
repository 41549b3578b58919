"""Convolutions, matrix products and pools."""

from __future__ import annotations

from dlc.frontends.build import assume_equal, per_channel, rank_of, reduced, reshaped, scaled, shape_of, transposed
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.frontends.windows import Window, explicitly_padded, output_padding, window_of
from dlc.ir.core import Value
from dlc.ir.dialects.graph_math import Abs, Add, Pow
from dlc.ir.dialects.graph_nn import Conv, ConvTranspose, MatMul, MaxPoolIndices, Pool
from dlc.ir.dialects.shape_rules import shape_text, tensor
from dlc.ir.types import ScalarType


def with_bias(cx: NodeContext, x: Value, position: int) -> Value:
    bias = cx.maybe(position)
    return x if bias is None else cx.put(Add(x, per_channel(cx, bias, rank_of(x))))


def conv(cx: NodeContext) -> Value:
    return with_bias(cx, convolved(cx, cx.x(0), cx.x(1)), 2)


def convolved(cx: NodeContext, x: Value, w: Value, accumulator: ScalarType | None = None) -> Value:
    """A convolution with the attributes of the node, before the bias."""
    groups = cx.integer("group", 1)
    window = window_of(cx, x, kernel_shape(cx, w))
    x, window = explicitly_padded(cx, x, window)
    return cx.put(
        Conv(
            x, w, strides=window.strides, pads=window.pads, dilations=window.dilations, groups=groups,
            accumulator=accumulator,
        )
    )  # fmt: skip


def kernel_shape(cx: NodeContext, w: Value) -> tuple[int, ...]:
    """The spatial size of the weights, which the attribute repeats: both are relied on where weights are inputs."""
    sizes = shape_of(w)[2:]
    given = cx.integers("kernel_shape", tuple(size for size in sizes if isinstance(size, int)))
    if len(given) != len(sizes):
        raise Unsupported(f"the size of its window, {shape_text(sizes)}, is not known; kernel_shape says it")
    for size, wanted in zip(sizes, given, strict=True):
        assume_equal(cx, size, wanted, "the window of w must be the node's kernel_shape")
    return given


def conv_transpose(cx: NodeContext) -> Value:
    x, w = cx.x(0), cx.x(1)
    window = window_of(cx, x, kernel_shape(cx, w), transposed=True)
    extra, pads = output_padding(cx, x, window)
    y = cx.put(
        ConvTranspose(
            x, w, strides=window.strides, pads=pads, dilations=window.dilations, groups=cx.integer("group", 1),
            output_padding=extra,
        )
    )  # fmt: skip
    return with_bias(cx, y, 2)


# -- matrix products ---------------------------------------------------------------------------------------------------


def matmul(cx: NodeContext) -> Value:
    return product_of(cx, cx.x(0), cx.x(1))


def product_of(cx: NodeContext, a: Value, b: Value, accumulator: ScalarType | None = None) -> Value:
    """NumPy's matmul: a vector is a matrix of one row or one column, whose axis the result drops."""
    row, column = rank_of(a) == 1, rank_of(b) == 1
    if row:
        a = reshaped(cx, a, (1, *shape_of(a)))
    if column:
        b = reshaped(cx, b, (*shape_of(b), 1))
    y = cx.put(MatMul(a, b, accumulator=accumulator))
    shape = shape_of(y)
    if row:
        shape = (*shape[:-2], shape[-1])
    return reshaped(cx, y, shape[:-1] if column else shape)


def gemm(cx: NodeContext) -> Value:
    a, b = cx.x(0), cx.x(1)
    a = transposed(cx, a, (1, 0)) if cx.flag("transA") else a
    b = transposed(cx, b, (1, 0)) if cx.flag("transB") else b
    y = scaled(cx, cx.put(MatMul(a, b)), cx.decimal("alpha", 1.0))
    beta = cx.decimal("beta", 1.0)
    if not cx.has(2) or beta == 0:
        return y
    return cx.put(Add(y, scaled(cx, cx.x(2), beta)))


# -- pools -------------------------------------------------------------------------------------------------------------


def pool(kind: str) -> Handler:
    return lambda cx: pooled(cx, cx.x(), kind)


def pooled(cx: NodeContext, x: Value, kind: str) -> Value:
    """x pooled with the attributes of the node."""
    window, ceil = _pool_window(cx, x)
    if window.symbolic and kind == "average" and not cx.flag("count_include_pad"):
        raise Unsupported(f"its auto_pad {cx.text('auto_pad')} depends on the dimensions of the input")
    x, window = explicitly_padded(cx, x, window, -float("inf") if kind == "max" else 0)
    return cx.put(
        Pool(
            x, kind=kind, window=window.sizes, strides=window.strides, pads=window.pads, dilations=window.dilations,
            ceil=ceil, count_include_pad=kind == "average" and cx.flag("count_include_pad"),
            p=cx.integer("p", 2) if kind == "lp" else 2,
        )
    )  # fmt: skip


def _pool_window(cx: NodeContext, x: Value) -> tuple[Window, bool]:
    return window_of(cx, x, cx.integers("kernel_shape")), cx.flag("ceil_mode")


def max_pool(cx: NodeContext) -> tuple[Value, ...]:
    if len(cx.node.outputs) < 2 or not cx.node.outputs[1]:
        return (pooled(cx, cx.x(), "max"),)
    x = cx.x()
    window, ceil = _pool_window(cx, x)
    if window.symbolic:
        raise Unsupported(f"its auto_pad {cx.text('auto_pad')} depends on the dimensions of the input")
    op = cx.put_op(
        MaxPoolIndices(
            x, window=window.sizes, strides=window.strides, pads=window.pads, dilations=window.dilations, ceil=ceil,
            column_major=bool(cx.integer("storage_order", 0)),
        )
    )  # fmt: skip
    return op.results[0], op.results[1]


def global_pool(kind: str) -> Handler:
    def handler(cx: NodeContext) -> Value:
        return reduced(cx, cx.x(), kind, range(2, cx.type().rank))

    return handler


def global_lp_pool(cx: NodeContext) -> Value:
    x, p = cx.x(), cx.integer("p", 2)
    axes = range(2, tensor(x).rank)
    if p in (1, 2):
        return reduced(cx, x, f"l{p}", axes)
    powers = cx.put(Pow(cx.put(Abs(x)), cx.number(p, x)))
    return cx.put(Pow(reduced(cx, powers, "sum", axes), cx.number(1 / p, x)))


HANDLERS: dict[str, Handler] = {
    "Conv": conv, "ConvTranspose": conv_transpose, "MatMul": matmul, "Gemm": gemm, "MaxPool": max_pool,
    "AveragePool": pool("average"), "LpPool": pool("lp"), "GlobalAveragePool": global_pool("mean"),
    "GlobalMaxPool": global_pool("max"), "GlobalLpPool": global_lp_pool,
}  # fmt: skip
