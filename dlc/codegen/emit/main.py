"""`main` of the loop level to the function that one inference calls: kernels in order, on the arena's buffers.

    i32 dlc_main(ptr ctx, ptr dims, ptr buffers, ptr workspace)

`buffers` holds the caller's inputs, then the outputs. Each kernel gets an array of pointers; its chunks are handed to
the thread pool. A size that a kernel finds out is read from `dims` once the kernel has run. Of two bodies each is such
a function, and `dlc_main` calls the one for the sizes in `dims`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from dlc.codegen.context import NO_MEMORY
from dlc.codegen.emit.checked import Checked
from dlc.codegen.emit.effects import FAIL, kernel_messages
from dlc.codegen.emit.scope import Block, Scope, Writer
from dlc.errors import InternalError
from dlc.ir.core import Block as IrBlock
from dlc.ir.core import Func, Module, Op, Value
from dlc.ir.dialects import run
from dlc.ir.dialects.func import Return
from dlc.ir.expr import Expr, as_expr, product
from dlc.ir.guards import pairs_of
from dlc.ir.messages import escaped
from dlc.ir.size_bounds import elements_at_most, upper_bounds
from dlc.ir.types import BufferType
from dlc.record import record

TOO_MUCH = "more than 63 bits can say"
WORTH_SHARING = 200_000  # units of work, some microseconds: handing a job to other threads and waiting takes one or two

Codes = Mapping[Op, int]  # per call what is added to the number of the kernel's error; per check its number


@record(frozen=False)
class ErrorSites:
    """The errors that a model can end in: one number for each message of each call."""

    codes: dict[Op, int] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)  # of the codes from 1 on

    def add(self, message: str) -> int:
        self.messages.append(message)
        return len(self.messages)


def error_sites(module: Module) -> ErrorSites:
    """Where the calls and checks of all bodies may fail, and what is said then."""
    sites = ErrorSites()
    body_of = {body.terminator: body for body in module.bodies}
    for op in (op for body in module.bodies for op in body.walk()):
        if isinstance(op, run.Check | run.Read):
            sites.codes[op] = sites.add(op.message)
        elif isinstance(op, run.Alloc) and op.late:
            name = escaped(f"'{op.loc}'")
            sites.codes[op] = sites.add(f"{name}: the memory of its result is {TOO_MUCH}")
        elif isinstance(op, Return) and late_results(body_of[op]):
            sites.codes[op] = sites.add(f"the memory of a result is {TOO_MUCH}")
        elif isinstance(op, run.Call) and (messages := kernel_messages(module.funcs[op.kernel])):
            sites.codes[op] = len(sites.messages)
            where = escaped(f"{op.kernel.rsplit('_', 1)[0]} '{op.loc}'")
            for message in messages:
                sites.add(f"{where}: {message}")
    return sites


def emit_main(
    bodies: Sequence[Func],
    symbols: Sequence[str],
    codes: Codes,
    scratch: int = 0,
    work: Mapping[Op, Expr] | None = None,
    teams: Mapping[str, int] | None = None,
) -> str:
    """LLVM text of `dlc_main`, and of the bodies that it calls if there are two.

    Each thread gets `scratch` bytes behind the arena. `work` says how much each call has to do; those with little stay
    on the calling thread. `teams` are the bytes that a team of each kernel that has them needs.
    Raises InternalError if memory has not been planned.
    """
    names = ["dlc_main"] if len(bodies) == 1 else [f"dlc_body_{body.name}" for body in bodies]
    made = [_emit_body(body, name, symbols, codes, scratch, work or {}, teams or {})
            for body, name in zip(bodies, names, strict=True)]  # fmt: skip
    calls = [op for body in bodies for op in body.walk() if isinstance(op, run.Call)]
    kernels = sorted({op.kernel for op in calls})
    declared = [f"declare hidden i32 @{name}(ptr, ptr, ptr, i64, i64, ptr)" for name in kernels]
    declared += [f"declare {each}" for each in dict.fromkeys(each for _, needed in made for each in needed)]
    texts = [text for text, _ in made]
    if len(bodies) > 1:
        choice, needed = _emit_choice(bodies[0], names, symbols)
        texts.append(choice)
        declared += [f"declare {each}" for each in needed]
    return "\n".join([
        "@dlc_weights = external global i8, align 64",
        "declare hidden i32 @dlc_parallel(ptr, ptr, ptr, ptr, i64)",
        "declare hidden i32 @dlc_alone(ptr, ptr, ptr, ptr, i64)",
        "declare hidden void @dlc_stamp(ptr)",
        f"declare hidden {FAIL}",
        *declared,
        *texts,
    ])  # fmt: skip


PARAMETERS = "(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace)"


def _emit_choice(equal: Func, names: Sequence[str], symbols: Sequence[str]) -> tuple[str, list[str]]:
    """`dlc_main` where there are two bodies: the first if all sizes that may broadcast are equal, else the second."""
    w = Writer()
    w.scopes.append(Scope(w.new_block("entry")))
    w.slots = {symbol: number for number, symbol in enumerate(symbols)}
    pairs = pairs_of(equal)
    _load_dims(w, sorted({name for left, right in pairs for name in left.symbols() | right.symbols()}))
    holds = "true"
    for left, right in pairs:
        sides = w.integer(w.canonical(left, [])), w.integer(w.canonical(right, []))
        same = w.assign(f"icmp eq i64 {sides[0]}, {sides[1]}", "same")
        holds = same if holds == "true" else w.assign(f"and i1 {holds}, {same}", "same")
    w.line(f"br i1 {holds}, label %equal, label %general")
    for label, name in zip(("equal", "general"), names, strict=True):
        block = Block(label, [f"%{label}.code = call i32 @{name}{PARAMETERS}", f"ret i32 %{label}.code"])
        w.blocks.append(block)
    return _function("dlc_main", w), [*w.declared]


def _function(name: str, w: Writer) -> str:
    body = "\n".join(f"{b.label}:\n" + "\n".join(f"  {line}" for line in b.lines) for b in w.blocks)
    return f"define hidden i32 @{name}{PARAMETERS} nounwind {{\n{body}\n}}\n"


def _emit_body(
    func: Func, name: str, symbols: Sequence[str], codes: Codes, scratch: int, work: Mapping[Op, Expr],
    teams: Mapping[str, int],
) -> tuple[str, list[str]]:  # fmt: skip
    """LLVM text of one body, and what it declares."""
    w = Writer()
    entry = w.new_block("entry")
    w.scopes.append(Scope(entry))
    w.slots = {symbol: number for number, symbol in enumerate(symbols)}
    _load_dims(w, [symbol for symbol in symbols if symbol not in found_sizes(func)])
    before = set(input_checks(func))
    calls = [op for op in func.walk() if isinstance(op, run.Call)]
    most = max((len(op.operands) for op in calls), default=0)
    w.line(f"%args = alloca [{max(1, most)} x ptr], align 16")
    late = late_results(func)
    for number, arg in enumerate(func.args):
        slot = w.assign(f"getelementptr ptr, ptr %buffers, i64 {number}", "slot")
        if arg not in late:
            w.define(arg, w.assign(f"load ptr, ptr {slot}, align 8", "p"))
    base = _share_scratch(w, func, scratch) if scratch else "null"
    w.line("call void @dlc_stamp(ptr %ctx)")
    _Body(w, func, codes, base, work, teams, late, before).ops(func.block)
    w.line("ret i32 0")
    return _function(name, w), [*w.declared]


@record(frozen=False)
class _Body:
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
                _late_result(self.w, value, self.late.pop(value), self.codes[self.func.terminator])
            self.op(op)

    def op(self, op: Op) -> None:
        w, codes = self.w, self.codes
        match op:
            case run.Alloc() if op.late:
                w.define(op.result, _allocate(w, op.type, -1, codes[op]))
            case run.Read():
                _read(w, op, codes[op])
                _load_dims(w, op.publishes)
            case run.Alloc() | run.Constant():
                w.define(op.result, _place(w, op))
            case run.View():
                w.define(op.result, _view(w, op))
            case run.Call():
                stamped = op.parent is self.func.block
                _call(w, op, codes.get(op), self.scratch, self.work.get(op), self.teams.get(op.kernel, 0), stamped)
                _load_dims(w, op.publishes)
            case run.Check() if op in self.before:
                pass
            case run.Check():
                _check(w, op, codes[op])
            case run.If():
                self.branches(op)
                if op.parent is self.func.block:
                    w.line("call void @dlc_stamp(ptr %ctx)")
            case Return() | run.Yield():
                pass
            case _:
                raise InternalError(f"{op.name} cannot stand in main", op=op)

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
                number = w.integer(w.canonical(size, []))
                slot = w.assign(f"getelementptr i64, ptr %dims, i64 {w.slots[name]}", "slot")
                w.line(f"store i64 {number}, ptr {slot}, align 8")
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
        _load_dims(w, op.publishes)


def _share_scratch(w: Writer, func: Func, each: int) -> str:
    """Tell the pool (pool_text.py) where the threads' scratch memory begins, behind the arena; returns that."""
    arena = func.attrs.get("workspace", 0)
    size = w.integer(w.canonical(arena, [])) if isinstance(arena, Expr) else str(arena)
    base = w.assign(f"getelementptr i8, ptr %workspace, i64 {size}", "scratch")
    base_at = w.assign("getelementptr i8, ptr %ctx, i64 48", "slot")
    each_at = w.assign("getelementptr i8, ptr %ctx, i64 56", "slot")
    w.line(f"store ptr {base}, ptr {base_at}, align 8")
    w.line(f"store i32 {each}, ptr {each_at}, align 4")
    return base


def _place(w: Writer, op: run.Alloc | run.Constant) -> str:
    if not isinstance(op.offset, Expr):
        raise InternalError("memory has not been planned: run plan-memory", op=op)
    base = "%workspace" if isinstance(op, run.Alloc) else "@dlc_weights"
    return w.assign(f"getelementptr i8, ptr {base}, i64 {w.integer(w.canonical(op.offset, []))}", "p")


def _view(w: Writer, op: run.View) -> str:
    if op.first == 0:
        return w.use(op.buffer)
    offset = w.integer(w.canonical(op.first * op.type.element.bytes, []))
    return w.assign(f"getelementptr i8, ptr {w.use(op.buffer)}, i64 {offset}", "p")


def late_results(func: Func) -> dict[Value, int]:
    """The results whose size only data decides, and nothing bounds, with their numbers among the results."""
    uppers = upper_bounds(func)
    results = [arg for arg in func.args if isinstance(arg.type, BufferType) and arg.type.space == "output"]
    return {arg: n for n, arg in enumerate(results)
            if isinstance(arg.type, BufferType) and elements_at_most(arg.type.shape, uppers) is None}  # fmt: skip


def _late_result(w: Writer, value: Value, number: int, code: int) -> None:
    """The caller's memory for a result, taken from its allocator now that the size is known."""
    if not isinstance(value.type, BufferType):
        raise InternalError(f"{value.type} is no buffer")
    address = _allocate(w, value.type, number, code)
    w.define(value, address)


def _allocate(w: Writer, kind: BufferType, result: int, code: int) -> str:
    """Memory for a buffer whose size is known by now: of the run's own (result -1), or for a result."""
    numbers = Checked(w)
    size = as_expr(product(kind.shape)) * kind.element.bytes
    for symbol in sorted(size.symbols()):
        numbers.symbols[symbol] = w.symbols[symbol][0]
    amount, bad = numbers.number(size)
    enough = w.assign(f"icmp sge i64 {amount}, 0", "enough")
    if bad != "false":
        enough = w.assign(f"select i1 {bad}, i1 false, i1 {enough}", "enough")
    _fail_unless(w, enough, code, amount, amount)
    w.declare("hidden ptr @dlc_allocate(ptr, i64, i64)")
    address = w.assign(f"call ptr @dlc_allocate(ptr %ctx, i64 {result}, i64 {amount})", "p")
    there = w.assign(f"icmp ne ptr {address}, null", "there")
    _fail_unless(w, there, NO_MEMORY, amount, amount)
    return address


def _read(w: Writer, op: run.Read, code: int) -> None:
    """Numbers of a buffer as the values of named dimensions."""
    buffer = w.use(op.buffer)
    for number, (name, most) in enumerate(zip(op.publishes, op.most, strict=True)):
        at = w.assign(f"getelementptr i64, ptr {buffer}, i64 {number}", "at")
        value = w.assign(f"load i64, ptr {at}, align 8", "n")
        numbers = Checked(w)
        for symbol in sorted(most.symbols()):
            numbers.symbols[symbol] = w.symbols[symbol][0]
        bound, _ = numbers.number(most)
        low = w.assign(f"icmp sge i64 {value}, 0", "holds")
        high = w.assign(f"icmp sle i64 {value}, {bound}", "holds")
        _fail_unless(w, w.assign(f"and i1 {low}, {high}", "holds"), code, value, bound)
        slot = w.assign(f"getelementptr i64, ptr %dims, i64 {w.slots[name]}", "slot")
        w.line(f"store i64 {value}, ptr {slot}, align 8")


def _fail_unless(w: Writer, holds: str, code: int, first: str, second: str) -> None:
    before = w.block
    failed, following = w.new_block("failed"), w.new_block("next")
    before.lines.append(f"br i1 {holds}, label %{following.label}, label %{failed.label}")
    status = w.fresh("status")
    failed.lines.append(f"{status} = call i32 @dlc_fail(ptr %ctx, i32 {code}, i32 0, i64 {first}, i64 {second})")
    failed.lines.append(f"ret i32 {status}")
    w.scopes[-1].block = following


def found_sizes(func: Func) -> tuple[str, ...]:
    """The named dimensions that kernels find out, in the order in which they do."""
    return tuple(name for op in func.walk() if isinstance(op, run.Call | run.Read | run.If) for name in op.publishes)


def input_checks(func: Func) -> list[run.Check]:
    """The checks that need the sizes of inputs alone: dlc_bind makes them."""
    found = set(found_sizes(func))
    checks = [op for op in func.block.ops if isinstance(op, run.Check)]
    return [op for op in checks if found.isdisjoint(op.left.symbols() | op.right.symbols())]


def _load_dims(w: Writer, symbols: Sequence[str]) -> None:
    for symbol in symbols:
        slot = w.assign(f"getelementptr i64, ptr %dims, i64 {w.slots[symbol]}", "slot")
        w.symbols[symbol] = (w.assign(f"load i64, ptr {slot}, align 8", "n"), w.depth)


def _check(w: Writer, op: run.Check, code: int) -> None:
    numbers = Checked(w)
    for symbol in sorted(op.left.symbols() | op.right.symbols()):
        numbers.symbols[symbol] = w.symbols[symbol][0]
    left, right = numbers.number(op.left), numbers.number(op.right)
    holds = numbers.stand_in(op.relation, left, right)
    if (bad := numbers.either(left[1], right[1])) != "false":
        holds = w.assign(f"select i1 {bad}, i1 false, i1 {holds}", "holds")
    _fail_unless(w, holds, code, left[0], right[0])


def _call(
    w: Writer, op: run.Call, first_code: int | None, scratch: str, work: Expr | None, team: int,
    stamped: bool = True,
) -> None:  # fmt: skip
    for number, value in enumerate(op.operands):
        _store_argument(w, number, value)
    chunks = w.integer(as_expr(op.chunks))
    if team:
        how = _distribution(w, work)
        parameters = f"ptr %ctx, ptr @{op.kernel}, ptr %dims, ptr %args, i64 {chunks}"
        memory = f"ptr {w.use(op.operands[-1])}, i64 {team}"
        w.declare("hidden i32 @dlc_teams(ptr, ptr, ptr, ptr, i64, ptr, i64, ptr)")
        status = w.assign(f"call i32 @dlc_teams({parameters}, {memory}, ptr {how})", "s")
    elif op.chunks == 1:
        status = w.assign(f"call i32 @{op.kernel}(ptr %ctx, ptr %dims, ptr %args, i64 0, i64 1, ptr {scratch})", "s")
    else:
        how = _distribution(w, work)
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


def _distribution(w: Writer, work: Expr | None) -> str:
    """The function that runs a kernel's chunks: on all threads, or on this one where they are not worth a wake-up."""
    if work is None:
        return "@dlc_parallel"
    if work.is_const:
        return "@dlc_alone" if work.value < WORTH_SHARING else "@dlc_parallel"
    little = w.assign(f"icmp slt i64 {w.integer(work)}, {WORTH_SHARING}", "little")
    return w.assign(f"select i1 {little}, ptr @dlc_alone, ptr @dlc_parallel", "how")


def _store_argument(w: Writer, number: int, value: Value) -> None:
    slot = w.assign(f"getelementptr [1 x ptr], ptr %args, i64 0, i64 {number}", "slot")
    w.line(f"store ptr {w.use(value)}, ptr {slot}, align 8")
