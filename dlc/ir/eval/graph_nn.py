"""The meaning of ops with a sum inside: matmul, reduction and normalisation; windows are in `graph_window`."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlc.ir.core import Op
from dlc.ir.dialects import graph_nn as ops
from dlc.ir.eval import graph_window
from dlc.ir.eval.frame import Array, Meaning
from dlc.ir.eval.graph_math import div


def matmul(op: ops.MatMul, a: Array, b: Array) -> Array:
    return graph_window.products(a, b)


# -- reduction ---------------------------------------------------------------------------------------------------------

Axes = tuple[int, ...]


def wide(x: Array) -> Array:
    """x with room for sums."""
    return x.astype(np.float64) if x.dtype.kind == "f" else x


def highest(dtype: np.dtype) -> float | int:
    """The identity of minimum."""
    if dtype.kind == "b":
        return True
    return np.inf if dtype.kind == "f" else int(np.iinfo(dtype).max)


def total(x: Array, axes: Axes) -> Array:
    return np.sum(wide(x), axes, keepdims=True)


def mean(x: Array, axes: Axes) -> Array:
    count = int(np.prod([x.shape[axis] for axis in axes]))
    found = total(x, axes)
    return found / count if x.dtype.kind == "f" else div(found, found.dtype.type(count))


def largest(x: Array, axes: Axes) -> Array:
    return np.max(x, axes, keepdims=True, initial=graph_window.lowest(x.dtype))


def smallest(x: Array, axes: Axes) -> Array:
    return np.min(x, axes, keepdims=True, initial=highest(x.dtype))


def log_sum_exp(x: Array, axes: Axes) -> Array:
    top = largest(wide(x), axes)
    shift = np.where(np.isfinite(top), top, 0)  # exp never overflows
    return np.log(np.sum(np.exp(x - shift), axes, keepdims=True)) + shift


REDUCTIONS: dict[str, Callable[[Array, Axes], Array]] = {
    "sum": total,
    "mean": mean,
    "max": largest,
    "min": smallest,
    "prod": lambda x, axes: np.prod(wide(x), axes, keepdims=True),
    "l1": lambda x, axes: total(np.abs(x), axes),
    "l2": lambda x, axes: np.sqrt(total(wide(x) * wide(x), axes)),
    "log_sum": lambda x, axes: np.log(total(x, axes)),
    "log_sum_exp": log_sum_exp,
    "sum_square": lambda x, axes: total(wide(x) * wide(x), axes),
}


def reduce(op: ops.Reduce, x: Array) -> Array:
    found = REDUCTIONS[op.kind](x, tuple(op.axes))
    return found if op.keepdims else found.squeeze(tuple(op.axes))


def arg_reduce(op: ops.ArgReduce, x: Array) -> Array:
    find = np.argmax if op.kind == "max" else np.argmin
    found = find(np.flip(x, op.axis) if op.last else x, op.axis)
    found = x.shape[op.axis] - 1 - found if op.last else found
    return np.expand_dims(found, op.axis) if op.keepdims else np.asarray(found)


# -- normalisation -----------------------------------------------------------------------------------------------------


def softmax(op: ops.Softmax, x: Array) -> Array:
    powers = np.exp(wide(x) - largest(x, (op.axis,)))
    return powers / total(powers, (op.axis,))


def log_softmax(op: ops.LogSoftmax, x: Array) -> Array:
    return wide(x) - log_sum_exp(x, (op.axis,))


def hardmax(op: ops.Hardmax, x: Array) -> Array:
    first = np.expand_dims(np.argmax(x, op.axis), op.axis) if x.size else np.zeros_like(x)
    places = np.arange(x.shape[op.axis]).reshape([-1 if n == op.axis else 1 for n in range(x.ndim)])
    return np.where(first == places, 1.0, 0.0)


def batch_norm(op: ops.BatchNorm, x: Array, scale: Array, bias: Array, mean: Array, var: Array) -> Array:
    per_channel = (1, -1, *(1,) * (x.ndim - 2))
    factor = (scale / np.sqrt(var + op.epsilon)).reshape(per_channel)
    return (x - mean.reshape(per_channel)) * factor + bias.reshape(per_channel)


def layer_norm(op: ops.LayerNorm, x: Array) -> Array:
    centred = wide(x) - mean(x, op.axes)
    return centred / np.sqrt(mean(centred * centred, op.axes) + op.epsilon)


def rms_norm(op: ops.RmsNorm, x: Array) -> Array:
    return wide(x) / np.sqrt(mean(wide(x) * wide(x), op.axes) + op.epsilon)


def lrn(op: ops.Lrn, x: Array) -> Array:
    squares = np.zeros(x.shape, np.float64)
    for channel in range(x.shape[1]):
        around = slice(max(0, channel - (op.size - 1) // 2), channel + op.size // 2 + 1)
        squares[:, channel] = np.sum(wide(x[:, around]) ** 2, 1)
    return x / (op.bias + op.alpha / op.size * squares) ** op.beta


MEANINGS: dict[type[Op], Meaning] = {
    ops.MatMul: matmul, ops.Conv: graph_window.conv, ops.ConvTranspose: graph_window.conv_transpose,
    ops.Pool: graph_window.pool, ops.MaxPoolIndices: graph_window.max_pool_indices, ops.Reduce: reduce,
    ops.ArgReduce: arg_reduce, ops.Softmax: softmax, ops.LogSoftmax: log_softmax, ops.Hardmax: hardmax,
    ops.BatchNorm: batch_norm, ops.LayerNorm: layer_norm, ops.RmsNorm: rms_norm, ops.Lrn: lrn,
}  # fmt: skip
