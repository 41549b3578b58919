"""The ops of a body in order, branches and loops among them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from dlc.codegen.context import CANCELLED, LATE_AT, RUNNING_AT
from dlc.codegen.emit.found import published
from dlc.codegen.emit.scope import Scope, Writer
from dlc.codegen.emit.steps import (
    allocate,
    call_kernel,
    check_sizes,
    fail_unless,
    late_result,
    load_dims,
    place,
    read_sizes,
    store_dim,
    view,
)
from dlc.errors import InternalError
from dlc.ir.core import Block as IrBlock
from dlc.ir.core import Func, Op, Value
from dlc.ir.dialects import run
from dlc.ir.dialects.func import Return
from dlc.ir.expr import Expr, as_expr, product
from dlc.ir.types import BufferType
from dlc.record import record

Codes = Mapping[Op, int]  # per call what is added to the number of the kernel's error; per check its number


@record(frozen=False)
class Phis:
    """The values that go from trip to trip: each with its first, and once that is known its next."""

    w: Writer
    before: str  # the block in front of the loop
    first: dict[str, tuple[str, str]] = field(default_factory=dict)
    next: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, first: str, stem: str) -> str:
        name = self.w.fresh(stem)
        self.first[name] = kind, first
        return name

    def lines(self, latch: str) -> list[str]:
        return [
            f"{name} = phi {kind} [ {first}, %{self.before} ], [ {self.next[name]}, %{latch} ]"
            for name, (kind, first) in self.first.items()
        ]


@record
class Turn:
    """A carried value: its address now, where the next one goes, and the two buffers that are written in turn."""

    now: str
    target: str  # "": each trip takes memory for the next one
    buffers: Sequence[str]


@record(frozen=False)
class Body:
    """The ops of one body, and of the branches in it, on their way to LLVM text."""

    w: Writer
    func: Func
    codes: Codes
    scratch: str
    work: Mapping[Op, Expr]
    teams: Mapping[str, int]
    late: dict[Value, int]  # results that have no memory yet
    before: set[run.Check]  # what dlc_bind has made sure of

    def ops(self, block: IrBlock) -> None:
        for op in block.ops:
            for value in [value for value in op.operands if value in self.late]:
                late_result(self.w, value, self.late.pop(value), self.codes[self.func.terminator])
            self.op(op)

    def op(self, op: Op) -> None:
        w, codes = self.w, self.codes
        match op:
            case run.Alloc() if op.late:
                w.define(op.result, allocate(w, op.type, -1, codes[op]))
            case run.Read():
                read_sizes(w, op, codes[op])
                load_dims(w, op.publishes)
            case run.Alloc() | run.Constant():
                w.define(op.result, place(w, op))
            case run.View():
                w.define(op.result, view(w, op))
            case run.Call():
                stamped, team = op.parent is self.func.block, self.teams.get(op.kernel, 0)
                call_kernel(w, op, codes.get(op), self.scratch, self.work.get(op), team, stamped)
                load_dims(w, op.publishes)
            case run.Check() if op in self.before:
                pass
            case run.Check():
                check_sizes(w, op, codes[op])
            case run.If():
                self.branches(op)
                if op.parent is self.func.block:
                    w.line("call void @dlc_stamp(ptr %ctx)")
            case run.Loop():
                self.loop(op)
                if op.parent is self.func.block:
                    w.line("call void @dlc_stamp(ptr %ctx)")
            case Return() | run.Yield():
                pass
            case _:
                raise InternalError(f"{op.name} cannot stand in main", op=op)

    def loop(self, op: run.Loop) -> None:
        """Trips around the region, with the addresses of carried values in phis."""
        w = self.w
        count, going, cells = self.loop_head(op)
        takes = any(isinstance(each, run.Alloc) and each.late for each in op.walk())
        older = self.late_list() if takes else ""
        before, symbols = w.block, w.symbols
        test, start = w.new_block("trip"), w.new_block("body")
        w.scopes.append(Scope(start))
        w.symbols = dict(symbols)
        phis = Phis(w, before.label)
        trip, more = phis.add("i64", "0", "trip"), phis.add("i8", going, "more")
        args = iter(op.body.block.args)
        turns = self.carried_phis(op, phis, args)
        self.may_go_on(op, trip)
        w.line(f"store i64 {trip}, ptr {cells[0]}, align 8")
        w.line(f"store i8 {more}, ptr {cells[1]}, align 1")
        load_dims(w, op.publishes)
        mark = self.late_list() if takes else ""
        for arg, stack in zip(args, op.stacks, strict=True):
            w.define(arg, self.row(arg, w.use(stack), trip))
        self.ops(op.body.block)
        self.next_trip(op, phis, turns, trip, more)
        if takes:
            self.give_back(any(op.late), mark, older)
        w.line(f"br label %{test.label}")
        latch = w.scopes.pop().block.label
        w.symbols = symbols
        after = w.new_block("done")
        before.lines.append(f"br label %{test.label}")
        left, goes, both = w.fresh("left"), w.fresh("on"), w.fresh("goes")
        test.lines += [
            *phis.lines(latch),
            f"{left} = icmp slt i64 {trip}, {count}",
            f"{goes} = icmp ne i8 {more}, 0",
            f"{both} = and i1 {left}, {goes}",
            f"br i1 {both}, label %{start.label}, label %{after.label}",
        ]
        w.scopes[-1].block = after
        for value, turn in zip(op.results, turns, strict=True):
            w.define(value, turn.now)
        if op.length:
            store_dim(self.w, op.length, trip)
        load_dims(w, published(op))

    def may_go_on(self, op: run.Loop, trip: str) -> None:
        """End the run at a trip if it has been cancelled, or makes more of them than it may."""
        w = self.w
        at = w.assign(f"getelementptr i8, ptr %ctx, i64 {RUNNING_AT}", "at")
        running = w.assign(f"load atomic i32, ptr {at} monotonic, align 4", "running")
        fail_unless(w, w.assign(f"icmp ne i32 {running}, 2", "holds"), CANCELLED, trip, trip)
        if op.most_trips:
            few = w.assign(f"icmp slt i64 {trip}, {op.most_trips}", "few")
            fail_unless(w, few, self.codes[op] + 1, trip, str(op.most_trips))

    def loop_head(self, op: run.Loop) -> tuple[str, str, list[str]]:
        """The count, the first condition, and the cells for the number of the trip and the condition."""
        w, head = self.w, iter(op.head)
        count, going = str((1 << 63) - 1), "1"
        if op.counted:
            count = w.assign(f"load i64, ptr {w.use(next(head))}, align 8", "count")
            fail_unless(w, w.assign(f"icmp sge i64 {count}, 0", "holds"), self.codes[op], count, count)
        if op.conditional:
            going = w.assign(f"load i8, ptr {w.use(next(head))}, align 1", "going")
        firsts = [w.integer(w.canonical(size, [])) for size in op.first_sizes]
        for name, number in zip(op.publishes, firsts, strict=True):
            store_dim(self.w, name, number)
        return count, going, [w.use(each) for each in head]

    def carried_phis(self, op: run.Loop, phis: Phis, args: Iterator[Value]) -> list[Turn]:
        """What each carried value is, and where the next one goes: to the one and to the other buffer in turn."""
        turns = []
        for late, buffers in zip(op.late, op.carried, strict=True):
            first, *two = (self.w.use(each) for each in buffers)
            now = phis.add("ptr", first, "now")
            self.w.define(next(args), now)
            target = "" if late else phis.add("ptr", two[0], "target")
            if target:
                self.w.define(next(args), target)
            turns.append(Turn(now, target, two))
        return turns

    def next_trip(self, op: run.Loop, phis: Phis, turns: Sequence[Turn], trip: str, more: str) -> None:
        """What the phis get from the end of a trip."""
        w = self.w
        condition, *handed = op.body.block.terminator.operands
        sizes = [w.integer(w.canonical(size, [])) for size in op.next_sizes]
        for name, number in zip(op.publishes, sizes, strict=True):
            store_dim(self.w, name, number)
        phis.next[more] = w.assign(f"load i8, ptr {w.use(condition)}, align 1", "more")
        phis.next[trip] = w.assign(f"add i64 {trip}, 1", "trip")
        late = iter(handed)
        for turn in turns:
            phis.next[turn.now] = turn.target or w.use(next(late))
            if turn.target:
                one, other = turn.buffers
                first = w.assign(f"icmp eq ptr {turn.target}, {one}", "first")
                phis.next[turn.target] = w.assign(f"select i1 {first}, ptr {other}, ptr {one}", "target")

    def give_back(self, carries: bool, mark: str, older: str) -> None:
        """The memory that trips have taken: if some carries values on, what the trip before has taken, else all."""
        if carries:
            self.w.declare("hidden void @dlc_trim(ptr, ptr, ptr)")
            self.w.line(f"call void @dlc_trim(ptr %ctx, ptr {mark}, ptr {older})")
        else:
            self.w.declare("hidden void @dlc_release(ptr, ptr)")
            self.w.line(f"call void @dlc_release(ptr %ctx, ptr {mark})")

    def late_list(self) -> str:
        """The last piece of memory that the run has taken so far."""
        at = self.w.assign(f"getelementptr i8, ptr %ctx, i64 {LATE_AT}", "at")
        return self.w.assign(f"load ptr, ptr {at}, align 8", "list")

    def row(self, arg: Value, stack: str, trip: str) -> str:
        """Where the row of a trip lies."""
        if not isinstance(arg.type, BufferType):
            raise InternalError(f"{arg.type} is no buffer")
        size = as_expr(product(arg.type.shape)) * arg.type.element.bytes
        size_now = self.w.integer(self.w.canonical(size, []))
        offset = self.w.assign(f"mul i64 {trip}, {size_now}", "offset")
        return self.w.assign(f"getelementptr i8, ptr {stack}, i64 {offset}", "row")

    def branches(self, op: run.If) -> None:
        """One of two regions, then what both have found."""
        w = self.w
        flag = w.assign(f"load i8, ptr {w.use(op.condition)}, align 1", "flag")
        holds = w.assign(f"icmp ne i8 {flag}, 0", "holds")
        before, symbols = w.block, w.symbols
        labels, ends, handed = [], [], []
        for body, sizes in ((op.then, op.then_sizes), (op.otherwise, op.else_sizes)):
            start = w.new_block("branch")
            w.scopes.append(Scope(start))
            w.symbols = dict(symbols)
            self.ops(body.block)
            for name, size in zip(op.publishes, sizes, strict=True):
                store_dim(w, name, w.integer(w.canonical(size, [])))
            labels.append(start.label)
            handed.append([w.use(value) for value in body.block.terminator.operands])
            ends.append(w.scopes.pop().block)
        w.symbols = symbols
        before.lines.append(f"br i1 {holds}, label %{labels[0]}, label %{labels[1]}")
        joined = w.new_block("joined")
        for end in ends:
            end.lines.append(f"br label %{joined.label}")
        w.scopes[-1].block = joined
        for value, first, second in zip(op.results, *handed, strict=True):
            sides = f"[ {first}, %{ends[0].label} ], [ {second}, %{ends[1].label} ]"
            w.define(value, w.assign(f"phi ptr {sides}", "p"))
        load_dims(w, op.publishes)
