"""What algorithms are predicted to cost follows what a machine is said to be."""

import pytest

from dlc.passes.graph.conv_costs import FROM_MEMORY, ConvSize, part_cycles, predicted, tile_total, winograd_plan
from dlc.passes.graph.strassen_costs import strassen_plan
from dlc.passes.lower.tiles import PANELS, best_image_tile, best_tile
from dlc.target import Target

WIDE = Target.parse("x86-64-v4@l1=48K,l2=2M,l3=32M")
NARROW = Target.parse("x86-64-v4@l1=48K,l2=2M,l3=32M,datapath=256")


@pytest.mark.parametrize("plane", [(197, 48), (128, 24), (64, 32), (49, 32), (14, 8)])
def test_narrow_datapaths_take_the_same_tiles_and_twice_the_time(plane: tuple[int, int]) -> None:
    wide, narrow = (best_tile(*plane, target, PANELS) for target in (WIDE, NARROW))
    assert (narrow.rows, narrow.vectors) == (wide.rows, wide.vectors)
    assert narrow.cost == pytest.approx(2 * wide.cost)


def test_multiplications_weigh_more_than_bytes_where_they_take_longer() -> None:
    few_tiles = ConvSize(images=1, rows=14, columns=14, inputs=256, outputs=256)

    def cheapest(target: Target) -> str:
        cycles = predicted(few_tiles, target)
        return min(cycles, key=lambda name: cycles[name])

    assert cheapest(WIDE).startswith("Winograd 2 x 2")
    assert cheapest(NARROW).startswith("Winograd 4 x 4")


def test_deep_products_by_strassen_need_time_to_fetch_rows() -> None:
    assert strassen_plan(128, 2048, 768, WIDE) is not None
    assert strassen_plan(128, 3072, 768, WIDE) is None
    assert strassen_plan(128, 3072, 768, NARROW) is not None


def test_scratch_beyond_the_cache_goes_to_memory() -> None:
    large = ConvSize(images=1, rows=56, columns=56, inputs=256, outputs=256)
    tiles = tile_total(large, 4)
    held, not_held = (
        part_cycles(large, 4, tiles, Target.parse(f"x86-64-v4@l1=48K,l2=2M,l3={size}M"), FROM_MEMORY)
        for size in (128, 16)
    )
    assert not_held > held


def test_plans_for_huge_images_take_no_time() -> None:
    """No more sizes of parts are looked at than a part may have tiles."""
    huge = ConvSize(images=1, rows=1 << 20, columns=1 << 20, inputs=64, outputs=64)
    assert winograd_plan(huge, 4, WIDE).part <= 128


def test_an_empty_image_has_a_tile_too() -> None:
    assert all(best_image_tile(*size, 4, WIDE).cost > 0 for size in ((0, 3), (3, 0), (0, 0)))
