"""How much a group of ops has to do, whatever way its kernel does it: `dlc profile` divides by the time it took."""

from __future__ import annotations

from dlc.ir.core import Op
from dlc.ir.dialects import (
    graph_attention,
    graph_flow,
    graph_nn,
    graph_recurrent,
    graph_shape,
    graph_strassen,
    graph_winograd,
)
from dlc.ir.expr import Expr, as_expr, ceil_div
from dlc.ir.types import BufferType, TensorType


def operations(group: graph_flow.Group) -> Expr:
    """Arithmetic operations on elements; a multiplication with its addition counts as two, moving an element as none.

    Convolutions and products count as if they were computed directly, so an algorithm that needs fewer multiplications
    can exceed the machine's peak.
    """
    return sum((operations_of(op) for op in group.body.block.ops), as_expr(0))


def performed(group: graph_flow.Group) -> Expr:
    """Like `operations`, but what Winograd's or Strassen's algorithm multiplies and adds instead; no transforms."""
    return sum((performed_by(op) for op in group.body.block.ops), as_expr(0))


def performed_by(op: Op) -> Expr:
    if isinstance(op, graph_strassen.StrassenMatMul):
        return 2 * shape(op.s)[1] * elements(op.u)
    if isinstance(op, graph_winograd.WinogradProducts):
        return 2 * elements(op.result) * shape(op.v)[2]
    if not isinstance(op, graph_winograd.WinogradConv):
        return operations_of(op)
    images, channels, *size = shape(op.result)
    tiles = images * product(tuple(ceil_div(extent, op.tile) for extent in size))
    count = graph_winograd.places(op.tile, op.window, op.stride)
    return 2 * count * tiles * channels * as_expr(shape(op.operands[1])[1])


def operations_of(op: Op) -> Expr:
    match op:
        case graph_nn.MatMul() | graph_winograd.WinogradProducts():
            return 2 * elements(op.result) * as_expr(shape(op.operands[0])[-1])
        case graph_strassen.StrassenMatMul():
            return 2 * elements(op.result) * 2 * as_expr(shape(op.operands[0])[-1])
        case graph_attention.Attention():
            return 2 * elements(op.result) * shape(op.k)[1] + 2 * elements(op.q) * shape(op.k)[1]
        case graph_nn.Conv():
            return 2 * elements(op.result) * product(shape(op.operands[1])[1:])
        case graph_winograd.WinogradConv():
            return 2 * op.window**2 * elements(op.result) * as_expr(shape(op.operands[1])[1])
        case graph_recurrent.Recurrence():
            return 2 * elements(op.operands[0]) * shape(op.operands[1])[1]
        case graph_nn.ConvTranspose():
            return 2 * elements(op.operands[0]) * product(shape(op.operands[1])[1:])
    if type(op) in graph_shape.OPS or not op.results or not isinstance(op.results[0].type, TensorType):
        return as_expr(0)
    sizes = [elements(value) for value in (*op.operands, op.results[0]) if isinstance(value.type, TensorType)]
    known = [size.value for size in sizes if size.is_const]
    return as_expr(max(known)) if len(known) == len(sizes) else sizes[0]


def elements(value: object) -> Expr:
    return product(shape(value))


def product(sizes: tuple[Expr, ...]) -> Expr:
    total = as_expr(1)
    for size in sizes:
        total = total * size
    return total


def shape(value: object) -> tuple[Expr, ...]:
    kind = getattr(value, "type", None)
    return tuple(as_expr(dim) for dim in kind.shape) if isinstance(kind, TensorType | BufferType) else ()
