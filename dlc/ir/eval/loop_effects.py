"""The meaning of what a kernel tells the run: a size that it has found, and that it must stop.

A buffer whose size is not known yet is `Unshaped` memory: nothing can be read from it or written to it.
"""

from __future__ import annotations

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.ir.core import Op
from dlc.ir.dialects import buf, loop, run
from dlc.ir.eval.frame import Array, Frame, Run, Symbols
from dlc.ir.eval.loop_exprs import number
from dlc.ir.eval.loop_memory import fresh
from dlc.ir.expr import as_expr
from dlc.ir.messages import filled
from dlc.ir.requirements import fulfilled
from dlc.ir.size_bounds import Uppers, elements_at_most
from dlc.ir.types import BufferType
from dlc.record import record


@record
class Unshaped:
    """Memory for the most elements that a buffer may get, in one dimension; None where there is no most."""

    memory: Array | None


def open_symbols(kind: BufferType, symbols: Symbols) -> set[str]:
    """The symbols of a buffer's shape that have no number yet."""
    return {name for dim in kind.shape for name in as_expr(dim).symbols()} - symbols.numbers.keys()


def room(kind: BufferType, symbols: Symbols, uppers: Uppers) -> int | None:
    """How many elements a buffer may get, if anything bounds it."""
    waiting = {name: upper for name, upper in uppers.items() if name not in symbols.numbers}
    most = elements_at_most(kind.shape, waiting)
    return None if most is None else max(0, most.evaluate(symbols.numbers))


def shaped(memory: Array | None, kind: BufferType, symbols: Symbols) -> Array:
    shape = symbols.shape(kind.shape)
    if memory is None:
        return fresh(shape, kind.element.dtype)
    return memory[: int(np.prod(shape, dtype=np.int64))].reshape(shape)


def settle(frame: Frame) -> None:
    """Shape the buffers whose sizes are known by now."""
    for value, content in frame.values.items():
        kind = value.type
        if isinstance(content, Unshaped) and isinstance(kind, BufferType) and not open_symbols(kind, frame.symbols):
            frame.values[value] = shaped(content.memory, kind, frame.symbols)


def run_publish(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, buf.Publish):
        raise InternalError(f"{op.name} publishes nothing", op=op)
    size = int(args[0])  # type: ignore[call-overload]  # a si64
    if frame.symbols.numbers.setdefault(op.symbol, size) != size:
        raise InternalError(f"{op.name}: {op.symbol} is {frame.symbols.numbers[op.symbol]}, found {size}", op=op)
    settle(frame)
    return []


def run_check(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, loop.Check):
        raise InternalError(f"{op.name} checks nothing", op=op)
    holds, first, second = (np.atleast_1d(np.asarray(content)) for content in args)
    if holds.all():
        return []
    lane = int(np.argmin(holds))
    numbers = (int(np.resize(each, holds.shape)[lane]) for each in (first, second))
    raise UserError(op.message.format(*numbers))


def run_size_check(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, run.Check):
        raise InternalError(f"{op.name} checks no size", op=op)
    left, right = number(frame, op, op.left, ()), number(frame, op, op.right, ())
    if fulfilled(left, op.relation, right):
        return []
    raise UserError(filled(op.message, (left, right), frame.symbols.numbers))


RUNS: dict[type[Op], Run] = {buf.Publish: run_publish, loop.Check: run_check, run.Check: run_size_check}
