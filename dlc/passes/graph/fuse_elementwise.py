"""Fuse elementwise ops of one shape that read each other's results.

    %a = graph.exp(%x)                      %b = graph.group(%x, %y) {kernel = "elementwise"} ({
    %b = graph.add(%a, %y)          ->        exp, add
                                            })

Every value that is used outside is yielded, so a group may have several results. Two ops do not join if a third that
stands outside reads one and is read by the other.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Op
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.levels import Level
from dlc.ir.rewrite import Rewriter
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.fusion_roles import kernel_name
from dlc.passes.graph.partition import Partition, blocks_to_fuse
from dlc.record import record


@record
class FuseElementwise(Pass):
    name: ClassVar[str] = "fuse-elementwise"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    most_ops: int = 32
    most_values: int = 16  # inputs and results: each wants a register for its address

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for block in blocks_to_fuse(module):
            partition = Partition(block)
            for op in block.ops:
                if op in partition.cluster and elementwise_shape(op) is not None:
                    self.join_operands(op, partition)
            partition.make_groups(rw)
        return rw.changed

    def join_operands(self, op: Op, partition: Partition) -> None:
        shape = elementwise_shape(op)
        for value in op.operands:
            source = value.defining_op
            if source is None or source not in partition.cluster or elementwise_shape(source) != shape:
                continue
            first, second = partition.cluster[source], partition.cluster[op]
            if first != second and self.fits(first, second, partition) and partition.may_join(first, second):
                partition.join(first, second)

    def fits(self, first: int, second: int, partition: Partition) -> bool:
        ops = partition.members[first] + partition.members[second]
        inside = set(ops)
        read = {value for op in ops for value in op.operands if value.defining_op not in inside}
        made = [value for op in ops for value in op.results if any(user not in inside for user in value.users())]
        return sum(map(op_count, ops)) <= self.most_ops and len(read) + len(made) <= self.most_values


def elementwise_shape(op: Op) -> Shape | None:
    """The shape that all results of an elementwise op, or of a group of such ops, have."""
    if kernel_name(op) != "elementwise":
        return None
    shapes = {tensor(value).shape for value in op.results}
    return shapes.pop() if len(shapes) == 1 else None


def op_count(op: Op) -> int:
    return sum(1 for _ in op.walk())
