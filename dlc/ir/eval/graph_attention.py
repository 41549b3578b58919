"""The meaning of attention and of what turns its operands."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from dlc.ir.core import Op
from dlc.ir.dialects import graph_attention as ops
from dlc.ir.eval.frame import Array, Meaning


def attention(op: ops.Attention, q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
    k, v = (np.repeat(shared, q.shape[2] // max(1, shared.shape[2]), axis=2) for shared in (k, v))
    scores = np.einsum("bmhd,bnhd->bhmn", q.astype(np.float64), k.astype(np.float64)) * op.scale
    if mask is not None:
        scores = np.where(mask, scores, op.fill) if mask.dtype.kind == "b" else scores + mask.astype(np.float64)
    powers = np.exp(scores - np.max(scores, 3, keepdims=True, initial=-np.inf))
    weights = powers / np.sum(powers, 3, keepdims=True)
    if op.guarded:
        weights[np.isnan(weights)] = 0
    return np.einsum("bhmn,bnhe->bmhe", weights, v.astype(np.float64))


def rotary(op: ops.Rotary, x: Array, cos: Array, sin: Array) -> Array:
    first, second = np.split(x, 2, axis=-1)
    return x * cos + np.concatenate((-second, first), axis=-1) * sin


MEANINGS: dict[type[Op], Meaning] = {ops.Attention: attention, ops.Rotary: rotary}
