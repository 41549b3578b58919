"""What a kernel tells the run besides its results: a size it has found, or that it must stop.

An error has a number: the kernel's own messages count from 1. `main` adds what sets the call apart from all others, as
a kernel may serve several nodes of the model.
"""

from __future__ import annotations

from dlc.codegen.emit.scope import Writer
from dlc.errors import InternalError
from dlc.ir.core import Func
from dlc.ir.dialects import buf, loop

FAIL = "i32 @dlc_fail(ptr, i32, i32, i64, i64)"


def kernel_messages(func: Func) -> tuple[str, ...]:
    """The messages of a kernel's checks, each once; the first has the number 1."""
    return tuple(dict.fromkeys(op.message for op in func.walk() if isinstance(op, loop.Check)))


def published(func: Func) -> tuple[str, ...]:
    """The named dimensions that a kernel makes known."""
    return tuple(op.symbol for op in func.walk() if isinstance(op, buf.Publish))


def emit_publish(op: buf.Publish, w: Writer) -> None:
    if w.depth or op.symbol not in w.slots:
        raise InternalError(f"the size {op.symbol!r} cannot be published here", op=op)
    text = w.use(op.value)
    slot = w.assign(f"getelementptr i64, ptr %dims, i64 {w.slots[op.symbol]}", "slot")
    w.line(f"store i64 {text}, ptr {slot}, align 8")
    w.symbols[op.symbol] = (text, 0)


def emit_check(op: loop.Check, w: Writer) -> None:
    w.declare(f"hidden {FAIL}")
    first, second = w.use(op.first), w.use(op.second)
    failed, following = w.new_block("failed"), w.new_block("checked")
    w.line(f"br i1 {w.use(op.condition)}, label %{following.label}, label %{failed.label}")
    status = w.fresh("status")
    code = w.codes[op.message]
    failed.lines.append(f"{status} = call i32 @dlc_fail(ptr %ctx, i32 {code}, i32 0, i64 {first}, i64 {second})")
    failed.lines.append(f"ret i32 {status}")
    w.scopes[-1].block = following


EMITTERS = {buf.Publish: emit_publish, loop.Check: emit_check}
