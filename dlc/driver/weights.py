"""The weights as they lie in memory, packed on a thread of their own while LLVM works and the file is written.

Few are held at a time: those of a large model take more memory than everything else that compiling it needs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial

import numpy as np

from dlc.background import Background, Task
from dlc.errors import InternalError
from dlc.ir.core import Module
from dlc.ir.dialects import run
from dlc.ir.expr import Expr, as_expr
from dlc.ir.packing import pack

AHEAD = 1 << 27  # bytes that may wait, besides the weight that is being packed


class PackedWeights:
    """Iterates over (offset, contents) of each constant, by offset; `total` is the size of them all. Use it once."""

    def __init__(self, module: Module) -> None:
        total = module.main.attrs.get("weights", 0)
        if not isinstance(total, int):
            raise InternalError("memory has not been planned")
        self.total = total
        self._pool = module.pool
        self._left = deque(sorted(distinct_constants(module).items()))
        self._waiting: deque[tuple[int, int, Task[np.ndarray]]] = deque()
        self._bytes = 0
        self._thread = Background()
        self._refill()

    def __iter__(self) -> Iterator[tuple[int, np.ndarray]]:
        while self._waiting:
            offset, size, packed = self._waiting.popleft()
            array = packed.result()
            del packed
            self._bytes -= size
            self._refill()
            yield offset, array

    def __enter__(self) -> PackedWeights:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.close()

    def _refill(self) -> None:
        while self._left and (self._bytes < AHEAD or not self._waiting):
            offset, constant = self._left.popleft()
            size = packed_bytes(constant)
            self._waiting.append((offset, size, self._thread.submit(partial(self._packed, constant))))
            self._bytes += size

    def _packed(self, constant: run.Constant) -> np.ndarray:
        return pack(self._pool.read(constant.value), constant.tensor)


def distinct_constants(module: Module) -> dict[int, run.Constant]:
    """The constants of all bodies that hold something, by their places among the weights."""
    found: dict[int, run.Constant] = {}
    for op in (op for body in module.bodies for op in body.walk()):
        if isinstance(op, run.Constant) and isinstance(op.offset, Expr) and packed_bytes(op):
            found.setdefault(op.offset.value, op)
    return found


def packed_bytes(constant: run.Constant) -> int:
    kind = constant.tensor.buffer()
    return as_expr(kind.elements).value * kind.element.bytes
