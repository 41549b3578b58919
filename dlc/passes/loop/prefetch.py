"""prefetch: while one panel of a buffer is worked on, ask for the next one.

    for n.o: …: for k: w[n.o, k]    →    for n.o: …: for k: w[n.o, k], prefetch w[n.o + 1, k]

Weights are read once per inference, from memory; the copies of the request that come when the line is there already
cost a load slot and nothing else.
"""

from __future__ import annotations

from dlc.ir.access import index_operands
from dlc.ir.core import Func, Value
from dlc.ir.dialects import loop, vec
from dlc.ir.expr import sym
from dlc.passes.loop.loops import named_loops


def prefetch(func: Func, buffer: Value, name: str) -> None:
    """Add a prefetch beside each vector load of `buffer` that moves with the loop called `name`."""
    for outer in named_loops(func, name):
        for op in list(outer.walk()):
            if isinstance(op, vec.Load) and op.buffer is buffer and op.parent is not None:
                _ahead(op, outer)


def _ahead(op: vec.Load, outer: loop.For) -> None:
    indices = index_operands(op)
    places = [n for n, value in enumerate(indices) if value is outer.variable]
    if not places or op.parent is None:
        return
    following = {f"d{n}": sym(f"d{n}") + 1 for n in places}
    at = tuple(e.substitute(following) for e in op.at)
    op.parent.insert_after(op, vec.Prefetch(op.buffer, *indices, at=at, loc=op.loc))
