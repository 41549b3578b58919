"""Merge groups of a convolution until each has whole vectors of channels.

    conv(x, w: 64 x 8 x 3 x 3, groups 8)    →    conv(x, w': 64 x 16 x 3 x 3, groups 4)

w' holds w in blocks along a diagonal, and zeros. The sums have `most` times as many terms at the most, but channels lie
in blocks and in lanes. Groups that are left over go by themselves:

    conv(x, w, groups 13)    →    concat(conv(x[:, first 12 groups], …, groups 12), conv(x[:, last group], …))

and what follows for each channel alike goes along, so that both are written straight into the whole. An infinity in one
group would make NaN of its neighbours: not with `exact`.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from dlc.ir.core import Module, Op, Value
from dlc.ir.dialects.graph_math import Where
from dlc.ir.dialects.graph_nn import Conv
from dlc.ir.dialects.graph_shape import Concat, Slice
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import constant, is_constant, known_shape, scalar_like, static_shape
from dlc.passes.graph.linear_ops import elementwise_behind, reshaped
from dlc.record import record


@record
class MergeGroups(Pass):
    name: ClassVar[str] = "merge-groups"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    most: int = 2  # groups that become one

    def run(self, module: Module, cx: PassContext) -> bool:
        if cx.options.exact:
            return False
        return apply_patterns(module, [ConvOfNarrowGroups(cx.target.facts.vector_bits // 32, self.most)], cx)


@record
class ConvOfNarrowGroups(Pattern[Conv]):
    lanes: int
    most: int

    def rewrite(self, op: Conv, rw: Rewriter) -> NoMatch | None:
        shape = static_shape(op.w)
        if op.groups == 1 or shape is None or not is_constant(op.w):
            return NoMatch("no groups, or the weights are no constant")
        if not tensor(op.x).scalar.is_float or tensor(op.x).scalar.bits > 32:
            return NoMatch("channels of this type are not blocked")
        outputs, inputs = shape[0] // op.groups, shape[1]
        if outputs == inputs == 1:
            return NoMatch("depthwise")
        count = math.lcm(self.lanes // math.gcd(inputs, self.lanes), self.lanes // math.gcd(outputs, self.lanes))
        if count == 1:
            return NoMatch("groups are whole vectors")
        if count > self.most or op.groups < count:
            return NoMatch("too many groups would be one")
        if op.groups % count:
            rw.replace(*in_two(op, op.groups - op.groups % count, count, rw))
            return None
        w = diagonal(rw, op.w, op.groups // count, count)
        rw.replace(op, rw.insert(rebuilt(op, [op.x, w, *op.operands[2:]], {"groups": op.groups // count}), op).result)
        return None


def in_two(op: Conv, first: int, count: int, rw: Rewriter) -> tuple[Op, Value]:
    """The last op of those that belong to the convolution, and what takes its place.

    That is the first groups, of which `count` become one each, and those left over.
    """
    last: Op = op
    outputs, inputs = known_shape(op.w)[0] // op.groups, known_shape(op.w)[1]
    parts: list[Value] = []
    behind = elementwise_behind(op)
    for start, end, joined in ((0, first, count), (first, op.groups, 1)):
        image = channels(rw, op.x, start * inputs, end * inputs, op)
        weights = channels(rw, op.w, start * outputs, end * outputs, op, axis=0)
        groups = (end - start) // joined
        if joined > 1:
            weights = diagonal(rw, weights, groups, joined)
        made = rw.insert(rebuilt(op, [image, weights], {"groups": groups}), op, before=op).result
        for last in behind:
            others = [
                channels(rw, each, start * outputs, end * outputs, last, axis=tensor(each).rank + 1 - tensor(made).rank)
                for each in last.operands[1:]
            ]
            made = rw.insert(rebuilt(last, [made, *others]), last, before=last).results[0]
        parts.append(made)
    return last, rw.insert(Concat(*parts, axis=1), last, before=last).result


def channels(rw: Rewriter, value: Value, start: int, end: int, before: Op, axis: int = 1) -> Value:
    """Some of a value's channels, which lie along `axis`; the value itself where it is the same for all of them."""
    shape = tensor(value).shape
    if axis < 0 or shape[axis] == 1:
        return value
    starts = tuple(start if n == axis else 0 for n in range(len(shape)))
    sizes = tuple(end - start if n == axis else dim for n, dim in enumerate(shape))
    return rw.insert(Slice(value, starts=starts, sizes=sizes), before=before).result


def diagonal(rw: Rewriter, w: Value, groups: int, count: int) -> Value:
    """The weights of `count` groups each in blocks along a diagonal, for `groups` groups."""
    outputs, inputs, *window = known_shape(w)
    ones = [1] * len(window)
    apart = reshaped(rw, w, (groups, count, outputs // groups // count, 1, inputs, *window))
    own = constant(rw, np.eye(count, dtype=np.bool_).reshape(1, count, 1, count, 1, *ones))
    spread = rw.insert(Where(own, apart, scalar_like(rw, w, 0.0))).result
    return reshaped(rw, spread, (outputs, count * inputs, *window))
