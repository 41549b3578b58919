"""Where a kernel's own memory lies: small buffers on the stack, larger ones in the scratch memory of the thread. (What
threads share lies in the memory of their team: teams.py.)

A thread's scratch memory is a part of the workspace of a run, as large as the kernel that needs most. The stack of a
caller's thread may be small, and its pages are not huge ones.
"""

from __future__ import annotations

from dlc.ir.core import Func, Module
from dlc.ir.dialects import buf
from dlc.ir.expr import as_expr

STACK_BYTES = 16 << 10  # the largest buffer that goes on the stack
ALIGN = 64


def scratch_offsets(func: Func) -> tuple[dict[buf.Scratch, int], int]:
    """The byte offset of each buffer that lies in the thread's scratch memory, and how many bytes they need."""
    offsets: dict[buf.Scratch, int] = {}
    end = 0
    for op in func.walk():
        if isinstance(op, buf.Scratch) and not op.shared and (size := byte_size(op)) > STACK_BYTES:
            offsets[op] = end
            end += -(-size // ALIGN) * ALIGN
    return offsets, end


def byte_size(op: buf.Scratch) -> int:
    return as_expr(op.type.elements).value * op.type.element.bytes


def scratch_bytes(module: Module) -> int:
    """What each thread needs for the kernels of a module."""
    return max((scratch_offsets(func)[1] for func in module.funcs.values()), default=0)
