"""The LLVM IR that hands a job to the workers and runs it; pool_text.py describes the context.

A job is opened by setting bit 31 of the gate. A worker enters by adding one to the gate; if the job was closed it
leaves again. The owner closes the gate when no chunk is left and waits until the workers inside have left, so it never
waits for one that sleeps, and the job record is never rewritten under a worker that reads it.

Every thread has a contiguous share of the chunks, the same for the same number of chunks, so that what one kernel
wrote is still in the cache of the core that reads it in the next. It takes half of what is left of its share at a
time, and then helps the others with theirs.
"""

WORKER = """
define internal ptr @dlc_worker(ptr %line) nounwind {
entry:
  %ctx_at = getelementptr i8, ptr %line, i64 16
  %index_at = getelementptr i8, ptr %line, i64 24
  %ctx = load ptr, ptr %ctx_at
  %index = load i32, ptr %index_at
  %state = call i32 @dlc_fp_enter()
  %stop_at = getelementptr i8, ptr %ctx, i64 28
  %gate = getelementptr i8, ptr %ctx, i64 72
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
  call void @dlc_work(ptr %ctx, i32 %index)
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
; Works on the thread's own share first, then on what is left of the others', until no chunk is left or one has failed.
define internal void @dlc_work(ptr %ctx, i32 %self) nounwind {
entry:
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  %threads = load i32, ptr %threads_at
  br label %head
head:
  %tried = phi i32 [ 0, %entry ], [ %tried_next, %share ]
  %owner = phi i32 [ %self, %entry ], [ %owner_next, %share ]
  %more = icmp slt i32 %tried, %threads
  br i1 %more, label %share, label %done
share:
  call void @dlc_work_share(ptr %ctx, i32 %self, i32 %owner, i32 %threads)
  %tried_next = add i32 %tried, 1
  %other = add i32 %owner, 1
  %wraps = icmp eq i32 %other, %threads
  %owner_next = select i1 %wraps, i32 0, i32 %other
  br label %head
done:
  ret void
}

; The first chunk of a thread's share; the first threads take one chunk more each where they do not divide evenly.
define internal i64 @dlc_share_start(i64 %chunks, i64 %each, i32 %thread, i32 %threads) nounwind {
  %index = zext i32 %thread to i64
  %count = zext i32 %threads to i64
  %even = mul i64 %each, %count
  %rest = sub i64 %chunks, %even
  %extra = call i64 @llvm.smin.i64(i64 %index, i64 %rest)
  %whole = mul i64 %each, %index
  %start = add i64 %whole, %extra
  ret i64 %start
}
declare i64 @llvm.smin.i64(i64, i64)

define internal void @dlc_work_share(ptr %ctx, i32 %self, i32 %owner, i32 %threads) nounwind {
entry:
  %scratch = call ptr @dlc_scratch(ptr %ctx, i32 %self)
  %kernel_at = getelementptr i8, ptr %ctx, i64 80
  %dims_at = getelementptr i8, ptr %ctx, i64 88
  %buffers_at = getelementptr i8, ptr %ctx, i64 96
  %chunks_at = getelementptr i8, ptr %ctx, i64 104
  %code_at = getelementptr i8, ptr %ctx, i64 112
  %each_at = getelementptr i8, ptr %ctx, i64 120
  %chunks = load i64, ptr %chunks_at
  %each = load i64, ptr %each_at
  %after_owner = add i32 %owner, 1
  %limit = call i64 @dlc_share_start(i64 %chunks, i64 %each, i32 %after_owner, i32 %threads)
  %next_at = call ptr @dlc_thread(ptr %ctx, i32 %owner)
  %start = load atomic i64, ptr %next_at monotonic, align 8
  br label %take
take:
  %begin = phi i64 [ %start, %entry ], [ %found, %grab ], [ %after, %call ]
  %left = sub i64 %limit, %begin
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %grab, label %done
grab:
  %more = add i64 %left, 1
  %half = lshr i64 %more, 1
  %end = add i64 %begin, %half
  %pair = cmpxchg ptr %next_at, i64 %begin, i64 %end monotonic monotonic
  %found = extractvalue { i64, i1 } %pair, 0
  %mine = extractvalue { i64, i1 } %pair, 1
  br i1 %mine, label %check, label %take
check:
  %failed = load atomic i32, ptr %code_at monotonic, align 4
  %go = icmp eq i32 %failed, 0
  br i1 %go, label %call, label %done
call:
  %kernel = load ptr, ptr %kernel_at
  %dims = load ptr, ptr %dims_at
  %buffers = load ptr, ptr %buffers_at
  %code = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch)
  %after = load atomic i64, ptr %next_at monotonic, align 8
  %bad = icmp ne i32 %code, 0
  br i1 %bad, label %fail, label %take
fail:
  %first = cmpxchg ptr %code_at, i32 0, i32 %code seq_cst seq_cst
  br label %done
done:
  ret void
}
"""

PARALLEL = """
; All chunks on the calling thread.
define hidden i32 @dlc_alone(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks) nounwind {
  %ended = call i32 @dlc_cancelled(ptr %ctx)
  %ends = icmp ne i32 %ended, 0
  br i1 %ends, label %end, label %go
end:
  ret i32 %ended
go:
  %scratch = call ptr @dlc_scratch(ptr %ctx, i32 0)
  %code = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 0, i64 %chunks, ptr %scratch)
  ret i32 %code
}

define hidden i32 @dlc_parallel(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks) nounwind {
entry:
  %ended = call i32 @dlc_cancelled(ptr %ctx)
  %ends = icmp ne i32 %ended, 0
  br i1 %ends, label %end, label %whose
end:
  ret i32 %ended
whose:
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
  %busy_at = getelementptr i8, ptr %ctx, i64 76
  %busy = load atomic i32, ptr %busy_at monotonic, align 4
  %nested = icmp ne i32 %busy, 0
  br i1 %nested, label %direct, label %post
direct:
  %scratch = call ptr @dlc_scratch(ptr %ctx, i32 0)
  %result = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 0, i64 %chunks, ptr %scratch)
  ret i32 %result
post:
  store atomic i32 1, ptr %busy_at monotonic, align 4
  %gate = getelementptr i8, ptr %ctx, i64 72
  call void @dlc_post(ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks)
  call void @dlc_work(ptr %ctx, i32 0)
  call void @dlc_finish(ptr %gate)
  store atomic i32 0, ptr %busy_at monotonic, align 4
  %code_at = getelementptr i8, ptr %ctx, i64 112
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
  %gate = getelementptr i8, ptr %ctx, i64 72
  %kernel_at = getelementptr i8, ptr %ctx, i64 80
  %dims_at = getelementptr i8, ptr %ctx, i64 88
  %buffers_at = getelementptr i8, ptr %ctx, i64 96
  %chunks_at = getelementptr i8, ptr %ctx, i64 104
  %code_at = getelementptr i8, ptr %ctx, i64 112
  %each_at = getelementptr i8, ptr %ctx, i64 120
  %threads = load i32, ptr %threads_at
  %count = zext i32 %threads to i64
  %each = udiv i64 %chunks, %count
  br label %share
share:
  %i = phi i32 [ 0, %entry ], [ %i2, %share ]
  %next_at = call ptr @dlc_thread(ptr %ctx, i32 %i)
  %start = call i64 @dlc_share_start(i64 %chunks, i64 %each, i32 %i, i32 %threads)
  store atomic i64 %start, ptr %next_at monotonic, align 8
  %i2 = add i32 %i, 1
  %more = icmp slt i32 %i2, %threads
  br i1 %more, label %share, label %post
post:
  store ptr %kernel, ptr %kernel_at
  store ptr %dims, ptr %dims_at
  store ptr %buffers, ptr %buffers_at
  store i64 %chunks, ptr %chunks_at
  store i64 %each, ptr %each_at
  store atomic i32 0, ptr %code_at monotonic, align 4
  %opened = atomicrmw or ptr %gate, i32 -2147483648 acq_rel
  %g = atomicrmw add ptr %generation, i32 1 seq_cst
  %sleepers = load atomic i32, ptr %sleepers_at seq_cst, align 4
  %workers = sub i32 %threads, 1
  %awake = sub i32 %workers, %sleepers
  %others = sub i64 %chunks, 1
  %few = icmp slt i64 %others, @@max_threads@@
  %short = trunc i64 %others to i32
  %bounded = select i1 %few, i32 %short, i32 @@max_threads@@
  %useful = call i32 @llvm.smin.i32(i32 %bounded, i32 %workers)
  %lacking = sub i32 %useful, %awake
  %wakes = icmp sgt i32 %lacking, 0
  br i1 %wakes, label %wake, label %done
wake:
  call void @dlc_wake(ptr %generation, i32 %lacking)
  br label %done
done:
  ret void
}
"""

FOREIGN = """
; From now on jobs go to the caller's pool: i32 parallel(ptr user, ptr body, ptr job, i64 chunks) calls
; i32 body(ptr job, i64 begin, i64 end) over [0, chunks) in any split, and returns the first code that is not 0.
; At most `workers` bodies run at once, each with scratch memory of its own: the workspace must have room for as many.
define i32 @dlc_set_parallel(ptr %ctx, ptr %parallel, ptr %user, i32 %workers) nounwind {
  %most = call i32 @llvm.smin.i32(i32 %workers, i32 @@max_threads@@)
  %places = call i32 @llvm.smax.i32(i32 %most, i32 1)
  %places_at = getelementptr i8, ptr %ctx, i64 60
  store i32 %places, ptr %places_at
  %hook_at = getelementptr i8, ptr %ctx, i64 32
  %user_at = getelementptr i8, ptr %ctx, i64 40
  store ptr %parallel, ptr %hook_at
  store ptr %user, ptr %user_at
  %bound_at = getelementptr i8, ptr %ctx, i64 @@bound_at@@
  store i32 0, ptr %bound_at  ; the workspace is of another size now
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
  %place = call i32 @dlc_take_place(ptr %ctx)
  %scratch = call ptr @dlc_scratch(ptr %ctx, i32 %place)
  %state = call i32 @dlc_fp_enter()
  %code = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch)
  call void @dlc_fp_leave(i32 %state)
  %line = call ptr @dlc_thread(ptr %ctx, i32 %place)
  %taken_at = getelementptr i8, ptr %line, i64 28
  store atomic i32 0, ptr %taken_at release, align 4
  ret i32 %code
}
"""

SCRATCH = """
; The scratch memory of a thread; its base and the size of a part are written by dlc_main.
define internal ptr @dlc_scratch(ptr %ctx, i32 %index) nounwind {
  %base_at = getelementptr i8, ptr %ctx, i64 48
  %size_at = getelementptr i8, ptr %ctx, i64 56
  %base = load ptr, ptr %base_at
  %size = load i32, ptr %size_at
  %wide_size = zext i32 %size to i64
  %wide = zext i32 %index to i64
  %offset = mul i64 %wide, %wide_size
  %scratch = getelementptr i8, ptr %base, i64 %offset
  ret ptr %scratch
}
declare i32 @llvm.smax.i32(i32, i32)

; A place that no other body uses; waits for one if more bodies run than the caller has announced.
define internal i32 @dlc_take_place(ptr %ctx) nounwind {
entry:
  %places_at = getelementptr i8, ptr %ctx, i64 60
  %places = load i32, ptr %places_at
  br label %try
try:
  %i = phi i32 [ 0, %entry ], [ %following, %next ]
  %line = call ptr @dlc_thread(ptr %ctx, i32 %i)
  %taken_at = getelementptr i8, ptr %line, i64 28
  %pair = cmpxchg ptr %taken_at, i32 0, i32 1 acquire monotonic
  %mine = extractvalue { i32, i1 } %pair, 1
  br i1 %mine, label %done, label %next
next:
  @@pause@@
  %after = add i32 %i, 1
  %wraps = icmp sge i32 %after, %places
  %following = select i1 %wraps, i32 0, i32 %after
  br label %try
done:
  ret i32 %i
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
