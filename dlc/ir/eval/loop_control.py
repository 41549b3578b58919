"""The meaning of loops and branches. A parallel or shared loop runs like any other: its iterations must not care; and
where there is one thread, nobody waits for others.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.core import Op
from dlc.ir.dialects import loop
from dlc.ir.eval.frame import Frame, Run
from dlc.ir.eval.loop_exprs import number


def run_for(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, loop.For):
        raise InternalError(f"{op.name} is no loop", op=op)
    count = len(args) - op.carried
    lower = number(frame, op, op.lower, args[:count])  # type: ignore[arg-type]  # indices are ints
    upper = number(frame, op, op.upper, args[:count])  # type: ignore[arg-type]  # likewise
    carried = args[count:]
    for value in range(lower, upper, op.step):
        carried = frame.run_block(op.block, [value, *carried])
    return carried


def run_if(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return frame.run_block(op.regions[0 if args[0] else 1].block, [])


def run_while(frame: Frame, op: Op, args: list[object]) -> list[object]:
    before, after = op.regions
    goes_on, *values = frame.run_block(before.block, args)
    while goes_on:
        goes_on, *values = frame.run_block(before.block, frame.run_block(after.block, values))
    return values


def run_meet(frame: Frame, op: Op, args: list[object]) -> list[object]:
    return []


RUNS: dict[type[Op], Run] = {loop.For: run_for, loop.If: run_if, loop.While: run_while, loop.Meet: run_meet}
