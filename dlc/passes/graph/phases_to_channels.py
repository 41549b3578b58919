"""Compute the phases of a transposed convolution with few output channels as channels of an ordinary one.

    conv_transpose(x, w, strides s)    →    depth_to_space(conv(x, w'))            w' has s·s·O output channels

A result at o = s·p + phase receives, along each axis, x[i] · w[t] where i·s + t = o + pad. Over all phases the i of one
p span a window of the image; w' has, per phase, the taps that meet it and zeros elsewhere. That pays where O channels
would leave most lanes empty.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from dlc.ir.core import Module, Op, Value
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_nn import Conv, ConvTranspose
from dlc.ir.dialects.graph_shape import Constant, Pad, Reshape, Slice, Transpose
from dlc.ir.dialects.shape_rules import per_axis, spatial_pads, tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.ir.types import TensorType, scalar_of
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import constant, is_constant, known_shape, static_shape
from dlc.passes.graph.linear_ops import elementwise_behind, reshaped
from dlc.record import record


@record
class PhasesToChannels(Pass):
    name: ClassVar[str] = "phases-to-channels"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    gain: float = 1.4  # how many times fewer products, counted in whole vectors

    def run(self, module: Module, cx: PassContext) -> bool:
        if cx.options.exact:
            return False  # zeros meet elements that no tap met: NaN where these are infinite
        lanes = cx.target.facts.vector_bits // 32
        return apply_patterns(module, [FewChannels(lanes, self.gain)], cx)


@record
class AxisPhases:
    """One axis: for each phase, the tap that meets each place of the window, or none."""

    taps: tuple[tuple[int | None, ...], ...]
    before: int  # places of the window before the result's own
    places: int  # results per phase, the last ones perhaps beyond the end

    @property
    def window(self) -> int:
        return len(self.taps[0])


def axis_phases(window: int, stride: int, before: int, results: int) -> AxisPhases:
    starts = [((phase + before) // stride, (phase + before) % stride) for phase in range(stride)]
    meets = [{near - t: first + stride * t for t in range(-(-(window - first) // stride))} for near, first in starts]
    found = [place for phase in meets for place in phase]
    span = range(min(found), max(found) + 1)
    taps = tuple(tuple(phase.get(place) for place in span) for phase in meets)
    return AxisPhases(taps, -span.start, -(-results // stride))


@record
class FewChannels(Pattern[ConvTranspose]):
    lanes: int
    gain: float

    def rewrite(self, op: ConvTranspose, rw: Rewriter) -> NoMatch | None:
        size, shape, results = static_shape(op.x), static_shape(op.w), static_shape(op.result)
        if size is None or shape is None or results is None or not all((*size, *results)) or not is_constant(op.w):
            return NoMatch("sizes or weights are not known, or the result is empty")
        if op.groups != 1 or any(n != 1 for n in op.dilations):
            return NoMatch("in groups, or dilated")
        if not tensor(op.x).scalar.is_float or tensor(op.x).scalar.bits > 32:
            return NoMatch("channels of this type are not in lanes")
        strides = [per_axis(op.strides, n) for n in range(len(size) - 2)]
        pads = [spatial_pads(op.pads, n)[0] for n in range(len(size) - 2)]
        axes = [axis_phases(*each) for each in zip(shape[2:], strides, pads, results[2:], strict=True)]
        if not self.pays(shape, math.prod(strides), axes):
            return NoMatch("channels fill the lanes well enough")
        after = [axis.places + axis.window - 1 - axis.before - n for axis, n in zip(axes, size[2:], strict=True)]
        if any(axis.before < 0 for axis in axes) or any(n < 0 for n in after):
            return NoMatch("the window would begin inside of the image")
        w = weights_of_phases(rw, op.w, axes)
        made = rw.insert(Conv(op.x, w, pads=(*(axis.before for axis in axes), *after)), op).result
        last: Op = op
        for last in elementwise_behind(op):
            others = [repeated(rw, value, math.prod(strides), last) for value in last.operands[1:]]
            made = rw.insert(rebuilt(last, [made, *others]), last, before=last).results[0]
        rw.replace(last, interleaved(rw, made, shape[1], strides, results, last))
        return None

    def pays(self, weights: tuple[int, ...], phases: int, axes: list[AxisPhases]) -> bool:
        """Whether vectors of products are saved: zeros are multiplied too."""
        outputs = weights[1]
        now = -(-outputs // self.lanes) * math.prod(weights[2:])
        then = -(-outputs * phases // self.lanes) * math.prod(axis.window for axis in axes)
        return now >= self.gain * then


def repeated(rw: Rewriter, value: Value, phases: int, before: Op) -> Value:
    """A constant per channel, for each channel's phases."""
    count = tensor(value).elements
    if not isinstance(count, int) or count == 1:
        return value
    places = tensor(value).rank - tensor(value).shape.index(count) - 1
    once = rw.insert(Reshape(value, shape=(count,)), before=before).result
    channels = np.repeat(np.arange(count), phases)
    indices = rw.insert(
        Constant(value=rw.pool.add(channels), type=TensorType(channels.shape, scalar_of(channels.dtype))), before=before
    )
    each = rw.insert(Gather(once, indices.result), before=before).result
    return rw.insert(Reshape(each, shape=(count * phases, *[1] * places)), before=before).result


def weights_of_phases(rw: Rewriter, w: Value, axes: list[AxisPhases]) -> Value:
    """(C, O, *window) → (O · phases, C, *places)."""
    inputs, outputs, *window = known_shape(w)
    axes_count = len(axes)
    none, one = (0,) * (2 + axes_count), (0, 0, *[1] * axes_count)
    w = rw.insert(Pad(w, before=none, after=one)).result  # the tap that is none
    for n, axis in enumerate(axes):
        taps = [[window[n] if tap is None else tap for tap in phase] for phase in axis.taps]
        w = rw.insert(Gather(w, constant(rw, np.array(taps, np.int64)), axis=2 + 2 * n)).result
    phases = range(2, 2 + 2 * axes_count, 2)
    w = rw.insert(Transpose(w, perm=(1, *phases, 0, *(n + 1 for n in phases)))).result
    count = math.prod(len(axis.taps) for axis in axes)
    return reshaped(rw, w, (outputs * count, inputs, *(axis.window for axis in axes)))


def interleaved(
    rw: Rewriter, y: Value, outputs: int, strides: list[int], results: tuple[int, ...], before: Op
) -> Value:
    """(N, O · phases, *places) → (N, O, *results)."""
    images, _, *places = known_shape(y)
    count = len(strides)
    apart = rw.insert(Reshape(y, shape=(images, outputs, *strides, *places)), before=before).result
    pairs = [axis for n in range(count) for axis in (2 + count + n, 2 + n)]
    woven = rw.insert(Transpose(apart, perm=(0, 1, *pairs)), before=before).result
    whole = (images, outputs, *(p * s for p, s in zip(places, strides, strict=True)))
    joined = rw.insert(Reshape(woven, shape=whole), before=before).result
    if whole == results:
        return joined
    return rw.insert(Slice(joined, starts=(0,) * len(results), sizes=results), before=before).result
