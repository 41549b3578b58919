"""This machine's peaks: the probes of codegen/probes.py, compiled once a process and run for a moment at a time."""

from __future__ import annotations

import ctypes
import os
import tempfile
import time

import numpy as np

from dlc.codegen.probes import BLOCK, write_probes
from dlc.target import Target

STEPS = 40_000  # of the fma probe: a good half millisecond
BUFFER = 256 << 20  # bytes that no cache holds
PIECE = 16 << 20  # bytes of them read at a time, ever others


class Peaks:
    """`measure` returns operations and bytes per second of one core, the bytes as they come from memory."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "probes.so")
            write_probes(Target.parse("host"), path)
            self.library = ctypes.CDLL(path)  # stays mapped when the file is gone
        self.fma, self.read = self.library["fma"], self.library["read"]
        self.fma.argtypes, self.read.argtypes = (ctypes.c_int64,), (ctypes.c_void_p, ctypes.c_int64)
        self.fma.restype = self.read.restype = ctypes.c_int64
        self.data = np.ones(BUFFER, np.uint8)
        self.at = 0

    def measure(self) -> tuple[float, float]:
        began = time.perf_counter()
        operations = self.fma(STEPS)
        middle = time.perf_counter()
        count = self.read(self.data.ctypes.data + self.at, PIECE - PIECE % BLOCK)
        ended = time.perf_counter()
        self.at = (self.at + PIECE) % BUFFER
        return operations / (middle - began), count / (ended - middle)
