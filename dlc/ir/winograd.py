"""The matrices of Winograd's F(tile x tile, 3 x 3), by the Toom-Cook construction.

Which points the polynomials are evaluated at decides the error (Barabasz et al., "Error analysis and improving the
accuracy of Winograd convolution for deep neural networks", 2020): 0, ±√½, ±√2 and infinity lose several times less than
the usual 0, ±1, ±2, and are as cheap, since pairs ±p share their even and odd parts.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))}  # and infinity
TILES = tuple(POINTS)
TAPS = 3


@cache
def matrices(tile: int) -> tuple[Doubles, Doubles, Doubles]:
    """Aᵀ (tile, tile+2), G (tile+2, 3) and Bᵀ (tile+2, tile+2) in float64."""
    points = np.array(POINTS[tile])
    size = tile + TAPS - 1
    output, weights, inputs = np.zeros((tile, size)), np.zeros((size, TAPS)), np.zeros((size, size))
    for n, point in enumerate(points):
        others = np.delete(points, n)
        output[:, n] = point ** np.arange(tile)
        weights[n] = point ** np.arange(TAPS) / np.prod(point - others)
        inputs[n, : size - 1] = np.poly(others)[::-1]
    output[-1, -1] = weights[-1, -1] = 1
    inputs[-1] = np.poly(points)[::-1]
    return output, weights, inputs


@cache
def error_growth(tile: int) -> float:
    """By how much more than a direct convolution's results those of F(tile x tile) are off, typically.

    Each product of the transformed tile carries a rounding error as large as itself, times epsilon. For weights and
    images of independent elements of variance 1 the products' variance is ‖Gᵢ‖² ‖Bᵢ‖² in one dimension, of which the
    output transform adds Aₒᵢ²; a direct sum of three products has the variance 3. Two dimensions square the growth.
    """
    output, weights, inputs = matrices(tile)
    products = (weights**2).sum(1) * (inputs**2).sum(1)
    return float(np.mean(output**2 @ products) / TAPS)
