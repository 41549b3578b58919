"""What one run needs for itself: a context with its threads, a workspace and the argument arrays."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref

from dlc.runtime.binding import Bound

HUGE_PAGE = 2 << 20
LINE = 64


class Memory:
    """Zeroed private memory, aligned to 64 bytes, or to huge pages where it fills some; freed with the object."""

    def __init__(self, size: int) -> None:
        align = HUGE_PAGE if size >= HUGE_PAGE else LINE
        # Python's mmap would share the memory with forked children by default, and shared memory gets no huge pages.
        self.mapping = mmap.mmap(-1, max(size, 1) + align, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if size >= HUGE_PAGE and hasattr(mmap, "MADV_HUGEPAGE"):
            self.prefer_huge_pages()
        self.anchor = ctypes.c_char.from_buffer(self.mapping)
        start = ctypes.addressof(self.anchor)
        self.size = size
        self.address = start + -start % align

    def prefer_huge_pages(self) -> None:
        """A hint only: kernels without transparent huge pages refuse it."""
        try:
            self.mapping.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return


class Functions:
    """The entry points of a loaded model, with argument types."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, int32 = ctypes.c_void_p, ctypes.c_int32
        self.run = function(library, "dlc_run", int32, pointer, pointer, pointer, pointer)
        self.init = function(library, "dlc_init", int32, pointer, int32)
        self.close = function(library, "dlc_close", int32, pointer)
        self.context_bytes = int(function(library, "dlc_ctx_bytes", ctypes.c_int64)())


def function(library: ctypes.CDLL, name: str, result: type, *arguments: type) -> ctypes._NamedFuncPointer:
    """One exported function."""
    found = library[name]
    found.restype = result
    found.argtypes = arguments
    return found


class ErrorRecord(ctypes.Structure):
    """The start of a context: what a failed run says about itself."""

    _fields_ = (("code", ctypes.c_int32), ("kernel", ctypes.c_int32), ("detail", ctypes.c_int64 * 2))


class State:
    """One run at a time uses it; `prepare` adapts it to the shapes of the run."""

    def __init__(self, functions: Functions, threads: int, dims: int, buffers: int, scratch: int = 0) -> None:
        self.memory = Memory(functions.context_bytes)
        self.scratch = scratch * threads
        self.context = ctypes.c_void_p(self.memory.address)
        self.dims = (ctypes.c_int64 * max(dims, 1))()
        self.buffers = (ctypes.c_void_p * max(buffers, 1))()
        self.bound: Bound | None = None
        self.arena = Memory(0)
        self.arguments = self.addresses()
        functions.init(self.context, threads)

    def addresses(self) -> tuple[int, int, int, int]:
        """What `dlc_run` takes, as plain numbers, which ctypes converts fastest."""
        return self.memory.address, ctypes.addressof(self.dims), ctypes.addressof(self.buffers), self.arena.address

    def prepare(self, bound: Bound) -> None:
        """Write the symbol values, and see that the workspace is large enough."""
        for index, value in enumerate(bound.dims):
            self.dims[index] = value
        needed = bound.workspace + self.scratch
        if needed > self.arena.size:
            self.arena = Memory(needed)
            self.arguments = self.addresses()
        self.bound = bound

    @property
    def error(self) -> ErrorRecord:
        return ErrorRecord.from_address(self.memory.address)


class States:
    """The idle states of one model. Taking and giving back are single list operations, so threads need no lock."""

    def __init__(self, functions: Functions, threads: int, dims: int, buffers: int, scratch: int) -> None:
        self.functions = functions
        self.threads = threads
        self.sizes = dims, buffers, scratch
        self.idle: list[State] = []
        ALIVE.add(self)

    def take(self) -> State:
        """An idle state, or a new one if all are in use."""
        try:
            return self.idle.pop()
        except IndexError:
            return State(self.functions, self.threads, *self.sizes)

    def close(self) -> None:
        """Stop the threads of the idle states."""
        while self.idle:
            state = self.idle.pop()  # named, so that its memory lives until the threads have left it
            self.functions.close(state.context)

    def forget(self) -> None:
        """In a forked child the threads of the parent do not exist: start afresh, and join nothing."""
        self.idle = []


ALIVE: weakref.WeakSet[States] = weakref.WeakSet()


def forget_all() -> None:
    for states in list(ALIVE):
        states.forget()


os.register_at_fork(after_in_child=forget_all)
