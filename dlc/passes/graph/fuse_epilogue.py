"""Fuse elementwise ops on the result of a convolution, matmul, reduction, … into its kernel.

    %c = graph.conv(%x, %w)                 %y = graph.group(%x, %w, %b, %r) {kernel = "conv"} ({
    %d = graph.add(%c, %b)                  ^bb(%x, %w, %b, %r):
    %e = graph.add(%d, %r)          ->        conv, add, add, relu
    %y = graph.relu(%e)                       graph.yield(…)
                                            })

An op joins if its result has the shape of the root's and what else it reads does not depend on the group. The group
yields one value: it ends where all users of what it has computed so far are inside, but for those of the last one.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Op
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import Rewriter
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.fusion_roles import EPILOGUE_ROOTS, is_elementwise
from dlc.passes.graph.partition import Partition, blocks_to_fuse
from dlc.record import record


@record
class FuseEpilogue(Pass):
    name: ClassVar[str] = "fuse-epilogue"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    most: int = 24  # ops in an epilogue

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for block in blocks_to_fuse(module):
            partition = Partition(block)
            for op in block.ops:
                if isinstance(op, EPILOGUE_ROOTS):
                    for follower in epilogue(op, partition, self.most):
                        partition.join(partition.cluster[op], partition.cluster[follower])
            partition.make_groups(rw)
        return rw.changed


def epilogue(root: Op, partition: Partition, most: int) -> list[Op]:
    """The elementwise ops that join a root, in order."""
    joined = {root: None}
    complete = 0  # how many followers there were when the group last yielded one value
    while len(joined) <= most:
        follower = next_follower(root, joined, partition)
        if follower is None:
            break
        joined[follower] = None
        if open_values(joined) == 1:
            complete = len(joined) - 1
    return list(joined)[1 : 1 + complete]


def next_follower(root: Op, joined: dict[Op, None], partition: Partition) -> Op | None:
    """The first op of the block that may join."""
    users = {user for op in joined for value in op.results for user in value.users()} - joined.keys()
    shape = tensor(root.results[0]).shape
    for op in sorted((user for user in users if user in partition.cluster), key=partition.number.__getitem__):
        alone = len(partition.members[partition.cluster[op]]) == 1
        if alone and is_elementwise(op) and tensor(op.results[0]).shape == shape and not depends(op, joined, partition):
            return op
    return None


def depends(op: Op, joined: dict[Op, None], partition: Partition) -> bool:
    """Whether something that `op` reads, and that is not in the group, depends on the group."""
    inside = {partition.cluster[each] for each in joined}
    waiting = [n for n in partition.before[partition.cluster[op]] if n not in inside]
    first = min(partition.rank[n] for n in inside)
    seen = set(waiting)
    while waiting:
        at = waiting.pop()
        if partition.rank[at] < first:
            continue
        for n in partition.before[at]:
            if n in inside:
                return True
            if n not in seen:
                seen.add(n)
                waiting.append(n)
    return False


def open_values(joined: dict[Op, None]) -> int:
    """How many values the group would yield."""
    results = [value for op in joined for value in op.results]
    return sum(any(user not in joined for user in value.users()) for value in results)
