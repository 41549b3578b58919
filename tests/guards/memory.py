"""Memory between pages that nobody may touch: reading or writing one byte outside ends the process."""

from __future__ import annotations

import ctypes
from collections.abc import Iterable

import numpy as np

from dlc.passes.lower.plan_memory import FLUSH_END, PAGE

READ_WRITE, PRIVATE_ANONYMOUS = 3, 0x22
NO_ACCESS = 0
GARBAGE = 0xA5  # what memory holds that nobody has written

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def pages(size: int) -> int:
    """`size` rounded up to whole pages."""
    return -(-size // PAGE) * PAGE


class Reserved:
    """Addresses without access; `allow` opens the pages of a part. What is not opened stays a guard."""

    def __init__(self, size: int) -> None:
        self.size = pages(size) + PAGE
        self.address = libc.mmap(None, self.size, NO_ACCESS, PRIVATE_ANONYMOUS, -1, 0)
        if self.address in (None, ctypes.c_void_p(-1).value):
            raise MemoryError(f"no room for {self.size} bytes")

    def allow(self, offset: int, size: int) -> None:
        first = offset // PAGE * PAGE
        length = pages(offset + size) - first
        if length and libc.mprotect(self.address + first, length, READ_WRITE):
            raise MemoryError(f"cannot open {size} bytes at {offset}")
        ctypes.memset(self.address + first, GARBAGE, length)

    def close(self) -> None:
        libc.munmap(self.address, self.size)


class Alone:
    """Room for one array, with nothing beside it: it begins with its pages or ends with them."""

    def __init__(self, size: int, flush: str) -> None:
        self.size = size
        self.reserved = Reserved(PAGE + size)
        self.offset = PAGE + (pages(size) - size if flush == FLUSH_END else 0)
        self.reserved.allow(self.offset, size)
        self.address = self.reserved.address + self.offset

    def write(self, array: np.ndarray) -> None:
        content = np.ascontiguousarray(array).tobytes()
        ctypes.memmove(self.address, content, len(content))

    def read(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        count = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return np.frombuffer(ctypes.string_at(self.address, count), dtype).reshape(shape)

    def close(self) -> None:
        self.reserved.close()


def opened(size: int, regions: Iterable[tuple[int, int]]) -> Reserved:
    """Memory of `size` bytes in which only the regions (offset, bytes) can be touched."""
    made = Reserved(size)
    for offset, length in regions:
        made.allow(offset, length)
    return made
