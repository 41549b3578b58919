"""The blocks of a function between which control flow chooses: its own, and those of branches, at any depth."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Block
from dlc.ir.dialects.graph_flow import Group


def blocks_of(block: Block) -> Iterator[Block]:
    """The block, then those inside it that are no groups: what is used in one is defined in it or in one before it."""
    yield block
    for op in block.ops:
        for region in () if isinstance(op, Group) else op.regions:
            for inner in region.blocks:
                yield from blocks_of(inner)
