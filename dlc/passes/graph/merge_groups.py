"""Merge groups of a convolution until each has whole vectors of channels.

    conv(x, w: 64 x 8 x 3 x 3, groups 8)    →    conv(x, w': 64 x 16 x 3 x 3, groups 4)

w' holds w in blocks along a diagonal, and zeros. The sums have `most` times as many terms at the most, but channels lie
in blocks and in lanes. An infinity in one group would make NaN of its neighbours: not with `exact`.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_math import Where
from dlc.ir.dialects.graph_nn import Conv
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns, rebuilt
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import constant, is_constant, known_shape, scalar_like, static_shape
from dlc.passes.graph.linear_ops import reshaped
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
        if count > self.most or op.groups % count:
            return NoMatch("too many groups would be one")
        w = diagonal(rw, op.w, op.groups // count, count)
        rw.replace(op, rw.insert(rebuilt(op, [op.x, w, *op.operands[2:]], {"groups": op.groups // count}), op).result)
        return None


def diagonal(rw: Rewriter, w: Value, groups: int, count: int) -> Value:
    """The weights of `count` groups each in blocks along a diagonal, for `groups` groups."""
    outputs, inputs, *window = known_shape(w)
    ones = [1] * len(window)
    apart = reshaped(rw, w, (groups, count, outputs // groups // count, 1, inputs, *window))
    own = constant(rw, np.eye(count, dtype=np.bool_).reshape(1, count, 1, count, 1, *ones))
    spread = rw.insert(Where(own, apart, scalar_like(rw, w, 0.0))).result
    return reshaped(rw, spread, (outputs, count * inputs, *window))
