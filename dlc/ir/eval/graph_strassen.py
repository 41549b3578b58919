"""The meaning of Strassen's algorithm: the sums of quarters of matrices, and their products put together."""

from __future__ import annotations

import math

import numpy as np

from dlc.ir.core import Op
from dlc.ir.dialects import graph_strassen as ops
from dlc.ir.eval.frame import Array, Meaning, SymbolicMeaning, Symbols


def strassen_weights(op: ops.StrassenWeights, b: Array) -> Array:
    (b11, b12), (b21, b22) = (np.split(rows, 2, axis=1) for rows in np.split(b, 2))
    return np.stack([b12 - b22, b22, b11, b21 - b11, b11 + b22, b11 + b12, b21 + b22])  # single roundings as they are


def strassen_input(op: ops.StrassenInput, a: Array) -> Array:
    rows = a.reshape(math.prod(a.shape[:-1]), a.shape[-1]).astype(np.float64)
    half = -(-len(rows) // 2)
    places = np.arange(-(-half // op.rows) * op.rows)  # the last tile is filled up with the last row
    upper, lower = rows[np.minimum(places, half - 1)], rows[np.minimum(places + half, len(rows) - 1)]
    (a11, a12), (a21, a22) = (np.split(part, 2, axis=1) for part in (upper, lower))
    factors = [a11, a11 + a12, a21 + a22, a22, a11 + a22, a21 - a11, a12 - a22]
    return np.stack([*factors[:2], a12, a21, *factors[2:]] if op.quarters else factors)


def strassen_matmul(op: ops.StrassenMatMul, symbols: Symbols, s: Array, u: Array) -> Array:
    factors = np.delete(s, (2, 3), axis=0) if op.few else s
    m = factors.astype(np.float64) @ u.astype(np.float64)
    upper = np.concatenate([m[4] - m[1] + m[3] + m[6], m[0] + m[1]], axis=1)
    lower = np.concatenate([m[2] + m[3], m[4] - m[2] + m[0] + m[5]], axis=1)
    size = symbols.shape(op.size)
    half = -(-math.prod(size) // 2)
    return np.concatenate([upper[:half], lower[: math.prod(size) - half]]).reshape(*size, 2 * u.shape[2])


MEANINGS: dict[type[Op], Meaning] = {
    ops.StrassenWeights: strassen_weights, ops.StrassenInput: strassen_input,
}  # fmt: skip

SYMBOLIC_MEANINGS: dict[type[Op], SymbolicMeaning] = {ops.StrassenMatMul: strassen_matmul}
