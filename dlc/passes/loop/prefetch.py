"""prefetch: while one panel of a buffer is worked on, ask for the next one, a part in each register tile.

    for n.o: for m.o: for k: w[n.o, k, 0:48]    →    for n.o: for m.o: for k: w[n.o, k, 0:48],
                                                       prefetch w[n.o + 1, 0, (m.o * K + k) * 6]

Weights are read once per inference, from memory, and the tile needs each panel many times: the requests for the next
one are spread over the tiles (8 here), so that they never keep the loads of this one waiting. Each step of the
reduction goes on where the last one ended; that some requests repeat one another or reach beyond the panel costs a load
slot and nothing else.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import index_operands
from dlc.ir.core import Func, Value
from dlc.ir.dialects import buf, loop, vec
from dlc.ir.dialects.buf import buffer_type
from dlc.ir.expr import ZERO, Expr, as_expr, const, minimum, sym
from dlc.ir.expr_bounds import bounds, last_index, nonnegative
from dlc.ir.types import BufferType
from dlc.passes.loop.loops import all_loops, named_loops
from dlc.passes.loop.prefetch_panel import LINE_BYTES, ask_for_panel, line_elements, work_beside
from dlc.record import record

MOST_SHARES = 16
SHARES = 4  # where the number of tiles is not known: three tiles or fewer leave a part of the panel unasked for
ENOUGH = 3  # tiles at least that share the panel instead


def prefetch(func: Func, buffer: Value, name: str, over: str | None = None, *, least: int = 1) -> None:
    """Where loads of `buffer` move with the loop called `name`, ask for what its next iteration loads.

    The requests for vectors are spread over the first loop called `over` inside it, if there is one; if its length is
    not known, over that and the others beside it, which together run `least` times if they run. Without it
    elements that are broadcast one by one are asked for too: of rows read to the end, as many in each step as it reads,
    otherwise a request per line. Loops called `over` that do not read the buffer themselves, but work on what others
    have made of it, ask for all that these read: as much in each step of their innermost loops.
    """
    for outer in named_loops(func, name):
        if over is not None and (beside := work_beside(outer, buffer, over)):
            for work in beside:
                ask_for_panel(work, outer, buffer)
            continue
        for tiles in () if over is None else _tiles(outer, over, least):
            _ask_in(tiles.loop, buffer, outer, tiles)
        if over is None or not named_loops(outer, over):
            _ask_in(outer, buffer, outer, None)
        if over is None:
            asked = [_ask_for_rows(inner, outer, buffer) for inner in all_loops(outer)]
            for load in () if any(asked) else _scalar_loads(outer, buffer):
                _ahead(load, outer)


def _row_axis(load: vec.Load, outer: loop.For, inner: loop.For) -> int | None:
    """The axis along which the loop `inner` moves through a panel; None if `outer` does not choose the panel."""
    indices = index_operands(load)
    if outer.variable not in indices or inner.variable not in indices:
        return None
    k = f"d{indices.index(inner.variable)}"
    rows = [n for n, e in enumerate(load.at) if k in e.symbols() and e.is_linear_in(k) and e.coefficient(k) == 1]
    return rows[0] if len(rows) == 1 and load.at[-1].is_const else None


@record
class Tiles:
    """A loop over tiles, of which each asks for one of `parts` parts of the next panel, from the part `first` on."""

    loop: loop.For
    parts: int
    first: Expr | None = None  # None: there are as many tiles as parts

    def place(self, indices: list[Value]) -> Expr:
        """The part of a tile; those beyond the last one ask for what they have got, not for ever more panels."""
        place = _place(self.loop.variable, indices)
        if self.first is None:
            return place
        last = last_index(self.loop.upper)
        end = None if last is None else as_expr(last) + self.first
        enough = end is not None and nonnegative(self.parts - 1 - end)
        return place + self.first if enough else minimum(place + self.first, self.parts)


def _tiles(outer: loop.For, over: str, least: int) -> list[Tiles]:
    found = named_loops(outer, over)
    if not found:
        return []
    first = found[0]
    beside = [op for op in found if op.parent is first.parent]
    counts = [op.trip_count for op in beside]
    if None not in counts:
        return _of_known(beside, [count for count in counts if count is not None])
    most = bounds(first.upper)[1]
    if most is not None:  # too few parts come too fast, of too many some are never asked for
        return [Tiles(first, max(1, min(MOST_SHARES, most * 2 // 3)))]
    parts = min(MOST_SHARES, least) if least >= ENOUGH else SHARES
    if first.upper.places():
        return [Tiles(first, parts)]
    return [Tiles(first, parts, ZERO), *(Tiles(op, parts, first.upper) for op in beside[1:])]


def _of_known(loops: list[loop.For], counts: list[int]) -> list[Tiles]:
    """Tiles of two heights stand in two loops: where the first has few, the second asks for what it leaves."""
    parts = min(MOST_SHARES, sum(counts))
    if counts[0] >= parts:
        return [Tiles(loops[0], max(1, parts))]
    firsts = [const(sum(counts[:number])) for number in range(len(loops))]
    return [Tiles(op, parts, first) for op, first in zip(loops, firsts, strict=True) if first.value < parts]


def _ask_in(around: loop.For, buffer: Value, outer: loop.For, tiles: Tiles | None) -> None:
    for inner in all_loops(around):
        rows: dict[object, list[vec.Load]] = {}  # vectors side by side share a row
        for op in inner.block.ops:
            if isinstance(op, vec.Load) and op.buffer is buffer:
                rows.setdefault((op.at[:-1], tuple(index_operands(op))), []).append(op)
        for loads in rows.values():
            if (row := _row_axis(loads[0], outer, inner)) is not None:
                _ask(loads, outer, tiles, inner, row)


def _ask(loads: list[vec.Load], outer: loop.For, tiles: Tiles | None, inner: loop.For, row: int) -> None:
    load = loads[0]
    indices = list(index_operands(load))
    k = sym(f"d{indices.index(inner.variable)}")
    parts = 1 if tiles is None else tiles.parts
    step = load.at[row]
    if tiles is not None and parts > 1:
        step = step + _extent(load.buffer, row) * tiles.place(indices)
    at = [e.substitute(_next(outer, indices)) for e in load.at]
    width = _extent(load.buffer, row + 1)
    if parts > 1 and row + 2 == len(at) and width.is_const:  # rows side by side: each step goes on where the last ended
        share = -(-width.value // parts)
        at[row] = const(0)
        at[-1] = step * share
        columns = [const(n) for n in range(0, share, line_elements(loads[0]))]
    else:
        at[row] = step // parts
        columns = _columns(loads, k, parts)
    for column in columns:
        if load.parent is not None:
            places = (*at[:-1], at[-1] + column)
            load.parent.insert_after(loads[-1], vec.Prefetch(load.buffer, *indices, at=places, loc=load.loc))


def _ask_for_rows(inner: loop.For, outer: loop.For, buffer: Value) -> bool:
    """Where `inner` reads rows of a matrix from front to back, broadcasting its elements."""
    rows = [op for op in inner.block.ops if isinstance(op, buf.Load) and op.buffer is buffer and _along(op, inner)]
    if not rows or outer.variable not in index_operands(rows[0]):
        return False
    load = rows[0]
    indices = index_operands(load)
    k = sym(f"d{indices.index(inner.variable)}")
    at = [e.substitute(_next(outer, indices)) for e in load.at]
    at[-1] = at[-1] + k * (len(rows) - 1)  # the rows lie behind one another: each step asks for as much as it reads
    inner.block.insert_after(rows[-1], vec.Prefetch(buffer, *indices, at=tuple(at), loc=load.loc))
    return True


def _next(outer: loop.For, indices: list[Value]) -> dict[str, Expr]:
    """What stands for the variable of `outer` in its next iteration, in expressions over `indices`."""
    return {f"d{n}": sym(f"d{n}") + 1 for n, value in enumerate(indices) if value is outer.variable}


def _along(load: buf.Load, inner: loop.For) -> bool:
    indices = index_operands(load)
    if inner.variable not in indices or len(load.at) < 2:
        return False
    k = f"d{indices.index(inner.variable)}"
    last = load.at[-1]
    return k in last.symbols() and last.is_linear_in(k) and last.coefficient(k) == 1 and k not in load.at[-2].symbols()


def _place(value: Value, indices: list[Value]) -> Expr:
    """What expressions over `indices` call `value`, which is added if it is not among them."""
    if value not in indices:
        indices.append(value)
    return sym(f"d{indices.index(value)}")


def _extent(buffer: Value, axis: int) -> Expr:
    if not isinstance(buffer.type, BufferType):
        raise InternalError(f"{buffer.type} is not a buffer")
    return as_expr(buffer.type.shape[axis])


def _columns(loads: list[vec.Load], k: Expr, parts: int) -> list[Expr]:
    """Which of a row's lines one step asks for: one after the other if a row has as many steps, else all of them."""
    line = line_elements(loads[0])
    last = max(load.at[-1].value for load in loads) + loads[0].lanes - loads[0].at[-1].value
    lines = -(-last // line)
    turns = 1 << (lines - 1).bit_length()
    return [k % turns * line] if parts >= turns else [const(n * line) for n in range(lines)]


def _scalar_loads(outer: loop.For, buffer: Value) -> list[buf.Load]:
    """Of loads side by side, the first, one per line after it, and the last."""
    found: dict[object, list[buf.Load]] = {}
    for op in outer.walk():
        if isinstance(op, buf.Load) and op.buffer is buffer:
            key = (op.parent, tuple(index_operands(op)), op.at[:-1], op.at[-1] - op.at[-1].constant)
            found.setdefault(key, []).append(op)
    step = LINE_BYTES // buffer_type(buffer).element.bytes
    chosen: list[buf.Load] = []
    for loads in found.values():
        loads.sort(key=lambda op: op.at[-1].constant)
        start = loads[0].at[-1].constant
        lines = {(op.at[-1].constant - start) // step: op for op in reversed(loads)}
        chosen += dict.fromkeys((*reversed(lines.values()), loads[-1]))
    return chosen


def _ahead(op: buf.Load, outer: loop.For) -> None:
    indices = index_operands(op)
    places = [n for n, value in enumerate(indices) if value is outer.variable]
    if not places or op.parent is None:
        return
    following = {f"d{n}": sym(f"d{n}") + 1 for n in places}
    at = tuple(e.substitute(following) for e in op.at)
    op.parent.insert_after(op, vec.Prefetch(op.buffer, *indices, at=at, loc=op.loc))
