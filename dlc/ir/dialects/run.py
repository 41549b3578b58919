"""What `main` consists of at the loop level: memory, and calls of kernels on it, in order.

Buffers of the arena get their place from the memory planner. A view is the same memory under another shape. Named
dimensions are known throughout `main`, but for those that a kernel finds out: they are known once it has been called.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op, Value
from dlc.ir.expr import Expr, const
from dlc.ir.opdef import BUFFER, TERMINATOR, AttrDef, attr, op_def, operand, operands, region
from dlc.ir.pool import DenseRef
from dlc.ir.requirements import EQUAL, RELATIONS
from dlc.ir.types import BufferType, TensorType, Type


@op_def("run.alloc")
class Alloc(Op):
    """Memory of the arena; `offset` in bytes once planned. If `late`, memory that the run takes when it comes here."""

    type = attr(kind=BufferType)
    offset: AttrDef[Expr | None] = attr(None)
    late = attr(False)

    def infer(self) -> tuple[Type, ...]:
        return (self.type,)


@op_def("run.constant")
class Constant(Op):
    """Read-only memory that holds a constant of the pool, laid out as `tensor` says; `offset` in bytes once placed."""

    value = attr(kind=DenseRef)
    tensor = attr(kind=TensorType)
    offset: AttrDef[Expr | None] = attr(None)

    def infer(self) -> tuple[Type, ...]:
        return (self.tensor.buffer("const"),)


@op_def("run.view")
class View(Op):
    """The memory of a buffer, from element `first` on, as a buffer of another shape; it must hold as many elements."""

    buffer = operand(BUFFER)
    type = attr(kind=BufferType)
    first: AttrDef[Expr] = attr(const(0))

    def infer(self) -> tuple[Type, ...]:
        return (self.type,)


@op_def("run.call")
class Call(Op):
    """Run a kernel on buffers: the function `kernel`, cut into `chunks` that may run on several threads."""

    buffers = operands(BUFFER)
    kernel = attr(kind=str)
    chunks = attr(kind=Expr)
    writes = attr(1)  # the last so many buffers are written, the others read
    over: AttrDef[tuple[int, ...]] = attr(())  # buffers that are read; the one that is written may be any of them
    publishes: AttrDef[tuple[str, ...]] = attr(())  # the named dimensions that are known once it has run

    def check(self) -> Iterator[str]:
        if not 0 <= self.writes <= len(self.operands):
            yield f"c1: {self.writes} written buffers of {len(self.operands)}"
        if self.over and (self.writes != 1 or max(self.over) >= len(self.operands) - 1):
            yield "c2: one buffer may be written over those that are only read"


@op_def("run.check")
class Check(Op):
    """Fail unless `left` stands in the relation to `right`; {0} and {1} in `message` are what they are.

    Before the run where only sizes of inputs occur; where it stands, if a size found at run time does. {=name} in the
    message is the value of a named dimension.
    """

    left = attr(kind=Expr)
    right = attr(kind=Expr)
    relation = attr(EQUAL)
    message = attr(kind=str)

    def check(self) -> Iterator[str]:
        if self.relation not in RELATIONS:
            yield f"c1: relation must be one of {', '.join(RELATIONS)}"


@op_def("run.read")
class Read(Op):
    """The elements of a buffer of si64, at its start, become the values of the named dimensions `publishes`.

    Fail where one is negative, or more than its bound in `most`; {0} and {1} in `message` are what came and the bound.
    """

    buffer = operand(BUFFER)
    publishes: AttrDef[tuple[str, ...]] = attr(kind=tuple)
    most: AttrDef[tuple[Expr, ...]] = attr(kind=tuple)
    message = attr(kind=str)

    def check(self) -> Iterator[str]:
        if len(self.publishes) != len(self.most):
            yield "c1: there must be as many bounds as dimensions"


@op_def("run.yield", traits={TERMINATOR})
class Yield(Op):
    """The buffers that a region hands on"""

    buffers = operands(BUFFER)


@op_def("run.if")
class If(Op):
    """Run the first region where the bool at the start of the buffer holds, else the second.

    Then the named dimensions `publishes` are what `then_sizes` or `else_sizes` say. The results are the buffers that
    the region has yielded, of these `types`.
    """

    condition = operand(BUFFER)
    publishes: AttrDef[tuple[str, ...]] = attr(())
    then_sizes: AttrDef[tuple[Expr, ...]] = attr(())
    else_sizes: AttrDef[tuple[Expr, ...]] = attr(())
    types: AttrDef[tuple[BufferType, ...]] = attr(())
    then = region()
    otherwise = region()

    def infer(self) -> tuple[Type, ...]:
        return self.types

    def check(self) -> Iterator[str]:
        if not len(self.publishes) == len(self.then_sizes) == len(self.else_sizes):
            yield "c1: there must be a size for each dimension in both regions"
        for body in (self.then, self.otherwise):
            if len(body.block.terminator.operands) != len(self.types):
                yield "c2: both regions must yield a buffer for each result"


@op_def("run.loop")
class Loop(Op):
    """Run the region again and again, `count` times at most, as long as the condition holds.

    The buffers are the count, if it is `counted`, the condition, if it is `conditional`, the number of the trip and the
    condition for the region to read, then per carried value its first buffer and, unless it is `late`, two to write to
    in turn, then the stacks. The region gets per carried value what it is and, unless it is late, where the next is to
    go, and per stack the row of this trip. It yields its condition and the late values of the next trip. The results
    are the carried values after the last trip.

    The dimensions `publishes` are `first_sizes` before, and after each trip what `next_sizes` say; `length` is how many
    trips there were.
    """

    buffers = operands(BUFFER)
    counted = attr(False)
    conditional = attr(False)
    late: AttrDef[tuple[bool, ...]] = attr(())  # per carried value: each trip takes memory for the next one
    publishes: AttrDef[tuple[str, ...]] = attr(())
    first_sizes: AttrDef[tuple[Expr, ...]] = attr(())
    next_sizes: AttrDef[tuple[Expr, ...]] = attr(())
    length = attr("")
    message = attr("")  # where the count is negative
    most_trips = attr(0)  # that a run may make; 0: any number
    limit_message = attr("")  # where it makes more
    body = region()

    def infer(self) -> tuple[Type, ...]:
        args = iter(self.body.block.args)
        kinds = []
        for late in self.late:
            kinds.append(next(args).type)
            if not late:
                next(args)
        return tuple(BufferType(kind.shape, kind.element) for kind in kinds if isinstance(kind, BufferType))

    @property
    def head(self) -> list[Value]:
        """Count and condition, as far as there are any, and the cells that the region reads."""
        return self.operands[: 2 + self.counted + self.conditional]

    @property
    def carried(self) -> list[list[Value]]:
        """Per carried value its first buffer, and the two that are written in turn."""
        rest = iter(self.operands[2 + self.counted + self.conditional :])
        return [[next(rest)] if late else [next(rest), next(rest), next(rest)] for late in self.late]

    @property
    def stacks(self) -> list[Value]:
        used = sum(1 if late else 3 for late in self.late)
        return self.operands[2 + self.counted + self.conditional + used :]

    def check(self) -> Iterator[str]:
        if not len(self.publishes) == len(self.first_sizes) == len(self.next_sizes):
            yield "c1: there must be a first and a next size for each dimension"
        wanted = sum(1 if late else 2 for late in self.late) + len(self.stacks)
        if len(self.body.block.args) != wanted:
            yield f"c2: the region must have {wanted} arguments"
        if len(self.body.block.terminator.operands) != 1 + sum(self.late):
            yield "c3: the region must yield its condition and the late values"


OPS = (Yield, If, Loop, Read, Alloc, Constant, View, Call, Check)
