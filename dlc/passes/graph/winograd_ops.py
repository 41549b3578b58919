"""The ops that convolve by Winograd's algorithm, and which of its tiles a convolution should take."""

from __future__ import annotations

from dlc.ir.core import Value
from dlc.ir.dialects.graph_nn import Conv, Ints, MatMul
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.dialects.graph_winograd import (
    WinogradConv,
    WinogradInput,
    WinogradOutput,
    WinogradProducts,
    WinogradWeights,
    result_size,
)
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.rewrite import Rewriter
from dlc.ir.types import F32
from dlc.ir.winograd import error_growth
from dlc.passes.graph.conv_costs import ConvSize, WinogradPlan, plans_for_any_number, winograd_plan
from dlc.passes.graph.rounding import expected_error
from dlc.target import Target


def hindrance(op: Conv) -> str | None:
    """Why a convolution cannot go by Winograd's algorithm, whatever its size."""
    if op.groups != 1 or any(n != 1 for n in op.dilations):
        return "in groups, or dilated"
    if op.channels is not None:
        return "it reads some channels only"
    if tensor(op.x).scalar != F32 or tensor(op.result).scalar != F32:
        return "not in f32"
    return "the weights are not constant" if op.w.defined_by(Constant) is None else None


def best_plan(size: ConvSize, most_error: float, target: Target) -> WinogradPlan | None:
    """The cheapest plan whose results are expected to be off by no more than `most_error` of the largest, if any is."""

    def error(tile: int) -> float:
        return expected_error(error_growth(tile, size.window, size.stride), size.inputs)

    tiles = [tile for tile in size.tiles if error(tile) <= most_error]
    plans = [winograd_plan(size, tile, target) for tile in tiles]
    if not size.known:
        plans = [plan for tile in tiles for plan in plans_for_any_number(size, tile, target)]
    return min(plans, key=lambda plan: plan.weighted, default=None)


def convolved(rw: Rewriter, x: Value, w: Value, pads: Ints, size: ConvSize, plan: WinogradPlan) -> Value:
    """The convolution of x with the weights w (O,C,window,window): by one op, or in three steps.

    In three steps the places of all tiles are separate products, of which each core takes some.
    """
    tile, window, stride = plan.tile, size.window, size.stride
    halved = plan.panel > 0
    u = rw.insert(WinogradWeights(w, tile=tile, window=window, stride=stride, rows_only=halved)).result
    if plan.part:
        made = WinogradConv(x, u, tile=tile, window=window, stride=stride, pads=pads, part=plan.part)
        return rw.insert(made).result
    shape = tensor(x).shape
    taken = rw.insert(WinogradInput(x, tile=tile, window=window, stride=stride, pads=pads))
    products = (
        WinogradProducts(taken.result, u, tile=tile, window=window, stride=stride, panel=plan.panel)
        if halved
        else MatMul(taken.result, u)
    )
    images = (shape[0], *result_size(shape, pads, window, stride))
    given = WinogradOutput(rw.insert(products).result, size=images, tile=tile, window=window, stride=stride)
    return rw.insert(given).result
