"""What one run needs for itself: a context with its threads, a workspace and the argument arrays."""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from collections.abc import Sequence

import numpy as np

from dlc.errors import UserError
from dlc.runtime.binding import Binder, Bound, Numbers, Shape
from dlc.runtime.library import Library
from dlc.runtime.outputs import Allocator

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
    """The entry points of a loaded model, which live as long as this."""

    def __init__(self, library: Library) -> None:
        pointer, int32 = ctypes.c_void_p, ctypes.c_int32
        function = library.function
        self.library = library
        self.bind = function("dlc_bind", int32, pointer, pointer, pointer, pointer)
        self.run = function("dlc_run", int32, pointer, pointer, pointer)
        self.shapes = function("dlc_shapes", int32, pointer, pointer)
        self.dims = function("dlc_dims", pointer, pointer)
        self.message = function("dlc_message", ctypes.c_int64, pointer, pointer, ctypes.c_int64)
        self.init = function("dlc_init", int32, pointer, int32)
        self.close = function("dlc_close", int32, pointer)
        self.cancel = function("dlc_cancel", int32, pointer)
        self.set_allocator = function("dlc_set_allocator", int32, pointer, pointer, pointer, pointer)
        self.context_bytes = function("dlc_ctx_bytes", ctypes.c_int64)()


class State:
    """One run at a time uses it; `bind` and `prepare` adapt it to the shapes of the run. Its threads end with it."""

    def __init__(self, functions: Functions, threads: int, binder: Binder) -> None:
        self.functions = functions
        self.binder = binder
        try:
            self.memory = Memory(functions.context_bytes)
        except OSError as error:
            raise UserError(f"there is no memory for a run: {error.strerror}") from error
        self.context = ctypes.c_void_p(self.memory.address)
        self.results = binder.room()
        self.workspace = ctypes.c_int64()
        self.buffers = (ctypes.c_void_p * max(1, len(binder.metadata.inputs) + len(binder.metadata.outputs)))()
        self.bound: Bound | None = None
        self.arena = Memory(0)
        self.allocator: Allocator | None = None
        self.arguments = self.addresses()
        self.close = weakref.finalize(self, end_threads, functions, self.memory, os.getpid())
        self.close.atexit = False  # a daemon's thread may be inside
        functions.init(self.context, threads)

    def addresses(self) -> tuple[int, int, int]:
        """What `dlc_run` takes, as plain numbers, which ctypes converts fastest."""
        return self.memory.address, ctypes.addressof(self.buffers), self.arena.address

    def bind(self, shapes: Sequence[Shape]) -> Bound:
        """What follows from new input shapes. Raises UserError if the model cannot take them."""
        sizes = self.binder.sizes(shapes)
        self._bind(sizes)
        return self.binder.bound(sizes, self.results[:], self.workspace.value)

    def prepare(self, bound: Bound) -> None:
        """Give the context these shapes, and see that the workspace is large enough."""
        self._bind(bound.sizes)
        if bound.workspace > self.arena.size:
            try:
                self.arena = Memory(bound.workspace)
            except (OSError, ValueError, OverflowError) as error:
                given = self.binder.described(bound.sizes)
                raise UserError(f"there is no memory for the {bound.workspace} bytes of a run with {given}") from error
            self.arguments = self.addresses()
        if bound.late and self.allocator is None:
            self.allocator = Allocator()
            address = ctypes.cast(self.allocator.callback, ctypes.c_void_p)
            self.functions.set_allocator(self.memory.address, address, None, None)
        self.bound = bound

    def _bind(self, sizes: Numbers) -> None:
        self.bound = None
        if self.functions.bind(self.memory.address, sizes, self.results, ctypes.byref(self.workspace)):
            raise UserError(self.message())

    def result_sizes(self) -> Sequence[int]:
        """The sizes of all results of the last run."""
        self.functions.shapes(self.memory.address, self.results)
        return self.results[:]

    @property
    def given(self) -> dict[int, np.ndarray]:
        """The memory of outputs that the last run has asked for, by their numbers."""
        return {} if self.allocator is None else self.allocator.given

    @property
    def dims(self) -> list[int]:
        """The values of the named dimensions; those that kernels find are those of the last run."""
        count = len(self.binder.metadata.slots)
        return (ctypes.c_int64 * count).from_address(self.functions.dims(self.memory.address))[:]

    def message(self) -> str:
        """What the last error says."""
        length = self.functions.message(self.memory.address, None, 0)
        text = ctypes.create_string_buffer(length + 1)
        self.functions.message(self.memory.address, text, length + 1)
        return text.value.decode("utf-8", "replace")


def end_threads(functions: Functions, memory: Memory, process: int) -> None:
    """Stop the threads of a context, which use its memory and the library; a forked child has none of them."""
    if os.getpid() == process:
        functions.close(memory.address)


class States:
    """The idle states of one model. Taking and giving back are single list operations, so threads need no lock."""

    def __init__(self, functions: Functions, threads: int, binder: Binder) -> None:
        self.functions = functions
        self.threads = threads
        self.binder = binder
        self.idle: list[State] = []
        self.busy: list[State] = []
        ALIVE.add(self)

    def take(self) -> State:
        """An idle state, or a new one if all are in use."""
        try:
            state = self.idle.pop()
        except IndexError:
            state = State(self.functions, self.threads, self.binder)
        self.busy.append(state)
        return state

    def give_back(self, state: State) -> None:
        self.busy.remove(state)
        self.idle.append(state)

    def close(self) -> None:
        """Stop the threads of the idle states."""
        while self.idle:
            self.idle.pop().close()

    def forget(self) -> None:
        """In a forked child the threads of the parent do not exist: start afresh, and join nothing."""
        self.idle = []
        self.busy = []


ALIVE: weakref.WeakSet[States] = weakref.WeakSet()


def forget_all() -> None:
    for states in list(ALIVE):
        states.forget()


os.register_at_fork(after_in_child=forget_all)
