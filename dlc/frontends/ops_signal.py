"""Fourier transforms as matrix products with constant cosines and sines. A complex number is a last axis of two.

forward: (re + i·im)(cos - i·sin)      inverse: (re + i·im)(cos + i·sin) / n
"""

from __future__ import annotations

from math import isqrt

import numpy as np

from dlc.frontends.build import cast, padded, rank_of, reshaped, shape_of, sliced, static_dim, transposed
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.frontends.shapes import canonical_axis
from dlc.ir.core import Value
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_math import Mul
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.types import Array

MOST_ELEMENTS = 1 << 23  # of cosines, or of places in a signal; a longer transform wants another algorithm


def transform_matrix(length: int, count: int, inverse: bool, dtype: np.dtype, parts: int) -> Array:
    """(length · parts, count · 2): a row per real or imaginary part of an input, a column per one of a result."""
    angle = 2 * np.pi * np.outer(np.arange(length), np.arange(count)) / length
    cosine, sine = np.cos(angle), np.sin(angle) * (1 if inverse else -1)
    matrix = np.empty((length, parts, count, 2))
    matrix[:, 0, :, 0], matrix[:, 0, :, 1] = cosine, sine
    if parts == 2:
        matrix[:, 1, :, 0], matrix[:, 1, :, 1] = -sine, cosine
    return (matrix / (length if inverse else 1)).reshape(length * parts, count * 2).astype(dtype)


def transformed(cx: NodeContext, x: Value, length: int, inverse: bool, onesided: bool) -> Value:
    """The transform along the last but one axis of x (…, length, parts)."""
    parts = static_dim(x, rank_of(x) - 1, "the last axis of its input")
    count = length // 2 + 1 if onesided else length
    if length < 1 or length * count > MOST_ELEMENTS:
        raise Unsupported(f"its length is {length}, expected 1 to {isqrt(MOST_ELEMENTS)}")
    matrix = cx.constant(transform_matrix(length, count, inverse, tensor(x).scalar.dtype, parts))
    outer = shape_of(x)[:-2]
    flat = reshaped(cx, x, (*outer, 1, length * parts))
    return reshaped(cx, cx.put(MatMul(flat, matrix)), (*outer, count, 2))


def dft(cx: NodeContext) -> Value:
    x = cx.x()
    rank = rank_of(x)
    if cx.version >= 20:
        axis = canonical_axis(cx.numbers(2, "axis")[0] if cx.has(2) else -2, rank)
    else:
        axis = canonical_axis(cx.integer("axis", 1), rank)
    if cx.flag("inverse") and cx.flag("onesided"):
        raise Unsupported("an inverse transform of one side is not supported")
    length = static_dim(x, axis, f"axis {axis} of its input")
    if cx.has(1):
        wanted = cx.numbers(1, "dft_length")[0]
        after = tuple(max(0, wanted - length) if n == axis else 0 for n in range(rank))
        x = padded(cx, sliced(cx, x, axis, 0, min(length, wanted)), (0,) * rank, after)
        length = wanted
    order = (*(n for n in range(rank - 1) if n != axis), axis, rank - 1)
    y = transformed(cx, transposed(cx, x, order), length, cx.flag("inverse"), cx.flag("onesided"))
    return transposed(cx, y, np.argsort(order).tolist())


def stft(cx: NodeContext) -> Value:
    """Frames of the signal (batch, time, parts) times a window, transformed: (batch, frames, frequencies, 2)"""
    signal, step = cx.x(0), cx.numbers(1, "frame_step")[0]
    window = cx.maybe(2)
    if cx.has(3):
        length = cx.numbers(3, "frame_length")[0]
    elif window is not None:
        length = static_dim(window, 0, "its window")
    else:
        raise Unsupported("it has neither a window nor a frame_length")
    signal = signal if rank_of(signal) == 3 else reshaped(cx, signal, (*shape_of(signal), 1))
    if step < 1 or length < 1:
        raise Unsupported(f"its frame_step {step} and its frame_length {length} must be 1 or more")
    frames = (static_dim(signal, 1, "the length of its signal") - length) // step + 1
    if frames < 1 or frames * length > MOST_ELEMENTS:
        raise Unsupported(f"its {frames} frames of {length} elements must have 1 to {MOST_ELEMENTS} in all")
    places = np.arange(frames)[:, None] * step + np.arange(length)
    framed = cx.put(Gather(signal, cx.constant(places), axis=1))
    if window is not None:
        shaped = reshaped(cx, cast(cx, window, tensor(signal).scalar), (length, 1))
        framed = cx.put(Mul(framed, shaped))
    return transformed(cx, framed, length, False, cx.flag("onesided", True))


HANDLERS: dict[str, Handler] = {"DFT": dft, "STFT": stft}
