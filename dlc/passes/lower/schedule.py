"""Carrying out a schedule of the kernel language on the plain nest of a kernel."""

from __future__ import annotations

from dataclasses import field

from dlc.errors import UserError
from dlc.ir.core import Func, Op, Value
from dlc.ir.dialects import buf, loop
from dlc.ir.expr import Expr
from dlc.kernel_language import syntax as s
from dlc.passes.loop.automatic import block_period, byte_stride, schedule_automatically, share_all_or_nothing
from dlc.passes.loop.cleanup import clean, contract_multiply_add
from dlc.passes.loop.contract import contract
from dlc.passes.loop.fuse import fuse
from dlc.passes.loop.loops import all_loops, named_loops, only_inner_loop
from dlc.passes.loop.narrow import narrow_padding
from dlc.passes.loop.prefetch import prefetch
from dlc.passes.loop.reorder import reorder
from dlc.passes.loop.share import share
from dlc.passes.loop.split import least_blocks, split, split_evenly
from dlc.passes.loop.spread import spread
from dlc.passes.loop.transpose import plans
from dlc.passes.loop.turn import turn_stores
from dlc.passes.loop.unroll import unroll
from dlc.passes.loop.vectorize import NotVectorizable, vectorize
from dlc.passes.lower.considered import image_tiles_text, tiles_text
from dlc.passes.lower.elaborate import Elaborator
from dlc.passes.lower.frame import Frame
from dlc.passes.lower.scalars import UnknownSize, as_int
from dlc.passes.lower.tiles import (
    MOST_ROWS,
    PANELS,
    UNKNOWN,
    Extent,
    Tile,
    best_image_tile,
    best_rows,
    best_team,
    best_tile,
    depthwise_columns,
    extent_of,
    image_tiles,
    rows_in_l1,
    tiles_by_vectors,
)
from dlc.record import record
from dlc.target import Target

SOME_VECTORS = 3  # how many vectors of a plane are counted on where their number is not known


@record(frozen=False)
class Scheduler:
    """Runs the actions of one schedule; `chosen` records the parameters' values, `considered` what else there was."""

    func: Func
    target: Target
    elaborator: Elaborator
    fill: bool  # stores may fill up the last block of the results
    lanes: int
    chosen: dict[str, object] = field(default_factory=dict)
    considered: dict[str, None] = field(default_factory=dict)
    parameters: dict[str, Value] = field(default_factory=dict)  # buffers by the names of the kernel's operands
    ends: dict[Value, tuple[int, int]] = field(default_factory=dict)  # what narrow_padding takes
    least_blocks: dict[str, int] = field(default_factory=dict)  # of loops that were split evenly
    spread_loops: tuple[str, ...] = ()
    shared: tuple[tuple[str, ...], int] = ((), 0)  # loops, and between how many threads

    def run(self, schedule: s.Schedule, frame: Frame) -> None:
        self.actions(schedule.actions, frame)
        share_all_or_nothing(self.func)
        if (passes := self.target.facts.passes) > 1:
            narrow_padding(self.func, self.ends, self.lanes, self.lanes // passes)
        finish(self.func)
        share(self.func, *self.shared)
        spread(self.func, self.spread_loops)

    def facts(self) -> dict[str, object]:
        """Names that a schedule may use besides those of its kernel."""
        return {
            "lanes": self.lanes,
            "registers": self.target.facts.vector_registers,
            "l1": self.target.facts.l1_bytes,
            "l2": self.target.facts.l2_bytes,
            "has_fma": self.target.facts.has_fma,
            "extent": self.extent,
            "transposes": lambda: next(plans(self.func, self.lanes), None) is not None,
            "period": self.period,
            "has_loop": lambda name: bool(named_loops(self.func, name)),
            "image_tile": self.image_tile,
            "tile_rows_for": lambda extent, vectors: best_rows(_extent(extent), vectors, self.target),
            "panel_rows_for": self.panel_rows,
            "team_for": lambda weights, rows, meetings: best_team(weights, rows, meetings, self.target),
            "depthwise_columns": lambda extent, stride: depthwise_columns(_known(extent), stride, self.target),
            "tile_rows": lambda extent, blocks: self.tile(extent, blocks).rows,
            "tile_vectors": lambda extent, blocks: self.tile(extent, blocks).vectors,
        }

    def tile(self, extent: object, blocks: object) -> Tile:
        size = _extent(extent), _known(blocks) or SOME_VECTORS, self.target
        self.considered |= dict.fromkeys(tiles_text(tiles_by_vectors(*size)))
        return best_tile(*size)

    def panel_rows(self, rows: str, terms: str, vectors: int) -> int:
        """Rows of a tile that meets panels of so many vectors: iterations of loop `rows`, summed over loop `terms`."""
        far = [
            byte_stride(load, outer.variable)
            for outer in named_loops(self.func, rows)
            for inner in named_loops(outer, terms)
            for load in inner.walk()
            if isinstance(load, buf.Load) and {outer.variable, inner.variable} <= set(load.indices)
        ]
        most = min((rows_in_l1(stride, self.target) for stride in far), default=MOST_ROWS)
        found = self.extent(rows)
        extent = extent_of(found) if isinstance(found, Expr) else _extent(found)
        return best_rows(extent, vectors, self.target, PANELS, most)

    def period(self, name: str) -> int:
        """B if a loop moves a load through blocks of B elements that do not follow one another; else 0."""
        periods = [
            block_period(load, op.variable)
            for op in named_loops(self.func, name)
            for load in op.walk()
            if isinstance(load, buf.Load)
        ]
        return max(periods, default=0)

    def image_tile(self, lines: object, columns: object, blocks: object) -> list[int]:
        high, wide, vectors = _known(lines), _known(columns), _known(blocks) or SOME_VECTORS
        found = best_image_tile(high, wide, vectors, self.target)
        if high is None or wide is None:
            columns = UNKNOWN if wide is None else wide
            self.considered |= dict.fromkeys(tiles_text(tiles_by_vectors(columns, vectors, self.target)))
        else:
            self.considered |= dict.fromkeys(image_tiles_text(image_tiles(high, wide, vectors, self.target)))
        return [found.lines, found.columns, found.vectors]

    def extent(self, name: str) -> object:
        found = named_loops(self.func, name)
        if not found:
            return 1
        return found[0].upper.value if found[0].upper.is_const else found[0].upper

    def actions(self, actions: tuple[s.Node, ...], frame: Frame) -> None:
        for action in actions:
            match action:
                case s.Let(name=name, value=value):
                    frame.names[name] = self.elaborator.expression(value, frame)
                case s.Parameter(name=name, default=default):
                    if name not in frame.names:
                        frame.names[name] = self.elaborator.expression(default, frame)
                    self.chosen[name] = frame.names[name]
                case s.When(condition=condition, then=then, otherwise=otherwise):
                    self.actions(then if self.elaborator.expression(condition, frame) else otherwise, frame)
                case s.Action():
                    self.action(action, frame)

    def action(self, action: s.Action, frame: Frame) -> None:
        amount = None if action.amount is None else self.elaborator.expression(action.amount, frame)
        if isinstance(amount, Expr):
            raise UnknownSize(f"{amount} is not known at compile time", amount)
        if amount is not None and not isinstance(amount, int):
            raise UserError(f"{frame.file}:{action.line}: {action.kind} needs a number, got {amount!r}")
        try:
            _ACTIONS[action.kind](self, action, amount or 0)
        except NotVectorizable as problem:
            what = f"{action.kind} {' '.join(action.loops)}"
            raise UserError(f"{frame.file}:{action.line}: cannot {what}: {problem}") from None

    # -- one method per action ---------------------------------------------------------------------------------------

    def split(self, action: s.Action, amount: int) -> None:
        name, outer, inner = action.loops
        for op in named_loops(self.func, name):
            if action.tail == "even":
                self.least_blocks[outer] = least_blocks(op.upper, amount)
                split_evenly(op, amount, outer, inner)
            else:
                split(op, amount, outer, inner, action.tail)

    def order(self, action: s.Action, amount: int) -> None:
        """Reorder every nest whose loops are among those named (absent names are passed over)."""
        names = list(action.loops)
        done: set[Op] = set()
        while True:
            candidates = (op for op in all_loops(self.func) if op.name_hint in names and op not in done)
            top = next((op for op in candidates if not self._inside(op, names)), None)
            if top is None:
                return
            nest = [top]
            while (inner := only_inner_loop(nest[-1])) is not None and inner.name_hint in names:
                nest.append(inner)
            present = [op.name_hint for op in nest]
            done.add(reorder(top, [n for n in names if n in present]) if len(nest) > 1 else top)

    def _inside(self, op: Op, names: list[str]) -> bool:
        around = op.parent_op()
        return isinstance(around, loop.For) and around.name_hint in names and only_inner_loop(around) is op

    def vectorize(self, action: s.Action, amount: int) -> None:
        for op in named_loops(self.func, action.loops[0]):
            vectorize(op, amount, self.fill)

    def unroll(self, action: s.Action, amount: int) -> None:
        """Unroll; the rest of a loop of unknown length stays a loop."""
        for op in named_loops(self.func, action.loops[0]):
            if op.trip_count is not None:
                unroll(op)

    def fuse(self, action: s.Action, amount: int) -> None:
        outer, inner, name = action.loops
        for op in named_loops(self.func, outer):
            held = only_inner_loop(op)
            if held is not None and held.name_hint == inner:
                fuse(op, name)

    def parallel(self, action: s.Action, amount: int) -> None:
        for op in named_loops(self.func, action.loops[0]):
            if op.parent is self.func.block and not op.carried:
                op.kind = "parallel"

    def zigzag(self, action: s.Action, amount: int) -> None:
        for op in named_loops(self.func, action.loops[0]):
            op.zigzag = not op.carried and op.step == 1

    def share(self, action: s.Action, amount: int) -> None:
        self.shared = (action.loops, amount)  # once it is settled what the chunks are

    def spread(self, action: s.Action, amount: int) -> None:
        self.spread_loops = action.loops  # once it is settled what the chunks are

    def prefetch(self, action: s.Action, amount: int) -> None:
        buffer = self.parameters.get(action.loops[0])
        if buffer is not None:
            clean(self.func)  # rows share their loads from here on: one request per vector, not per row
            prefetch(self.func, buffer, *action.loops[1:], least=self.least_blocks.get(action.loops[-1], 1))

    def turn(self, action: s.Action, amount: int) -> None:
        turn_stores(self.func)

    def contract(self, action: s.Action, amount: int) -> None:
        for op in named_loops(self.func, action.loops[0]):
            contract(op, action.loops[1], self.lanes, self.fill)

    def auto(self, action: s.Action, amount: int) -> None:
        schedule_automatically(self.func, self.lanes, self.fill)


_ACTIONS = {
    "share": Scheduler.share, "spread": Scheduler.spread, "prefetch": Scheduler.prefetch, "turn": Scheduler.turn,
    "split": Scheduler.split, "order": Scheduler.order, "vectorize": Scheduler.vectorize, "unroll": Scheduler.unroll,
    "fuse": Scheduler.fuse, "parallel": Scheduler.parallel, "contract": Scheduler.contract, "auto": Scheduler.auto,
    "zigzag": Scheduler.zigzag,
}  # fmt: skip


def _extent(extent: object) -> Extent:
    found = _known(extent)
    return UNKNOWN if found is None else found


def _known(extent: object) -> int | None:
    if isinstance(extent, Expr):
        return extent.value if extent.is_const else None
    return as_int(extent)


def finish(func: Func) -> None:
    """What every kernel gets after its schedule."""
    contract_multiply_add(func)
    clean(func)
