"""What algorithms are predicted to cost follows what a machine is said to be."""

import numpy as np
import pytest

from dlc.ir.core import Block, Builder, Func, Module, Region
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_flow import Group, Yield
from dlc.ir.dialects.graph_nn import Conv, MatMul
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.expr import sym
from dlc.ir.pool import ConstantPool
from dlc.ir.printer import print_module
from dlc.ir.types import F32, TensorType
from dlc.kernel_language.library import standard_library
from dlc.passes.base import PassContext
from dlc.passes.graph.conv_costs import FROM_MEMORY, ConvSize, part_cycles, predicted, tile_total, winograd_plan
from dlc.passes.graph.layouts import panel_layout
from dlc.passes.graph.strassen_costs import strassen_plan
from dlc.passes.graph.winograd import Winograd
from dlc.passes.graph.winograd_ops import best_plan
from dlc.passes.loop.split import parts_of_unknown
from dlc.passes.lower.group import GroupLowering
from dlc.passes.lower.tiles import PANELS, Multiple, best_image_tile, best_rows, best_tile, rows_in_l1
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


@pytest.mark.parametrize("target", ["x86-64-v4@l1=32K,l2=1M,l3=32M,datapath=256", "x86-64-v4@l1=48K,l2=2M,l3=32M"])
def test_an_unknown_number_of_images_is_near_the_best_for_any(target: str) -> None:
    """The last layers of resnet18: weights of F(2 x 2) suit one image, those of F(4 x 4) eight."""
    machine = Target.parse(target)
    deep = ConvSize(images=2, rows=7, columns=7, inputs=512, outputs=512, known=False)
    chosen = best_plan(deep, 1.0, machine)
    assert chosen is not None
    assert chosen.panel > 0
    assert chosen.weighted < 1.5
    fixed = [winograd_plan(deep.of(1), tile, machine) for tile in deep.tiles]
    assert all(plan.panel == 0 for plan in fixed)


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


def test_rows_that_share_a_set_of_the_cache_make_lower_tiles() -> None:
    """13 rows of 1024 floats, each a page after the other, do not fit a set of 8 (32 KiB) or 12 (48 KiB) lines."""
    small = Target.parse("x86-64-v4@l1=32K,l2=1M,l3=32M,datapath=256")
    assert [rows_in_l1(stride, small) for stride in (4096, 12288, 2048, 4096 + 64, 1000, None, 0)] == [
        8, 8, 16, 30, 30, 30, 30]  # fmt: skip
    assert rows_in_l1(4096, WIDE) == 12
    assert rows_in_l1(16384, Target.parse("aarch64@l1=64K,l2=1M,l3=32M")) == 4
    assert panel_rows(1024, small) <= 8 < panel_rows(1000, small)


def panel_rows(depth: int, target: Target) -> int:
    """Rows of the tiles of a product of 128 rows, as the kernel has them."""
    x, w = TensorType((128, depth), F32), TensorType((depth, 256), F32, panel_layout(2, 32))
    outer, body = Block([x, w]), Block([x, w])
    Builder(body).insert(Yield(Builder(body).insert(MatMul(*body.args)).result))
    group = Builder(outer).insert(Group(*outer.args, kernel="k", regions=[Region([body])]))
    return int(GroupLowering(group, standard_library(), target, ConstantPool()).lower("k").chosen["rows"])


@pytest.mark.parametrize("target", [WIDE, NARROW, Target.parse("x86-64-v3"), Target.parse("aarch64")])
def test_tiles_of_an_unknown_multiple_leave_no_rest(target: Target) -> None:
    """Rows that come by 4 or by 197 are not cut so that single rows are left over."""
    for divisor in (4, 16, 64, 197, 196):
        rows = best_rows(Multiple(divisor), 2, target, PANELS)
        for times in (1, 2, 3, 8):
            parts = parts_of_unknown(divisor * times, rows)
            assert sum(size * count for size, count in parts) == divisor * times
            assert not any(size == 1 for size, _ in parts), (divisor, times, rows)


def test_an_unknown_number_of_images_is_cut_into_phases_too() -> None:
    pool = ConstantPool()
    block = Block([TensorType((sym("b"), 3, 224, 224), F32)])
    builder = Builder(block)
    kind = TensorType((64, 3, 7, 7), F32)
    w = builder.insert(Constant(value=pool.add(np.zeros(kind.shape, np.float32)), type=kind)).result
    builder.insert(Return(builder.insert(Conv(block.args[0], w, strides=(2, 2), pads=(3,) * 4)).result))
    main = Func("main", Region([block]), (TensorType((sym("b"), 64, 112, 112), F32),))
    module = Module(pool, {"main": main})
    Winograd().run(module, PassContext(NARROW, pool))
    assert "window = 4" in print_module(module)
