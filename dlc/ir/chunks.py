"""How a kernel's work is cut: the iterations of the parallel loops at the top of its function, one loop after another.
Several such loops (the even part of a split and its rest) are independent of one another; their iterations are numbered
through. If there are spread loops inside of one (dlc/passes/loop/spread.py), each of its iterations is as many chunks
as those have iterations at most.
"""

from __future__ import annotations

from dlc.ir.core import Func
from dlc.ir.dialects import loop
from dlc.ir.expr import Expr, as_expr
from dlc.ir.expr_bounds import bounds


def parallel_loops(func: Func) -> list[loop.For]:
    """The loops whose iterations are the kernel's chunks; none: the kernel is one chunk."""
    return [op for op in func.block.ops if isinstance(op, loop.For) and op.kind == "parallel"]


def chunk_count(func: Func) -> Expr:
    loops = parallel_loops(func)
    return sum((op.upper * spread_count(op) for op in loops), as_expr(0)) if loops else as_expr(1)


def spread_count(op: loop.For) -> int:
    """How many chunks an iteration of a parallel loop is."""
    inside = [each for each in op.walk() if isinstance(each, loop.For) and each.kind == "spread"]
    return max((most_iterations(each) or 1 for each in inside), default=1)


def most_iterations(op: loop.For) -> int | None:
    """How often the body runs at most, where that is known."""
    return bounds(op.upper, {})[1]
