"""spread: make the iterations of loops inside of a parallel loop chunks too, though something goes on around them.

    parallel for b                    parallel for b
      for p                              for p
        for g: … y[b, g] …       →         spread for g: … y[b, g] …

A thread that has chunks [begin, end) runs, for each iteration of the parallel loop, those iterations of every spread
loop that lie among them. So the threads share more evenly than by b alone, and each still goes through p as a whole:
what p needs stays in its cache. Iterations of one number belong together, in all the spread loops and for each p; they
must not need those of other numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dlc.errors import InternalError
from dlc.ir.chunks import most_iterations, parallel_loops
from dlc.ir.core import Func, Op
from dlc.ir.dialects import buf, loop, vec
from dlc.passes.loop.loops import all_loops

WRITES = (buf.Store, vec.Store, buf.Publish, loop.Check)


def spread(func: Func, names: Collection[str]) -> None:
    """Spread the loops of these names inside of the one parallel loop; nothing happens if there is none.

    Raises InternalError if there are several parallel loops, if a loop cannot be spread, or if something is written
    outside of the spread loops: each thread would write it.
    """
    tops = parallel_loops(func)
    loops = [op for top in tops for op in all_loops(top) if op.name_hint in names]
    if not loops:
        return
    if len(tops) != 1:
        raise InternalError(f"loops of {func.name} cannot be spread inside of {len(tops)} parallel loops")
    for op in loops:
        if op.carried or op.lower != 0 or op.step != 1 or most_iterations(op) is None:
            raise InternalError("a spread loop runs from 0 by 1 to a bound that is known, and carries nothing", op=op)
    if any(isinstance(op, WRITES) for op in _outside(tops[0], loops)):
        raise InternalError(f"{func.name} writes something outside of the loops to be spread")
    for op in loops:
        op.kind = "spread"


def _outside(op: Op, loops: Collection[Op]) -> Iterator[Op]:
    """The ops inside of `op` but not in the loops."""
    for region in op.regions:
        for inner in region.block.ops:
            if inner not in loops:
                yield inner
                yield from _outside(inner, loops)
