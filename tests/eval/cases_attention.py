"""Cases of attention: what is right is the formula with the whole matrix of scores, in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dlc.ir.dialects.graph_attention import Attention, Rotary
from tests.eval.cases import Array, Case, f32


def by_formula(scale: float, fill: float) -> Callable[..., Array]:
    def right(q: Array, k: Array, v: Array, mask: Array | None = None) -> Array:
        q, k, v = (a.transpose(0, 2, 1, 3).astype(np.float64) for a in (q, k, v))
        k, v = (np.repeat(a, q.shape[1] // a.shape[1], axis=1) for a in (k, v))
        scores = scale * (q @ k.transpose(0, 1, 3, 2))
        if mask is not None:
            scores = np.where(mask, scores, fill) if mask.dtype == bool else scores + mask
        powers = np.exp(scores - scores.max(3, keepdims=True))
        found = (powers / powers.sum(3, keepdims=True)) @ v
        return found.transpose(0, 2, 1, 3).astype(np.float32)

    return right


def case(
    note: str, *mask: Array, queries: int = 5, count: int = 7, heads: int = 3, scale: float = 0.5,
    fill: float = -np.inf, **attrs: int,
) -> Case:  # fmt: skip
    arrays = [f32(2, queries, 3, 4), f32(2, count, heads, 4), f32(2, count, heads, 6), *mask]
    make = lambda *v: Attention(*v, scale=scale, fill=fill, **attrs)  # noqa: E731
    return Case(f"attention-{note}", make, arrays, by_formula(scale, fill))


def turned(x: Array, cos: Array, sin: Array) -> Array:
    """As a product of complex numbers, a pair each, where both members have one angle."""
    half = x.shape[-1] // 2
    pairs = (x[..., :half] + 1j * x[..., half:]) * (cos[..., :half] + 1j * sin[..., :half])
    return np.concatenate((pairs.real, pairs.imag), axis=-1).astype(np.float32)


def rotary(note: str, shape: tuple[int, ...], *angles: int) -> Case:
    cos, sin = (np.concatenate((half, half), axis=-1) for half in (f32(*angles), f32(*angles)))
    return Case(f"rotary-{note}", lambda *v: Rotary(*v), [f32(*shape), cos, sin], turned)


def cached(note: str, **sizes: int) -> Case:
    """Keys and values that are stored as halves."""
    whole = case(note, **sizes)
    q, k, v = whole.arrays
    return Case(whole.name, whole.make, [q, k.astype(np.float16), v.astype(np.float16)], whole.right)


LATER = np.triu(np.full((5, 7), -np.inf, np.float32), 3)
CASES = [
    case("plain"),
    case("blocks", rows=2, keys=3),
    case("one-key", count=1),
    case("mask", f32(2, 1, 5, 7)),
    case("mask-of-keys", f32(2, 1, 1, 7), keys=4),
    case("causal", LATER),
    case("bools", f32(5, 7) > 0, fill=-3.0),
    case("bools-of-heads", f32(3, 5, 1) > 0, fill=-1e9),
    case("shared-heads", f32(2, 3, 5, 7), heads=1),
    case("shared-heads-in-blocks", f32(5, 7) > 0, heads=1, keys=4, fill=-2.0),
    case("one-query", queries=1),
    case("guarded", LATER, guarded=True),
    case("guarded-blocks", LATER, guarded=True, keys=3),
    case("one-query-of-shared-heads", f32(2, 1, 1, 7), queries=1, heads=1, keys=1),
    case("two-queries", f32(3, 2, 7) > 0, queries=2, heads=1, fill=-2.0),
    case("columns-of-masks", f32(5, 1), keys=4),
    cached("cached-halves-one-query", queries=1),
    cached("cached-halves", count=9),
    rotary("heads", (2, 3, 5, 64), 2, 1, 5, 32),
    rotary("one-pair", (7, 2), 7, 1),
    rotary("no-vector", (3, 1, 10), 1, 5),
    rotary("none", (0, 8), 4),
    rotary("long", (2, 150), 2, 75),
]
