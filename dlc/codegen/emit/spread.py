"""Parallel loops with spread loops inside: of each iteration the part that lies among a thread's chunks.

    parallel for b in [0, B):             for b in [begin / G, ⌈end / G⌉):
      for p:                                for p:
        spread for g in [0, n):     →         for g in [max(begin - b G, 0), min(end - b G, n)):
"""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.control import CONTROL, emit_for
from dlc.codegen.emit.scope import Writer
from dlc.ir.chunks import spread_count
from dlc.ir.core import Block, Op
from dlc.ir.dialects import loop


class SpreadEmitter:
    """Emits one parallel loop; `single` writes an op that is no control flow, and what is in spread loops."""

    def __init__(self, single: Callable[[Op, Writer], None]) -> None:
        self.single = single
        self.count = 1
        self.part = ("", "")

    def parallel(self, op: loop.For, w: Writer) -> None:
        self.count = spread_count(op)
        first = w.assign(f"sdiv i64 %begin, {self.count}")
        rounded = w.assign(f"add i64 %end, {self.count - 1}")
        emit_for(op, w, self.body, (first, w.assign(f"sdiv i64 {rounded}, {self.count}")))

    def body(self, block: Block, w: Writer) -> None:
        """An iteration of the parallel loop."""
        w.declare("i64 @llvm.smax.i64(i64, i64)")
        w.declare("i64 @llvm.smin.i64(i64, i64)")
        start = w.assign(f"mul i64 {w.use(block.args[0])}, {self.count}")
        low = w.assign(f"sub i64 %begin, {start}")
        self.part = w.assign(f"call i64 @llvm.smax.i64(i64 {low}, i64 0)"), w.assign(f"sub i64 %end, {start}")
        self.block(block, w)

    def block(self, block: Block, w: Writer) -> None:
        for op in block.ops:
            if isinstance(op, loop.For) and op.kind == "spread":
                upper = w.integer(w.canonical(op.upper, op.indices))
                high = w.assign(f"call i64 @llvm.smin.i64(i64 {self.part[1]}, i64 {upper})")
                emit_for(op, w, self.plain, (self.part[0], high))
            elif type(op) in CONTROL:
                CONTROL[type(op)](op, w, self.block)
            else:
                self.single(op, w)

    def plain(self, block: Block, w: Writer) -> None:
        for op in block.ops:
            self.single(op, w)
