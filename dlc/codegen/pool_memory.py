"""Memory that a run takes when it knows its size, as LLVM IR text for pool_text.py.

What is the run's own hangs on a list in the context: each piece begins with a line that holds the address of the piece
taken before it. `dlc_run` gives all of it back. Results are the caller's. Without an allocator of the caller's, libc
gives the run's own memory, and there are no results of this kind.
"""

MEMORY = """
declare ptr @aligned_alloc(i64, i64)
declare void @free(ptr)

define i32 @dlc_set_allocator(ptr %ctx, ptr %allocate, ptr %release, ptr %user) nounwind {
  %allocate_at = getelementptr i8, ptr %ctx, i64 @@allocate_at@@
  %release_at = getelementptr i8, ptr %allocate_at, i64 8
  %user_at = getelementptr i8, ptr %allocate_at, i64 16
  store ptr %allocate, ptr %allocate_at
  store ptr %release, ptr %release_at
  store ptr %user, ptr %user_at
  ret i32 0
}

; At least %bytes bytes, aligned to 64: for a result, or (%result is -1) for the run itself; null if none are left.
define hidden ptr @dlc_allocate(ptr %ctx, i64 %result, i64 %bytes) nounwind {
entry:
  %allocate_at = getelementptr i8, ptr %ctx, i64 @@allocate_at@@
  %release_at = getelementptr i8, ptr %allocate_at, i64 8
  %user_at = getelementptr i8, ptr %allocate_at, i64 16
  %allocate = load ptr, ptr %allocate_at
  %release = load ptr, ptr %release_at
  %user = load ptr, ptr %user_at
  %own = icmp eq i64 %result, -1
  %large = icmp sgt i64 %bytes, 4611686018427387904
  br i1 %large, label %none, label %whose
whose:
  br i1 %own, label %mine, label %theirs
theirs:
  %nobody = icmp eq ptr %allocate, null
  br i1 %nobody, label %none, label %ask
ask:
  %one = icmp eq i64 %bytes, 0
  %some = select i1 %one, i64 1, i64 %bytes
  %given = call ptr %allocate(ptr %user, i64 %result, i64 %some)
  ret ptr %given
mine:
  %with = add i64 %bytes, 127
  %whole = and i64 %with, -64
  %own_allocator = icmp ne ptr %release, null
  br i1 %own_allocator, label %from_caller, label %from_libc
from_caller:
  %lent = call ptr %allocate(ptr %user, i64 -1, i64 %whole)
  br label %link
from_libc:
  %taken = call ptr @aligned_alloc(i64 64, i64 %whole)
  br label %link
link:
  %p = phi ptr [ %lent, %from_caller ], [ %taken, %from_libc ]
  %failed = icmp eq ptr %p, null
  br i1 %failed, label %none, label %hang
hang:
  %list_at = getelementptr i8, ptr %ctx, i64 @@late_at@@
  %before = load ptr, ptr %list_at
  store ptr %before, ptr %p
  store ptr %p, ptr %list_at
  %memory = getelementptr i8, ptr %p, i64 64
  ret ptr %memory
none:
  ret ptr null
}

; Gives back what the run has taken since %to was the last piece, but not what came after %from.
define hidden void @dlc_trim(ptr %ctx, ptr %from, ptr %to) nounwind {
entry:
  %list_at = getelementptr i8, ptr %ctx, i64 @@late_at@@
  br label %search
search:  ; the link that leads to %from
  %link = phi ptr [ %list_at, %entry ], [ %at, %further ]
  %at = load ptr, ptr %link
  %here = icmp eq ptr %at, %from
  br i1 %here, label %found, label %further
further:
  %last = icmp eq ptr %at, null
  br i1 %last, label %end, label %search
found:
  call void @dlc_unlink(ptr %ctx, ptr %link, ptr %to)
  br label %end
end:
  ret void
}

; Gives back the pieces that %link leads to, down to %to.
define hidden void @dlc_unlink(ptr %ctx, ptr %link, ptr %to) nounwind {
entry:
  %release_at = getelementptr i8, ptr %ctx, i64 @@release_at@@
  %user_at = getelementptr i8, ptr %release_at, i64 8
  %release = load ptr, ptr %release_at
  %user = load ptr, ptr %user_at
  %own_allocator = icmp ne ptr %release, null
  br label %next
next:
  %p = load ptr, ptr %link
  %reached = icmp eq ptr %p, %to
  %none = icmp eq ptr %p, null
  %done = or i1 %reached, %none
  br i1 %done, label %end, label %one
one:
  %before = load ptr, ptr %p
  store ptr %before, ptr %link
  br i1 %own_allocator, label %to_caller, label %to_libc
to_caller:
  call void %release(ptr %user, ptr %p)
  br label %next
to_libc:
  call void @free(ptr %p)
  br label %next
end:
  ret void
}

; Gives back what the run has taken since %to was the last piece (null: all of it).
define hidden void @dlc_release(ptr %ctx, ptr %to) nounwind {
  %list_at = getelementptr i8, ptr %ctx, i64 @@late_at@@
  call void @dlc_unlink(ptr %ctx, ptr %list_at, ptr %to)
  ret void
}
"""
