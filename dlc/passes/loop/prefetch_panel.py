"""prefetch, where what is read is first made into something else, and the work on that takes the time.

    for p:                                          for p:
      for a: u[a] = f(h[p, a])                        for a: u[a] = f(h[p, a])
      for s: for r: for c: … u[s, c]        →         for s: for r: for c: … u[s, c],
                                                        prefetch h[p + 1, 0, (s * C + c) * …]

The loop over `a` is over before the next panel could come from memory; the loops beside it have the time.
"""

from __future__ import annotations

from math import prod

from dlc.errors import InternalError
from dlc.ir.access import index_operands
from dlc.ir.core import Value
from dlc.ir.dialects import loop, vec
from dlc.ir.dialects.buf import buffer_type
from dlc.ir.expr import ZERO, as_expr, product, sym
from dlc.ir.types import VectorType
from dlc.passes.loop.loops import all_loops, named_loops

LINE_BYTES = 64


def line_elements(load: vec.Load) -> int:
    """Elements of a line of the cache."""
    kind = load.result.type
    if not isinstance(kind, VectorType):
        raise InternalError(f"{kind} is not a vector")
    return max(1, LINE_BYTES * 8 // kind.element.bits)


def work_beside(outer: loop.For, buffer: Value, over: str) -> list[loop.For]:
    """The loops called `over` in `outer`, if they do not load from `buffer` themselves, but others beside them do."""
    found = named_loops(outer, over)
    loads = vector_loads(outer, buffer)
    return found if loads and not any(vector_loads(work, buffer) for work in found) else []


def vector_loads(root: loop.For, buffer: Value) -> list[vec.Load]:
    return [op for op in root.walk() if isinstance(op, vec.Load) and op.buffer is buffer]


def ask_for_panel(work: loop.For, outer: loop.For, buffer: Value) -> None:
    """Let each step of the sums in `work` ask for its share of all that the next iteration of `outer` loads.

    That is what lies behind the last axis along which `outer` moves. Loops between `outer` and `work` take shares of
    it; the iterations of `work` all ask for the same, since nobody knows how many there are.
    """
    load = vector_loads(outer, buffer)[0]
    if outer.variable not in index_operands(load):
        return
    which = f"d{index_operands(load).index(outer.variable)}"
    moved = max(n for n, e in enumerate(load.at) if which in e.symbols())
    panel = as_expr(product(buffer_type(buffer).shape[moved + 1 :]))
    if not panel.is_const or any(e.symbols() - {which} for e in load.at[: moved + 1]):
        return
    front = [e.substitute({which: sym("d0") + 1}) for e in load.at[: moved + 1]]
    front += [ZERO] * (len(load.at) - moved - 2)
    between = [op for op in all_loops(outer) if op not in (outer, work) and work in all_loops(op)]
    for inner in sums(work):
        counts = [op.trip_count or 0 for op in (*between, inner)]
        steps, place = prod(counts), ZERO
        for n, count in enumerate(counts, 1):
            place = place * count + sym(f"d{n}")
        line = line_elements(load)
        share = -(-panel.value // (steps * line)) if steps else 0
        indices = (outer.variable, *(op.variable for op in (*between, inner)))
        for n in range(share):
            asked = vec.Prefetch(buffer, *indices, at=(*front, (place * share + n) * line), loc=load.loc)
            inner.block.insert_before(inner.block.terminator, asked)


def sums(work: loop.For) -> list[loop.For]:
    """The innermost loops that carry values on."""
    found = all_loops(work)
    around = [op.parent_op() for op in found]
    return [op for op in found if op.carried and op not in around]
