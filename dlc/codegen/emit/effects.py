"""What a kernel tells the run besides its results: a size it has found, or that it must stop.

An error has a number: the kernel's own messages count from 1. `main` adds what sets the call apart from all others, as
a kernel may serve several nodes of the model.
"""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.scope import Scope, Writer
from dlc.errors import InternalError
from dlc.ir.core import Func, Op, Value
from dlc.ir.dialects import buf, loop
from dlc.ir.types import BOOL, VectorType

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
    condition = w.use(op.condition)
    lanes = op.condition.type.lanes if isinstance(op.condition.type, VectorType) else 0
    holds = condition
    if lanes:
        holds = w.call(BOOL, f"llvm.vector.reduce.and.v{lanes}i1", [(op.condition.type, condition)])
    failed, following = w.new_block("failed"), w.new_block("checked")
    w.line(f"br i1 {holds}, label %{following.label}, label %{failed.label}")
    w.scopes.append(Scope(failed))
    lane = _first_false(condition, lanes, w) if lanes else ""
    first, second = (_number(value, lane, w) for value in (op.first, op.second))
    code = w.codes[op.message]
    status = w.assign(f"call i32 @dlc_fail(ptr %ctx, i32 {code}, i32 0, i64 {first}, i64 {second})", "status")
    w.line(f"ret i32 {status}")
    w.scopes.pop()
    w.scopes[-1].block = following


def _first_false(condition: str, lanes: int, w: Writer) -> str:
    wrong = w.assign(f"xor <{lanes} x i1> {condition}, splat (i1 true)")
    bits = w.assign(f"bitcast <{lanes} x i1> {wrong} to i{lanes}")
    wide = w.assign(f"zext i{lanes} {bits} to i64") if lanes < 64 else bits
    w.declare("i64 @llvm.cttz.i64(i64, i1)")
    return w.assign(f"call i64 @llvm.cttz.i64(i64 {wide}, i1 false)", "lane")


def _number(value: Value, lane: str, w: Writer) -> str:
    text = w.use(value)
    if not isinstance(value.type, VectorType):
        return text
    return w.assign(f"extractelement <{value.type.lanes} x i64> {text}, i64 {lane}")


EMITTERS: dict[type[Op], Callable[..., None]] = {buf.Publish: emit_publish, loop.Check: emit_check}
