"""Concatenations without a copy: what is joined along the outermost axis is written where it belongs from the start.

    %p = group …, %q = group …, %y = concat(%p, %q)    →    %p = view of %y from 0, %q = view of %y behind %p

The keys and values of a decoder are joined like that into what it returns.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from dlc.ir.core import Func, Op, Value
from dlc.ir.dialects import graph_flow, graph_shape
from dlc.ir.dialects.graph_index import Counting
from dlc.ir.expr import Expr, as_expr, const, product
from dlc.ir.types import TensorType


@dataclass(frozen=True)
class Piece:
    """Where a value lies: in the memory of `whole`, from element `first` on."""

    whole: Value
    first: Expr


def pieces(main: Func, placed: Container[Value]) -> dict[Value, Piece]:
    """The values that can be written into the concatenation that joins them; not those `placed` elsewhere already.

    A concatenation joins all its operands or none. Sizes found at run time are not known where memory is given out.
    """
    found: dict[Value, Piece] = {}
    if any(isinstance(op, Counting) for op in main.walk()):
        return found
    for op in reversed(main.block.ops):  # from the outside in: a piece may itself be made of pieces
        sources = [_source(part) for part in _joined(op)]
        if not sources or len(set(sources)) < len(sources):
            continue
        if any(source is None or source in placed or source in found for source in sources):
            continue
        first: Expr = const(0)
        for source in sources:
            if source is not None:
                found[source] = Piece(op.results[0], first)
                first = first + _elements(source)
    return found


def _joined(op: Op) -> list[Value]:
    """The operands of a group that is a concatenation along its outermost axis and nothing else."""
    if not isinstance(op, graph_flow.Group) or len(op.body.block.ops) != 2 or not _is_plain(op.results[0]):
        return []
    concat = op.body.block.ops[0]
    if not isinstance(concat, graph_shape.Concat) or any(v.owner is not op.body.block for v in concat.operands):
        return []
    kind = concat.results[0].type
    if not isinstance(kind, TensorType) or any(dim != 1 for dim in kind.shape[: concat.axis]):
        return []
    return [op.operands[value.index] for value in concat.operands]


def _source(value: Value) -> Value | None:
    """The result of a group that lies behind `value` and its reshapes, if it can lie anywhere."""
    while isinstance(op := value.defining_op, graph_shape.Reshape):
        if not _is_plain(value) or _elements(op.x) != _elements(value):
            return None
        value = op.x
    return value if isinstance(op, graph_flow.Group) and _is_plain(value) else None


def _is_plain(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.layout is None


def _elements(value: Value) -> Expr:
    return as_expr(product(value.type.shape)) if isinstance(value.type, TensorType) else const(0)
