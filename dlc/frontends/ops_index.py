"""Operators that select or place elements by index."""

from __future__ import annotations

from math import prod

import numpy as np

from dlc.frontends import from_data
from dlc.frontends.build import broadcasted, cast, reshaped, shape_of, static_dim
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Value
from dlc.ir.dialects import graph_index as g
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.graph_nn import ConvTranspose
from dlc.ir.dialects.graph_shape import Dims, Iota, OneHot
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import as_dim, as_expr, product
from dlc.ir.types import SI64


def gather(cx: NodeContext) -> Value:
    axis = canonical_axis(cx.integer("axis", 0), cx.type().rank)
    return cx.put(g.Gather(cx.x(0), cx.x(1), axis=axis))


def gather_elements(cx: NodeContext) -> Value:
    axis = canonical_axis(cx.integer("axis", 0), cx.type().rank)
    return cx.put(g.GatherElements(cx.x(0), cx.x(1), axis=axis))


def gather_nd(cx: NodeContext) -> Value:
    return cx.put(g.GatherNd(cx.x(0), cx.x(1), batch_dims=cx.integer("batch_dims", 0)))


def scatter_elements(cx: NodeContext) -> Value:
    axis = canonical_axis(cx.integer("axis", 0), cx.type().rank)
    return cx.put(g.ScatterElements(cx.x(0), cx.x(1), cx.x(2), axis=axis, reduction=cx.text("reduction", "none")))


def scatter_nd(cx: NodeContext) -> Value:
    return cx.put(g.ScatterNd(cx.x(0), cx.x(1), cx.x(2), reduction=cx.text("reduction", "none")))


def tensor_scatter(cx: NodeContext) -> Value:
    """Rows of the update in place of those of the cache, from an index on that each member of the batch has."""
    cache, update = cx.x(0), cx.x(1)
    rank = tensor(cache).rank
    axis, mode = canonical_axis(cx.integer("axis", -2), rank), cx.text("mode", "linear")
    if axis == 0 or mode not in ("linear", "circular") or tensor(update).rank != rank:
        raise Unsupported(f"its axis is {axis}, its mode {mode}, its update has {tensor(update).rank} axes of {rank}")
    shape = shape_of(update)
    rows = cx.put(Iota(shape=tuple(dim if n == axis else 1 for n, dim in enumerate(shape)), axis=axis))
    if cx.has(2):
        first = reshaped(cx, cast(cx, cx.x(2), SI64), (shape[0], *(1 for _ in shape[1:])))
        rows = cx.put(m.Add(rows, first))
        if mode == "circular":
            size = shape_of(cache)[axis]
            turn = cx.constant(np.array(size)) if isinstance(size, int) else cx.put(Dims(values=(size,), scalar=True))
            rows = cx.put(m.Mod(rows, turn))
    return cx.put(g.ScatterElements(cache, broadcasted(cx, rows, shape), update, axis=axis))


def one_hot(cx: NodeContext) -> Value:
    indices, (depth,) = cx.x(0), from_data.sizes(cx, 1, "depth")
    axis = canonical_axis(cx.integer("axis", -1), tensor(indices).rank + 1)
    return cx.put(OneHot(indices, cx.x(2), axis=axis, depth=depth))


# -- results whose size is known only at run time ----------------------------------------------------------------------


def fresh_size(cx: NodeContext) -> str:
    """The name of the dimension that the node's first result will have."""
    return cx.scope.unique(f"{next(filter(None, cx.node.outputs), cx.node.op_type)}_count")


def nonzero(cx: NodeContext) -> Value:
    return cx.put(g.NonZero(cx.x(), size=fresh_size(cx)))


def compress(cx: NodeContext) -> Value:
    x, axis = cx.x(0), None
    if cx.attribute("axis") is not None:
        axis = canonical_axis(cx.integer("axis"), tensor(x).rank)
    return cx.put(g.Compress(x, cx.x(1), axis=axis, size=fresh_size(cx)))


def unique(cx: NodeContext) -> tuple[Value, ...]:
    axis = canonical_axis(cx.integer("axis"), cx.type().rank) if cx.attribute("axis") is not None else None
    return unique_of(cx, axis, cx.flag("sorted", True))


def unique_of(cx: NodeContext, axis: int | None, ordered: bool) -> tuple[Value, ...]:
    """The distinct elements or slices, the first place of each, for each element the place of its value, counts."""
    return tuple(cx.put_op(g.Unique(cx.x(), axis=axis, sorted=ordered, size=fresh_size(cx))).results)


MOST_ELEMENTS = 1 << 24  # of weights that only say which element goes where

# -- built from others -------------------------------------------------------------------------------------------------


def max_unpool(cx: NodeContext) -> Value:
    """The values at their indices in a tensor of zeros, whose rows the indices count through as a whole."""
    x, indices = cx.x(0), cx.x(1)
    shape = shape_of(x)
    spatial = len(shape) - 2
    kernel, strides = cx.integers("kernel_shape"), cx.integers("strides", (1,) * spatial)
    pads = cx.integers("pads", (0,) * 2 * spatial)
    sizes = [
        as_dim((as_expr(shape[n + 2]) - 1) * strides[n] + (kernel[n] - pads[n] - pads[n + spatial]))
        for n in range(spatial)
    ]
    full = (*shape[:2], *sizes)
    if cx.has(2):
        full = cx.dims(2, "output_shape")
        if full[-1] != sizes[-1] or full[1:-2] != (*shape[1:2], *sizes)[: len(full[1:-2])]:
            raise Unsupported(f"its output_shape {full} moves the indices that were counted in {(*shape[:2], *sizes)}")
    zeros = broadcasted(cx, cx.number(0, x), (product(full),))
    flat = (product(shape),)
    placed = g.ScatterElements(zeros, reshaped(cx, indices, flat), reshaped(cx, x, flat), axis=0)
    return reshaped(cx, cx.put(placed), full)


def col2im(cx: NodeContext) -> Value:
    """Columns added up to images: a transposed convolution per channel that puts each row of a column in its place."""
    x = cx.x()
    image, kernel = cx.numbers(1, "image_shape"), cx.numbers(2, "block_shape")
    spatial, taps = len(kernel), prod(kernel)
    strides = cx.integers("strides", (1,) * spatial)
    dilations = cx.integers("dilations", (1,) * spatial)
    pads = cx.integers("pads", (0,) * 2 * spatial)
    reach = [(kernel[n] - 1) * dilations[n] + 1 for n in range(spatial)]
    counts, extra = [], []
    for n in range(spatial):
        room = image[n] + pads[n] + pads[n + spatial] - reach[n]
        counts.append(room // strides[n] + 1)
        extra.append(room % strides[n])
    channels = static_dim(x, 1, "axis 1 of its input") // max(1, taps)
    if min(kernel, default=0) < 1 or taps * taps * channels > MOST_ELEMENTS:
        raise Unsupported(f"its block_shape {kernel} must be of sizes from 1 on, and of few elements in all")
    places = np.eye(taps, dtype=tensor(x).scalar.dtype).reshape(taps, 1, *kernel)
    weights = cx.constant(np.tile(places, (channels, *(1,) * (spatial + 1))))
    grid = reshaped(cx, x, (shape_of(x)[0], channels * taps, *counts))
    return cx.put(
        ConvTranspose(
            grid, weights, strides=strides, pads=pads, dilations=dilations, groups=channels, output_padding=tuple(extra)
        )
    )


HANDLERS: dict[str, Handler] = {
    "Gather": gather, "GatherElements": gather_elements, "GatherND": gather_nd, "Scatter": scatter_elements,
    "ScatterElements": scatter_elements, "ScatterND": scatter_nd, "TensorScatter": tensor_scatter,
    "OneHot": one_hot, "NonZero": nonzero,
    "Compress": compress, "Unique": unique, "MaxUnpool": max_unpool, "Col2Im": col2im,
}  # fmt: skip
