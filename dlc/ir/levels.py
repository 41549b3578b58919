"""What may exist at each level of the compiler. A pass says which level it needs and which it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum

from dlc.ir.core import Module, Op, Value
from dlc.ir.diagnostic import Diagnostic
from dlc.ir.printer import Names, op_line
from dlc.ir.types import (
    BufferType,
    ListType,
    OptionalType,
    ScalarType,
    TensorType,
    TupleType,
    Type,
    VectorType,
)
from dlc.record import record


class Level(Enum):
    """`GRAPH`: tensors, no memory. `LOOP`: buffers, loops and vectors on explicit lanes."""

    GRAPH = "graph"
    LOOP = "loop"


@record
class Contract:
    """The dialects and the kinds of type of a level; containers may hold what the level may hold."""

    dialects: frozenset[str]
    types: tuple[type[Type], ...]


CONTRACTS = {
    Level.GRAPH: Contract(frozenset({"graph", "func"}), (TensorType, TupleType, ListType, OptionalType)),
    Level.LOOP: Contract(
        frozenset({"loop", "buf", "arith", "vec", "run", "func"}), (BufferType, ScalarType, VectorType)
    ),
}  # fmt: skip


def satisfies(module: Module, level: Level) -> list[Diagnostic]:
    """Everything in the module that may not exist at `level`."""
    return list(_violations(module, level))


def _violations(module: Module, level: Level) -> Iterator[Diagnostic]:
    contract = CONTRACTS[level]
    for func in module.funcs.values():
        for arg in func.body.blocks[0].args if func.body.blocks else ():
            if not fits(arg.type, contract):
                yield Diagnostic(f"function {func.name!r}: a {arg.type} may not exist at level {level.value}")
        names: Names | None = None  # named once, when there is something to report
        for op in func.walk():
            for message in _op_violations(op, level, contract):
                names = names or Names(func.body)
                yield Diagnostic(message, op.loc, op_line(op, names, module.pool))


def _op_violations(op: Op, level: Level, contract: Contract) -> Iterator[str]:
    if op.name.split(".")[0] not in contract.dialects:
        allowed = ", ".join(sorted(contract.dialects))
        yield f"{op.name} may not exist at level {level.value}, only ops of {allowed}"
    for value in _values(op):
        if not fits(value.type, contract):
            yield f"{op.name}: a {value.type} may not exist at level {level.value}"


def _values(op: Op) -> Iterator[Value]:
    """What an op defines."""
    yield from op.results
    for region in op.regions:
        for block in region.blocks:
            yield from block.args


def fits(of: Type, contract: Contract) -> bool:
    """Whether values of this type may exist under a contract."""
    if not isinstance(of, contract.types):
        return False
    match of:
        case TupleType():
            return all(fits(member, contract) for member in of.members)
        case ListType() | OptionalType():
            return fits(of.member, contract)
    return True
