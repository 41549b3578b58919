"""The meaning of quantization."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from dlc.ir.core import Op
from dlc.ir.dialects.graph_quant import Dequantize, Quantize
from dlc.ir.eval.frame import Array, Meaning


def along(axis: int | None, rank: int, numbers: Array) -> Array:
    """Numbers shaped so that they broadcast along `axis` of an array of `rank` axes."""
    if axis is None:
        return numbers
    return numbers.reshape([-1 if n == axis else 1 for n in range(rank)])


def quantize(op: Quantize, x: Array, scale: Array, zero_point: Array) -> Array:
    limits = np.iinfo(op.to.dtype)
    steps = np.rint(x / along(op.axis, x.ndim, scale)).astype(np.float64)
    return np.clip(steps + along(op.axis, x.ndim, zero_point), limits.min, limits.max).astype(op.to.dtype)


def dequantize(op: Dequantize, x: Array, scale: Array, zero_point: Array) -> Array:
    steps = x.astype(np.int64) - along(op.axis, x.ndim, zero_point).astype(np.int64)
    return steps.astype(scale.dtype) * along(op.axis, x.ndim, scale)


MEANINGS: dict[type[Op], Meaning] = {Quantize: quantize, Dequantize: dequantize}
