"""prefetch: while one panel of a buffer is worked on, ask for the next one.

    for n.o: …: for k: w[n.o, k]    →    for n.o: …: for k: w[n.o, k], prefetch w[n.o + 1, k]

Weights are read once per inference, from memory; the copies of the request that come when the line is there already
cost a load slot and nothing else. Elements side by side, which are broadcast one by one, share a request per line.
"""

from __future__ import annotations

from dlc.ir.access import index_operands
from dlc.ir.core import Func, Op, Value
from dlc.ir.dialects import buf, loop, vec
from dlc.ir.dialects.buf import buffer_type
from dlc.ir.expr import sym
from dlc.passes.loop.loops import named_loops

LINE = 64  # bytes


def prefetch(func: Func, buffer: Value, name: str) -> None:
    """Add a prefetch beside each load of `buffer` that moves with the loop called `name`."""
    for outer in named_loops(func, name):
        ops = list(outer.walk())
        found: list[vec.Load | buf.Load] = [*_scalar_loads(ops, buffer), *_vector_loads(ops, buffer)]
        for op in found:
            _ahead(op, outer)


def _vector_loads(ops: list[Op], buffer: Value) -> list[vec.Load]:
    return [op for op in ops if isinstance(op, vec.Load) and op.buffer is buffer]


def _scalar_loads(ops: list[Op], buffer: Value) -> list[buf.Load]:
    """Of loads side by side, the first, one per line after it, and the last."""
    found: dict[object, list[buf.Load]] = {}
    for op in ops:
        if isinstance(op, buf.Load) and op.buffer is buffer:
            key = (op.parent, tuple(index_operands(op)), op.at[:-1], op.at[-1] - op.at[-1].constant)
            found.setdefault(key, []).append(op)
    step = LINE // buffer_type(buffer).element.bytes
    chosen: list[buf.Load] = []
    for loads in found.values():
        loads.sort(key=lambda op: op.at[-1].constant)
        start = loads[0].at[-1].constant
        lines = {(op.at[-1].constant - start) // step: op for op in reversed(loads)}
        chosen += dict.fromkeys((*reversed(lines.values()), loads[-1]))
    return chosen


def _ahead(op: vec.Load | buf.Load, outer: loop.For) -> None:
    indices = index_operands(op)
    places = [n for n, value in enumerate(indices) if value is outer.variable]
    if not places or op.parent is None:
        return
    following = {f"d{n}": sym(f"d{n}") + 1 for n in places}
    at = tuple(e.substitute(following) for e in op.at)
    op.parent.insert_after(op, vec.Prefetch(op.buffer, *indices, at=at, loc=op.loc))
