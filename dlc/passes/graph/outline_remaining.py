"""Put every op that is still alone into a group of its own.

    %p = graph.pool(%x)             ->      %p = graph.group(%x) {kernel = "pool"} ({ pool })

After it a block holds groups, constants, reshapes, relayouts and dims, ops with regions, and its end: whatever fusions
were switched off, the lowering meets groups only.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module
from dlc.ir.levels import Level
from dlc.ir.rewrite import Rewriter
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.fusion_roles import can_be_kernel
from dlc.passes.graph.partition import blocks_to_fuse, make_group
from dlc.record import record


@record
class OutlineRemaining(Pass):
    name: ClassVar[str] = "outline-remaining"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for block in blocks_to_fuse(module):
            for op in list(block.ops):
                if op.parent is block and can_be_kernel(op):
                    make_group([op], rw)
        return rw.changed
