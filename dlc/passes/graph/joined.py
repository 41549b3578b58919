"""Concatenations that need no copy: which operands of a concatenation may be written straight into its result.

    %a = conv …  %b = conv …  %y = concat(%a, %b)    →    %a and %b are views of %y's memory

That holds where a part is one piece of the whole: nothing but axes of one element stands outside of the axis in memory,
and parts end with whole blocks. Layouts are chosen and memory is given by the same rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dlc.ir.core import Block, Value
from dlc.ir.dialects import graph_flow, graph_shape
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim
from dlc.ir.types import Layout, TensorType


@dataclass(frozen=True)
class Slot:
    """The place of a value: from element `start` on in the memory of `whole`."""

    whole: Value
    start: int


def concat_of(group: graph_flow.Group) -> graph_shape.Concat | None:
    """The concatenation that a group consists of, if it does nothing else."""
    ops = group.body.block.ops
    op = ops[0]
    alone = len(ops) == 2 and isinstance(op, graph_shape.Concat) and op.operands == group.body.block.args
    return op if alone and isinstance(op, graph_shape.Concat) else None


def may_share(axis: int, layout: Layout | None, parts: list[TensorType]) -> bool:
    """Whether parts laid out like their concatenation are pieces of it."""
    rank = parts[0].rank
    placed = layout or Layout(tuple(range(rank)))
    if any(not isinstance(dim, int) for part in parts for dim in part.shape) or any(placed.halo_of(axis)):
        return False
    outside = placed.order[: placed.order.index(axis)]
    if any(parts[0].shape[a] != 1 or placed.block_of(a) != 1 or any(placed.halo_of(a)) for a in outside):
        return False
    return all(_whole(part.shape[axis], placed.block_of(axis)) for part in parts)


def _whole(size: Dim, block: int) -> bool:
    return isinstance(size, int) and size > 0 and size % block == 0


def slots(block: Block) -> dict[Value, Slot]:
    """For each value that is written into a concatenation: where. A value lives in one only, the first."""
    found: dict[Value, Slot] = {}
    for group in block.ops:
        if not isinstance(group, graph_flow.Group) or (concat := concat_of(group)) is None:
            continue
        whole = group.results[0]
        layout = tensor(whole).layout
        parts = [tensor(part) for part in group.operands]
        if not may_share(concat.axis, layout, parts):
            continue
        start = 0
        for part in group.operands:
            kind = tensor(part)
            if kind.layout == layout and isinstance(part.owner, graph_flow.Group) and part not in found:
                found[part] = Slot(whole, start)
            start += elements(kind.with_layout(layout))
    return found


def elements(kind: TensorType) -> int:
    """How many elements of memory a tensor of known shape takes."""
    shape = (kind.layout or Layout(tuple(range(kind.rank)))).physical_shape(kind.shape)
    return math.prod(dim for dim in shape if isinstance(dim, int))
