"""Structured control flow of the loop level."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Block, Op, Value
from dlc.ir.expr import Expr
from dlc.ir.opdef import ANY, BOOL_VALUE, TERMINATOR, Constraint, attr, op_def, operand, operands, region
from dlc.ir.types import INDEX, ScalarType, Type, VectorType, scalar_type

KINDS = ("serial", "parallel", "shared", "spread")
INDICES = Constraint(
    "an index or a vector of them", lambda t: isinstance(t, ScalarType | VectorType) and scalar_type(t) == INDEX
)


@op_def("loop.for")
class For(Op):
    """``for iv in range(lower, upper, step)`` with values carried from one iteration to the next.

    The operands are the indices that the bounds mention (``d0``, …), then the `carried` initial values. The body has
    the loop's variable and the carried values as arguments and ends in ``loop.yield``. The iterations of a ``parallel``
    loop may run in any order and at the same time; it carries nothing. So may those of a ``shared`` loop inside of it,
    on the threads that work on one iteration of the parallel loop together, its team (`dlc/ir/teams.py`), and those of
    a ``spread`` loop, which are chunks as well (`dlc/passes/loop/spread.py`). A `zigzag` loop, whose iterations may run
    in any order too, goes the other way each time it is run again: it begins with what is still in the cache.
    """

    values = operands(ANY)
    lower = attr(kind=Expr)
    upper = attr(kind=Expr)
    step = attr(1)
    carried = attr(0)
    kind = attr("serial")
    zigzag = attr(False)
    name_hint = attr("")
    body = region()

    @property
    def indices(self) -> list[Value]:
        return self.operands[: len(self.operands) - self.carried]

    @property
    def inits(self) -> list[Value]:
        return self.operands[len(self.operands) - self.carried :]

    @property
    def block(self) -> Block:
        return self.regions[0].block

    @property
    def variable(self) -> Value:
        return self.block.args[0]

    @property
    def trip_count(self) -> int | None:
        """How often the body runs, where that is known."""
        span = self.upper - self.lower
        return max(0, -(-span.value // self.step)) if span.is_const else None

    def infer(self) -> tuple[Type, ...]:
        return tuple(value.type for value in self.inits)

    def check(self) -> Iterator[str]:
        if self.kind not in KINDS:
            yield f"c1: kind must be one of {', '.join(KINDS)}, got {self.kind!r}"
        if self.kind != "serial" and self.carried:
            yield "c2: a parallel, shared or spread loop cannot carry values"
        if [a.type for a in self.block.args[1:]] != [v.type for v in self.inits]:
            yield "c3: the body's arguments must be the variable and the carried values"
        if [v.type for v in self.block.terminator.operands] != [v.type for v in self.inits]:
            yield "c4: the body must yield one value per carried value, of its type"
        if self.step < 1:
            yield f"c5: step must be positive, got {self.step}"
        if self.zigzag and (self.carried or self.step != 1):
            yield "c6: a zigzag loop cannot carry values, and goes by 1"


@op_def("loop.if")
class If(Op):
    """Run one of two blocks; the results are what it yields."""

    condition = operand(BOOL_VALUE)
    then = region()
    otherwise = region()

    def infer(self) -> tuple[Type, ...]:
        return tuple(v.type for v in self.regions[0].block.terminator.operands) if self.regions else ()

    def check(self) -> Iterator[str]:
        kinds = [[v.type for v in r.block.terminator.operands] for r in self.regions]
        if kinds[0] != kinds[1]:
            yield "c1: both blocks must yield the same types"


@op_def("loop.while")
class While(Op):
    """Repeat while the first region's ``loop.condition`` holds; the second region computes the next carried values."""

    inits = operands(ANY)
    before = region()
    after = region()

    def infer(self) -> tuple[Type, ...]:
        return tuple(value.type for value in self.inits)


@op_def("loop.condition", traits={TERMINATOR})
class Condition(Op):
    """Ends the first region of a while: whether to go on, and the values for the body or the result."""

    condition = operand(BOOL_VALUE)
    values = operands(ANY)


@op_def("loop.yield", traits={TERMINATOR})
class Yield(Op):
    """Ends a block with its values."""

    values = operands(ANY)


@op_def("loop.check")
class Check(Op):
    """Leave the kernel with an error unless the condition holds; {0} and {1} in `message` are the two numbers.

    On vectors it must hold in every lane, and the numbers are those of the first lane where it does not.
    """

    condition = operand(BOOL_VALUE)
    first = operand(INDICES)
    second = operand(INDICES)
    message = attr(kind=str)


@op_def("loop.meet")
class Meet(Op):
    """The threads of a team wait for one another: the shared loops before it in this block are done for all of them."""


OPS = (For, If, While, Condition, Yield, Check, Meet)
