"""The meaning of resize: along each axis, every result element is a weighted sum of elements of x."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dlc.ir.dialects.graph_shape import Resize
from dlc.ir.eval.frame import Array

Floats = NDArray[np.float64]


def resize(op: Resize, sizes: tuple[int, ...], x: Array) -> Array:
    if 0 in sizes:
        return np.zeros(sizes, x.dtype)
    result, outside = x, np.zeros((1,) * x.ndim, bool)
    for axis, (before, after) in enumerate(zip(x.shape, sizes, strict=True)):
        scale = op.scales[axis] if op.scales else after / before
        if before == after and scale == 1 and op.coordinate != "tf_crop_and_resize":
            continue
        places = coordinates(op, axis, before, after, scale)
        if op.mode == "nearest":
            result = np.take(result, nearest(op.rounding, places, before), axis)
        else:
            weights = weight_matrix(op, places, before, scale)
            result = np.moveaxis(np.tensordot(weights, result, (1, axis)), 0, axis)
        beyond = (places < 0) | (places > before - 1)
        outside = outside | beyond.reshape([-1 if n == axis else 1 for n in range(x.ndim)])
    if op.coordinate == "tf_crop_and_resize":
        result = np.where(outside, op.extrapolation_value, result)
    return result


def coordinates(op: Resize, axis: int, before: int, after: int, scale: float) -> Floats:
    """Where each result index lies on the axis of x."""
    at = np.arange(after, dtype=np.float64)
    half_pixel = (at + 0.5) / scale - 0.5
    match op.coordinate:
        case "half_pixel":
            return half_pixel
        case "half_pixel_symmetric":
            return before / 2 * (1 - after / (scale * before)) + (at + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return half_pixel if after > 1 else at * 0
        case "align_corners":
            return at * (before - 1) / max(after - 1, 1)
        case "asymmetric":
            return at / scale
        case "tf_half_pixel_for_nn":
            return (at + 0.5) / scale
    start, end = (op.roi[axis], op.roi[axis + len(op.sizes)]) if op.roi else (0.0, 1.0)
    if after == 1:
        return at * 0 + 0.5 * (start + end) * (before - 1)
    return start * (before - 1) + at * (end - start) * (before - 1) / (after - 1)


def nearest(rounding: str, places: Floats, size: int) -> NDArray[np.int64]:
    rounded = {
        "round_prefer_floor": np.ceil(places - 0.5),
        "round_prefer_ceil": np.floor(places + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }[rounding]
    return np.clip(rounded, 0, size - 1).astype(np.int64)


def weight_matrix(op: Resize, places: Floats, size: int, scale: float) -> Floats:
    """One row of weights over the elements of x for each result element.

    Weights beyond an edge fall on the edge; with `exclude_outside` they are dropped instead and the rest are
    scaled to a sum of 1.
    """
    stretch = min(scale, 1.0) if op.antialias else 1.0  # an antialias filter widens as the image shrinks
    reach = (1 if op.mode == "linear" else 2) / stretch
    matrix = np.zeros((len(places), size))
    for row, place in zip(matrix, places, strict=True):
        taps = np.arange(int(np.floor(place - reach)), int(np.ceil(place + reach)) + 1)
        weights = kernel(op, (taps - place) * stretch)
        if op.exclude_outside:
            weights = np.where((taps >= 0) & (taps < size), weights, 0)
        np.add.at(row, np.clip(taps, 0, size - 1), weights / weights.sum())
    return matrix


def kernel(op: Resize, distance: Floats) -> Floats:
    """The weight of an element at a distance: a triangle, or Keys' cubic."""
    d = np.abs(distance)
    if op.mode == "linear":
        return np.maximum(1 - d, 0)
    a = op.cubic_coeff_a
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))
