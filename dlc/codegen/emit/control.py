"""Loops and branches to LLVM basic blocks."""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.scope import Block, Scope, Writer
from dlc.codegen.emit.types import value_type
from dlc.errors import InternalError
from dlc.ir.core import Block as IRBlock
from dlc.ir.core import Op, Value
from dlc.ir.dialects import loop
from dlc.ir.expr import Expr

EmitBlock = Callable[[IRBlock, Writer], None]


def emit_for(op: loop.For, w: Writer, emit_block: EmitBlock, chunk: tuple[str, str] | None = None) -> None:
    """A loop tested at its end; entered through a guard unless it is known to run. `chunk`: bounds to use instead."""
    lower, upper = chunk or (
        w.integer(w.canonical(op.lower, op.indices)),
        w.integer(w.canonical(op.upper, op.indices)),
    )
    inits = [w.use(v) for v in op.inits]
    guarded = chunk is not None or not (op.trip_count or 0)
    entry = w.block
    body = w.new_block("loop")
    if not guarded:
        entry_end = f"br label %{body.label}"
        entry.lines.append(entry_end)
    turned = _turn_round(lower, upper, w) if op.zigzag else None
    phis = _open_loop(op, w, body)
    counter = phis[0][1]
    if turned is not None:
        back, last = turned
        mirrored = w.assign(f"sub nsw i64 {last}, {counter}")
        w.define(op.variable, w.assign(f"select i1 {back}, i64 {mirrored}, i64 {counter}"))
    emit_block(op.block, w)
    yields = [w.use(v) for v in op.block.terminator.operands]
    latch = w.block
    following = w.assign(f"add nsw i64 {counter}, {op.step}", "next")
    again = w.assign(f"icmp slt i64 {following}, {upper}", "again")
    w.scopes.pop()
    after = w.new_block("after")
    latch.lines.append(f"br i1 {again}, label %{body.label}, label %{after.label}")
    entry = w.block
    if guarded:
        enters = w.assign(f"icmp slt i64 {lower}, {upper}", "enters")
        entry.lines.append(f"br i1 {enters}, label %{body.label}, label %{after.label}")
    else:  # the branch stood in for the terminator while hoisted code went before it
        entry.lines.remove(entry_end)
        entry.lines.append(entry_end)
    values = [(lower, following), *zip(inits, yields, strict=True)]
    for (position, name, kind), (first, later) in zip(phis, values, strict=True):
        body.lines[position] = f"{name} = phi {kind} [ {first}, %{entry.label} ], [ {later}, %{latch.label} ]"
    w.scopes[-1].block = after
    for value, first, later in zip(op.results, inits, yields, strict=True):
        kind = value_type(value.type)
        merged = f"phi {kind} [ {first}, %{entry.label} ], [ {later}, %{latch.label} ]" if guarded else ""
        w.define(value, w.assign(merged, "r") if merged else later)


def _turn_round(lower: str, upper: str, w: Writer) -> tuple[str, str]:
    """Whether a loop goes backwards this time, and from where it is then counted down. The next time it does not."""
    state = w.fresh("way")
    w.blocks[0].lines.insert(0, f"store i1 false, ptr {state}")
    w.blocks[0].lines.insert(0, f"{state} = alloca i1, align 1")
    back = w.assign(f"load i1, ptr {state}")
    w.line(f"store i1 {w.assign(f'xor i1 {back}, true')}, ptr {state}")
    return back, w.assign(f"add nsw i64 {w.assign(f'add nsw i64 {lower}, {upper}')}, -1")


def bounds_within(op: loop.For, start: Expr, part: tuple[str, str], w: Writer) -> tuple[str, str]:
    """The iterations of `op` in a part of those of several loops, numbered through; its first is number `start`."""
    w.declare("i64 @llvm.smax.i64(i64, i64)")
    w.declare("i64 @llvm.smin.i64(i64, i64)")
    first, count = w.integer(w.canonical(start, [])), w.integer(w.canonical(op.upper, op.indices))
    low, high = (w.assign(f"sub i64 {bound}, {first}") for bound in part)
    begin = w.assign(f"call i64 @llvm.smax.i64(i64 {low}, i64 0)")
    return begin, w.assign(f"call i64 @llvm.smin.i64(i64 {high}, i64 {count})")


def _open_loop(op: loop.For, w: Writer, body: Block) -> list[tuple[int, str, str]]:
    """Enter the body's scope; returns the places of its phis."""
    w.scopes.append(Scope(body))
    phis = []
    for arg in op.block.args:
        name, kind = w.fresh("c"), value_type(arg.type)
        phis.append((len(body.lines), name, kind))
        body.lines.append("")
        w.define(arg, name)
    return phis


def emit_if(op: loop.If, w: Writer, emit_block: EmitBlock) -> None:
    condition = w.use(op.condition)
    ends: list[tuple[list[str], str]] = []
    heads = []
    tails = []
    for region in op.regions:
        head = w.new_block("branch")
        heads.append(head)
        w.scopes.append(Scope(head))
        emit_block(region.block, w)
        ends.append(([w.use(v) for v in region.block.terminator.operands], w.block.label))
        tails.append(w.block)
        w.scopes.pop()
    after = w.new_block("merged")
    for tail in tails:
        tail.lines.append(f"br label %{after.label}")
    w.line(f"br i1 {condition}, label %{heads[0].label}, label %{heads[1].label}")
    w.scopes[-1].block = after
    for number, value in enumerate(op.results):
        kind = value_type(value.type)
        sources = ", ".join(f"[ {values[number]}, %{label} ]" for values, label in ends)
        w.define(value, w.assign(f"phi {kind} {sources}", "m"))


def emit_while(op: loop.While, w: Writer, emit_block: EmitBlock) -> None:
    before, after = op.regions[0].block, op.regions[1].block
    condition = before.terminator
    if not isinstance(condition, loop.Condition):
        raise InternalError("a while's first region must end in loop.condition", op=op)
    inits = [w.use(v) for v in op.operands]
    head = w.new_block("while")
    entry = w.block
    w.scopes.append(Scope(head))
    phis = []
    for arg in before.args:
        name, kind = w.fresh("c"), value_type(arg.type)
        phis.append((len(head.lines), name, kind))
        head.lines.append("")
        w.define(arg, name)
    emit_block(before, w)
    passed = [w.use(v) for v in condition.values]
    test, test_block = w.use(condition.condition), w.block
    _pass_values(w, after.args, passed)
    body = w.new_block("body")
    w.scopes.append(Scope(body))
    emit_block(after, w)
    latch, yields = w.block, [w.use(v) for v in after.terminator.operands]
    w.scopes.pop()
    w.scopes.pop()
    done = w.new_block("done")
    latch.lines.append(f"br label %{head.label}")
    test_block.lines.append(f"br i1 {test}, label %{body.label}, label %{done.label}")
    entry = w.block
    entry.lines.append(f"br label %{head.label}")
    for (position, name, kind), first, later in zip(phis, inits, yields, strict=True):
        head.lines[position] = f"{name} = phi {kind} [ {first}, %{entry.label} ], [ {later}, %{latch.label} ]"
    w.scopes[-1].block = done
    for value, text in zip(op.results, passed, strict=True):
        w.define(value, text)


def _pass_values(w: Writer, args: list[Value], names: list[str]) -> None:
    for arg, name in zip(args, names, strict=True):
        w.define(arg, name)


CONTROL: dict[type[Op], Callable[..., None]] = {loop.For: emit_for, loop.If: emit_if, loop.While: emit_while}
