"""The meaning of sliding windows: convolution and pooling, by a view of all windows and a matrix product."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlc.ir.dialects import graph_nn as ops
from dlc.ir.dialects.shape_rules import per_axis, spatial_pads, static, transposed_window_shape, window_shape
from dlc.ir.eval.frame import Array

Sizes = tuple[int, ...]


def products(a: Array, b: Array) -> Array:
    """Matrix products without overflow: integers of up to 32 bits by float64, exact below 2**53."""
    if a.dtype.kind == "f":
        return a @ b.astype(a.dtype, copy=False)
    if max(a.dtype.itemsize, b.dtype.itemsize) <= 2:
        return (a.astype(np.float64) @ b.astype(np.float64)).astype(np.int64)
    return a.astype(np.int64) @ b.astype(np.int64)


def padded(x: Array, result: Sizes, window: Sizes, op: ops.Conv | ops.Windowed, fill: float | int) -> Array:
    """x with its padding, and past it what the last, incomplete windows reach."""
    widths = [(0, 0), (0, 0)]
    for n, size in enumerate(x.shape[2:]):
        before, after = spatial_pads(op.pads, n)
        reach = (result[n] - 1) * per_axis(op.strides, n) + (window[n] - 1) * per_axis(op.dilations, n) + 1
        widths.append((before, max(after, reach - size - before)))
    return np.pad(x, widths, constant_values=fill)


def windows(x: Array, result: Sizes, window: Sizes, strides: Sequence[int], dilations: Sequence[int]) -> Array:
    """A view (N, C, *result, *window) of padded x."""
    if 0 in result:
        return np.zeros((*x.shape[:2], *result, *window), x.dtype)
    reach = tuple((size - 1) * per_axis(dilations, n) + 1 for n, size in enumerate(window))
    view = sliding_window_view(x, reach, tuple(range(2, x.ndim)))
    steps = [slice(0, (size - 1) * per_axis(strides, n) + 1, per_axis(strides, n)) for n, size in enumerate(result)]
    taps = [slice(None, None, per_axis(dilations, n)) for n in range(len(window))]
    return view[(slice(None), slice(None), *steps, *taps)]


def conv(op: ops.Conv, x: Array, w: Array, channels: Array | None = None) -> Array:
    x = x if channels is None else x[:, np.clip(channels, 0, x.shape[1] - 1)]
    window, spatial = w.shape[2:], x.ndim - 2
    sizes = static(window_shape(x.shape[2:], window, op.strides, op.pads, op.dilations))
    view = windows(padded(x, sizes, window, op, 0), sizes, window, op.strides, op.dilations)
    grouped = view.reshape(x.shape[0], op.groups, w.shape[1], *view.shape[2:])
    taps_first = np.moveaxis(grouped, range(3, 3 + spatial), range(-spatial, 0))  # N, G, C/G, *window, *result
    columns = taps_first.reshape(x.shape[0], op.groups, int(np.prod(w.shape[1:])), int(np.prod(sizes)))
    rows = w.reshape(op.groups, w.shape[0] // op.groups, int(np.prod(w.shape[1:])))
    return products(rows, columns).reshape(x.shape[0], w.shape[0], *sizes)


def conv_transpose(op: ops.ConvTranspose, x: Array, w: Array) -> Array:
    window, spatial, groups = w.shape[2:], x.ndim - 2, op.groups
    none = (0,) * 2 * spatial
    extra = op.output_padding
    whole = static(transposed_window_shape(x.shape[2:], window, op.strides, none, op.dilations, extra))
    rows = x.reshape(x.shape[0], groups, x.shape[1] // groups, int(np.prod(x.shape[2:])))
    taps = w.reshape(groups, w.shape[0] // groups, w.shape[1], *window)
    kind = np.int64 if x.dtype.kind in "iu" else x.dtype
    total = np.zeros((x.shape[0], groups * w.shape[1], *whole), kind)
    for tap in np.ndindex(*window):
        part = products(taps[(slice(None), slice(None), slice(None), *tap)].swapaxes(1, 2), rows)
        target = tuple(
            slice(at * per_axis(op.dilations, n), at * per_axis(op.dilations, n) + (size - 1) * stride + 1, stride)
            for n, (at, size, stride) in enumerate(
                (tap[n], x.shape[2 + n], per_axis(op.strides, n)) for n in range(spatial)
            )
        )
        total[(slice(None), slice(None), *target)] += part.reshape(x.shape[0], total.shape[1], *x.shape[2:])
    cuts = [spatial_pads(op.pads, n) for n in range(spatial)]
    kept = [slice(before, size - after) for (before, after), size in zip(cuts, whole, strict=True)]
    return total[(slice(None), slice(None), *kept)]


# -- pooling -----------------------------------------------------------------------------------------------------------


def pooled_sizes(op: ops.Windowed, x: Array) -> Sizes:
    return static(window_shape(x.shape[2:], op.window, op.strides, op.pads, op.dilations, op.ceil))


def pool_windows(op: ops.Windowed, x: Array, fill: float | int) -> Array:
    sizes = pooled_sizes(op, x)
    return windows(padded(x, sizes, op.window, op, fill), sizes, op.window, op.strides, op.dilations)


def lowest(dtype: np.dtype) -> float | int:
    """The identity of maximum."""
    if dtype.kind == "b":
        return False
    return -np.inf if dtype.kind == "f" else int(np.iinfo(dtype).min)


def pool(op: ops.Pool, x: Array) -> Array:
    taps = tuple(range(-len(op.window), 0))
    if op.kind == "max":
        return np.max(pool_windows(op, x, lowest(x.dtype)), taps)
    wide = x.astype(np.float64)
    if op.kind == "lp":
        return np.sum(np.abs(pool_windows(op, wide, 0)) ** op.p, taps) ** (1 / op.p)
    found = np.sum(pool_windows(op, wide, 0), taps) / np.sum(counted(op, x, np.float64), taps)
    return found if x.dtype.kind == "f" else np.trunc(found)


def counted(op: ops.Pool, x: Array, dtype: type[np.float64]) -> Array:
    """1 for each tap that an average counts: one inside x, or inside its declared padding if that counts."""
    ones = np.ones((1, 1, *x.shape[2:]), dtype)
    sizes = pooled_sizes(op, x)
    frame = padded(ones, sizes, op.window, op, 0)
    if op.count_include_pad:
        pads = [(0, 0), (0, 0), *(spatial_pads(op.pads, n) for n in range(x.ndim - 2))]
        inside = np.pad(ones, pads, constant_values=1)
        frame[tuple(slice(0, size) for size in inside.shape)] = inside
    return windows(frame, sizes, op.window, op.strides, op.dilations)


def max_pool_indices(op: ops.MaxPoolIndices, x: Array) -> tuple[Array, Array]:
    view = pool_windows(op, x, lowest(x.dtype))
    sizes = pooled_sizes(op, x)
    flat = view.reshape(*x.shape[:2], *sizes, int(np.prod(op.window)))
    inside = pool_windows(op, np.ones(x.shape, np.int8), 0).reshape(flat.shape)
    top = np.max(flat, -1, keepdims=True)
    best = np.argmax(((flat == top) | (flat != flat)) & (inside != 0), -1)
    taps = np.unravel_index(best, op.window)
    corner = np.indices(best.shape, sparse=True)
    places = [
        corner[2 + n] * per_axis(op.strides, n) + taps[n] * per_axis(op.dilations, n) - spatial_pads(op.pads, n)[0]
        for n in range(len(sizes))
    ]
    spatial = list(zip(places, x.shape[2:], strict=True))
    index = corner[0] * x.shape[1] + corner[1]
    inner = np.zeros_like(best)
    for place, size in spatial[::-1] if op.column_major else spatial:
        inner = inner * size + place
    return np.max(flat, -1), index * int(np.prod(x.shape[2:])) + inner
