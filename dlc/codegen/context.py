"""Where things lie in a context: byte offsets that generated code and the thread pool share (pool_text.py: the map)."""

MAX_THREADS = 512
THREADS_AT = 512  # a line of 64 bytes for each thread
DIMS_AT = THREADS_AT + 64 * MAX_THREADS  # the values of the named dimensions; the last of all, as many as a model has

COUNT_AT = 24  # i32: threads, the caller of dlc_run included
BODIES_AT = 60  # i32: how many bodies of the caller's pool run at once
BOUND_AT = 408  # i32: 1 once dlc_bind has succeeded
RUNNING_AT = 412  # i32: 0, 1 while a run is on, 2 once it is cancelled
WORKSPACE_AT = 416  # i64: the bytes of workspace that it has asked for
LATE_AT = 424  # ptr: the memory that the run on this context has taken so far, a list
ALLOCATE_AT = 432  # ptr, ptr, ptr: the caller's allocator, what gives memory back to it, and what both are called with
CANCELLED = -3  # the error code of a run that was cancelled
NO_MEMORY = -4  # the error code where an allocator gives none
