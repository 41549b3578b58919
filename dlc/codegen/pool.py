"""The thread pool and the exported entry points of every artefact, as LLVM IR text.

No state lives outside the context (`ctx`), so that two models in one process share nothing.

Context, byte offsets (the caller gives 64-byte aligned memory of `dlc_ctx_bytes()` bytes):

    0    error record: i32 code, i32 kernel id, i64 detail[2]
    24   i32 threads, the caller of dlc_run included
    28   i32 stop: workers leave when it is 1
    32   ptr parallel, ptr user: the caller's thread pool, or null
    64   i32 generation: futex; grows by one with every job
    68   i32 sleepers: workers that block on `generation`
    128  i32 gate: futex; bit 31 a job is open, bit 30 the owner waits, below them the number of workers inside
    192  i64 next: the first chunk that nobody has taken
    256  job: ptr kernel, ptr dims, ptr buffers, i64 chunks, i32 first non-zero code
    320  sigset_t with every signal, sigset_t to restore (only used while workers are started)
    576  pthread_t of each worker

A job is opened by setting bit 31 of the gate. A worker enters by adding one to the gate; if the job was closed it
leaves again. The owner closes the gate when no chunk is left and waits until the workers inside have left, so it never
waits for one that sleeps, and the job record is never rewritten under a worker that reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from dlc.codegen.llvm_backend import compile_object
from dlc.errors import InternalError

ABI_VERSION = 1
MAX_THREADS = 512
THREADS_AT = 576
CONTEXT_BYTES = THREADS_AT + 8 * MAX_THREADS
EXPORTS = ("dlc_abi_version", "dlc_ctx_bytes", "dlc_init", "dlc_close", "dlc_error", "dlc_run", "dlc_set_parallel")


@dataclass(frozen=True)
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
    text = DECLARATIONS + ENTRY_POINTS + START + WORKER + WORK + PARALLEL + FOREIGN + WAITING
    values = {
        "abi": ABI_VERSION, "bytes": CONTEXT_BYTES, "threads_at": THREADS_AT, "max_threads": MAX_THREADS,
        "futex": target.futex, "spins": target.spins, "pause": target.pause, "declarations": target.declarations,
        "enter": target.enter, "leave": target.leave,
    }
    for name, value in values.items():
        text = text.replace(f"@@{name}@@", str(value))
    return text


@lru_cache(maxsize=len(TARGETS))
def pool_object(machine: str) -> bytes:
    """The compiled pool: baseline instructions only, so it is the same for every CPU of a machine."""
    target = TARGETS.get(machine)
    return compile_object(pool_ir(machine), target.triple if target else "", target.cpu if target else "", "")


DECLARATIONS = """
declare i64 @syscall(i64, ...)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @sigfillset(ptr)
declare i32 @sigprocmask(i32, ptr, ptr)
declare hidden i32 @dlc_main(ptr, ptr, ptr, ptr)
@@declarations@@

define internal i32 @dlc_fp_enter() noinline nounwind {
  @@enter@@
}

define internal void @dlc_fp_leave(i32 %state) noinline nounwind {
  @@leave@@
}

define internal void @dlc_wake(ptr %word, i32 %count) nounwind {
  %wide = sext i32 %count to i64
  %r = call i64 (i64, ...) @syscall(i64 @@futex@@, ptr %word, i64 129, i64 %wide)  ; FUTEX_WAKE | PRIVATE
  ret void
}

define internal void @dlc_sleep(ptr %word, i32 %value) nounwind {
  %wide = zext i32 %value to i64
  %r = call i64 (i64, ...) @syscall(i64 @@futex@@, ptr %word, i64 128, i64 %wide, ptr null)  ; FUTEX_WAIT | PRIVATE
  ret void
}
"""

ENTRY_POINTS = """
define i32 @dlc_abi_version() nounwind {
  ret i32 @@abi@@
}

define i64 @dlc_ctx_bytes() nounwind {
  ret i64 @@bytes@@
}

define ptr @dlc_error(ptr %ctx) nounwind {
  ret ptr %ctx
}

define i32 @dlc_run(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  store i64 0, ptr %ctx
  %state = call i32 @dlc_fp_enter()
  %code = call i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace)
  call void @dlc_fp_leave(i32 %state)
  ret i32 %code
}

; Records an error and returns its code; the first one stays, as several threads may fail at once.
define hidden i32 @dlc_fail(ptr %ctx, i32 %code, i32 %kernel, i64 %detail0, i64 %detail1) nounwind {
  %pair = cmpxchg ptr %ctx, i32 0, i32 %code seq_cst seq_cst
  %first = extractvalue { i32, i1 } %pair, 1
  br i1 %first, label %record, label %done
record:
  %kernel_at = getelementptr i8, ptr %ctx, i64 4
  %detail0_at = getelementptr i8, ptr %ctx, i64 8
  %detail1_at = getelementptr i8, ptr %ctx, i64 16
  store i32 %kernel, ptr %kernel_at
  store i64 %detail0, ptr %detail0_at
  store i64 %detail1, ptr %detail1_at
  br label %done
done:
  ret i32 %code
}
"""

START = """
; Starts the workers with all signals blocked, so that handlers run on the program's own threads.
; Where the system refuses a thread, the pool goes on with those it has.
define i32 @dlc_init(ptr %ctx, i32 %wanted) nounwind {
entry:
  call void @llvm.memset.p0.i64(ptr align 8 %ctx, i8 0, i64 @@bytes@@, i1 false)
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  store i32 1, ptr %threads_at
  %too_many = icmp sgt i32 %wanted, @@max_threads@@
  %threads = select i1 %too_many, i32 @@max_threads@@, i32 %wanted
  %alone = icmp slt i32 %threads, 2
  br i1 %alone, label %done, label %block
block:
  %all = getelementptr i8, ptr %ctx, i64 320
  %old = getelementptr i8, ptr %ctx, i64 448
  %filled = call i32 @sigfillset(ptr %all)
  %blocked = call i32 @sigprocmask(i32 2, ptr %all, ptr %old)
  br label %start
start:
  %i = phi i32 [ 1, %block ], [ %next, %started ]
  %slot = call ptr @dlc_thread(ptr %ctx, i32 %i)
  %failed = call i32 @pthread_create(ptr %slot, ptr null, ptr @dlc_worker, ptr %ctx)
  %ok = icmp eq i32 %failed, 0
  br i1 %ok, label %started, label %unblock
started:
  %next = add i32 %i, 1
  store i32 %next, ptr %threads_at
  %more = icmp slt i32 %next, %threads
  br i1 %more, label %start, label %unblock
unblock:
  %restored = call i32 @sigprocmask(i32 2, ptr %old, ptr null)
  br label %done
done:
  ret i32 0
}
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)

define internal ptr @dlc_thread(ptr %ctx, i32 %i) nounwind {
  %wide = zext i32 %i to i64
  %base = getelementptr i8, ptr %ctx, i64 @@threads_at@@
  %slot = getelementptr i64, ptr %base, i64 %wide
  ret ptr %slot
}

define i32 @dlc_close(ptr %ctx) nounwind {
entry:
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  %stop = getelementptr i8, ptr %ctx, i64 28
  %generation = getelementptr i8, ptr %ctx, i64 64
  %threads = load i32, ptr %threads_at
  store atomic i32 1, ptr %stop seq_cst, align 4
  %g = atomicrmw add ptr %generation, i32 1 seq_cst
  call void @dlc_wake(ptr %generation, i32 2147483647)
  br label %head
head:
  %i = phi i32 [ 1, %entry ], [ %next, %join ]
  %more = icmp slt i32 %i, %threads
  br i1 %more, label %join, label %done
join:
  %slot = call ptr @dlc_thread(ptr %ctx, i32 %i)
  %id = load i64, ptr %slot
  %joined = call i32 @pthread_join(i64 %id, ptr null)
  %next = add i32 %i, 1
  br label %head
done:
  store i32 1, ptr %threads_at
  ret i32 0
}
"""

WORKER = """
define internal ptr @dlc_worker(ptr %ctx) nounwind {
entry:
  %state = call i32 @dlc_fp_enter()
  %stop_at = getelementptr i8, ptr %ctx, i64 28
  %gate = getelementptr i8, ptr %ctx, i64 128
  br label %wait
wait:
  %seen = phi i32 [ 0, %entry ], [ %generation, %job ], [ %generation, %work ]
  %generation = call i32 @dlc_next_generation(ptr %ctx, i32 %seen)
  %stop = load atomic i32, ptr %stop_at acquire, align 4
  %stopped = icmp ne i32 %stop, 0
  br i1 %stopped, label %leave, label %enter
enter:
  %before = atomicrmw add ptr %gate, i32 1 acq_rel
  %open = icmp slt i32 %before, 0
  br i1 %open, label %work, label %job
work:
  call void @dlc_work(ptr %ctx)
  call void @dlc_exit_gate(ptr %gate)
  br label %wait
job:
  call void @dlc_exit_gate(ptr %gate)
  br label %wait
leave:
  ret ptr null
}

; Takes one from the gate, and wakes the owner if it blocks and nobody is left inside.
define internal void @dlc_exit_gate(ptr %gate) nounwind {
  %before = atomicrmw sub ptr %gate, i32 1 acq_rel
  %last = and i32 %before, 2147483647
  %wakes = icmp eq i32 %last, 1073741825
  br i1 %wakes, label %wake, label %done
wake:
  call void @dlc_wake(ptr %gate, i32 1)
  br label %done
done:
  ret void
}

; Spins, then blocks, until the generation differs from the one last seen.
define internal i32 @dlc_next_generation(ptr %ctx, i32 %seen) nounwind {
entry:
  %word = getelementptr i8, ptr %ctx, i64 64
  %sleepers = getelementptr i8, ptr %ctx, i64 68
  br label %spin
spin:
  %i = phi i32 [ 0, %entry ], [ %next, %again ]
  %now = load atomic i32, ptr %word acquire, align 4
  %new = icmp ne i32 %now, %seen
  br i1 %new, label %found, label %again
again:
  @@pause@@
  %next = add i32 %i, 1
  %patient = icmp slt i32 %next, @@spins@@
  br i1 %patient, label %spin, label %block
block:
  %s = atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %sleep
sleep:
  %late = load atomic i32, ptr %word seq_cst, align 4
  %changed = icmp ne i32 %late, %seen
  br i1 %changed, label %awake, label %really
really:
  call void @dlc_sleep(ptr %word, i32 %seen)
  br label %sleep
awake:
  %t = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %found
found:
  %result = phi i32 [ %now, %spin ], [ %late, %awake ]
  ret i32 %result
}
"""

WORK = """
; Takes chunks until none is left: a share of what remains, so that calls are few and the end is balanced.
define internal void @dlc_work(ptr %ctx) nounwind {
entry:
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  %next_at = getelementptr i8, ptr %ctx, i64 192
  %kernel_at = getelementptr i8, ptr %ctx, i64 256
  %dims_at = getelementptr i8, ptr %ctx, i64 264
  %buffers_at = getelementptr i8, ptr %ctx, i64 272
  %chunks_at = getelementptr i8, ptr %ctx, i64 280
  %code_at = getelementptr i8, ptr %ctx, i64 288
  %threads = load i32, ptr %threads_at
  %twice = shl i32 %threads, 1
  %parts = zext i32 %twice to i64
  %kernel = load ptr, ptr %kernel_at
  %dims = load ptr, ptr %dims_at
  %buffers = load ptr, ptr %buffers_at
  %chunks = load i64, ptr %chunks_at
  %start = load atomic i64, ptr %next_at monotonic, align 8
  br label %take
take:
  %begin = phi i64 [ %start, %entry ], [ %other, %grab ], [ %after, %run ]
  %left = sub i64 %chunks, %begin
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %grab, label %done
grab:
  %share = udiv i64 %left, %parts
  %none = icmp eq i64 %share, 0
  %size = select i1 %none, i64 1, i64 %share
  %end = add i64 %begin, %size
  %pair = cmpxchg weak ptr %next_at, i64 %begin, i64 %end monotonic monotonic
  %other = extractvalue { i64, i1 } %pair, 0
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %call, label %take
call:
  %code = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end)
  %bad = icmp ne i32 %code, 0
  br i1 %bad, label %fail, label %run
fail:
  %first = cmpxchg ptr %code_at, i32 0, i32 %code seq_cst seq_cst
  store atomic i64 %chunks, ptr %next_at monotonic, align 8
  br label %run
run:
  %after = load atomic i64, ptr %next_at monotonic, align 8
  br label %take
done:
  ret void
}
"""

PARALLEL = """
define hidden i32 @dlc_parallel(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks) nounwind {
entry:
  %hook_at = getelementptr i8, ptr %ctx, i64 32
  %hook = load ptr, ptr %hook_at
  %own = icmp eq ptr %hook, null
  br i1 %own, label %count, label %foreign
foreign:
  %handed = call i32 @dlc_hand_over(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks)
  ret i32 %handed
count:
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  %threads = load i32, ptr %threads_at
  %alone = icmp slt i32 %threads, 2
  %single = icmp sle i64 %chunks, 1
  %simple = or i1 %alone, %single
  br i1 %simple, label %direct, label %check
check:
  %gate = getelementptr i8, ptr %ctx, i64 128
  %state = load atomic i32, ptr %gate monotonic, align 4
  %nested = icmp slt i32 %state, 0
  br i1 %nested, label %direct, label %post
direct:
  %result = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 0, i64 %chunks)
  ret i32 %result
post:
  call void @dlc_post(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks)
  call void @dlc_work(ptr %ctx)
  call void @dlc_finish(ptr %gate)
  %code_at = getelementptr i8, ptr %ctx, i64 288
  %code = load atomic i32, ptr %code_at monotonic, align 4
  ret i32 %code
}

; Writes the job, opens the gate and tells the workers; sleepers are woken only if there are more chunks than
; threads awake, as a wake-up costs more than a small job.
declare i32 @llvm.smin.i32(i32, i32)

define internal void @dlc_post(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks) nounwind {
entry:
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  %generation = getelementptr i8, ptr %ctx, i64 64
  %sleepers_at = getelementptr i8, ptr %ctx, i64 68
  %gate = getelementptr i8, ptr %ctx, i64 128
  %next_at = getelementptr i8, ptr %ctx, i64 192
  %kernel_at = getelementptr i8, ptr %ctx, i64 256
  %dims_at = getelementptr i8, ptr %ctx, i64 264
  %buffers_at = getelementptr i8, ptr %ctx, i64 272
  %chunks_at = getelementptr i8, ptr %ctx, i64 280
  %code_at = getelementptr i8, ptr %ctx, i64 288
  store ptr %kernel, ptr %kernel_at
  store ptr %dims, ptr %dims_at
  store ptr %buffers, ptr %buffers_at
  store i64 %chunks, ptr %chunks_at
  store i32 0, ptr %code_at
  store atomic i64 0, ptr %next_at monotonic, align 8
  %opened = atomicrmw or ptr %gate, i32 -2147483648 acq_rel
  %g = atomicrmw add ptr %generation, i32 1 seq_cst
  %sleepers = load atomic i32, ptr %sleepers_at seq_cst, align 4
  %threads = load i32, ptr %threads_at
  %workers = sub i32 %threads, 1
  %awake = sub i32 %workers, %sleepers
  %others = sub i64 %chunks, 1
  %few = icmp slt i64 %others, @@max_threads@@
  %short = trunc i64 %others to i32
  %bounded = select i1 %few, i32 %short, i32 @@max_threads@@
  %useful = call i32 @llvm.smin.i32(i32 %bounded, i32 %workers)
  %count = sub i32 %useful, %awake
  %lacking = icmp sgt i32 %count, 0
  br i1 %lacking, label %wake, label %done
wake:
  call void @dlc_wake(ptr %generation, i32 %count)
  br label %done
done:
  ret void
}
"""

FOREIGN = """
; From now on jobs go to the caller's pool: i32 parallel(ptr user, ptr body, ptr job, i64 chunks) calls
; i32 body(ptr job, i64 begin, i64 end) over [0, chunks) in any split, and returns the first code that is not 0.
define i32 @dlc_set_parallel(ptr %ctx, ptr %parallel, ptr %user) nounwind {
  %hook_at = getelementptr i8, ptr %ctx, i64 32
  %user_at = getelementptr i8, ptr %ctx, i64 40
  store ptr %parallel, ptr %hook_at
  store ptr %user, ptr %user_at
  ret i32 0
}

define internal i32 @dlc_hand_over(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks) nounwind {
  %hook_at = getelementptr i8, ptr %ctx, i64 32
  %user_at = getelementptr i8, ptr %ctx, i64 40
  %hook = load ptr, ptr %hook_at
  %user = load ptr, ptr %user_at
  %job = alloca [4 x ptr]
  %kernel_at = getelementptr ptr, ptr %job, i64 1
  %dims_at = getelementptr ptr, ptr %job, i64 2
  %buffers_at = getelementptr ptr, ptr %job, i64 3
  store ptr %ctx, ptr %job
  store ptr %kernel, ptr %kernel_at
  store ptr %dims, ptr %dims_at
  store ptr %buffers, ptr %buffers_at
  %code = call i32 %hook(ptr %user, ptr @dlc_body, ptr %job, i64 %chunks)
  ret i32 %code
}

define internal i32 @dlc_body(ptr %job, i64 %begin, i64 %end) nounwind {
  %kernel_at = getelementptr ptr, ptr %job, i64 1
  %dims_at = getelementptr ptr, ptr %job, i64 2
  %buffers_at = getelementptr ptr, ptr %job, i64 3
  %ctx = load ptr, ptr %job
  %kernel = load ptr, ptr %kernel_at
  %dims = load ptr, ptr %dims_at
  %buffers = load ptr, ptr %buffers_at
  %state = call i32 @dlc_fp_enter()
  %code = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end)
  call void @dlc_fp_leave(i32 %state)
  ret i32 %code
}
"""

WAITING = """
; Closes the gate and waits until every worker inside has left: spins first, then blocks with bit 30 set.
define internal void @dlc_finish(ptr %gate) nounwind {
entry:
  %closed = atomicrmw and ptr %gate, i32 2147483647 acq_rel
  br label %spin
spin:
  %i = phi i32 [ 0, %entry ], [ %next, %again ]
  %now = load atomic i32, ptr %gate acquire, align 4
  %empty = icmp eq i32 %now, 0
  br i1 %empty, label %done, label %again
again:
  @@pause@@
  %next = add i32 %i, 1
  %patient = icmp slt i32 %next, @@spins@@
  br i1 %patient, label %spin, label %block
block:
  %before = atomicrmw or ptr %gate, i32 1073741824 acq_rel
  %waiting = or i32 %before, 1073741824
  %nobody = icmp eq i32 %waiting, 1073741824
  br i1 %nobody, label %clear, label %sleep
sleep:
  call void @dlc_sleep(ptr %gate, i32 %waiting)
  br label %block
clear:
  %cleared = atomicrmw and ptr %gate, i32 -1073741825 acq_rel
  br label %done
done:
  ret void
}
"""
