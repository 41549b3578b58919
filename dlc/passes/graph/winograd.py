"""Convolve small windows by Winograd's algorithm where that is predicted to be faster.

    conv(x, w)    →    winograd_conv(x, u)                                      u = winograd_weights(w), folded
    conv(x, w)    →    winograd_output(matmul(winograd_input(x), u))            where there are few tiles
    conv(x, w)    →    winograd_conv(phases of x, u)            of few channels and with a stride (few_channels.py)

For 3 x 3 windows, F(4 x 4) takes 4 times fewer products than the direct convolution, F(2 x 2) 2.25 times; with a stride
of 2 it is 1.78 and 1.44 times. All add transforms, and more weights to read. The choice falls per convolution, by
predicted cycles and by how much rounding errors grow.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module
from dlc.ir.dialects.graph_nn import Conv
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.conv_costs import dense_size, direct_cycles
from dlc.passes.graph.few_channels import ConvOfFewChannels
from dlc.passes.graph.winograd_ops import best_plan, convolved, hindrance
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
        settings = cx.target, self.gain, self.error
        return apply_patterns(module, [ConvByWinograd(*settings), ConvOfFewChannels(*settings)], cx)


@record
class ConvByWinograd(Pattern[Conv]):
    target: Target
    gain: float
    error: float

    def rewrite(self, op: Conv, rw: Rewriter) -> NoMatch | None:
        if problem := hindrance(op):
            return NoMatch(problem)
        size = dense_size(op)
        if size is None:
            return NoMatch("the result is empty, or there are no matrices for its window and stride")
        if 2 * min(size.inputs, size.outputs) < self.target.facts.lanes(32):
            return NoMatch("too few channels to fill the lanes")
        plan = best_plan(size, self.error, self.target)
        if plan is None or direct_cycles(size, self.target) < self.gain * plan.cycles:
            return NoMatch("the direct convolution is predicted to be as fast")
        rw.replace(op, convolved(rw, op.x, op.w, op.pads, size, plan))
        return None
