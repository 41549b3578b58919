"""Convolutions with channels in lanes, in the layouts and sizes that their tiles find awkward."""

from __future__ import annotations

import pytest

from dlc.ir.dialects import graph_nn, vec
from dlc.ir.types import Layout
from dlc.passes.lower.tiles import best_image_tile, image_tiles
from dlc.target import Target
from tests.eval.cases import f32
from tests.kernels.test_kernels import BLOCKED, Trial, check, halo, trial

ORDER = (0, 1, 2, 3)
DENSE, OF_PLAIN = Layout(ORDER, ((1, 16), (0, 16))), Layout(ORDER, ((0, 16),))
PLAIN_HALO = Layout(ORDER, (), ((0, 0), (0, 0), (1, 1), (1, 1)))
PADDED = {"pads": (1, 1, 1, 1)}

SIZES = [
    trial(graph_nn.Conv, f32(*x), f32(*w), layouts=(given, DENSE), layout=made, **attrs)
    for x, w, given, attrs in (
        ((1, 16, 7, 7), (33, 16, 3, 3), halo(1, 1), PADDED),  # several short lines, a block cut short
        ((1, 32, 13, 5), (48, 32, 1, 1), BLOCKED, {}),
        ((1, 40, 6, 1), (16, 40, 1, 1), BLOCKED, {"strides": (2, 2)}),
        ((2, 16, 9, 17), (32, 16, 3, 3), halo(1, 1), PADDED | {"strides": (2, 2)}),
        ((1, 16, 1, 31), (16, 16, 1, 1), BLOCKED, {}),
        ((1, 64, 3, 4), (160, 64, 3, 3), halo(1, 1), PADDED),  # more weights than image
    )
    for made in (BLOCKED, halo(1, 1))
]

PLAIN_RESULTS = [
    trial(graph_nn.Conv, f32(*x), f32(*w), layouts=(given, weights), **attrs)
    for x, w, given, weights, attrs in (
        ((1, 3, 9, 30), (32, 3, 3, 3), PLAIN_HALO, OF_PLAIN, PADDED),
        ((2, 20, 8, 28), (48, 20, 1, 1), None, OF_PLAIN, {}),
        ((1, 32, 7, 7), (32, 32, 3, 3), halo(1, 1), DENSE, PADDED),
        ((1, 16, 5, 3), (16, 16, 1, 1), BLOCKED, DENSE, {}),  # too narrow to be turned
        ((1, 32, 9, 33), (32, 1, 3, 3), halo(1, 1), OF_PLAIN, PADDED | {"groups": 32}),
        ((1, 32, 9, 18), (32, 1, 3, 3), halo(1, 1), OF_PLAIN, PADDED | {"groups": 32, "strides": (2, 2)}),
        ((1, 16, 6, 20), (21, 16, 1, 1), BLOCKED, DENSE, {}),  # lanes that are no channels
    )
]


def image(rank: int, *sides: tuple[int, int]) -> Layout:
    """An image in blocks of 16 channels, with a halo."""
    return Layout(tuple(range(rank)), ((1, 16),), ((0, 0), (0, 0), *sides) if sides else ())


def weights(rank: int, inputs: int = 16) -> Layout:
    return Layout(tuple(range(rank)), ((1, inputs), (0, 16)) if inputs > 1 else ((0, 16),))


DEEP_HALO = image(5, (1, 1), (1, 1), (1, 1))
CUBE, FLAT = {"pads": (1,) * 6}, Layout((0, 1, 2), (), ((0, 0), (0, 0), (3, 3)))
ANY_RANK = [
    trial(graph_nn.Conv, f32(*x), f32(*w), layouts=(given, weights(len(w), inputs)), layout=made, **attrs)
    for x, w, given, inputs, made, attrs in (
        # one axis
        ((2, 32, 31), (40, 32, 3), image(3, (1, 1)), 16, image(3), {"pads": (1, 1)}),
        ((1, 16, 9), (16, 16, 2), image(3), 16, image(3, (0, 3)), {"dilations": (3,)}),
        ((1, 3, 50), (16, 3, 7), FLAT, 1, image(3), {"pads": (3, 3), "strides": (2,)}),
        ((1, 48, 17), (33, 48, 1), image(3), 16, image(3), {}),
        ((1, 20, 40), (20, 1, 5), image(3, (2, 2)), 1, image(3), {"pads": (2, 2), "groups": 20}),
        ((1, 16, 80), (16, 1, 41), image(3, (20, 20)), 1, image(3), {"pads": (20, 20), "groups": 16}),
        ((1, 32, 24), (32, 16, 3), image(3, (1, 1)), 16, None, {"pads": (1, 1), "groups": 2}),
        # three
        ((1, 16, 3, 5, 4), (33, 16, 3, 3, 3), DEEP_HALO, 16, image(5), CUBE),
        ((2, 16, 4, 7, 7), (16, 16, 1, 3, 2), image(5), 16, image(5), {"strides": (2, 1, 2)}),
        ((1, 32, 2, 3, 19), (16, 32, 1, 1, 1), image(5), 16, image(5), {}),
        ((1, 18, 3, 4, 5), (18, 1, 3, 3, 3), DEEP_HALO, 1, image(5), CUBE | {"groups": 18}),
        # groups of whole blocks
        ((1, 64, 7, 7), (64, 16, 3, 3), halo(1, 1), 16, BLOCKED, PADDED | {"groups": 4}),
        ((2, 32, 9, 30), (64, 16, 3, 3), halo(1, 1), 16, BLOCKED, PADDED | {"groups": 2, "strides": (2, 2)}),
        ((1, 96, 5, 1), (96, 32, 1, 1), BLOCKED, 16, halo(1, 1), {"groups": 3}),
        ((1, 512, 4, 4), (512, 256, 3, 3), halo(1, 1), 16, BLOCKED, PADDED | {"groups": 2}),
        ((1, 32, 8, 20), (32, 16, 3, 3), halo(1, 1), 16, None, PADDED | {"groups": 2}),
    )
]  # fmt: skip


@pytest.mark.parametrize("given", [*SIZES, *PLAIN_RESULTS, *ANY_RANK], ids=str)
def test_sizes_and_layouts(given: Trial) -> None:
    check(given.make, given.arrays, given.types(), given.close)


def test_a_plain_result_is_stored_along_the_grain() -> None:
    given = PLAIN_RESULTS[0]
    func = check(given.make, given.arrays, given.types(), given.close).lowered.func
    stores = [op for op in func.walk() if isinstance(op, vec.Store)]
    assert stores
    assert not any(any(op.step) for op in stores)
    assert any(isinstance(op, vec.Transpose) for op in func.walk())


def test_an_image_far_apart_is_asked_for_once_per_line() -> None:
    given = PLAIN_RESULTS[1]
    func = check(given.make, given.arrays, given.types(), given.close).lowered.func
    asked = [op for op in func.walk() if isinstance(op, vec.Prefetch)]
    # 14 broadcasts side by side may lie in two lines
    assert 0 < len(asked) <= 2 * sum(isinstance(op, vec.Load) for op in func.walk())


@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64"])
@pytest.mark.parametrize(("lines", "columns", "blocks"), [(7, 7, 32), (14, 14, 8), (1, 1, 1), (56, 56, 4), (13, 2, 3)])
def test_an_image_tile_fits_the_image_and_the_registers(name: str, lines: int, columns: int, blocks: int) -> None:
    target = Target.parse(name)
    tile = best_image_tile(lines, columns, blocks, target)
    assert 1 <= tile.lines <= lines
    assert 1 <= tile.columns <= columns
    assert 1 <= tile.vectors <= blocks
    assert tile.lines * tile.columns * tile.vectors < target.facts.vector_registers


def test_short_lines_are_tiled_together() -> None:
    tile = best_image_tile(7, 7, 32, Target.parse("x86-64-v4"))
    assert (tile.lines, tile.columns, tile.vectors) == (2, 7, 2)
    assert best_image_tile(56, 56, 4, Target.parse("x86-64-v4")).lines == 1


def test_the_tiles_that_were_considered_hold_the_chosen_one() -> None:
    target = Target.parse("x86-64-v4")
    for lines, columns, blocks in ((7, 7, 32), (56, 56, 4), (1, 1, 1)):
        best, tiles = best_image_tile(lines, columns, blocks, target), image_tiles(lines, columns, blocks, target)
        assert (best.lines, best.columns, best.vectors) in [(t.lines, t.columns, t.vectors) for t in tiles]
        assert tiles[0].cost <= best.cost <= 1.1 * tiles[0].cost
