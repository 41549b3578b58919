"""The thread pool and the exported entry points of every artefact, as LLVM IR text.

No state lives outside the context (`ctx`), so that two models in one process share nothing.

pool_text.py holds the code and describes the context.
"""

from __future__ import annotations

import re
from functools import lru_cache

from dlc.codegen.context import (
    ALLOCATE_AT,
    BOUND_AT,
    DIMS_AT,
    LATE_AT,
    MAX_THREADS,
    RUNNING_AT,
    THREADS_AT,
    WORKSPACE_AT,
)
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool_text import MODULE
from dlc.errors import InternalError
from dlc.record import record

ABI_VERSION = 3
WORTH_JOINING = 8  # phases: a thread that joins a team late spends the first ones on filling its cache
EXPORTS = (
    "dlc_abi_version", "dlc_ctx_bytes", "dlc_init", "dlc_close", "dlc_error", "dlc_bind", "dlc_run", "dlc_shapes",
    "dlc_message", "dlc_dims", "dlc_set_parallel", "dlc_profile", "dlc_set_allocator", "dlc_cancel",
)  # fmt: skip


@record
class PoolTarget:
    """What differs between the architecture families."""

    triple: str
    cpu: str
    futex: int          # system call number
    spins: int          # pauses before a thread blocks: some 50 to 100 microseconds
    pause: str
    declarations: str
    enter: str          # body of i32 @dlc_fp_enter(): flush denormals, return the old state
    leave: str          # body of void @dlc_fp_leave(i32 %state)


X86_64 = PoolTarget(
    triple="x86_64-unknown-linux-gnu", cpu="x86-64", futex=202, spins=2000,
    pause="call void @llvm.x86.sse2.pause()",
    declarations="""
declare void @llvm.x86.sse2.pause()
declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)""",
    enter="""
  %slot = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %slot)
  %old = load volatile i32, ptr %slot
  %new = or i32 %old, 32832  ; FTZ (bit 15) and DAZ (bit 6)
  store volatile i32 %new, ptr %slot
  call void @llvm.x86.sse.ldmxcsr(ptr %slot)
  ret i32 %old""",
    leave="""
  %slot = alloca i32
  store volatile i32 %state, ptr %slot
  call void @llvm.x86.sse.ldmxcsr(ptr %slot)
  ret void""",
)

AARCH64 = PoolTarget(
    triple="aarch64-unknown-linux-gnu", cpu="generic", futex=98, spins=40000,
    pause="call void @llvm.aarch64.hint(i32 1)",
    declarations="""
declare void @llvm.aarch64.hint(i32)
declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)""",
    enter="""
  %old = call i64 @llvm.aarch64.get.fpcr()
  %new = or i64 %old, 16777216  ; FZ (bit 24)
  call void @llvm.aarch64.set.fpcr(i64 %new)
  %result = trunc i64 %old to i32
  ret i32 %result""",
    leave="""
  %wide = zext i32 %state to i64
  call void @llvm.aarch64.set.fpcr(i64 %wide)
  ret void""",
)

TARGETS = {"x86-64": X86_64, "aarch64": AARCH64}


def pool_ir(machine: str) -> str:
    """The module of the pool and the entry points for a machine ("x86-64", "aarch64")."""
    if (target := TARGETS.get(machine)) is None:
        raise InternalError(f"there is no thread pool for the machine {machine!r}")
    text = MODULE
    values = {
        "abi": ABI_VERSION, "bytes": DIMS_AT, "dims_at": DIMS_AT, "bound_at": BOUND_AT, "workspace_at": WORKSPACE_AT,
        "running_at": RUNNING_AT, "late_at": LATE_AT, "allocate_at": ALLOCATE_AT, "release_at": ALLOCATE_AT + 8,
        "threads_at": THREADS_AT, "max_threads": MAX_THREADS,
        "futex": target.futex, "spins": target.spins, "pause": target.pause, "declarations": target.declarations,
        "enter": target.enter, "leave": target.leave, "meeting_spins": target.spins // 5,
        "worth_joining": WORTH_JOINING,
    }
    for name, value in values.items():
        text = text.replace(f"@@{name}@@", str(value))
    return text


RARE = frozenset((
    "dlc_abi_version", "dlc_ctx_bytes", "dlc_error", "dlc_fail", "dlc_profile", "dlc_stamp", "dlc_now", "dlc_init",
    "dlc_thread", "dlc_close", "dlc_exit_gate", "dlc_set_parallel", "dlc_hand_over", "dlc_body", "dlc_take_place",
    "dlc_fp_enter", "dlc_fp_leave", "dlc_wake", "dlc_sleep", "dlc_run", "dlc_message", "dlc_dims", "dlc_put",
    "dlc_seven_bits", "dlc_cancel", "dlc_set_allocator", "dlc_allocate", "dlc_release", "dlc_trim", "dlc_unlink",
))  # fmt: skip
TEAMS = frozenset((
    "dlc_join", "dlc_leave", "dlc_members", "dlc_phase", "dlc_part", "dlc_meet", "dlc_reach", "dlc_teams", "dlc_visit",
))  # fmt: skip
NAMES = re.compile(r" %\w+")
FUNCTION = re.compile(r"^define ((?:hidden )?(?:\{[^}]*\}|\w+) @(\w+)\(.*?\)) .*?^}\n", re.MULTILINE | re.DOTALL)


def pool_parts(machine: str) -> tuple[str, str, str]:
    """The pool as three modules: what runs with every kernel, what runs once a run or less, or waits anyway, and what
    only kernels with teams need.

    LLVM takes a millisecond for each function, whatever its length, and a sixth of that where it need not optimize.
    """
    text = pool_ir(machine).replace("define internal", "define hidden")

    def part(number: int) -> str:
        def kept(found: re.Match[str]) -> str:
            own = 1 if found[2] in RARE else 2 if found[2] in TEAMS else 0
            if own == 2 != number:
                return ""  # of no use there; the object would still ask for it
            return found[0] if own == number else f"declare {NAMES.sub('', found[1])}\n"

        return FUNCTION.sub(kept, text)

    return part(0), part(1), part(2)


@lru_cache(maxsize=len(TARGETS))
def pool_objects(machine: str) -> tuple[bytes, bytes]:
    """The compiled pool: baseline instructions only, so it is the same for every CPU of a machine."""
    often, rarely, _ = pool_parts(machine)
    target = TARGETS[machine]
    return (
        compile_object(often, target.triple, target.cpu, ""),
        compile_object(rarely, target.triple, target.cpu, "", opt=0),
    )


@lru_cache(maxsize=len(TARGETS))
def team_object(machine: str) -> bytes:
    """What models with teams need besides."""
    target = TARGETS[machine]
    return compile_object(pool_parts(machine)[2], target.triple, target.cpu, "")
