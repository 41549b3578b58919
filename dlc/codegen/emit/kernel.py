"""One kernel: a loop-level function to an LLVM function with the ABI of kernels.

    i32 kernel(ptr ctx, ptr dims, ptr buffers, i64 begin, i64 end, ptr scratch)

`buffers` holds one pointer per parameter; `scratch` is memory of the thread that runs the chunks
(dlc/ir/scratch.py). The kernel runs the iterations [begin, end) of the parallel loops at the top of its body, numbered
through; one that has none is a single chunk and ignores the bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dlc.codegen.emit import arith, contract, effects, memory, transpose
from dlc.codegen.emit.control import CONTROL, bounds_within, emit_for
from dlc.codegen.emit.denormals import keeping_denormals
from dlc.codegen.emit.scope import Scope, Writer
from dlc.codegen.emit.spread import SpreadEmitter
from dlc.codegen.emit.teams import TeamEmitter
from dlc.codegen.emit.types import memory_type
from dlc.errors import InternalError
from dlc.ir.chunks import chunk_count, parallel_loops, spread_count
from dlc.ir.core import Block, Func, Op
from dlc.ir.denormals import KEEPS_DENORMALS
from dlc.ir.dialects import buf, loop
from dlc.ir.dialects.func import Return
from dlc.ir.expr import Expr, as_expr
from dlc.ir.scratch import STACK_BYTES, byte_size, scratch_offsets
from dlc.ir.teams import has_teams
from dlc.record import record
from dlc.target import Target

EMITTERS: dict[type[Op], Callable[..., str | None]] = {
    **arith.EMITTERS, **memory.EMITTERS, **contract.EMITTERS, **transpose.EMITTERS, **effects.EMITTERS,
}  # fmt: skip


@record
class EmittedKernel:
    """LLVM text of one function, what it must declare, and how many chunks its work has."""

    name: str
    text: str
    declarations: tuple[str, ...]
    chunks: Expr


def emit_kernel(func: Func, symbols: Sequence[str], target: Target, name: str | None = None) -> EmittedKernel:
    """Emit `func`. `symbols` gives the order of named dimensions in `dims`."""
    w = Writer(frozenset(target.features))
    entry = w.new_block("entry")
    w.scopes.append(Scope(entry))
    for scratch, offset in scratch_offsets(func)[0].items():
        w.define(scratch.result, w.assign(f"getelementptr i8, ptr %scratch, i64 {offset}", "scratch"))
    for number, arg in enumerate(func.args):
        slot = w.assign(f"getelementptr ptr, ptr %buffers, i64 {number}", "slot")
        w.define(arg, w.assign(f"load ptr, ptr {slot}, align 8, !invariant.load !0", "p"))
    w.slots = {symbol: number for number, symbol in enumerate(symbols)}
    w.codes = {message: code for code, message in enumerate(effects.kernel_messages(func), start=1)}
    for used in sorted(_used_symbols(func) - set(effects.published(func))):
        if used not in symbols:
            raise InternalError(f"kernel {func.name} uses the unknown dimension {used!r}")
        slot = w.assign(f"getelementptr i64, ptr %dims, i64 {w.slots[used]}", "slot")
        text = w.assign(f"load i64, ptr {slot}, align 8, !invariant.load !0", "n")
        w.symbols[used] = (text, 0)
    _emit_kernel_ops(func, w)
    w.line("ret i32 0")
    label = name or func.name
    body = "\n".join(f"{b.label}:\n" + "\n".join(f"  {line}" for line in b.lines) for b in w.blocks)
    parameters = "ptr noalias %ctx, ptr noalias %dims, ptr noalias %buffers, i64 %begin, i64 %end, ptr noalias %scratch"
    if func.attrs.get(KEEPS_DENORMALS):
        text, switches = keeping_denormals(label, parameters, body, target.arch)
    else:
        text, switches = f"define hidden i32 @{label}({parameters}) #0 {{\n{body}\n}}\n", ()
    return EmittedKernel(label, text, (*w.declared, *switches), chunk_count(func))


Chunked = dict[loop.For, Expr]  # parallel loops with the number of their first chunk


def chunk_starts(func: Func) -> Chunked:
    starts: Chunked = {}
    total = as_expr(0)
    for op in parallel_loops(func):
        starts[op] = total
        total = total + op.upper
    return starts


def _used_symbols(func: Func) -> set[str]:
    """Named dimensions in the attributes and buffer types of a function."""
    found: set[str] = set()
    for arg in func.args:
        for dim in getattr(arg.type, "shape", ()):
            found |= dim.symbols() if isinstance(dim, Expr) else set()
    for op in func.walk():
        for value in op.attrs.values():
            for item in value if isinstance(value, tuple) else (value,):
                if isinstance(item, Expr):
                    found |= item.symbols()
    return {s for s in found if not (s[0] == "d" and s[1:].isdigit())}


def _emit_kernel_ops(func: Func, w: Writer) -> None:
    """The body of a kernel: of its parallel loops the iterations that lie in [begin, end)."""
    chunked = chunk_starts(func)
    team = TeamEmitter(func, _emit_block, _emit_op) if has_teams(func) else None
    for op in func.block.ops:
        if not isinstance(op, loop.For) or op not in chunked:
            _emit_op(op, w)
            continue
        if spread_count(op) > 1:
            SpreadEmitter(_emit_op).parallel(op, w)
            continue
        start = chunked[op]
        part = ("%begin", "%end")
        bounds = part if len(chunked) == 1 else bounds_within(op, start, part, w)
        emit_for(op, w, _emit_block if team is None else team.chunk_of(op, start), bounds)


def _emit_block(block: Block, w: Writer) -> None:
    for op in block.ops:
        _emit_op(op, w)


def _emit_op(op: Op, w: Writer) -> None:
    if isinstance(op, loop.Yield | loop.Condition | Return):
        return
    if type(op) in CONTROL:
        CONTROL[type(op)](op, w, _emit_block)
        return
    if isinstance(op, buf.Scratch):
        _emit_scratch(op, w)
        return
    emitter = EMITTERS.get(type(op))
    if emitter is None:
        raise InternalError(f"no LLVM for {op.name}", op=op)
    name = emitter(op, w)
    if op.results and name is not None:
        w.define(op.result, name)


def _emit_scratch(op: buf.Scratch, w: Writer) -> None:
    """Stack memory, reserved once at the kernel's entry; what is too large for it has its place already."""
    if byte_size(op) > STACK_BYTES:
        return
    name = w.fresh("scratch")
    count = as_expr(op.type.elements).value
    w.blocks[0].lines.insert(0, f"{name} = alloca [{max(1, count)} x {memory_type(op.type.element)}], align 64")
    w.define(op.result, name, 0)


def module_text(kernels: Sequence[EmittedKernel], target: Target, extra: Mapping[str, str] | None = None) -> str:
    """A whole LLVM module: kernels, the declarations they need, the functions' attributes."""
    declared = dict.fromkeys(d for kernel in kernels for d in kernel.declarations)
    attributes = " ".join(f'"{k}"="{v}"' for k, v in target.function_attributes.items())
    parts = [kernel.text for kernel in kernels]
    parts += [f"declare {signature}" for signature in declared]
    parts += list((extra or {}).values())
    parts += [f"attributes #0 = {{ nounwind {attributes} }}", "!0 = !{}"]
    return "\n".join(parts) + "\n"
