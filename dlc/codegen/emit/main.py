"""`main` of the loop level to the function that one inference calls: kernels in order, on the arena's buffers.

    i32 dlc_main(ptr ctx, ptr dims, ptr buffers, ptr workspace)

`buffers` holds the caller's inputs, then the outputs. Each kernel gets an array of pointers; its chunks are handed to
the thread pool. A size that a kernel finds out is read from `dims` once the kernel has run. Of two bodies each is such
a function, and `dlc_main` calls the one for the sizes in `dims`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from dlc.codegen.emit.effects import FAIL, kernel_messages
from dlc.codegen.emit.flow import Body, Codes
from dlc.codegen.emit.found import found_sizes, input_checks, late_results
from dlc.codegen.emit.scope import Block, Scope, Writer
from dlc.codegen.emit.steps import load_dims
from dlc.ir.core import Func, Module, Op
from dlc.ir.dialects import run
from dlc.ir.dialects.func import Return
from dlc.ir.expr import Expr
from dlc.ir.guards import pairs_of
from dlc.ir.messages import escaped
from dlc.record import record

TOO_MUCH = "more than 63 bits can say"


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
        if isinstance(op, run.Check | run.Read | run.Loop):
            sites.codes[op] = sites.add(op.message)
            if isinstance(op, run.Loop) and op.most_trips:
                sites.add(op.limit_message)  # the code behind that of the loop
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
    load_dims(w, sorted({name for left, right in pairs for name in left.symbols() | right.symbols()}))
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
    load_dims(w, [symbol for symbol in symbols if symbol not in found_sizes(func)])
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
    Body(w, func, codes, base, work, teams, late, before).ops(func.block)
    w.line("ret i32 0")
    return _function(name, w), [*w.declared]


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


