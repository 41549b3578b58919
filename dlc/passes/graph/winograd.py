"""Convolve 3 x 3 windows of stride 1 by Winograd's algorithm where that is predicted to be faster.

    conv(x, w)    →    winograd_conv(x, u)                                      u = winograd_weights(w), folded
    conv(x, w)    →    winograd_output(matmul(winograd_input(x), u))            where there are few tiles

F(4 x 4) takes 4 times fewer products than the direct convolution, F(2 x 2) 2.25 times; both add transforms, and more
weights to read. The choice falls per convolution, by predicted cycles and by how much rounding errors grow.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_nn import Conv, MatMul
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.dialects.graph_winograd import WINDOW, WinogradConv, WinogradInput, WinogradOutput, WinogradWeights
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.ir.types import F32
from dlc.ir.winograd import TILES, error_growth
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.conv_costs import ConvSize, WinogradPlan, direct_cycles, known, winograd_plan
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
        x, w, y = tensor(op.x), tensor(op.w), tensor(op.result)
        if w.shape[2:] != (WINDOW, WINDOW) or any(n != 1 for n in (*op.strides, *op.dilations)) or op.groups != 1:
            return NoMatch("not a dense 3 x 3 convolution of stride 1")
        if op.channels is not None:
            return NoMatch("it reads some channels only")
        if x.scalar != F32 or y.scalar != F32:
            return NoMatch("not in f32")
        if op.w.defined_by(Constant) is None:
            return NoMatch("the weights are not constant")
        inputs, outputs = known(w.shape[1]), known(w.shape[0])
        if 2 * min(inputs, outputs) < self.target.facts.lanes(32):
            return NoMatch("too few channels to fill the lanes")
        if not all(known(dim) for dim in y.shape):
            return NoMatch("the result is empty")
        size = ConvSize(known(y.shape[0], 1), known(y.shape[2]), known(y.shape[3]), inputs, outputs)
        plan = self.best_plan(size)
        if plan is None or direct_cycles(size, self.target) < self.gain * plan.cycles:
            return NoMatch("the direct convolution is predicted to be as fast")
        weights = rw.insert(WinogradWeights(op.w, tile=plan.tile))
        made = in_parts(op, weights.result, plan, rw) if plan.part else in_steps(op, weights.result, plan, rw)
        rw.replace(op, made)
        return None

    def best_plan(self, size: ConvSize) -> WinogradPlan | None:
        tiles = [tile for tile in TILES if expected_error(error_growth(tile), size.inputs) <= self.error]
        plans = [winograd_plan(size, tile, self.target) for tile in tiles]
        return min(plans, key=lambda plan: plan.weighted, default=None)


def in_parts(op: Conv, u: Value, plan: WinogradPlan, rw: Rewriter) -> Value:
    return rw.insert(WinogradConv(op.x, u, tile=plan.tile, pads=op.pads, part=plan.part)).result


def in_steps(op: Conv, u: Value, plan: WinogradPlan, rw: Rewriter) -> Value:
    """The places of all tiles are separate products, of which each core takes some."""
    images, _, *size = tensor(op.result).shape
    taken = rw.insert(WinogradInput(op.x, tile=plan.tile, pads=op.pads))
    products = rw.insert(MatMul(taken.result, u))
    return rw.insert(WinogradOutput(products.result, size=(images, *size), tile=plan.tile)).result
