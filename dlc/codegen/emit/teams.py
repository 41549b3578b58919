"""Chunks that a team of threads goes through together: calls of what codegen/pool_teams.py offers.

    parallel for b:                     team = teams[b]; dlc_join(team, seat, members, phases)
      for s:                            for s:
        shared for j in [0, n):     →     begin, end = dlc_part(team, seat, n)
                                          for j in [begin, end):
        meet                              dlc_meet(team, seat)
                                        dlc_leave(team, seat)
"""

from __future__ import annotations

from collections.abc import Callable

from dlc.codegen.emit.control import EmitBlock, bounds_within, emit_for
from dlc.codegen.emit.scope import Writer
from dlc.ir.core import Block, Func, Op
from dlc.ir.dialects import buf, loop
from dlc.ir.expr import Expr, as_expr, sym
from dlc.ir.teams import most_members, phase_count, phases, team_offsets

JOIN = "hidden void @dlc_join(ptr, ptr, i64, i64)"
PART = "hidden { i64, i64 } @dlc_part(ptr, ptr, i64)"
MEET = "hidden void @dlc_meet(ptr, ptr)"
LEAVE = "hidden void @dlc_leave(ptr, ptr)"
SEAT = "[2 x i64]"


class TeamEmitter:
    """Emits the chunks of one kernel; `plain` and `single` write what has nothing to do with teams."""

    def __init__(self, func: Func, plain: EmitBlock, single: Callable[[Op, Writer], None]) -> None:
        self.func = func
        self.plain = plain
        self.single = single
        self.offsets, self.bytes = team_offsets(func)
        self.team = self.seat = ""

    def chunk_of(self, op: loop.For, start: Expr) -> EmitBlock:
        """What writes the body of a parallel loop whose first chunk is number `start`."""

        def body(block: Block, w: Writer) -> None:
            for signature in (JOIN, PART, MEET, LEAVE):
                w.declare(signature)
            self.seat = w.fresh("seat")
            w.blocks[0].lines.insert(0, f"{self.seat} = alloca {SEAT}, align 8")
            number = w.integer(w.canonical((sym("d0") + start) * self.bytes, [op.variable]))
            self.team = w.assign(f"getelementptr i8, ptr {w.use(self.func.args[-1])}, i64 {number}", "team")
            limits = f"i64 {most_members(self.func)}, i64 {w.integer(w.canonical(phase_count(block), []))}"
            w.line(f"call void @dlc_join(ptr {self.team}, ptr {self.seat}, {limits})")
            self.block(block, w)
            w.line(f"call void @dlc_leave(ptr {self.team}, ptr {self.seat})")

        return body

    def block(self, block: Block, w: Writer) -> None:
        phase = {loops[0]: loops for loops, _ in phases(block)}
        part, start = ("0", "0"), as_expr(0)
        for op in block.ops:
            if isinstance(op, loop.For) and op.kind == "shared":
                if op in phase:
                    part, start = self.deal_out(phase[op], w), as_expr(0)
                emit_for(op, w, self.plain, bounds_within(op, start, part, w))
                start = start + op.upper
            elif isinstance(op, loop.Meet):
                w.line(f"call void @dlc_meet(ptr {self.team}, ptr {self.seat})")
            elif isinstance(op, loop.For):
                emit_for(op, w, self.block)
            elif isinstance(op, buf.Scratch) and op.shared:
                offset = self.offsets[op]
                w.define(op.result, w.assign(f"getelementptr i8, ptr {self.team}, i64 {offset}", "scratch"))
            else:
                self.single(op, w)

    def deal_out(self, loops: list[loop.For], w: Writer) -> tuple[str, str]:
        """This thread's part of the iterations of the loops of one phase, numbered through."""
        total = sum((op.upper for op in loops), as_expr(0))
        count = w.integer(w.canonical(total, []))
        both = w.assign(f"call {{ i64, i64 }} @dlc_part(ptr {self.team}, ptr {self.seat}, i64 {count})", "part")
        begin, end = (w.assign(f"extractvalue {{ i64, i64 }} {both}, {n}") for n in range(2))
        return begin, end
