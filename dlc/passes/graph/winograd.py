"""Convolve small windows by Winograd's algorithm where that is predicted to be faster.

    conv(x, w)    →    winograd_conv(x, u)                                      u = winograd_weights(w), folded
    conv(x, w)    →    winograd_output(matmul(winograd_input(x), u))            where there are few tiles

For 3 x 3 windows, F(4 x 4) takes 4 times fewer products than the direct convolution, F(2 x 2) 2.25 times; with a stride
of 2 it is 1.78 and 1.44 times. All add transforms, and more weights to read. The choice falls per convolution, by
predicted cycles and by how much rounding errors grow.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_nn import Conv, MatMul
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.dialects.graph_winograd import WinogradConv, WinogradInput, WinogradOutput, WinogradWeights
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.ir.types import F32
from dlc.ir.winograd import error_growth
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.conv_costs import ConvSize, WinogradPlan, dense_size, direct_cycles, known, winograd_plan
from dlc.passes.graph.rounding import expected_error
from dlc.record import record
from dlc.target import Target


@record
class Winograd(Pass):
    name: ClassVar[str] = "winograd"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    gain: float = 1.1  # how much faster it must be predicted to be
    error: float = 2e-5  # how far off, as a share of the largest, results may be expected to be

    def run(self, module: Module, cx: PassContext) -> bool:
        if cx.options.exact:
            return False
        return apply_patterns(module, [ConvByWinograd(cx.target, self.gain, self.error)], cx)


@record
class ConvByWinograd(Pattern[Conv]):
    target: Target
    gain: float
    error: float

    def rewrite(self, op: Conv, rw: Rewriter) -> NoMatch | None:
        x, y = tensor(op.x), tensor(op.result)
        if not all(known(dim) for dim in y.shape):
            return NoMatch("the result is empty")
        size = dense_size(op)
        if size is None:
            return NoMatch("in groups, dilated, or of a window or a stride that there are no matrices for")
        if op.channels is not None:
            return NoMatch("it reads some channels only")
        if x.scalar != F32 or y.scalar != F32:
            return NoMatch("not in f32")
        if op.w.defined_by(Constant) is None:
            return NoMatch("the weights are not constant")
        if 2 * min(size.inputs, size.outputs) < self.target.facts.lanes(32):
            return NoMatch("too few channels to fill the lanes")
        plan = self.best_plan(size)
        if plan is None or direct_cycles(size, self.target) < self.gain * plan.cycles:
            return NoMatch("the direct convolution is predicted to be as fast")
        weights = rw.insert(WinogradWeights(op.w, tile=plan.tile, window=size.window, stride=size.stride))
        make = in_parts if plan.part else in_steps
        made = make(op, weights.result, plan, size, rw)
        rw.replace(op, made)
        return None

    def best_plan(self, size: ConvSize) -> WinogradPlan | None:
        def error(tile: int) -> float:
            return expected_error(error_growth(tile, size.window, size.stride), size.inputs)

        plans = [winograd_plan(size, tile, self.target) for tile in size.tiles if error(tile) <= self.error]
        return min(plans, key=lambda plan: plan.weighted, default=None)


def in_parts(op: Conv, u: Value, plan: WinogradPlan, size: ConvSize, rw: Rewriter) -> Value:
    made = WinogradConv(
        op.x, u, tile=plan.tile, window=size.window, stride=size.stride, pads=op.pads, part=plan.part
    )  # fmt: skip
    return rw.insert(made).result


def in_steps(op: Conv, u: Value, plan: WinogradPlan, size: ConvSize, rw: Rewriter) -> Value:
    """The places of all tiles are separate products, of which each core takes some."""
    images, _, *sides = tensor(op.result).shape
    tile, window, stride = plan.tile, size.window, size.stride
    taken = rw.insert(WinogradInput(op.x, tile=tile, window=window, stride=stride, pads=op.pads))
    products = rw.insert(MatMul(taken.result, u))
    given = WinogradOutput(products.result, size=(images, *sides), tile=tile, window=window, stride=stride)
    return rw.insert(given).result
