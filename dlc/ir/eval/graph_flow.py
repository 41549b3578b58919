"""The meaning of ops with regions."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.ir.core import Op
from dlc.ir.dialects.graph_flow import Fail, Group, If, Loop, Require
from dlc.ir.eval.frame import Array, Frame, Run
from dlc.ir.expr import Dim
from dlc.ir.requirements import fulfilled
from dlc.ir.types import TensorType


def run_group(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return frame.run_block(op.regions[0].block, args)


def run_if(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, If):
        raise InternalError(f"{op.name} has no branches", op=op)
    body = op.then if bool(args[0]) else op.otherwise
    found = frame.run_block(body.block, [])
    for value, content in zip(op.results, found, strict=True):
        if isinstance(value.type, TensorType) and isinstance(content, np.ndarray):
            frame.symbols.learn(value.type.shape, content.shape)
    return found


def run_loop(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, Loop):
        raise InternalError(f"{op.name} is no loop", op=op)
    given = iter(args)
    count = int(np.asarray(next(given))) if op.counted else None
    going = bool(next(given)) if op.conditional else True
    carried, numbers = list(given), frame.symbols.numbers
    changing, trip = op.changing(), 0
    numbers |= {name: frame.symbols.value(first) for name, first, _ in changing}
    rows: list[list[Array]] = [[] for _ in op.rows]
    while going and (count is None or trip < count):
        condition, *found = frame.run_block(op.body.block, [np.array(trip), np.array(going), *carried])
        numbers |= {name: frame.symbols.value(following) for name, _, following in changing}
        carried, going, trip = found[: len(carried)], bool(condition), trip + 1
        for collected, row in zip(rows, found[len(carried) :], strict=True):
            collected.append(np.asarray(row))
    if str(op.length) in op.sizes:
        numbers[str(op.length)] = trip
    stacked = []
    for value, collected in zip(op.rows, rows, strict=True):
        kind = value.type
        if not isinstance(kind, TensorType):
            raise InternalError(f"a row is {kind}", op=op)
        empty = np.zeros((0, *(numbers_of(frame, dim) for dim in kind.shape)), kind.scalar.dtype)
        stacked.append(np.stack(collected) if collected else empty)
    return [*carried, *stacked]


def numbers_of(frame: Frame, dim: Dim) -> int:
    """A size, or 0 for one that no trip has found."""
    known = isinstance(dim, int) or dim.symbols() <= frame.symbols.numbers.keys()
    return frame.symbols.value(dim) if known else 0


def run_require(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, Require):
        raise InternalError(f"{op.name} requires nothing", op=op)
    left, right = frame.symbols.value(op.left), frame.symbols.value(op.right)
    if fulfilled(left, op.relation, right):
        return []
    raise UserError(f"{op.what} '{op.loc}': {op.text}, got {op.left} = {left} and {op.right} = {right}")


def run_fail(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, Fail):
        raise InternalError(f"{op.name} does not fail", op=op)
    raise UserError(f"{op.what} '{op.loc}': {op.text}")


# graph.yield ends a block: Frame.run_block reads its operands
RUNS: dict[type[Op], Run] = {Group: run_group, If: run_if, Loop: run_loop, Require: run_require, Fail: run_fail}
