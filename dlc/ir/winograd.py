"""The matrices of Winograd's F(tile x tile, window x window), by the Toom-Cook construction, and how to apply them.

Which points the polynomials are evaluated at decides the error (Barabasz et al., "Error analysis and improving the
accuracy of Winograd convolution for deep neural networks", 2020): 0, ±√½, ±√2 and infinity lose several times less than
the usual 0, ±1, ±2, and are as cheap, since pairs ±p share their even and odd parts.

With a stride of 2, even taps meet even elements and odd taps odd ones: that makes two convolutions of stride 1, each of
half the window, whose results are added. One tap alone needs no transform.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]

# Beside infinity, by how many products they make. Those of 5 and 7 are the pairs of least `error_growth` that there are
# among fractions of few digits.
POINTS: dict[int, tuple[float, ...]] = {
    3: (0.5**0.5, -(0.5**0.5)),
    4: (0.0, 1.0, -1.0),
    5: (0.5, -0.5, 1.25, -1.25),
    6: (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5)),
    7: (0.5, -0.5, 0.9, -0.9, 2.0, -2.0),
}
# The tiles that there are for a window and a stride.
TILES: dict[tuple[int, int], tuple[int, ...]] = {
    (3, 1): (2, 4), (4, 1): (2, 4), (5, 1): (2,), (3, 2): (2, 4), (4, 2): (2, 4), (5, 2): (2,),
}  # fmt: skip
TINY = 1e-12


def patch_size(tile: int, window: int, stride: int) -> int:
    """Elements along one side of what a tile is computed from: as many products are made of them."""
    return stride * (tile - 1) + window


@cache
def matrices(tile: int, window: int, stride: int) -> tuple[Doubles, Doubles, Doubles]:
    """Aᵀ (tile, size), G (size, window) and Bᵀ (size, size) in float64; size is that of the patch."""
    size = patch_size(tile, window, stride)
    output, weights, inputs = np.zeros((tile, size)), np.zeros((size, window)), np.zeros((size, size))
    first = 0
    for part in range(stride):
        own_output, own_weights, own_inputs = _of_stride_1(tile, len(range(part, window, stride)))
        rows = slice(first, first + len(own_inputs))
        output[:, rows] = own_output
        weights[rows, part::stride] = own_weights
        inputs[rows, part::stride] = own_inputs
        first = rows.stop
    return output, weights, inputs


def _of_stride_1(tile: int, taps: int) -> tuple[Doubles, Doubles, Doubles]:
    if taps == 1:
        return np.eye(tile), np.ones((tile, 1)), np.eye(tile)
    size = tile + taps - 1
    points = np.array(POINTS[size])
    output, weights, inputs = np.zeros((tile, size)), np.zeros((size, taps)), np.zeros((size, size))
    for n, point in enumerate(points):
        others = np.delete(points, n)
        output[:, n] = point ** np.arange(tile)
        weights[n] = point ** np.arange(taps) / np.prod(point - others)
        inputs[n, : size - 1] = np.poly(others)[::-1]
    output[-1, -1] = weights[-1, -1] = 1
    inputs[-1] = np.poly(points)[::-1]
    return output, weights, inputs


@cache
def error_growth(tile: int, window: int, stride: int) -> float:
    """By how much more than a direct convolution's results those of a tile are off, typically.

    Each product of the transformed tile carries a rounding error as large as itself, times epsilon. For weights and
    images of independent elements of variance 1 the products' variance is ‖Gᵢ‖² ‖Bᵢ‖² in one dimension, of which the
    output transform adds Aₒᵢ²; a direct sum of `window` products has that variance. Two dimensions square the growth.
    """
    output, weights, inputs = matrices(tile, window, stride)
    products = (weights**2).sum(1) * (inputs**2).sum(1)
    return float(np.mean(output**2 @ products) / window)


# A sum: pairs of an element's number and its factor; the first factor is 1 if any is.
Sum = list[list[float]]
Steps = list[list[object]]  # what the kernel language takes: lists of lists of numbers


def input_steps(tile: int, window: int, stride: int) -> Steps:
    """How to multiply by Bᵀ: sums of elements of the patch, then which of them, or ± which two, make each result.

    Rows of points ±p differ in the signs of their even or of their odd elements: both are computed once.
    """
    return _steps(matrices(tile, window, stride)[2])


def weight_steps(tile: int, window: int, stride: int) -> Steps:
    """How to multiply by G, as `input_steps` does by Bᵀ."""
    return _steps(matrices(tile, window, stride)[1])


def _steps(rows: Doubles) -> Steps:
    sums: list[Sum] = []
    results: list[list[int]] = []
    n = 0
    while n < len(rows):
        same, opposite = _halves(rows[n], rows[n + 1]) if n + 1 < len(rows) else (rows[n], None)
        at = len(sums)
        if opposite is None:
            sums.append(_sum(rows[n]))
            results.append([at])
            n += 1
        else:
            sums += [_sum(same), _sum(opposite)]
            results += [[at, at + 1, 1], [at, at + 1, -1]]
            n += 2
    return [list(sums), list(results)]


def output_steps(tile: int, window: int, stride: int) -> Steps:
    """How to multiply by Aᵀ: which products, or ± which two, are used, then sums of those for each result."""
    columns = matrices(tile, window, stride)[0].T
    used: list[list[int]] = []
    factors: list[Doubles] = []
    n = 0
    while n < len(columns):
        same, opposite = _halves(columns[n], columns[n + 1]) if n + 1 < len(columns) else (columns[n], None)
        if opposite is None:
            used.append([n])
            factors.append(columns[n])
            n += 1
        else:
            used += [[n, n + 1, 1], [n, n + 1, -1]]
            factors += [same, opposite]
            n += 2
    return [list(used), [_sum(row) for row in np.array(factors).T]]


def _halves(a: Doubles, b: Doubles) -> tuple[Doubles, Doubles | None]:
    """(same, opposite) with a = same + opposite and b = same - opposite, if no element is in both; else (a, None)."""
    if not np.allclose(np.abs(a), np.abs(b), atol=TINY) or np.allclose(a, b, atol=TINY):
        return a, None
    equal = np.isclose(a, b, atol=TINY)
    same, opposite = np.where(equal, a, 0), np.where(equal, 0, a)
    return (same, opposite) if np.abs(same).max() > TINY else (a, None)


def _sum(row: Doubles) -> Sum:
    terms = [[n, round(factor, 15)] for n, factor in enumerate(row) if abs(factor) > TINY]
    return sorted(terms, key=lambda term: (term[1] != 1, term[1] == -1))
