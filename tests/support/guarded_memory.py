"""Outputs and workspaces between bytes that nobody may write, checked after every run of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import pytest

from dlc.runtime import session, state

GUARD = 4096
CANARY = 0x5A


class GuardedMemory:
    """What the runtime's `Memory` is, with guards."""

    kept: ClassVar[list[GuardedMemory]] = []

    def __init__(self, size: int) -> None:
        self.raw = np.full(size + 64 + 2 * GUARD, CANARY, np.uint8)
        self.start = GUARD + -(self.raw.ctypes.data + GUARD) % 64
        self.size = size
        self.address = int(self.raw.ctypes.data) + self.start
        self.raw[self.start : self.start + size] = 0
        self.kept.append(self)

    def check(self) -> None:
        end = self.start + self.size
        assert (self.raw[: self.start] == CANARY).all(), f"written before a buffer of {self.size} bytes"
        assert (self.raw[end:] == CANARY).all(), f"written behind a buffer of {self.size} bytes"


def guarded_array(name: str, shape: tuple[int, ...], dtype: np.dtype, size: int) -> tuple[np.ndarray, int]:
    if size < 0:  # data decides it: the run asks for memory itself
        return np.empty(0, dtype), 0
    memory = GuardedMemory(size)
    return np.ndarray(shape, dtype, memory.raw, memory.start), memory.address


@pytest.fixture
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Models that are loaded in the test run on guarded memory."""
    execute = session.CompiledModel._execute

    def checked(model: session.CompiledModel, values: Sequence[object], out: object) -> list[np.ndarray]:
        try:
            return execute(model, values, out)  # type: ignore[arg-type]  # handed on as it came
        finally:
            for memory in GuardedMemory.kept:
                memory.check()

    monkeypatch.setattr(GuardedMemory, "kept", [])
    monkeypatch.setattr(session, "fresh_array", guarded_array)
    monkeypatch.setattr(state, "Memory", GuardedMemory)
    monkeypatch.setattr(session.CompiledModel, "_execute", checked)
