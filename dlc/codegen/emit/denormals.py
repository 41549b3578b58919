"""Kernels that keep denormals: `dlc_main` has the machine flush them, so these switch that off for as long as they run.

LLVM does not know that arithmetic depends on the switch. So the arithmetic is a function of its own, never inlined.
"""

from __future__ import annotations

from dlc.errors import InternalError

X86_64 = """\
  %slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %slot)
  %old = load volatile i32, ptr %slot
  %new = and i32 %old, -32833  ; neither FTZ (bit 15) nor DAZ (bit 6)
  store volatile i32 %new, ptr %slot
  call void @llvm.x86.sse.ldmxcsr(ptr %slot)
  %code = call i32 @NAME.computing(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch)
  store volatile i32 %old, ptr %slot
  call void @llvm.x86.sse.ldmxcsr(ptr %slot)
  ret i32 %code"""
AARCH64 = """\
  %old = call i64 @llvm.aarch64.get.fpcr()
  %new = and i64 %old, -16777217  ; not FZ (bit 24)
  call void @llvm.aarch64.set.fpcr(i64 %new)
  %code = call i32 @NAME.computing(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch)
  call void @llvm.aarch64.set.fpcr(i64 %old)
  ret i32 %code"""
BODIES = {"x86-64": X86_64, "aarch64": AARCH64}
DECLARATIONS = {
    "x86-64": ("void @llvm.x86.sse.stmxcsr(ptr)", "void @llvm.x86.sse.ldmxcsr(ptr)"),
    "aarch64": ("i64 @llvm.aarch64.get.fpcr()", "void @llvm.aarch64.set.fpcr(i64)"),
}


def keeping_denormals(label: str, parameters: str, body: str, machine: str) -> tuple[str, tuple[str, ...]]:
    """A kernel around its body, and what it must declare."""
    if machine not in BODIES:
        raise InternalError(f"there is no way to keep denormals on the machine {machine!r}")
    switch = BODIES[machine].replace("NAME", label)
    text = f"define internal i32 @{label}.computing({parameters}) noinline #0 {{\n{body}\n}}\n"
    return text + f"define hidden i32 @{label}({parameters}) #0 {{\n{switch}\n}}\n", DECLARATIONS[machine]
