"""Erase pure ops whose results nobody uses.

    %a = graph.exp(%x)      erased: no use
    func.return(%x)
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Region
from dlc.ir.levels import Level
from dlc.ir.rewrite import Rewriter, is_pure
from dlc.passes.base import Pass, PassContext
from dlc.record import record


@record
class EliminateDeadCode(Pass):
    name: ClassVar[str] = "eliminate-dead-code"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        rw = Rewriter(cx.pool)
        for func in module.funcs.values():
            erase_unused(func.body, rw)
        return rw.changed


def erase_unused(region: Region, rw: Rewriter) -> None:
    """Last op first, so that an op whose users have gone goes too."""
    for block in region.blocks:
        for op in reversed(list(block.ops)):
            if op.parent is None:
                continue  # went with its user
            if is_pure(op) and not op.has_uses():
                rw.erase(op)
                continue
            for inner in op.regions:
                erase_unused(inner, rw)
