"""How a kernel's work is cut: the iterations of the one parallel loop at the top of its function."""

from __future__ import annotations

from dlc.ir.core import Func
from dlc.ir.dialects import loop
from dlc.ir.expr import Expr, as_expr


def parallel_loop(func: Func) -> loop.For | None:
    """The loop whose iterations are the kernel's chunks; None: the kernel is one chunk."""
    for op in func.block.ops:
        if isinstance(op, loop.For) and op.kind == "parallel":
            return op
    return None


def chunk_count(func: Func) -> Expr:
    found = parallel_loop(func)
    return as_expr(1) if found is None else found.upper
