"""Convolve images of few channels with a stride of two by Winograd's algorithm, the phases of the image as channels.

    conv(x: N x 3 x H x W, w: O x 3 x 7 x 7, strides 2)    →    winograd(phases(x): N x 12 x H/2 x W/2, w': O x 12 x 4²)

Products of three channels are too short to be worth the transforms, those of twelve are not. The first convolution of
many networks is like this.
"""

from __future__ import annotations

from dlc.ir.core import Value
from dlc.ir.dialects.graph_nn import Conv
from dlc.ir.dialects.graph_shape import Pad, Reshape, Transpose
from dlc.ir.dialects.shape_rules import per_axis, spatial_pads, tensor
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter
from dlc.ir.typical import IMAGES
from dlc.passes.graph.constants import static_shape
from dlc.passes.graph.conv_costs import ConvSize, direct_cycles, known, moved_cycles
from dlc.passes.graph.winograd_ops import best_plan, convolved, hindrance
from dlc.record import record
from dlc.target import Target

PHASES = 2  # along each of the two axes: the stride


@record
class ConvOfFewChannels(Pattern[Conv]):
    target: Target
    gain: float
    error: float

    def rewrite(self, op: Conv, rw: Rewriter) -> NoMatch | None:
        x, w, y = image_size(op.x), static_shape(op.w), image_size(op.result)
        if x is None or w is None or y is None or not all((*x, *y)):
            return NoMatch("not of two axes, of sizes that are not known, or empty")
        if problem := hindrance(op):
            return NoMatch(problem)
        if any(per_axis(op.strides, n) != PHASES for n in (0, 1)) or w[2] != w[3]:
            return NoMatch("not of a stride of two and a square window")
        if x[1] * PHASES**2 > self.target.facts.lanes(32):
            return NoMatch("more channels than a vector has lanes for their phases")
        axes = [phase_axis(w[2], spatial_pads(op.pads, n)[0], x[2 + n], y[2 + n]) for n in (0, 1)]
        if any(axis is None for axis in axes) or len({axis.window for axis in axes if axis}) != 1:
            return NoMatch("the phases of the image are not of one size")
        down, across = (axis for axis in axes if axis is not None)
        size = ConvSize(
            y[0], y[2], y[3], x[1] * PHASES**2, w[0], down.window, known=isinstance(tensor(op.x).shape[0], int)
        )  # fmt: skip
        plan = best_plan(size, self.error, self.target)
        direct = direct_cycles(ConvSize(y[0], y[2], y[3], x[1], w[0], w[2], PHASES), self.target)
        if plan is None or direct < self.gain * (plan.cycles + moved_cycles(x, self.target)):
            return NoMatch("the direct convolution is predicted to be as fast")
        image = phases(rw, op.x)
        front = (0, 0, down.front, across.front)
        behind = (0, 0, *(PHASES * axis.window - axis.front - w[2] for axis in (down, across)))
        weights = phases(rw, rw.insert(Pad(op.w, before=front, after=behind)).result)
        pads = (down.before, across.before, down.after, across.after)
        rw.replace(op, convolved(rw, image, weights, pads, size, plan))
        return None


def image_size(value: Value) -> tuple[int, ...] | None:
    """The shape of images (N, C, H, W), of as many as usual where their number is not known; None for other shapes."""
    shape = tensor(value).shape
    size = tuple(dim for dim in (known(shape[0], IMAGES), *shape[1:]) if isinstance(dim, int)) if shape else ()
    return size if len(shape) == 4 == len(size) else None


@record
class PhaseAxis:
    """One axis of a convolution on phases: its window, the zeros in front of the first tap, and the padding."""

    window: int
    front: int
    before: int
    after: int


def phase_axis(window: int, padding: int, extent: int, results: int) -> PhaseAxis | None:
    """What a window becomes if the image's phases are channels; None if they are not of one size.

    Result o reads from element 2 o - padding on: with zeros in front, from an even one.
    """
    front = padding % PHASES
    taps = -(-(window + front) // PHASES)
    before = (padding + front) // PHASES
    after = results - 1 + taps - before - extent // PHASES
    return PhaseAxis(taps, front, before, after) if extent % PHASES == 0 and after >= 0 else None


def phases(rw: Rewriter, value: Value) -> Value:
    """(N, C, H, W) → (N, 4 C, H / 2, W / 2)"""
    images, channels, rows, columns = tensor(value).shape
    high, wide = rows // PHASES, columns // PHASES
    apart = rw.insert(Reshape(value, shape=(images, channels, high, PHASES, wide, PHASES))).result
    woven = rw.insert(Transpose(apart, perm=(0, 1, 3, 5, 2, 4))).result
    return rw.insert(Reshape(woven, shape=(images, channels * PHASES**2, high, wide))).result
