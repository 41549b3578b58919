"""The most that sizes can be that only a run finds."""

from __future__ import annotations

from dlc.ir.core import Block, Func
from dlc.ir.dialects import graph_flow
from dlc.ir.dialects.shape_rules import FindsSizes
from dlc.ir.expr import Expr
from dlc.ir.size_bounds import NO_BOUND, at_most


def bounds_of(body: Func) -> dict[str, Expr | None]:
    """The most that each size that a run finds can be, or None."""
    uppers: dict[str, Expr | None] = {}

    def take(block: Block) -> None:
        for op in block.ops:
            if isinstance(op, graph_flow.Loop):  # its region has its sizes, before the bound of its length is known
                uppers.update(dict.fromkeys(op.sizes))
            for inner in (inner for region in op.regions for inner in region.blocks):
                take(inner)
            if isinstance(op, FindsSizes):  # what two branches make of a size comes after what is in them
                uppers.update({n: None if most is None else at_most(most, uppers) for n, most in op.found().items()})

    take(body.block)
    return uppers


def bound_attribute(bound: Expr | None) -> Expr:
    return NO_BOUND if bound is None else bound
