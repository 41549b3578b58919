"""Let convolutions read the channels that they need where these were written, instead of shuffling them.

    %c = concat(%a, %b)
    %s = reshape(transpose(reshape(%c)))     →    %c = concat(%a', %b')
    %y = conv(slice(%s), w)                       %y = conv(%c, w', [29, 30, …, 93, …])

All that such a chain of movements starts from is joined once, and each convolution has a list of the channels that it
reads; its weights are sorted as these lie in memory. So that the parts can be written straight into the whole
(`joined.py`), those of broken blocks are computed with more channels: lanes that are there anyway.
What else reads a result of such a chain gets it by one gather.
"""

from __future__ import annotations

from typing import ClassVar, TypeGuard

import numpy as np

from dlc.errors import InternalError
from dlc.ir.core import Block, Module, Op, Value
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_nn import Conv
from dlc.ir.dialects.graph_shape import Concat, Pad
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.rewrite import Rewriter, rebuilt
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.channel_origins import Origins, channel_count
from dlc.passes.graph.constants import constant, is_constant
from dlc.record import record


@record
class SelectChannels(Pass):
    name: ClassVar[str] = "select-channels"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for body in module.bodies:
            worker = _Worker(body.block, rw, cx.target.facts.vector_bits // 32)
            for op in list(body.block.ops):
                worker.readers(op)
        return rw.changed


class _Worker:
    def __init__(self, block: Block, rw: Rewriter, lanes: int) -> None:
        self.rw = rw
        self.lanes = lanes
        self.origins = Origins()
        self.moved: dict[Op, list[int]] = {}  # readers of moved values, with the operands
        for op in block.ops:
            found = [n for n, value in enumerate(op.operands) if self.origins.is_moved(value)]
            if found and not isinstance(op, Concat):
                self.moved[op] = found
        self.listed = {  # what convolutions will read so: only of that the others' gathers are worth it
            source
            for op, numbers in self.moved.items()
            if numbers[0] == 0 and selects(op) and op.operands[0] in self.origins.shuffled
            for source in self.origins.sources[op.operands[0]]
        }
        self.whole: dict[Value, Value] = {}  # sources with enough channels to fill blocks
        self.joined: dict[tuple[Value, ...], Value] = {}
        self.gathered: dict[Value, Value] = {}
        self.replaced: dict[Value, Value] = {}  # results of convolutions that have got a list of channels

    def readers(self, op: Op) -> None:
        """Have an op read channels where they were written."""
        if op in self.origins.movements:
            return
        for number in self.moved.get(op, ()):
            value = op.operands[number]
            sources = self.origins.sources[value]
            if value not in self.origins.shuffled or self.listed.isdisjoint(sources):
                continue
            self.rw.root = op
            base = self.base(sources)
            if base is None:
                continue
            places = self.places(value)
            if number == 0 and selects(op):
                self.select(op, base, places)
                return
            if value not in self.gathered:
                indices = constant(self.rw, np.array(places, np.int64))
                self.gathered[value] = self.rw.insert(Gather(base, indices, axis=1)).result
            self.rw.set_operand(op, number, self.gathered[value])

    def select(self, op: Conv, base: Value, places: list[int]) -> None:
        order = np.argsort(places)
        sorted_places = np.array(places, np.int32)[order]
        weights = self.rw.insert(Gather(op.w, constant(self.rw, order.astype(np.int64)), axis=1)).result
        all_of_it = sorted_places.tolist() == list(range(channel_count(base)))
        listed = [] if all_of_it else [constant(self.rw, sorted_places)]
        made = self.rw.insert(rebuilt(op, [base, weights, *listed])).result
        self.replaced[op.result] = made
        self.rw.replace(op, made)

    def places(self, value: Value) -> list[int]:
        """Where the channels of a value lie in the concatenation of what they come from."""
        first, starts = 0, {}
        for source in self.origins.sources[value]:
            starts[source] = first
            first += channel_count(self.filled(source))
        return [starts[source] + channel for source, channel in self.origins.of(value)]

    def base(self, sources: list[Value]) -> Value | None:
        """All sources in one value, each from a whole block on; none if they cannot be written so."""
        key = tuple(sources)
        if key not in self.joined:
            if not all(map(self.can_be_filled, sources)):
                return None
            parts = [self.filled(source) for source in sources]
            self.joined[key] = self.rw.insert(Concat(*parts, axis=1)).result if len(parts) > 1 else parts[0]
        return self.joined[key]

    def can_be_filled(self, source: Value) -> bool:
        """Whether a value fills blocks, or can be computed so: it is, or nothing but movements reads it."""
        now = self.replaced.get(source, source)
        alone = all(user in self.origins.movements for user in now.users())
        return source in self.whole or channel_count(now) % self.lanes == 0 or (alone and is_extensible(now))

    def filled(self, source: Value) -> Value:
        """The value with so many channels that they fill blocks."""
        if source not in self.whole:
            now, extra = self.replaced.get(source, source), -channel_count(source) % self.lanes
            self.whole[source] = self.extended(now, extra) if extra else now
        return self.whole[source]

    def extended(self, value: Value, extra: int) -> Value:
        """A convolution, and what is element-wise behind it, with more channels."""
        op = value.defining_op
        if op is None:
            raise InternalError("an input has no more channels")
        if isinstance(op, Conv):
            weights = self.padded(op.w, 0, extra, op)
            return self.rw.insert(rebuilt(op, [op.x, weights, *op.operands[2:]]), op, before=op).result
        operands: list[Value] = []
        for each in op.operands:
            axis = channel_axis(each, op)
            if axis is None:
                operands.append(each)
            else:
                constant = is_constant(each)
                operands.append(self.padded(each, axis, extra, op) if constant else self.extended(each, extra))
        return self.rw.insert(rebuilt(op, operands), op, before=op).results[0]

    def padded(self, value: Value, axis: int, extra: int, reader: Op) -> Value:
        """A constant with zeros added, for fold-constants to compute."""
        after = tuple(extra if n == axis else 0 for n in range(tensor(value).rank))
        return self.rw.insert(Pad(value, before=(0,) * len(after), after=after), before=reader).result


def selects(op: Op) -> TypeGuard[Conv]:
    """Whether an op is a convolution that can have a list of channels."""
    if not isinstance(op, Conv):
        return False
    return op.groups == 1 and op.channels is None and is_constant(op.w) and tensor(op.x).scalar.is_float


def is_extensible(value: Value) -> bool:
    """Whether a value is a convolution, or something element-wise of one that nothing else reads."""
    op = value.defining_op
    if isinstance(op, Conv):
        return op.groups == 1 and is_constant(op.w)
    if op is None or not op.spec.has(ELEMENTWISE):
        return False
    wide = [each for each in op.operands if channel_axis(each, op) is not None and not is_constant(each)]
    return bool(wide) and all(each.has_one_use() and is_extensible(each) for each in wide)


def channel_axis(value: Value, reader: Op) -> int | None:
    """The axis along which an operand of an element-wise op has the channels of the result; none if one is for all."""
    shape = tensor(value).shape
    axis = 1 - (tensor(reader.results[0]).rank - len(shape))
    return None if axis < 0 or shape[axis] == 1 else axis
