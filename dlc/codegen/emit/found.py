"""Which sizes of a body only a run finds, and what waits for them."""

from __future__ import annotations

from dlc.ir.core import Func, Value
from dlc.ir.dialects import run
from dlc.ir.size_bounds import elements_at_most, upper_bounds
from dlc.ir.types import BufferType


def published(op: run.Call | run.Read | run.If | run.Loop) -> tuple[str, ...]:
    """The named dimensions that are known once an op has run."""
    length = (op.length,) if isinstance(op, run.Loop) and op.length else ()
    return (*op.publishes, *length)


def late_results(func: Func) -> dict[Value, int]:
    """The results whose size only data decides, and nothing bounds, with their numbers among the results."""
    uppers = upper_bounds(func)
    results = [arg for arg in func.args if isinstance(arg.type, BufferType) and arg.type.space == "output"]
    return {arg: n for n, arg in enumerate(results)
            if isinstance(arg.type, BufferType) and elements_at_most(arg.type.shape, uppers) is None}  # fmt: skip


def found_sizes(func: Func) -> tuple[str, ...]:
    """The named dimensions that kernels find out, in the order in which they do."""
    finders = (op for op in func.walk() if isinstance(op, run.Call | run.Read | run.If | run.Loop))
    return tuple(name for op in finders for name in published(op))


def input_checks(func: Func) -> list[run.Check]:
    """The checks that need the sizes of inputs alone: dlc_bind makes them."""
    found = set(found_sizes(func))
    checks = [op for op in func.block.ops if isinstance(op, run.Check)]
    return [op for op in checks if found.isdisjoint(op.left.symbols() | op.right.symbols())]
