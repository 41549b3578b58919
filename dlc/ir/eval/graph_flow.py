"""The meaning of ops with regions."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from dlc.ir.core import Op
from dlc.ir.dialects.graph_flow import Group
from dlc.ir.eval.frame import Frame, Run


def run_group(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return frame.run_block(op.regions[0].block, args)


RUNS: dict[type[Op], Run] = {Group: run_group}  # graph.yield ends a block: Frame.run_block reads its operands
