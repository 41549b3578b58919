"""Kernels with teams: several threads work on one chunk, one iteration of a parallel loop.

They go through its body together. The iterations of its shared loops are dealt out, and at each `loop.meet` all wait
for one another; everything else each thread does for itself, so only shared loops write memory. Scratch memory outside
of them is shared. It lies in the memory of the team, which the kernel gets as one more buffer, its last: a row of
bytes for each chunk, which begins with what the threads know of one another (`codegen/pool_teams.py`).
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.chunks import chunk_count
from dlc.ir.core import Block, Func
from dlc.ir.dialects import buf, loop
from dlc.ir.expr import Expr, as_dim, as_expr
from dlc.ir.scratch import ALIGN, byte_size
from dlc.ir.types import UI8, BufferType

GAP_BYTES = 2048  # further than a processor reads ahead: its neighbours' memory would go to and fro between the cores
HEADER_BYTES = 128  # two lines, as processors fetch them in pairs: the threads that wait must not slow the others down


def has_teams(func: Func) -> bool:
    """Whether threads may share a chunk of the kernel."""
    return any(isinstance(op, loop.Meet) for op in func.walk())


def team_offsets(func: Func) -> tuple[dict[buf.Scratch, int], int]:
    """The byte offset of each shared buffer in the memory of a team, and how many bytes that has."""
    offsets: dict[buf.Scratch, int] = {}
    end = HEADER_BYTES
    for op in func.walk():
        if isinstance(op, buf.Scratch) and op.shared:
            offsets[op] = end
            end += -(-byte_size(op) // ALIGN) * ALIGN
    return offsets, end + GAP_BYTES


def team_memory(func: Func) -> BufferType:
    """The type of the buffer with the memory of all teams."""
    return BufferType((as_dim(chunk_count(func)), team_offsets(func)[1]), UI8, "scratch")


def most_members(func: Func) -> int:
    """How many threads a team may have."""
    return int(str(func.attrs["members"]))


def phases(block: Block) -> Iterator[tuple[list[loop.For], loop.Meet]]:
    """The shared loops of a block that are dealt out together, and where the threads meet after them."""
    found: list[loop.For] = []
    for op in block.ops:
        if isinstance(op, loop.For) and op.kind == "shared":
            found.append(op)
        elif isinstance(op, loop.Meet) and found:
            yield found, op
            found = []


def phase_count(block: Block) -> Expr:
    """How many phases the body of a parallel loop has."""
    count = as_expr(0)
    for op in block.ops:
        if isinstance(op, loop.Meet):
            count = count + 1
        elif isinstance(op, loop.For) and op.kind == "serial" and (inside := phase_count(op.block)) != 0:
            count = count + (op.upper - op.lower) * inside
    return count

