"""How far off the results of algorithms are that reassociate more than sums."""

from __future__ import annotations

import math

EPSILON = 2.0**-24  # unit roundoff of f32


def expected_error(growth: float, terms: int) -> float:
    """How far off results may be, as a share of the largest: the rounding errors of a sum of so many terms, which
    average out, times what the algorithm makes of them.
    """
    return EPSILON * growth * math.sqrt(terms)
