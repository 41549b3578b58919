"""share: the threads of a team go through a chunk together, and deal out the iterations of the shared loops.

    parallel for b                      parallel for b
      state = scratch                     state = scratch, shared
      for s                          →    for s
        for j.o: … state[…]                 shared for j.o: … state[…]
        for j.o: … (the tail)               shared for j.o: … (the tail)
                                            meet

Loops of one name that follow one another come from one statement of the kernel and do not depend on each other: the
threads meet after the last of them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from dlc.errors import InternalError
from dlc.ir.chunks import parallel_loops
from dlc.ir.core import Block, Func, Op
from dlc.ir.dialects import buf, loop, vec
from dlc.ir.teams import phases, team_memory
from dlc.passes.loop.loops import all_loops

ALONE = (buf.Store, vec.Store, buf.Publish, loop.Check, loop.If, loop.While)  # what only one thread may do, or decide
MANY = 1 << 16  # iterations of a loop whose length is not known


def share(func: Func, names: Collection[str], most: int) -> None:
    """Share the loops of these names inside of the parallel loops between at most `most` threads.

    Nothing happens if they would not be two, or if there are no parallel loops. Raises InternalError if a loop cannot
    be shared, or if more is written than what shared loops write.
    """
    tops = parallel_loops(func)
    loops = dict.fromkeys(op for top in tops for op in all_loops(top) if op.name_hint in names)
    if min(most, max((_length([op]) for op in loops), default=0)) < 2:
        return
    by_each = [op for top in tops for op in _done_by_each(top, loops)]
    around = [op for op in by_each if isinstance(op, loop.For)]
    if any(op.indices or op.step != 1 for op in around) or any(op.carried or op.lower != 0 for op in loops):
        raise InternalError("a shared loop must run from 0 by 1 to a bound that is known outside, and carry nothing")
    if any(isinstance(op, ALONE) for op in by_each) or len(loops) != sum(op in loops for op in by_each):
        raise InternalError("what is written or decided in a chunk that threads share must be in one shared loop")
    for each in loops:
        each.kind = "shared"
    blocks = dict.fromkeys(op.parent for op in loops if op.parent is not None)
    for block in blocks:
        _meet(block)
    for op in by_each:
        if isinstance(op, buf.Scratch):
            op.shared = True
    func.attrs["members"] = min(most, max(_length(found) for block in blocks for found, _ in phases(block)))
    func.block.add_arg(team_memory(func), "teams")


def _length(loops: list[loop.For]) -> int:
    """The iterations of some loops; one counts as many where it is not known."""
    return sum(MANY if op.trip_count is None else op.trip_count for op in loops)


def _meet(block: Block) -> None:
    """A meeting after each run of shared loops of one name."""
    last: loop.For | None = None
    for op in list(block.ops):
        if not op.regions and op is not block.ops[-1]:
            continue
        shared = op if isinstance(op, loop.For) and op.kind == "shared" else None
        if last is not None and (shared is None or shared.name_hint != last.name_hint):
            block.insert(block.index_of(last) + 1, loop.Meet(loc=last.loc))
        last = shared


def _done_by_each(op: Op, shared: Collection[Op]) -> Iterator[Op]:
    """What stands inside of `op`, but not in shared loops: they themselves are the last."""
    for region in op.regions:
        for inner in region.block.ops:
            yield inner
            if inner not in shared:
                yield from _done_by_each(inner, shared)
