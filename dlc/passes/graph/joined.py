"""Concatenations and slices that need no copy: their parts are views of the whole's memory.

    %a = conv …  %b = conv …  %y = concat(%a, %b)    →    %a and %b are written straight into %y's memory
    %x = conv …  %a = slice(%x)                      →    %a is read where it lies in %x

That holds where a part is one piece of the whole: nothing but axes of one element stands outside of the axis in memory,
and parts begin and end with whole blocks. Layouts are chosen and memory is given by the same rule.
"""

from __future__ import annotations

from collections.abc import Container

from dlc.ir.core import Func, Value
from dlc.ir.dialects import graph_flow, graph_shape
from dlc.ir.dialects.shape_rules import FindsSizes, tensor
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


def slice_of(group: graph_flow.Group) -> graph_shape.Slice | None:
    """The slice that a group consists of, if it does nothing else."""
    ops = group.body.block.ops
    op = ops[0]
    return op if isinstance(op, graph_shape.Slice) and len(ops) == 2 else None


def may_share(axis: int, layout: Layout | None, parts: list[TensorType]) -> bool:
    """Whether parts laid out like their concatenation are pieces of it."""
    placed = layout or Layout(tuple(range(parts[0].rank)))
    return _is_outermost(axis, placed, parts[0]) and all(
        _ends_with_a_block(part.shape[axis], placed.block_of(axis)) for part in parts
    )


def _is_outermost(axis: int, placed: Layout, kind: TensorType) -> bool:
    """Whether what lies at consecutive places of an axis follows one another in memory."""
    outside = placed.order[: placed.order.index(axis)]
    inside = any(kind.shape[a] != 1 or placed.block_of(a) != 1 or any(placed.halo_of(a)) for a in outside)
    return not inside and not any(placed.halo_of(axis))


def _ends_with_a_block(size: Dim, block: int) -> bool:
    return block == 1 or (isinstance(size, int) and size % block == 0)


def pieces(main: Func, placed: Container[Value]) -> dict[Value, Piece]:
    """The values that can be written into a concatenation; not those `placed` elsewhere already.

    A value lives in one only. Sizes found at run time are not known where memory is given out.
    """
    finds_sizes = any(isinstance(op, FindsSizes) for op in main.walk())
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


def first_of(op: graph_shape.Slice, layout: Layout | None) -> Expr | None:
    """Where a slice begins in the memory of what it is taken from, if it is a piece; both have this layout."""
    kind = tensor(op.x)
    placed = layout or Layout(tuple(range(kind.rank)))
    cut = [axis for axis, size in enumerate(op.sizes) if size != kind.shape[axis]]
    if len(cut) != 1 or any(step != 1 for step in op.steps):
        return None
    axis, block = cut[0], placed.block_of(cut[0])
    start, size = op.starts[axis], op.sizes[axis]
    is_last = as_expr(start) + as_expr(size) == as_expr(kind.shape[axis])
    if not _is_outermost(axis, placed, kind) or not _ends_with_a_block(start, block):
        return None
    if not is_last and not _ends_with_a_block(size, block):
        return None
    before = TensorType((*kind.shape[:axis], start, *kind.shape[axis + 1 :]), kind.element, layout)
    return memory_elements(before)


def views(main: Func, placed: Container[Value]) -> dict[Value, Piece]:
    """The slices that can be read where they lie; not those `placed` elsewhere, where they must be copied to.

    Sizes found at run time are not known where memory is given out.
    """
    finds_sizes = any(isinstance(op, FindsSizes) for op in main.walk())
    found: dict[Value, Piece] = {}
    for group in main.block.ops:
        if not isinstance(group, graph_flow.Group) or (op := slice_of(group)) is None or group.result in placed:
            continue
        whole, part = group.operands[0], group.result
        layout = tensor(whole).layout
        if tensor(part).layout != layout or (finds_sizes and not (tensor(whole).is_static and tensor(part).is_static)):
            continue
        if (first := first_of(op, layout)) is not None:
            found[part] = Piece(whole, first)
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
