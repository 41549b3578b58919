"""What a machine can do at best, measured by loops made by our own code generator.

    i64 fma(i64 count)                  independent fused multiply-adds in registers; returns how many operations
    i64 read(ptr data, i64 bytes)       vector loads of all of `data`, a multiple of BLOCK bytes; returns the bytes
"""

from __future__ import annotations

from dlc.codegen.elf.link import link
from dlc.codegen.elf.writer import Output
from dlc.codegen.llvm_backend import compile_object
from dlc.target import Target

EXPORTS = ("fma", "read")
BLOCK = 1024  # bytes that one step of `read` takes


def probe_text(target: Target) -> str:
    """LLVM text of both loops."""
    attributes = " ".join(f'"{k}"="{v}"' for k, v in target.function_attributes.items())
    return f"{fma_text(target)}\n{read_text(target)}\nattributes #0 = {{ nounwind {attributes} }}\n"


def write_probes(target: Target, path: Output) -> None:
    """A shared library with the loops."""
    made = compile_object(probe_text(target), target.triple, target.llvm_cpu, target.llvm_features)
    link([made], machine=target.arch, exports=EXPORTS, output=path)


def lanes_of(target: Target) -> int:
    return target.facts.vector_bits // 32


def fma_text(target: Target) -> str:
    """As many chains as it takes to hide the latency of an addition, in half of the registers and more."""
    lanes, chains = lanes_of(target), 24 if target.facts.vector_registers > 16 else 12
    kind = f"<{lanes} x float>"
    constants = f"{kind} splat (float 0.5), {kind} splat (float 0.25)"
    names = [f"n{n}" for n in range(chains)]
    phis = [f"%a{n} = phi {kind} [ splat (float 1.0), %entry ], [ %n{n}, %loop ]" for n in range(chains)]
    steps = [f"%n{n} = call {kind} @llvm.fmuladd.v{lanes}f32({kind} %a{n}, {constants})" for n in range(chains)]
    sums, total = chain(names, kind, "fadd")
    return "\n".join([
        f"declare {kind} @llvm.fmuladd.v{lanes}f32({kind}, {kind}, {kind})",
        "define i64 @fma(i64 %count) #0 {", "entry:", "br label %loop", "loop:",
        "%i = phi i64 [ 0, %entry ], [ %next, %loop ]", *phis, *steps,
        "%next = add i64 %i, 1", "%again = icmp slt i64 %next, %count", "br i1 %again, label %loop, label %done",
        "done:", *sums, *kept(total, lanes, "float"), f"%r = mul i64 %next, {2 * lanes * chains}", "ret i64 %r", "}",
    ])  # fmt: skip


def read_text(target: Target) -> str:
    lanes = lanes_of(target)
    kind, loads = f"<{lanes} x i32>", BLOCK // (4 * lanes)
    names = [f"x{n}" for n in range(4)]
    phis = [f"%a{n} = phi {kind} [ zeroinitializer, %entry ], [ %x{n}, %loop ]" for n in range(4)]
    steps = []
    for n in range(loads):
        steps.append(f"%p{n} = getelementptr i8, ptr %here, i64 {n * 4 * lanes}")
        steps.append(f"%v{n} = load {kind}, ptr %p{n}, align 4")
        before = f"%a{n}" if n < 4 else f"%o{n - 4}"
        steps.append(f"%{'x' + str(n % 4) if n >= loads - 4 else 'o' + str(n)} = or {kind} {before}, %v{n}")
    sums, total = chain(names, kind, "or")
    return "\n".join([
        "define i64 @read(ptr %data, i64 %bytes) #0 {", "entry:", "br label %loop", "loop:",
        "%i = phi i64 [ 0, %entry ], [ %next, %loop ]", *phis, "%here = getelementptr i8, ptr %data, i64 %i", *steps,
        f"%next = add i64 %i, {BLOCK}", "%again = icmp slt i64 %next, %bytes",
        "br i1 %again, label %loop, label %done",
        "done:", *sums, *kept(total, lanes, "i32"), "ret i64 %next", "}",
    ])  # fmt: skip


def chain(names: list[str], kind: str, operation: str) -> tuple[list[str], str]:
    """All values in one."""
    lines, total = [], names[0]
    for name in names[1:]:
        lines.append(f"%{name}.t = {operation} {kind} %{total}, %{name}")
        total = f"{name}.t"
    return lines, total


def kept(total: str, lanes: int, element: str) -> list[str]:
    """A use of the result, or there would be nothing to compute."""
    return [
        f"%slot = alloca <{lanes} x {element}>, align 64",
        f"store volatile <{lanes} x {element}> %{total}, ptr %slot, align 64",
    ]
