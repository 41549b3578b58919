"""The LLVM IR that lets several threads work on one chunk; pool_text.py describes the context.

A kernel with teams goes through each chunk in phases: shared loops, after which all threads of the chunk's team meet
(`loop.meet`). Nobody waits for a thread that has not come. Whoever calls the kernel for a chunk joins its team: the
first begins at once, one that comes later leaves out the phases that are done or under way and takes part from the next
one on, unless so few are left that filling its cache would take longer than they do. A phase's iterations are dealt out
among those who are members when it begins; so those who wait, wait only for threads that are inside the kernel, and a
single thread can always finish alone. Chunks that are finished say so and are passed over.

Hence it does not matter how many threads there are, whether they all run, or in what order a caller's pool runs them;
nor do the results depend on it, as who computes an iteration makes no difference to it.

A team begins with a line of its own, zero at first:

    0    i64 word: the phase in the upper half (-1: the chunk is finished); below it in ten bits each how many have
         arrived at the end of the phase, are members, and will be from the next phase on
    8    i32 sleepers: members that block until the phase (a futex) changes

A thread has a seat on its stack:

    0    i32 phase in which the thread is
    4    i32 first phase in which it takes part
    8    i32 its number among the members
    12   i32 how many members there are in this phase
"""

JOINING = """
; Sits down in a team of at most `most` members for so many phases; whoever is late takes part in none of them.
define hidden void @dlc_join(ptr %team, ptr %seat, i64 %most, i64 %phases) nounwind {
entry:
  %first_at = getelementptr i8, ptr %seat, i64 4
  %number_at = getelementptr i8, ptr %seat, i64 8
  store i32 0, ptr %seat
  %found = load atomic i64, ptr %team acquire, align 8
  br label %try
try:
  %word = phi i64 [ %found, %entry ], [ %other, %enter ]
  %finished = icmp eq i64 %word, -1
  br i1 %finished, label %late, label %count
count:
  %members = call i64 @dlc_members(i64 %word)
  %after_members = lshr i64 %word, 20
  %joining = and i64 %after_members, 1023
  %number = add i64 %members, %joining
  %full = icmp uge i64 %number, %most
  %phase = call i32 @dlc_phase(i64 %word)
  %past = zext i32 %phase to i64
  %left = sub i64 %phases, %past
  %begun = icmp ugt i32 %phase, 1
  %few = icmp slt i64 %left, @@worth_joining@@
  %over = and i1 %begun, %few
  %refused = or i1 %full, %over
  br i1 %refused, label %late, label %enter
enter:
  %is_first = icmp eq i64 %number, 0
  %one = select i1 %is_first, i64 1024, i64 1048576
  %more = add i64 %word, %one
  %pair = cmpxchg ptr %team, i64 %word, i64 %more acq_rel acquire
  %other = extractvalue { i64, i1 } %pair, 0
  %joined = extractvalue { i64, i1 } %pair, 1
  br i1 %joined, label %sit, label %try
sit:
  %next = add i32 %phase, 1
  %begins = select i1 %is_first, i32 %phase, i32 %next
  store i32 %begins, ptr %first_at
  %short = trunc i64 %number to i32
  store i32 %short, ptr %number_at
  ret void
late:
  store i32 -1, ptr %first_at
  ret void
}

; A thread that has been through all phases: if the team has, too, the chunk is finished.
define hidden void @dlc_leave(ptr %team, ptr %seat) nounwind {
entry:
  %here = load i32, ptr %seat
  %word = load atomic i64, ptr %team acquire, align 8
  %phase = call i32 @dlc_phase(i64 %word)
  %done = icmp uge i32 %phase, %here
  br i1 %done, label %finish, label %leave
finish:
  store atomic i64 -1, ptr %team release, align 8
  br label %leave
leave:
  ret void
}

define internal i64 @dlc_members(i64 %word) nounwind {
  %shifted = lshr i64 %word, 10
  %members = and i64 %shifted, 1023
  ret i64 %members
}

define internal i32 @dlc_phase(i64 %word) nounwind {
  %shifted = lshr i64 %word, 32
  %phase = trunc i64 %shifted to i32
  ret i32 %phase
}
"""

PHASES = """
; The part of a phase's `count` iterations, numbered through, that falls to this member; nothing to one who is early.
define hidden { i64, i64 } @dlc_part(ptr %team, ptr %seat, i64 %count) nounwind {
entry:
  %first_at = getelementptr i8, ptr %seat, i64 4
  %number_at = getelementptr i8, ptr %seat, i64 8
  %members_at = getelementptr i8, ptr %seat, i64 12
  %here = load i32, ptr %seat
  %first = load i32, ptr %first_at
  %early = icmp ult i32 %here, %first
  br i1 %early, label %nothing, label %wait
nothing:
  ret { i64, i64 } zeroinitializer
wait:
  %word = call i64 @dlc_reach(ptr %team, i32 %here)
  %short = load i32, ptr %number_at
  %number = zext i32 %short to i64
  %following = add i64 %number, 1
  %members = call i64 @dlc_members(i64 %word)
  %few = trunc i64 %members to i32
  store i32 %few, ptr %members_at
  %before = mul i64 %count, %number
  %until = mul i64 %count, %following
  %begin = udiv i64 %before, %members
  %end = udiv i64 %until, %members
  %half = insertvalue { i64, i64 } poison, i64 %begin, 0
  %part = insertvalue { i64, i64 } %half, i64 %end, 1
  ret { i64, i64 } %part
}

; The end of a phase that this thread has had its part of: waits until all members have arrived; the last one begins the
; next phase, with those who joined.
define hidden void @dlc_meet(ptr %team, ptr %seat) nounwind {
entry:
  %first_at = getelementptr i8, ptr %seat, i64 4
  %members_at = getelementptr i8, ptr %seat, i64 12
  %here = load i32, ptr %seat
  %first = load i32, ptr %first_at
  %next = add i32 %here, 1
  store i32 %next, ptr %seat
  %early = icmp ult i32 %here, %first
  br i1 %early, label %done, label %count
count:
  %few = load i32, ptr %members_at
  %members = zext i32 %few to i64
  %sole = icmp eq i32 %few, 1
  br i1 %sole, label %alone, label %arrive
alone:
  %seen = load atomic i64, ptr %team monotonic, align 8
  br label %advance
arrive:
  %before = atomicrmw add ptr %team, i64 1 seq_cst
  %now = add i64 %before, 1
  %arrived = and i64 %now, 1023
  %last = icmp eq i64 %arrived, %members
  br i1 %last, label %advance, label %wait
wait:
  %reached = call i64 @dlc_reach(ptr %team, i32 %next)
  br label %done
advance:
  %word = phi i64 [ %seen, %alone ], [ %now, %arrive ], [ %other, %advance ]
  %joined = lshr i64 %word, 20
  %joining = and i64 %joined, 1023
  %all = add i64 %members, %joining
  %low = shl i64 %all, 10
  %wide = zext i32 %next to i64
  %high = shl i64 %wide, 32
  %begun = or i64 %high, %low
  %pair = cmpxchg ptr %team, i64 %word, i64 %begun seq_cst seq_cst
  %other = extractvalue { i64, i1 } %pair, 0
  %changed = extractvalue { i64, i1 } %pair, 1
  br i1 %changed, label %look, label %advance
look:
  %sleepers_at = getelementptr i8, ptr %team, i64 8
  %sleepers = load atomic i32, ptr %sleepers_at seq_cst, align 4
  %some = icmp ne i32 %sleepers, 0
  br i1 %some, label %wake, label %done
wake:
  %phase_at = getelementptr i8, ptr %team, i64 4
  call void @dlc_wake(ptr %phase_at, i32 2147483647)
  br label %done
done:
  ret void
}

; Spins, then blocks, until the team is in the phase; returns its word. Whoever takes much longer than the others has
; no core: it gets this one soon.
define internal i64 @dlc_reach(ptr %team, i32 %wanted) nounwind {
entry:
  %phase_at = getelementptr i8, ptr %team, i64 4
  %sleepers = getelementptr i8, ptr %team, i64 8
  br label %spin
spin:
  %i = phi i32 [ 0, %entry ], [ %next, %again ]
  %now = load atomic i64, ptr %team acquire, align 8
  %phase = call i32 @dlc_phase(i64 %now)
  %reached = icmp uge i32 %phase, %wanted
  br i1 %reached, label %found, label %again
again:
  @@pause@@
  %next = add i32 %i, 1
  %patient = icmp slt i32 %next, @@meeting_spins@@
  br i1 %patient, label %spin, label %block
block:
  %s = atomicrmw add ptr %sleepers, i32 1 seq_cst
  br label %sleep
sleep:
  %late = load atomic i64, ptr %team seq_cst, align 8
  %old = call i32 @dlc_phase(i64 %late)
  %changed = icmp uge i32 %old, %wanted
  br i1 %changed, label %awake, label %really
really:
  call void @dlc_sleep(ptr %phase_at, i32 %old)
  br label %sleep
awake:
  %t = atomicrmw sub ptr %sleepers, i32 1 seq_cst
  br label %found
found:
  %word = phi i64 [ %now, %spin ], [ %late, %awake ]
  ret i64 %word
}
"""

TEAMS = """
; Runs a kernel with teams: one for each chunk, `bytes` of memory each. `how` is @dlc_parallel or @dlc_alone. Every
; thread visits all chunks, from a place of its own on: so it has chunks to itself as long as there are enough, and then
; helps with those of others.
define hidden i32 @dlc_teams(
    ptr %ctx, ptr %kernel, ptr %dims, ptr %buffers, i64 %chunks, ptr %teams, i64 %bytes, ptr %how) nounwind {
entry:
  %job = alloca [6 x i64], align 8
  %buffers_at = getelementptr i64, ptr %job, i64 1
  %chunks_at = getelementptr i64, ptr %job, i64 2
  %teams_at = getelementptr i64, ptr %job, i64 3
  %bytes_at = getelementptr i64, ptr %job, i64 4
  %visitors_at = getelementptr i64, ptr %job, i64 5
  %hook_at = getelementptr i8, ptr %ctx, i64 32
  %threads_at = getelementptr i8, ptr %ctx, i64 24
  %places_at = getelementptr i8, ptr %ctx, i64 60
  %hook = load ptr, ptr %hook_at
  %threads = load i32, ptr %threads_at
  %places = load i32, ptr %places_at
  %own = icmp eq ptr %hook, null
  %available = select i1 %own, i32 %threads, i32 %places
  %alone = icmp eq ptr %how, @dlc_alone
  %count = select i1 %alone, i32 1, i32 %available
  %visitors = zext i32 %count to i64
  store ptr %kernel, ptr %job
  store ptr %buffers, ptr %buffers_at
  store i64 %chunks, ptr %chunks_at
  store ptr %teams, ptr %teams_at
  store i64 %bytes, ptr %bytes_at
  store i64 %visitors, ptr %visitors_at
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %next, %clear ]
  %more = icmp slt i64 %i, %chunks
  br i1 %more, label %clear, label %run
clear:
  %offset = mul i64 %i, %bytes
  %team = getelementptr i8, ptr %teams, i64 %offset
  %sleepers = getelementptr i8, ptr %team, i64 8
  store i64 0, ptr %team
  store i64 0, ptr %sleepers
  %next = add i64 %i, 1
  br label %head
run:
  %code = call i32 %how(ptr %ctx, ptr @dlc_visit, ptr %dims, ptr %job, i64 %visitors)
  ret i32 %code
}

; The visitors [begin, end): each goes once around all chunks.
define internal i32 @dlc_visit(ptr %ctx, ptr %dims, ptr %job, i64 %begin, i64 %end, ptr %scratch) nounwind {
entry:
  %buffers_at = getelementptr i64, ptr %job, i64 1
  %chunks_at = getelementptr i64, ptr %job, i64 2
  %teams_at = getelementptr i64, ptr %job, i64 3
  %bytes_at = getelementptr i64, ptr %job, i64 4
  %visitors_at = getelementptr i64, ptr %job, i64 5
  %kernel = load ptr, ptr %job
  %buffers = load ptr, ptr %buffers_at
  %chunks = load i64, ptr %chunks_at
  %teams = load ptr, ptr %teams_at
  %bytes = load i64, ptr %bytes_at
  %visitors = load i64, ptr %visitors_at
  br label %visitor
visitor:
  %v = phi i64 [ %begin, %entry ], [ %following, %walked ]
  %some = icmp slt i64 %v, %end
  br i1 %some, label %start, label %done
start:
  %share = mul i64 %v, %chunks
  %place = udiv i64 %share, %visitors
  br label %walk
walk:
  %n = phi i64 [ 0, %start ], [ %n2, %passed ]
  %chunk = phi i64 [ %place, %start ], [ %wrapped, %passed ]
  %more = icmp slt i64 %n, %chunks
  br i1 %more, label %look, label %walked
look:
  %after = add i64 %chunk, 1
  %offset = mul i64 %chunk, %bytes
  %team = getelementptr i8, ptr %teams, i64 %offset
  %word = load atomic i64, ptr %team acquire, align 8
  %finished = icmp eq i64 %word, -1
  br i1 %finished, label %passed, label %help
help:
  %code = call i32 %kernel(ptr %ctx, ptr %dims, ptr %buffers, i64 %chunk, i64 %after, ptr %scratch)
  %bad = icmp ne i32 %code, 0
  br i1 %bad, label %fail, label %passed
passed:
  %n2 = add i64 %n, 1
  %last = icmp eq i64 %after, %chunks
  %wrapped = select i1 %last, i64 0, i64 %after
  br label %walk
walked:
  %following = add i64 %v, 1
  br label %visitor
fail:
  ret i32 %code
done:
  ret i32 0
}
"""
