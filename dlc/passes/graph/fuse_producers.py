"""Compute index maps and cheap elementwise ops where their result is read, instead of storing it.

    %t = graph.transpose(%k)                %s = graph.group(%q, %k) {kernel = "matmul"} ({
    %s = graph.matmul(%q, %t)       ->        transpose, matmul
                                            })

A producer moves into the one group that reads it, if the group's root can do with it (`fusion_roles.is_inlinable`). A
reshape alone is free as a view of memory, so it moves only if what it reshapes moves too.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Op, Value
from dlc.ir.dialects.graph_flow import Group
from dlc.ir.dialects.graph_shape import Reshape
from dlc.ir.levels import Level
from dlc.ir.rewrite import Rewriter
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.fusion_roles import can_be_kernel, is_inlinable, kernel_name
from dlc.passes.graph.partition import Partition, blocks_to_fuse
from dlc.record import record


@record
class FuseProducers(Pass):
    name: ClassVar[str] = "fuse-producers"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    most: int = 16  # producers in a group

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for block in blocks_to_fuse(module):
            partition = Partition(block)
            for op in reversed(block.ops):
                alone = op in partition.cluster and len(partition.members[partition.cluster[op]]) == 1
                if alone and (isinstance(op, Group) or can_be_kernel(op)) and kernel_name(op) != "copy":
                    take_producers(op, partition, self.most)
            partition.make_groups(rw)
        return rw.changed


def take_producers(op: Op, partition: Partition, most: int) -> None:
    """Join to an op, or a group, what it can compute itself."""
    kernel = kernel_name(op)
    reads = group_reads(op) if isinstance(op, Group) else [(value, op) for value in op.operands]
    taken = 0
    while reads and taken < most:
        value, reader = reads.pop(0)
        for producer in producers(value, reader, kernel, op, partition):
            partition.join(partition.cluster[op], partition.cluster[producer])
            reads += [(each, reader) for each in producer.operands]
            taken += 1


def group_reads(group: Group) -> list[tuple[Value, Op]]:
    """The inputs of a group, each with the op inside that reads it first."""
    pairs = zip(group.operands, group.body.block.args, strict=True)
    return [(value, arg.users()[0]) for value, arg in pairs if arg.uses]


def producers(value: Value, reader: Op, kernel: str, op: Op, partition: Partition) -> list[Op]:
    """The op that computes a value, with the op before it if it is a reshape; empty if it must stay outside."""
    producer = value.defining_op
    if producer is None or not may_move(producer, reader, kernel, op, partition):
        return []
    if not isinstance(producer, Reshape):
        return [producer]
    before = producer.x.defining_op
    moves = before is not None and not isinstance(before, Reshape) and producer.x.has_one_use()
    if before is None or not moves or not may_move(before, reader, kernel, producer, partition):
        return []
    return [producer, before]


def may_move(producer: Op, reader: Op, kernel: str, op: Op, partition: Partition) -> bool:
    own = partition.of(op)
    if own is None or partition.of(producer) is None or len(partition.members[partition.cluster[producer]]) != 1:
        return False
    used_here = all(partition.of(user) == own for value in producer.results for user in value.users())
    return used_here and is_inlinable(producer, kernel, reader)
