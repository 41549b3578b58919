"""The meaning of ops with regions."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.ir.core import Op
from dlc.ir.dialects.graph_flow import Fail, Group, If, Require
from dlc.ir.eval.frame import Frame, Run
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
RUNS: dict[type[Op], Run] = {Group: run_group, If: run_if, Require: run_require, Fail: run_fail}
