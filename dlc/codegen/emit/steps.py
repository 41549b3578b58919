"""The ops of `main` one by one: addresses, sizes that are read, checks, and calls of kernels."""

from __future__ import annotations

from collections.abc import Sequence

from dlc.codegen.context import NO_MEMORY
from dlc.codegen.emit.checked import Checked
from dlc.codegen.emit.scope import Writer
from dlc.errors import InternalError
from dlc.ir.core import Value
from dlc.ir.dialects import run
from dlc.ir.expr import Expr, as_expr, product
from dlc.ir.types import BufferType

WORTH_SHARING = 200_000  # units of work, some microseconds: handing a job to other threads and waiting takes one or two


def place(w: Writer, op: run.Alloc | run.Constant) -> str:
    if not isinstance(op.offset, Expr):
        raise InternalError("memory has not been planned: run plan-memory", op=op)
    base = "%workspace" if isinstance(op, run.Alloc) else "@dlc_weights"
    return w.assign(f"getelementptr i8, ptr {base}, i64 {w.integer(w.canonical(op.offset, []))}", "p")


def view(w: Writer, op: run.View) -> str:
    if op.first == 0:
        return w.use(op.buffer)
    offset = w.integer(w.canonical(op.first * op.type.element.bytes, []))
    return w.assign(f"getelementptr i8, ptr {w.use(op.buffer)}, i64 {offset}", "p")


def late_result(w: Writer, value: Value, number: int, code: int) -> None:
    """The caller's memory for a result, taken from its allocator now that the size is known."""
    if not isinstance(value.type, BufferType):
        raise InternalError(f"{value.type} is no buffer")
    address = allocate(w, value.type, number, code)
    w.define(value, address)


def allocate(w: Writer, kind: BufferType, result: int, code: int) -> str:
    """Memory for a buffer whose size is known by now: of the run's own (result -1), or for a result."""
    size = as_expr(product(kind.shape)) * kind.element.bytes
    numbers = checked(w, size)
    amount, bad = numbers.number(size)
    enough = w.assign(f"icmp sge i64 {amount}, 0", "enough")
    if bad != "false":
        enough = w.assign(f"select i1 {bad}, i1 false, i1 {enough}", "enough")
    fail_unless(w, enough, code, amount, amount)
    w.declare("hidden ptr @dlc_allocate(ptr, i64, i64)")
    address = w.assign(f"call ptr @dlc_allocate(ptr %ctx, i64 {result}, i64 {amount})", "p")
    there = w.assign(f"icmp ne ptr {address}, null", "there")
    fail_unless(w, there, NO_MEMORY, amount, amount)
    return address


def read_sizes(w: Writer, op: run.Read, code: int) -> None:
    """Numbers of a buffer as the values of named dimensions."""
    buffer = w.use(op.buffer)
    for number, (name, most) in enumerate(zip(op.publishes, op.most, strict=True)):
        at = w.assign(f"getelementptr i64, ptr {buffer}, i64 {number}", "at")
        value = w.assign(f"load i64, ptr {at}, align 8", "n")
        bound, _ = checked(w, most).number(most)
        low = w.assign(f"icmp sge i64 {value}, 0", "holds")
        high = w.assign(f"icmp sle i64 {value}, {bound}", "holds")
        fail_unless(w, w.assign(f"and i1 {low}, {high}", "holds"), code, value, bound)
        store_dim(w, name, value)


def fail_unless(w: Writer, holds: str, code: int, first: str, second: str) -> None:
    before = w.block
    failed, following = w.new_block("failed"), w.new_block("next")
    before.lines.append(f"br i1 {holds}, label %{following.label}, label %{failed.label}")
    status = w.fresh("status")
    failed.lines.append(f"{status} = call i32 @dlc_fail(ptr %ctx, i32 {code}, i32 0, i64 {first}, i64 {second})")
    failed.lines.append(f"ret i32 {status}")
    w.scopes[-1].block = following


def checked(w: Writer, *exprs: Expr) -> Checked:
    """Arithmetic that notices overflow, on the values that the symbols of some expressions have now."""
    numbers = Checked(w)
    for symbol in sorted({symbol for expr in exprs for symbol in expr.symbols()}):
        numbers.symbols[symbol] = w.symbols[symbol][0]
    return numbers


def store_dim(w: Writer, name: str, number: str) -> None:
    slot = w.assign(f"getelementptr i64, ptr %dims, i64 {w.slots[name]}", "slot")
    w.line(f"store i64 {number}, ptr {slot}, align 8")


def load_dims(w: Writer, symbols: Sequence[str]) -> None:
    for symbol in symbols:
        slot = w.assign(f"getelementptr i64, ptr %dims, i64 {w.slots[symbol]}", "slot")
        w.symbols[symbol] = (w.assign(f"load i64, ptr {slot}, align 8", "n"), w.depth)


def check_sizes(w: Writer, op: run.Check, code: int) -> None:
    numbers = checked(w, op.left, op.right)
    left, right = numbers.number(op.left), numbers.number(op.right)
    holds = numbers.stand_in(op.relation, left, right)
    if (bad := numbers.either(left[1], right[1])) != "false":
        holds = w.assign(f"select i1 {bad}, i1 false, i1 {holds}", "holds")
    fail_unless(w, holds, code, left[0], right[0])


def call_kernel(
    w: Writer, op: run.Call, first_code: int | None, scratch: str, work: Expr | None, team: int,
    stamped: bool = True,
) -> None:  # fmt: skip
    for number, value in enumerate(op.operands):
        store_argument(w, number, value)
    chunks = w.integer(as_expr(op.chunks))
    if team:
        how = distribution(w, work)
        parameters = f"ptr %ctx, ptr @{op.kernel}, ptr %dims, ptr %args, i64 {chunks}"
        memory = f"ptr {w.use(op.operands[-1])}, i64 {team}"
        w.declare("hidden i32 @dlc_teams(ptr, ptr, ptr, ptr, i64, ptr, i64, ptr)")
        status = w.assign(f"call i32 @dlc_teams({parameters}, {memory}, ptr {how})", "s")
    elif op.chunks == 1:
        status = w.assign(f"call i32 @{op.kernel}(ptr %ctx, ptr %dims, ptr %args, i64 0, i64 1, ptr {scratch})", "s")
    else:
        how = distribution(w, work)
        status = w.assign(f"call i32 {how}(ptr %ctx, ptr @{op.kernel}, ptr %dims, ptr %args, i64 {chunks})", "s")
    bad = w.assign(f"icmp ne i32 {status}, 0", "bad")
    before = w.block
    failed, following = w.new_block("failed"), w.new_block("next")
    before.lines.append(f"br i1 {bad}, label %{failed.label}, label %{following.label}")
    if first_code is not None:  # the kernel's own number becomes one that stands for this call
        code, own = w.fresh("code"), w.fresh("own")
        # not the status: of several chunks one has recorded its error
        failed.lines.append(f"{own} = load i32, ptr %ctx")
        failed.lines.append(f"{code} = add i32 {own}, {first_code}")
        failed.lines.append(f"store i32 {code}, ptr %ctx")
        status = code
    failed.lines.append(f"ret i32 {status}")
    w.scopes[-1].block = following
    if stamped:
        w.line("call void @dlc_stamp(ptr %ctx)")  # returns at once unless a profile is taken: pool_text.py


def distribution(w: Writer, work: Expr | None) -> str:
    """The function that runs a kernel's chunks: on all threads, or on this one where they are not worth a wake-up."""
    if work is None:
        return "@dlc_parallel"
    if work.is_const:
        return "@dlc_alone" if work.value < WORTH_SHARING else "@dlc_parallel"
    little = w.assign(f"icmp slt i64 {w.integer(work)}, {WORTH_SHARING}", "little")
    return w.assign(f"select i1 {little}, ptr @dlc_alone, ptr @dlc_parallel", "how")


def store_argument(w: Writer, number: int, value: Value) -> None:
    slot = w.assign(f"getelementptr [1 x ptr], ptr %args, i64 0, i64 {number}", "slot")
    w.line(f"store ptr {w.use(value)}, ptr {slot}, align 8")
