"""The meaning of ops with regions."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from dlc.errors import InternalError, UserError
from dlc.ir.core import Op
from dlc.ir.dialects.graph_flow import Group, Require
from dlc.ir.eval.frame import Frame, Run
from dlc.ir.requirements import fulfilled


def run_group(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return frame.run_block(op.regions[0].block, args)


def run_require(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, Require):
        raise InternalError(f"{op.name} requires nothing", op=op)
    left, right = frame.symbols.value(op.left), frame.symbols.value(op.right)
    if fulfilled(left, op.relation, right):
        return []
    raise UserError(f"{op.what} '{op.loc}': {op.text}, got {op.left} = {left} and {op.right} = {right}")


# graph.yield ends a block: Frame.run_block reads its operands
RUNS: dict[type[Op], Run] = {Group: run_group, Require: run_require}
