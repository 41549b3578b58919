"""contract: a short innermost reduction over narrow operands becomes one contraction in groups.

    for g in [0, 4) carrying a:                                a' = vec.dot(a, repeat(x[k*4 .. k*4+3]), w[k, (n, g)...])
      yield a + cast(x[k*4 + g]) * cast(w[k, n, g])      →

Written in terms of a loop over lanes (`n`), which must already be the loop around the reduction; it is vectorized here.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.dialects import loop


def contract(op: loop.For, lanes_loop: str) -> None:
    """Replace the reduction `op` inside the loop called `lanes_loop`."""
    raise InternalError(f"contract {op.name_hint!r} in {lanes_loop!r} is not possible", op=op)
