"""`dlc_message`: the text of an error, with its numbers, as LLVM IR text for pool_text.py.

A message of the model's own is one of those that lie in a row in @dlc_texts (emit/bind.py), each ended by a 0, with
numbers as dlc/ir/messages.py says. Others are the same for all models.
"""

MESSAGE = r"""
@dlc_slots = external hidden constant i64
@dlc_text_count = external hidden constant i32
@dlc_texts = external hidden constant [0 x i8]
@dlc_decimal = private constant [5 x i8] c"%lld\00"
@dlc_no_error = private constant [9 x i8] c"no error\00"
@dlc_unbound = private constant [69 x i8] c"dlc_run: the sizes of the inputs must have been accepted by dlc_bind\00"
@dlc_no_room = private constant [73 x i8] c"dlc_run: the workspace must not be null, and must be aligned to 64 bytes\00"
@dlc_ended = private constant [26 x i8] c"dlc_run: it was cancelled\00"
@dlc_no_memory = private constant [52 x i8] c"dlc_run: there is no memory for a size that is data\00"
@dlc_unknown = private constant [23 x i8] c"an error without words\00"
declare i32 @snprintf(ptr, i64, ptr, ...)

; Writes what fits into %size bytes with a 0 behind it; returns the length of the whole.
define i64 @dlc_message(ptr %ctx, ptr %out, i64 %size) nounwind {
entry:
  %at = alloca ptr
  %length = alloca i64
  %digits = alloca [32 x i8]
  %left = alloca i32
  store i64 0, ptr %length
  store ptr @dlc_texts, ptr %at
  %code = load i32, ptr %ctx
  %count = load i32, ptr @dlc_text_count
  %positive = icmp sgt i32 %code, 0
  %listed = icmp sle i32 %code, %count
  %own = and i1 %positive, %listed
  store i32 %code, ptr %left
  br i1 %own, label %find, label %general
general:
  %none = icmp eq i32 %code, 0
  %unbound = icmp eq i32 %code, -1
  %room = icmp eq i32 %code, -2
  %cancelled = icmp eq i32 %code, -3
  %text9 = select i1 %cancelled, ptr @dlc_ended, ptr @dlc_unknown
  %memory = icmp eq i32 %code, -4
  %text0 = select i1 %memory, ptr @dlc_no_memory, ptr %text9
  %text1 = select i1 %room, ptr @dlc_no_room, ptr %text0
  %text2 = select i1 %unbound, ptr @dlc_unbound, ptr %text1
  %text3 = select i1 %none, ptr @dlc_no_error, ptr %text2
  store ptr %text3, ptr %at
  br label %next
find:
  %which = load i32, ptr %left
  %fewer = sub i32 %which, 1
  store i32 %fewer, ptr %left
  %here = icmp eq i32 %fewer, 0
  br i1 %here, label %next, label %skip
skip:
  %q = load ptr, ptr %at
  %skipped = load i8, ptr %q
  %q1 = getelementptr i8, ptr %q, i64 1
  store ptr %q1, ptr %at
  %ends = icmp eq i8 %skipped, 0
  br i1 %ends, label %find, label %skip
next:
  %p = load ptr, ptr %at
  %c = load i8, ptr %p
  %p1 = getelementptr i8, ptr %p, i64 1
  store ptr %p1, ptr %at
  switch i8 %c, label %letter [ i8 0, label %done
                                i8 1, label %detail
                                i8 2, label %dimension ]
letter:
  call void @dlc_put(ptr %out, i64 %size, ptr %length, i8 %c)
  br label %next
detail:
  %k = call i64 @dlc_seven_bits(ptr %at)
  %details = getelementptr i8, ptr %ctx, i64 8
  %detail_at = getelementptr i64, ptr %details, i64 %k
  br label %number
dimension:
  %low = call i64 @dlc_seven_bits(ptr %at)
  %high = call i64 @dlc_seven_bits(ptr %at)
  %shifted = shl i64 %high, 7
  %slot = or i64 %shifted, %low
  %dims = getelementptr i8, ptr %ctx, i64 @@dims_at@@
  %dim_at = getelementptr i64, ptr %dims, i64 %slot
  br label %number
number:
  %value_at = phi ptr [ %detail_at, %detail ], [ %dim_at, %dimension ]
  %value = load i64, ptr %value_at
  %printed = call i32 (ptr, i64, ptr, ...) @snprintf(ptr %digits, i64 32, ptr @dlc_decimal, i64 %value)
  br label %digit
digit:
  %d = phi ptr [ %digits, %number ], [ %d1, %more ]
  %figure = load i8, ptr %d
  %over = icmp eq i8 %figure, 0
  br i1 %over, label %next, label %more
more:
  call void @dlc_put(ptr %out, i64 %size, ptr %length, i8 %figure)
  %d1 = getelementptr i8, ptr %d, i64 1
  br label %digit
done:
  %total = load i64, ptr %length
  %some = icmp sgt i64 %size, 0
  br i1 %some, label %end, label %leave
end:
  %last = sub i64 %size, 1
  %cut = icmp slt i64 %total, %last
  %final = select i1 %cut, i64 %total, i64 %last
  %end_at = getelementptr i8, ptr %out, i64 %final
  store i8 0, ptr %end_at
  br label %leave
leave:
  ret i64 %total
}

define internal void @dlc_put(ptr %out, i64 %size, ptr %length, i8 %letter) nounwind {
entry:
  %n = load i64, ptr %length
  %n1 = add i64 %n, 1
  store i64 %n1, ptr %length
  %fits = icmp slt i64 %n1, %size
  br i1 %fits, label %write, label %done
write:
  %to = getelementptr i8, ptr %out, i64 %n
  store i8 %letter, ptr %to
  br label %done
done:
  ret void
}

define internal i64 @dlc_seven_bits(ptr %at) nounwind {
  %p = load ptr, ptr %at
  %c = load i8, ptr %p
  %p1 = getelementptr i8, ptr %p, i64 1
  store ptr %p1, ptr %at
  %low = and i8 %c, 127
  %wide = zext i8 %low to i64
  ret i64 %wide
}
"""
