"""Cases of Strassen's algorithm: what is right are the sums that define it, and the plain product."""

from __future__ import annotations

import numpy as np

from dlc.ir.dialects import graph_strassen as ops
from tests.eval.cases import Array, Case, f32


def weights(b: Array) -> Array:
    rows, columns = (n // 2 for n in b.shape)
    b11, b12, b21, b22 = b[:rows, :columns], b[:rows, columns:], b[rows:, :columns], b[rows:, columns:]
    return np.array([b12 - b22, b22, b11, b21 - b11, b11 + b22, b11 + b12, b21 + b22])


def factors(a: Array, tile: int, quarters: bool = False) -> Array:
    """One row after the other; the last tile is filled up with the last row."""
    flat = a.reshape(-1, a.shape[-1])
    total, depth = len(flat), a.shape[-1] // 2
    half = (total + 1) // 2
    found = []
    for place in range((half + tile - 1) // tile * tile):
        upper, lower = flat[min(place, half - 1)], flat[min(place + half, total - 1)]
        a11, a12, a21, a22 = upper[:depth], upper[depth:], lower[:depth], lower[depth:]
        more = [a12, a21] if quarters else []
        found.append([a11, a11 + a12, *more, a21 + a22, a22, a11 + a22, a21 - a11, a12 - a22])
    count = 9 if quarters else 7
    return np.array(found, a.dtype).reshape(-1, count, depth).transpose(1, 0, 2)


def product(a: Array, b: Array, rows: int, **attrs: int) -> Case:
    s, u = factors(a, rows, "few" in attrs), weights(b)

    def make(x: object, w: object) -> ops.StrassenMatMul:
        return ops.StrassenMatMul(x, w, size=a.shape[:-1], rows=rows, **attrs)  # type: ignore[arg-type]

    return Case(f"strassen_matmul-{a.shape}-{rows}-{attrs}", make, [s, u], lambda s, u: a @ b)


A, B = f32(3, 5, 6), f32(6, 10)
CASES = [
    Case("strassen_weights", ops.StrassenWeights, [B], weights),
    Case("strassen_input", lambda a: ops.StrassenInput(a, rows=3), [A], lambda a: factors(a, 3)),
    Case("strassen_input-quarters", lambda a: ops.StrassenInput(a, rows=1, quarters=True), [A],
         lambda a: factors(a, 1, True)),
    Case("strassen_input-one-row", lambda a: ops.StrassenInput(a, rows=4), [A[:1, 0]], lambda a: factors(a, 4)),
    product(A, B, 3), product(A, B, 2, part=2, panel=4), product(A[0, :4], B, 2, part=3, few=5),
    product(A, B, 2, part=3, few=5), product(A[:1, 0], B, 3), product(A[:1, 0], B, 3, few=3, part=1),
    product(f32(2, 0, 6), B, 3),
]  # fmt: skip
