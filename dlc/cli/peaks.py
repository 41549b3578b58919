"""This machine's peaks: the probes of codegen/probes.py, compiled once a process and run for a moment at a time."""

from __future__ import annotations

import ctypes
import statistics
import time

import numpy as np

from dlc.codegen.probes import BLOCK, write_probes
from dlc.runtime.library import Library, LibraryFile, memory_descriptor
from dlc.target import Target

STEPS = 40_000  # of the fma probe: a good half millisecond
BUFFER = 256 << 20  # bytes that no cache holds
PIECE = 16 << 20  # bytes of them read at a time, ever others
SHARE = 0.5  # of a cache that is read to see how fast it is
MOST = 8 << 20  # bytes of it
MOMENT = 2 << 20  # bytes to read from a cache in all, at least

Rates = tuple[float, ...]
NAMES = ("operations", "memory", "l3", "l2")  # what `Peaks.measure` returns, per second of one core


class Peaks:
    """`measure` returns operations per second of one core, and bytes as they come from memory and from its caches."""

    def __init__(self) -> None:
        host = Target.parse("host")
        descriptor = memory_descriptor()
        write_probes(host, descriptor)
        self.library = Library(LibraryFile.in_memory_of(descriptor))
        self.fma = self.library.function("fma", ctypes.c_int64, ctypes.c_int64)
        self.read = self.library.function("read", ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64)
        self.data = np.ones(BUFFER, np.uint8)
        self.at = 0
        self.measured: list[Rates] = []
        caches = (host.facts.l3_bytes, host.facts.l2_bytes)
        self.caches = [min(int(size * SHARE), MOST) // BLOCK * BLOCK for size in caches]

    def measure(self) -> Rates:
        began = time.perf_counter()
        operations = self.fma(STEPS) / (time.perf_counter() - began)
        memory = self.read_rate(self.at, PIECE, 1)
        self.at = (self.at + PIECE) % BUFFER
        self.measured.append((operations, memory, *(self.cache_rate(size) for size in self.caches)))
        return self.measured[-1]

    def medians(self) -> dict[str, float]:
        """Of what has been measured so far, by `NAMES`."""
        columns = zip(NAMES, zip(*self.measured, strict=True), strict=False)
        return {name: statistics.median(rates) for name, rates in columns}

    def cache_rate(self, size: int) -> float:
        """The rate at which so many bytes come again."""
        if not size:
            return 0.0
        self.read_rate(0, size, 1)
        return self.read_rate(0, size, -(-MOMENT // size))

    def read_rate(self, start: int, size: int, times: int) -> float:
        began = time.perf_counter()
        count: int = sum(self.read(self.data.ctypes.data + start, size) for _ in range(times))
        return count / (time.perf_counter() - began)
