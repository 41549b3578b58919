"""How a kernel's work is cut: the iterations of the parallel loops at the top of its function, one loop after another.
Several such loops (the even part of a split and its rest) are independent of one another; their iterations are numbered
through.
"""

from __future__ import annotations

from dlc.ir.core import Func
from dlc.ir.dialects import loop
from dlc.ir.expr import Expr, as_expr


def parallel_loops(func: Func) -> list[loop.For]:
    """The loops whose iterations are the kernel's chunks; none: the kernel is one chunk."""
    return [op for op in func.block.ops if isinstance(op, loop.For) and op.kind == "parallel"]


def chunk_count(func: Func) -> Expr:
    loops = parallel_loops(func)
    return sum((op.upper for op in loops), as_expr(0)) if loops else as_expr(1)
