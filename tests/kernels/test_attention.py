"""The kernel of attention gives what `dlc.ir.eval` says: blocks and tiles with tails, masks, extremes, targets."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from dlc.ir.core import Op, Value
from dlc.ir.dialects.graph_attention import Attention, Rotary
from dlc.ir.expr import as_expr, sym
from dlc.ir.types import F32, TensorType, scalar_of
from dlc.target import Target
from tests.eval import cases_attention
from tests.eval.cases import Array, Case, f32
from tests.kernels.test_kernels import check
from tests.support.asm import inner_loops, stack_accesses
from tests.support.kernel_run import compiled

NAMED = pytest.mark.parametrize("case", cases_attention.CASES, ids=lambda case: case.name)
ATTENTION = [case for case in cases_attention.CASES if case.name.startswith("attention")]
SIZES = [  # queries, keys, channels, values, rows and keys at a time
    (1, 1, 1, 1, 128, 256), (2, 3, 5, 7, 128, 256), (13, 17, 16, 32, 5, 6), (31, 29, 20, 33, 13, 256),
    (29, 67, 64, 64, 128, 32), (5, 40, 3, 2, 2, 19), (3, 0, 4, 4, 128, 256), (0, 3, 4, 4, 128, 256),
    (37, 53, 7, 80, 64, 256), (97, 70, 16, 48, 64, 32), (1, 0, 4, 4, 64, 256), (1, 37, 64, 64, 64, 4),
    (2, 5, 3, 97, 64, 1), (6, 70, 16, 24, 64, 32), (7, 70, 16, 24, 64, 32), (16, 70, 24, 16, 3, 32),
]  # fmt: skip


def named(arrays: list[Array]) -> list[TensorType]:
    """Types with names for all sizes but those of channels."""
    batch, queries, keys = sym("batch"), sym("queries"), sym("keys")
    types = []
    for n, array in enumerate(arrays[:3]):
        types.append(TensorType((batch, keys if n else queries, *array.shape[2:]), scalar_of(array.dtype)))
    return types + [TensorType(array.shape, scalar_of(array.dtype)) for array in arrays[3:]]


@NAMED
def test_case(case: Case) -> None:
    check(case.make, case.arrays)


@pytest.mark.parametrize("case", ATTENTION, ids=lambda case: case.name)
def test_case_with_named_dimensions(case: Case) -> None:
    check(case.make, case.arrays, named(list(case.arrays)))


@pytest.mark.parametrize("channels", [2, 6, 64, 150])
def test_rotary_of_named_dimensions(channels: int) -> None:
    batch, length = sym("batch"), sym("length")
    shapes = (batch, 3, length, channels), (batch, 1, length, channels), (length, channels)
    arrays = [f32(2, 3, 5, channels), f32(2, 1, 5, channels), f32(5, channels)]
    check(lambda *v: Rotary(*v), arrays, [TensorType(shape, F32) for shape in shapes])


@pytest.mark.parametrize("low", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
@NAMED
def test_case_in_half_precision(case: Case, low: type) -> None:
    check(case.make, [a.astype(low) if a.dtype == np.float32 else a for a in case.arrays])


@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "named"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_awkward_sizes(size: tuple[int, ...], symbolic: bool) -> None:
    queries, keys, channels, values, rows, block = size
    arrays = [f32(2, queries, 2, channels), f32(2, keys, 2, channels), f32(2, keys, 2, values)]

    def make(*operands: Value) -> Op:
        return Attention(*operands, scale=channels**-0.5, rows=rows, keys=block)

    check(make, arrays, named(arrays) if symbolic else None)


@pytest.mark.parametrize("target", ["x86-64-v3", "x86-64-v2"])
@pytest.mark.parametrize("block", [256, 8])
def test_narrower_vectors(target: str, block: int) -> None:
    arrays = [f32(1, 21, 2, 16), f32(1, 19, 2, 16), f32(1, 19, 2, 24), f32(21, 19)]
    check(lambda *v: Attention(*v, scale=0.25, keys=block), arrays, target=Target.parse(target))


@pytest.mark.parametrize("block", [256, 4])
def test_scores_far_apart(block: int) -> None:
    """Powers of differences neither overflow nor vanish where the largest score comes last, or first."""
    q = np.ones((1, 2, 1, 1), np.float32)
    k = np.array([-3e38, -1e4, 0, 90, 1e4, 2e4, 3e38, 3e37, 5], np.float32).reshape(1, 9, 1, 1)
    check(lambda *v: Attention(*v, keys=block), [q, k, f32(1, 9, 1, 3)])
    check(lambda *v: Attention(*v, keys=block), [q, k[:, ::-1].copy(), f32(1, 9, 1, 3)])


@pytest.mark.parametrize("block", [256, 4])
def test_a_query_that_sees_nothing(block: int) -> None:
    """Its row is NaN, as the formula gives; the others are not touched."""
    mask = np.zeros((3, 9), np.float32)
    mask[1] = -np.inf
    check(lambda *v: Attention(*v, keys=block), [f32(1, 3, 2, 4), f32(1, 9, 2, 4), f32(1, 9, 2, 4), mask])


LEAST = np.finfo(np.float32).min
MASKS = TensorType((sym("batch"), 1, sym("queries"), sym("keys")), F32)
ROWS = {  # the masks of one query: none of its scores is above -inf, or one is no number, or infinite
    "hidden": [-np.inf] * 9, "least": [LEAST] * 9, "least or hidden": [-np.inf] * 5 + [LEAST] * 4,
    "nan first": [np.nan] + [0] * 8, "nan": [0] * 3 + [np.nan] + [0] * 5, "nan last": [-np.inf] * 8 + [np.nan],
    "inf": [0] * 6 + [np.inf] + [0] * 2, "two inf": [np.inf] + [0] * 7 + [np.inf],
}  # fmt: skip


@pytest.mark.parametrize("guarded", [False, True], ids=["plain", "guarded"])
@pytest.mark.parametrize(("queries", "block"), [(1, 256), (5, 4), (20, 4)])
def test_extreme_scores(queries: int, block: int, guarded: bool) -> None:
    """A query without weights gets NaN, or guarded 0 · v, which is NaN where v is not finite."""
    mask = np.zeros((len(ROWS), 1, queries, 9), np.float32)
    mask[:, 0, -1] = list(ROWS.values())
    q, k, v = (f32(len(ROWS), n, 2, 4) for n in (queries, 9, 9))
    make = lambda *x: Attention(*x, keys=block, guarded=guarded)  # noqa: E731
    with np.errstate(invalid="ignore"):
        check(make, [q, k, v, mask])
        check(make, [q, k, v, mask], [*named([q, k, v, mask[:1]])[:3], MASKS])
        check(make, [q, k, v, mask == 0])
        v[:, 2, 0], v[:, 8, :, 1] = np.inf, np.nan
        check(make, [q, k, v, mask])


@pytest.mark.parametrize("queries", [1, 3])
def test_a_block_of_keys_that_nobody_sees(queries: int) -> None:
    """It leaves nothing behind, wherever it stands."""
    for hidden in (slice(0, 4), slice(4, 8), slice(5, 9)):
        mask = np.zeros((queries, 9), np.float32)
        mask[:, hidden] = -np.inf
        arrays = [f32(1, queries, 2, 4), f32(1, 9, 2, 4), f32(1, 9, 2, 4)]
        check(lambda *v: Attention(*v, keys=4), [*arrays, mask])
        check(lambda *v: Attention(*v, keys=1), [*arrays, mask])
        check(lambda *v: Attention(*v, keys=4), [*arrays, mask == 0])


@pytest.mark.parametrize("queries", [1, 2, 5])
@pytest.mark.parametrize("masked", [False, True])
def test_a_number_that_is_none_spreads_to_its_query_alone(queries: int, masked: bool) -> None:
    arrays = [f32(1, queries, 2, 4), f32(1, 9, 2, 4), f32(1, 9, 2, 4)]
    arrays[0][0, 0, 1] = np.nan
    mask = [np.zeros((queries, 9), np.float32)] if masked else []
    for block in (256, 4):
        check(lambda *v, block=block: Attention(*v, keys=block), [*arrays, *mask])


@pytest.mark.parametrize("sizes", [(1, 40, 8, 2), (2, 7, 6, 3), (9, 23, 6, 2)], ids=str)
@pytest.mark.parametrize("symbolic", [False, True], ids=["static", "named"])
def test_heads_that_share_their_keys(sizes: tuple[int, ...], symbolic: bool) -> None:
    queries, keys, heads, shared = sizes
    arrays = [f32(2, queries, heads, 16), f32(2, keys, shared, 16), f32(2, keys, shared, 24), f32(heads, queries, keys)]
    types = named(arrays) if symbolic else None
    check(lambda *v: Attention(*v, scale=0.25, keys=8), arrays, types)
    check(lambda *v: Attention(*v, scale=0.25), arrays, types)


def test_weights_are_as_exact_as_sums_of_them_need() -> None:
    """One key far above the others: their weights alone are read off the result."""
    distances = np.concatenate([np.linspace(0, 20, 2001), np.linspace(20, 120, 999)]).astype(np.float32)
    scores = -distances.reshape(1, 3000, 1, 1)
    scores[0, 0] = 0
    values = np.zeros((1, 3000, 1, 3), np.float32)
    values[0, :, 0, 0] = np.arange(3000) % 2
    values[0, 0, 0, 1] = 1
    values[0, 2000:, 0, 2] = 1
    for queries in (1, 3):
        kernel = check(lambda *v: Attention(*v), [np.ones((1, queries, 1, 1), np.float32), scores, values])
        found = kernel([np.ones((1, queries, 1, 1), np.float32), scores, values])[0]
        powers = np.exp(-distances.astype(np.float64))
        np.testing.assert_allclose(found[0, 0, 0, 0], (powers * values[0, :, 0, 0]).sum() / powers.sum(), rtol=4e-7)


def test_unknown_numbers_of_queries_are_cut_for_threads() -> None:
    shapes = [TensorType((2, sym(n), 3, 16), F32) for n in ("queries", "keys", "keys")]
    kernel = compiled(shapes, lambda *v: Attention(*v), ["queries", "keys"])
    assert as_expr(kernel.chunks).evaluate({"queries": 130, "keys": 7}) == 2 * 3 * 3


def test_both_products_keep_their_sums_in_registers() -> None:
    shape = TensorType((1, 128, 2, 64), F32)
    kernel = compiled([shape] * 3, lambda *v: Attention(*v, scale=0.125))
    text = kernel.assembly()
    tiles = [loop for loop in inner_loops(text) if sum("vfmadd" in line for line in loop) > 8]
    assert len(tiles) >= 2
    assert [line for loop in tiles for line in stack_accesses(loop, text)] == []
