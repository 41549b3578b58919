"""Vectors on explicit lanes: memory accesses, broadcasts, reductions, and the contraction that register tiles use."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op
from dlc.ir.dialects.buf import buffer_type, check_index
from dlc.ir.expr import Expr
from dlc.ir.opdef import (
    BUFFER,
    INDEX_VALUE,
    PURE,
    SCALAR_OR_VECTOR,
    VECTOR,
    AttrDef,
    Constraint,
    attr,
    op_def,
    operand,
    operands,
)
from dlc.ir.types import INDEX, ScalarType, Type, VectorType, scalar_type

INDEX_OR_LANES = Constraint(
    "an index or a vector of indices",
    lambda t: isinstance(t, ScalarType | VectorType) and scalar_type(t).name == "index",
)


@op_def("vec.load")
class Load(Op):
    """`lanes` elements: lane l is the element at ``at + l * step`` (`step`: one int per axis; default: 1 in the last).

    Without a step, lanes that are a multiple of the last axis and start at its beginning take whole rows, one after the
    other. `valid` (an expression) limits the access to the first lanes; the others are 0 and touch no memory.
    """

    buffer = operand(BUFFER)
    indices = operands(INDEX_VALUE)
    at: AttrDef[tuple[Expr, ...]] = attr(kind=tuple)
    lanes = attr(kind=int)
    step: AttrDef[tuple[int, ...]] = attr(())
    valid: AttrDef[Expr | None] = attr(None)

    def infer(self) -> tuple[Type, ...]:
        return (VectorType(self.lanes, buffer_type(self.buffer).element),)

    def check(self) -> Iterator[str]:
        return check_index(self, self.buffer, self.at)


@op_def("vec.store")
class Store(Op):
    """Put the lanes of a vector into a buffer; `step` and `valid` as in ``vec.load``."""

    value = operand(VECTOR)
    buffer = operand(BUFFER)
    indices = operands(INDEX_VALUE)
    at: AttrDef[tuple[Expr, ...]] = attr(kind=tuple)
    step: AttrDef[tuple[int, ...]] = attr(())
    valid: AttrDef[Expr | None] = attr(None)

    def check(self) -> Iterator[str]:
        return check_index(self, self.buffer, self.at)


@op_def("vec.prefetch")
class Prefetch(Op):
    """Ask for the cache line of an element before it is needed. The element need not exist."""

    buffer = operand(BUFFER)
    indices = operands(INDEX_VALUE)
    at: AttrDef[tuple[Expr, ...]] = attr(kind=tuple)

    def check(self) -> Iterator[str]:
        return check_index(self, self.buffer, self.at)


@op_def("vec.gather")
class Gather(Op):
    """Elements at indices that differ by lane: an index operand may be a vector of indices.

    `valid` limits the access to the first lanes.
    """

    buffer = operand(BUFFER)
    indices = operands(INDEX_OR_LANES)
    at: AttrDef[tuple[Expr, ...]] = attr(kind=tuple)
    lanes = attr(kind=int)
    valid: AttrDef[Expr | None] = attr(None)

    def infer(self) -> tuple[Type, ...]:
        return (VectorType(self.lanes, buffer_type(self.buffer).element),)

    def check(self) -> Iterator[str]:
        return check_index(self, self.buffer, self.at)


@op_def("vec.broadcast", traits={PURE})
class Broadcast(Op):
    """The scalar in every lane; a vector is repeated to fill `lanes`."""

    x = operand(SCALAR_OR_VECTOR)
    lanes = attr(kind=int)

    def infer(self) -> tuple[Type, ...]:
        return (VectorType(self.lanes, scalar_type(self.x.type)),)


@op_def("vec.lanes", traits={PURE})
class Lanes(Op):
    """``expr + l * step`` in lane l, as indices."""

    indices = operands(INDEX_OR_LANES)
    expr = attr(kind=Expr)
    lanes = attr(kind=int)
    step = attr(1)

    def infer(self) -> tuple[Type, ...]:
        return (VectorType(self.lanes, INDEX),)


@op_def("vec.extract", traits={PURE})
class Extract(Op):
    """One lane."""

    x = operand(VECTOR)
    lane = attr(kind=int)

    def infer(self) -> tuple[Type, ...]:
        return (scalar_type(self.x.type),)


@op_def("vec.transpose", traits={PURE})
class Transpose(Op):
    """A square in registers: lane l of result n is lane n of operand l."""

    rows = operands(VECTOR)

    def infer(self) -> tuple[Type, ...]:
        return tuple(value.type for value in self.rows)

    def check(self) -> Iterator[str]:
        kinds = list(dict.fromkeys(v.type for v in self.operands))
        lanes = kinds[0].lanes if kinds and isinstance(kinds[0], VectorType) else 0
        if len(kinds) != 1 or lanes != len(self.operands) or lanes & (lanes - 1):
            found = f"{len(self.operands)} of {lanes} lanes"
            yield f"c1: as many vectors of one type as it has lanes, a power of two, got {found}"


REDUCTIONS = ("add", "mul", "min", "max", "and", "or")


@op_def("vec.reduce", traits={PURE})
class Reduce(Op):
    """All lanes combined pairwise (a balanced tree) into one scalar."""

    x = operand(VECTOR)
    kind = attr(kind=str)

    def infer(self) -> tuple[Type, ...]:
        return (scalar_type(self.x.type),)

    def check(self) -> Iterator[str]:
        if self.kind not in REDUCTIONS:
            yield f"c1: kind must be one of {', '.join(REDUCTIONS)}, got {self.kind!r}"


@op_def("vec.dot", traits={PURE})
class Dot(Op):
    """``acc[l] + sum over g of x[l*G + g] * y[l*G + g]``, G = lanes of x over lanes of acc: a contraction in groups.

    f32 uses ``arith.fma`` (a group of one); this one is for operands narrower than the accumulator.
    """

    acc = operand(VECTOR)
    x = operand(VECTOR)
    y = operand(VECTOR)

    def infer(self) -> tuple[Type, ...]:
        return (self.acc.type,)

    def check(self) -> Iterator[str]:
        lanes = [v.type.lanes for v in self.operands if isinstance(v.type, VectorType)]
        if len(lanes) == 3 and (lanes[1] != lanes[2] or lanes[1] % lanes[0]):
            yield f"c1: x and y must have a multiple of acc's {lanes[0]} lanes, got {lanes[1]} and {lanes[2]}"


OPS = (Load, Store, Prefetch, Gather, Broadcast, Lanes, Extract, Transpose, Reduce, Dot)
