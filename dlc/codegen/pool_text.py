"""The LLVM IR of the thread pool and the entry points; pool.py fills in the @@names@@ for a machine.

Context, byte offsets (the caller gives 64-byte aligned memory of `dlc_ctx_bytes()` bytes):

    0    error record: i32 code, i32 kernel id, i64 detail[2]
    24   i32 threads, the caller of dlc_run included
    28   i32 stop: workers leave when it is 1
    32   ptr parallel, ptr user: the caller's thread pool, or null
    48   ptr scratch memory of the threads, i32 bytes for each, i32 how many bodies of the caller's pool run at once
    64   i32 generation: futex; grows by one with every job
    68   i32 sleepers: workers that block on `generation`
    72   i32 gate: futex; bit 31 a job is open, bit 30 the owner waits, below them the number of workers inside
    76   i32 busy: a job runs, so calls from inside it go on in place
    80   job: ptr kernel, ptr dims, ptr buffers, i64 chunks, i32 first non-zero code (112), i64 chunks a thread (120)
    128  sigset_t with every signal, sigset_t to restore (only used while workers are started)
    384  profiling: ptr to the next two time stamps, ptr void probe(ptr user), ptr user; see dlc_profile
    408  i32 bound: dlc_bind has succeeded; i32 running: 1 while a run is on, 2 once it is cancelled
    416  i64 bytes of workspace that dlc_bind has asked for
    424  ptr: memory that the run has taken, a list; ptr allocate, ptr release, ptr user: the caller's allocator or null
    512  a line of 64 bytes for each thread: i64 next chunk of its share, i64 pthread_t, ptr ctx, i32 index,
         i32 taken: a body of the caller's pool uses this thread's scratch memory
    33280  i64 for each named dimension: its value, those that kernels find last

What a worker must read to start lies in the one line that it watches: every further line costs a transfer between
cores, of which a small job can afford few.
"""

from dlc.codegen.pool_memory import MEMORY
from dlc.codegen.pool_message import MESSAGE
from dlc.codegen.pool_parallel import FOREIGN, PARALLEL, SCRATCH, WAITING, WORK, WORKER
from dlc.codegen.pool_teams import JOINING, PHASES, TEAMS

DECLARATIONS = """
declare i64 @syscall(i64, ...)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(i64, ptr)
declare i32 @clock_gettime(i32, ptr)
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
  %slots = load i64, ptr @dlc_slots
  %dims = mul i64 %slots, 8
  %bytes = add i64 %dims, @@bytes@@
  ret i64 %bytes
}

define ptr @dlc_dims(ptr %ctx) nounwind {
  %dims = getelementptr i8, ptr %ctx, i64 @@dims_at@@
  ret ptr %dims
}

define ptr @dlc_error(ptr %ctx) nounwind {
  ret ptr %ctx
}

; Takes no sizes but those that dlc_bind has accepted, which lie in the context.
define i32 @dlc_run(ptr %ctx, ptr %buffers, ptr %workspace) nounwind {
entry:
  store i64 0, ptr %ctx
  %bound_at = getelementptr i8, ptr %ctx, i64 @@bound_at@@
  %bound = load i32, ptr %bound_at
  %open = icmp eq i32 %bound, 0
  br i1 %open, label %refuse, label %ask
ask:
  %bytes_at = getelementptr i8, ptr %ctx, i64 @@workspace_at@@
  %bytes = load i64, ptr %bytes_at
  %needed = icmp ne i64 %bytes, 0
  %null = icmp eq ptr %workspace, null
  %missing = and i1 %needed, %null
  %address = ptrtoint ptr %workspace to i64
  %odd = and i64 %address, 63
  %misaligned = icmp ne i64 %odd, 0
  %unfit = or i1 %missing, %misaligned
  br i1 %unfit, label %refuse, label %run
refuse:
  %why = phi i32 [ -1, %entry ], [ -2, %ask ]
  store i32 %why, ptr %ctx
  ret i32 %why
run:
  %dims = getelementptr i8, ptr %ctx, i64 @@dims_at@@
  %running_at = getelementptr i8, ptr %ctx, i64 @@running_at@@
  store atomic i32 1, ptr %running_at monotonic, align 4
  %state = call i32 @dlc_fp_enter()
  %code = call i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace)
  call void @dlc_fp_leave(i32 %state)
  store atomic i32 0, ptr %running_at monotonic, align 4
  %late_at = getelementptr i8, ptr %ctx, i64 @@late_at@@
  %late = load ptr, ptr %late_at
  %none = icmp eq ptr %late, null
  br i1 %none, label %end, label %release
release:
  call void @dlc_release(ptr %ctx, ptr null)
  br label %end
end:
  ret i32 %code
}

; Ends the run that is on with -3, at the next kernel that has chunks or the next trip. From any thread.
define i32 @dlc_cancel(ptr %ctx) nounwind {
  %running_at = getelementptr i8, ptr %ctx, i64 @@running_at@@
  %was = cmpxchg ptr %running_at, i32 1, i32 2 monotonic monotonic
  ret i32 0
}

; -3 if the run has been cancelled, else 0.
define hidden i32 @dlc_cancelled(ptr %ctx) nounwind {
  %running_at = getelementptr i8, ptr %ctx, i64 @@running_at@@
  %running = load atomic i32, ptr %running_at monotonic, align 4
  %ends = icmp eq i32 %running, 2
  br i1 %ends, label %end, label %go
end:
  %code = call i32 @dlc_fail(ptr %ctx, i32 -3, i32 0, i64 0, i64 0)
  ret i32 %code
go:
  ret i32 0
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
  %size = call i64 @dlc_ctx_bytes()
  call void @llvm.memset.p0.i64(ptr align 8 %ctx, i8 0, i64 %size, i1 false)
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  store i32 1, ptr %threads_at
  %too_many = icmp sgt i32 %wanted, @@max_threads@@
  %threads = select i1 %too_many, i32 @@max_threads@@, i32 %wanted
  %alone = icmp slt i32 %threads, 2
  br i1 %alone, label %done, label %block
block:
  %all = getelementptr i8, ptr %ctx, i64 128
  %old = getelementptr i8, ptr %ctx, i64 256
  %filled = call i32 @sigfillset(ptr %all)
  %blocked = call i32 @sigprocmask(i32 2, ptr %all, ptr %old)
  br label %start
start:
  %i = phi i32 [ 1, %block ], [ %next, %started ]
  %line = call ptr @dlc_thread(ptr %ctx, i32 %i)
  %id_at = getelementptr i8, ptr %line, i64 8
  %ctx_at = getelementptr i8, ptr %line, i64 16
  %index_at = getelementptr i8, ptr %line, i64 24
  store ptr %ctx, ptr %ctx_at
  store i32 %i, ptr %index_at
  %failed = call i32 @pthread_create(ptr %id_at, ptr null, ptr @dlc_worker, ptr %line)
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
  %line = getelementptr [64 x i8], ptr %base, i64 %wide
  ret ptr %line
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
  %line = call ptr @dlc_thread(ptr %ctx, i32 %i)
  %id_at = getelementptr i8, ptr %line, i64 8
  %id = load i64, ptr %id_at
  %joined = call i32 @pthread_join(i64 %id, ptr null)
  %next = add i32 %i, 1
  br label %head
done:
  store i32 1, ptr %threads_at
  ret i32 0
}
"""

PROFILING = """
; From now on runs write two times in nanoseconds before the first kernel and after each: when the kernel ended, and
; when the next one begins, which is after `probe` has returned, if there is one. Null stamps end it.
define i32 @dlc_profile(ptr %ctx, ptr %stamps, ptr %probe, ptr %user) nounwind {
  %stamps_at = getelementptr i8, ptr %ctx, i64 384
  %probe_at = getelementptr i8, ptr %ctx, i64 392
  %user_at = getelementptr i8, ptr %ctx, i64 400
  store ptr %stamps, ptr %stamps_at
  store ptr %probe, ptr %probe_at
  store ptr %user, ptr %user_at
  ret i32 0
}

define hidden void @dlc_stamp(ptr %ctx) nounwind {
entry:
  %stamps_at = getelementptr i8, ptr %ctx, i64 384
  %ended_at = load ptr, ptr %stamps_at
  %off = icmp eq ptr %ended_at, null
  br i1 %off, label %done, label %write
write:
  %ended = call i64 @dlc_now()
  store i64 %ended, ptr %ended_at
  %probe_at = getelementptr i8, ptr %ctx, i64 392
  %user_at = getelementptr i8, ptr %ctx, i64 400
  %probe = load ptr, ptr %probe_at
  %quiet = icmp eq ptr %probe, null
  br i1 %quiet, label %begin, label %ask
ask:
  %user = load ptr, ptr %user_at
  call void %probe(ptr %user)
  br label %begin
begin:
  %begin_at = getelementptr i64, ptr %ended_at, i64 1
  %next_at = getelementptr i64, ptr %ended_at, i64 2
  store ptr %next_at, ptr %stamps_at
  %begins = call i64 @dlc_now()
  store i64 %begins, ptr %begin_at
  br label %done
done:
  ret void
}

define internal i64 @dlc_now() nounwind {
  %time = alloca [2 x i64]
  %code = call i32 @clock_gettime(i32 1, ptr %time)  ; CLOCK_MONOTONIC
  %rest_at = getelementptr i64, ptr %time, i64 1
  %seconds = load i64, ptr %time
  %rest = load i64, ptr %rest_at
  %whole = mul i64 %seconds, 1000000000
  %now = add i64 %whole, %rest
  ret i64 %now
}
"""

MODULE = "".join((
    DECLARATIONS, MESSAGE, MEMORY, ENTRY_POINTS, PROFILING, START, WORKER, WORK, PARALLEL, FOREIGN, SCRATCH, WAITING,
    JOINING, PHASES, TEAMS,
))  # fmt: skip
