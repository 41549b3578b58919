"""Numbers as another type: what a cast does, at both levels, in known contents and where a result takes its type.

    float -> integer   towards zero, held in the range; NaN is 0
    integer -> integer wraps around
    float -> float     rounded once, to nearest even (a half from an integer: by way of f32)
    number -> bool     whether it is not 0
"""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlc.ir.types import BF16, BOOL, ScalarType

Array = NDArray[Any]


def converted(x: Array, to: ScalarType) -> Array:
    """`x` in the type `to`, the array itself if it has it."""
    dtype = to.dtype
    if x.dtype == dtype:
        return x
    if to == BOOL:
        return x != 0
    if x.dtype == np.float64 and to == BF16:  # the package goes by way of float32, which would round twice
        return np.asarray(to_odd(x).astype(dtype))
    if x.dtype.kind in "biuOUS" or dtype.kind not in "iu":
        return x.astype(dtype)
    limits = np.iinfo(dtype)
    whole = np.trunc(x.astype(np.float64))
    inside = (whole >= float(limits.min)) & (whole < float(limits.max) + (dtype.itemsize < 8))
    edge = np.where(whole > 0, limits.max, np.where(whole < 0, limits.min, 0)).astype(dtype)
    return np.where(inside, np.where(inside, whole, 0).astype(dtype), edge)


def to_odd(x: Array) -> Array:
    """float64 as float32, cut; what is not exact ends in a one, so that rounding it again is rounding `x`."""
    near = np.asarray(x.astype(np.float32))
    cut = np.where(np.abs(near) > np.abs(x), np.nextafter(near, np.float32(0)), near)
    bits = np.asarray(cut.view(np.uint32) | ((cut != x) & np.isfinite(x)), np.uint32)
    return bits.view(np.float32)
