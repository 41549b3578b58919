"""Numbers to try functions on: dense where functions bend, sparse over the whole range, and all the special ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]
COUNT = 12_011  # odd, so that vectors have a tail
SPECIAL = (
    0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 1.5, -2.5, np.inf, -np.inf, np.nan, 88.0, -88.0, 1e30, -1e30,
)  # fmt: skip


def floats(dtype: type, seed: int = 0, *, largest: float = np.inf) -> Array:
    """COUNT numbers of a float type, none denormal; finite ones up to `largest`."""
    rng = np.random.default_rng(seed)
    facts = np.finfo(dtype)
    edges = [facts.tiny, -facts.tiny, facts.max, -facts.max, 1 + facts.eps, 1 - facts.epsneg]
    quarter = COUNT // 4
    exponents = rng.integers(facts.minexp, facts.maxexp, quarter)
    dense = rng.normal(0, 0.7, COUNT - 3 * quarter - len(SPECIAL) - len(edges))
    numbers = np.concatenate([
        np.array([*SPECIAL, *edges]),
        dense,
        rng.uniform(-12, 12, quarter),
        rng.uniform(-1, 1, quarter) * np.log(float(facts.max)) * 1.05,
        np.ldexp(rng.uniform(1, 2, quarter), exponents) * rng.choice([-1, 1], quarter),
    ])
    finite = np.isfinite(numbers)
    numbers[finite] = np.clip(numbers[finite], -largest, largest)
    with np.errstate(over="ignore"):
        result = numbers.astype(dtype)
    return np.where(np.abs(result) < facts.tiny, dtype(0), result)


def pairs(dtype: type, seed: int = 0) -> tuple[Array, Array]:
    """Two operands; every special number meets every other."""
    a, b = floats(dtype, seed), floats(dtype, seed + 1)
    left, right = np.meshgrid(np.array(SPECIAL, dtype), np.array(SPECIAL, dtype))
    a[-left.size :], b[-right.size :] = left.reshape(-1), right.reshape(-1)
    return a, b


def integers(dtype: type, seed: int = 0, *, low: int | None = None, high: int | None = None) -> Array:
    """COUNT numbers of an integer type, half of them small."""
    rng = np.random.default_rng(seed)
    limits = np.iinfo(dtype)
    bottom, top = limits.min if low is None else low, limits.max if high is None else high
    small = rng.integers(max(bottom, -9), min(top, 9), COUNT // 2, endpoint=True)
    width = np.uint64 if top > 2**63 - 1 else np.int64
    wide = rng.integers(bottom, top, COUNT - len(small), dtype=width, endpoint=True)
    edges = np.array([bottom, top, 0, 1], dtype)
    return np.concatenate([edges, small.astype(dtype), wide.astype(dtype)])[:COUNT]


def elements(dtype: np.dtype, seed: int = 0) -> Array:
    """COUNT elements of any type."""
    if dtype == np.bool_:
        return np.random.default_rng(seed).integers(0, 2, COUNT).astype(np.bool_)
    if dtype.kind in "iu":
        return integers(dtype.type, seed)
    with np.errstate(over="ignore"):
        return floats(np.float32 if dtype.itemsize < 4 else dtype.type, seed).astype(dtype)
