"""Concatenations that need no copy: which values may be written straight into the concatenation that joins them.

    %a = conv …  %b = conv …  %y = concat(%a, %b)    →    %a and %b are views of %y's memory

That holds where a part is one piece of the whole: nothing but axes of one element stands outside of the axis in memory,
and parts end with whole blocks. Layouts are chosen and memory is given by the same rule.
"""

from __future__ import annotations

from collections.abc import Container

from dlc.ir.core import Func, Value
from dlc.ir.dialects import graph_flow, graph_shape
from dlc.ir.dialects.graph_index import Counting
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, Expr, as_expr, const, product
from dlc.ir.types import Layout, TensorType
from dlc.record import record


@record
class Piece:
    """The place of a value: from element `first` on in the memory of `whole`."""

    whole: Value
    first: Expr


def concat_of(group: graph_flow.Group) -> graph_shape.Concat | None:
    """The concatenation that a group consists of, if it does nothing else."""
    ops = group.body.block.ops
    op = ops[0]
    alone = len(ops) == 2 and isinstance(op, graph_shape.Concat) and op.operands == group.body.block.args
    return op if alone and isinstance(op, graph_shape.Concat) else None


def may_share(axis: int, layout: Layout | None, parts: list[TensorType]) -> bool:
    """Whether parts laid out like their concatenation are pieces of it."""
    placed = layout or Layout(tuple(range(parts[0].rank)))
    if any(placed.halo_of(axis)):
        return False
    outside = placed.order[: placed.order.index(axis)]
    if any(parts[0].shape[a] != 1 or placed.block_of(a) != 1 or any(placed.halo_of(a)) for a in outside):
        return False
    return all(_ends_with_a_block(part.shape[axis], placed.block_of(axis)) for part in parts)


def _ends_with_a_block(size: Dim, block: int) -> bool:
    return block == 1 or (isinstance(size, int) and size % block == 0)


def pieces(main: Func, placed: Container[Value]) -> dict[Value, Piece]:
    """The values that can be written into a concatenation; not those `placed` elsewhere already.

    A value lives in one only. Sizes found at run time are not known where memory is given out.
    """
    finds_sizes = any(isinstance(op, Counting) for op in main.walk())
    found: dict[Value, Piece] = {}
    for group in reversed(main.block.ops):  # from the outside in: a piece may itself be made of pieces
        if not isinstance(group, graph_flow.Group) or (concat := concat_of(group)) is None:
            continue
        whole = group.results[0]
        layout = tensor(whole).layout
        parts = [tensor(part) for part in group.operands]
        if not may_share(concat.axis, layout, parts) or (finds_sizes and not all(part.is_static for part in parts)):
            continue
        first: Expr = const(0)
        for part, kind in zip(group.operands, parts, strict=True):
            source = source_of(part)
            free = source not in placed and source not in found
            if free and kind.layout == layout and isinstance(source.owner, graph_flow.Group):
                found[source] = Piece(whole, first)
            first = first + memory_elements(kind.with_layout(layout))
    return found


def source_of(value: Value) -> Value:
    """What lies behind a value and its reshapes, as long as these are views of the same memory."""
    while isinstance(op := value.defining_op, graph_shape.Reshape):
        if tensor(value).layout is not None or tensor(op.x).layout is not None:
            return value
        if tensor(op.x).elements != tensor(value).elements:  # a size assumed of one that is found
            return value
        value = op.x
    return value


def memory_elements(kind: TensorType) -> Expr:
    """How many elements of memory a tensor takes."""
    return as_expr(product((kind.layout or Layout(tuple(range(kind.rank)))).physical_shape(kind.shape)))
