"""prefetch: while one panel of a buffer is worked on, ask for the next one, a part in each register tile.

    for n.o: for m.o: for k: w[n.o, k, 0:48]    →    for n.o: for m.o: for k: w[n.o, k, 0:48],
                                                       prefetch w[n.o + 1, (m.o * K + k) // 8, k % 4 * 16]

Weights are read once per inference, from memory, and the tile needs each panel many times: the requests for the next
one are spread over the tiles, so that they never keep the loads of this one waiting. A step of the reduction asks for
one line. Shares and columns are powers of two, since the place is computed at each step; that some requests repeat one
another or reach beyond the panel costs a load slot and nothing else.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import index_operands
from dlc.ir.core import Func, Value
from dlc.ir.dialects import buf, loop, vec
from dlc.ir.dialects.buf import buffer_type
from dlc.ir.expr import Expr, as_expr, const, sym
from dlc.ir.types import BufferType, VectorType
from dlc.passes.loop.loops import all_loops, named_loops

LINE_BYTES = 64
MOST_SHARES = 16
SHARES = 4  # where the number of tiles is not known: three tiles or fewer leave a part of the panel unasked for


def prefetch(func: Func, buffer: Value, name: str, over: str | None = None) -> None:
    """Where loads of `buffer` move with the loop called `name`, ask for what its next iteration loads.

    The requests for vectors are spread over the first loop called `over` inside it, if there is one. Without it
    elements side by side, which are broadcast one by one, are asked for too, with a request per line.
    """
    for outer in named_loops(func, name):
        tiles = None if over is None else next(iter(named_loops(outer, over)), None)
        for inner in all_loops(tiles or outer):
            rows: dict[object, list[vec.Load]] = {}  # vectors side by side share a row
            for op in inner.block.ops:
                if isinstance(op, vec.Load) and op.buffer is buffer:
                    rows.setdefault((op.at[:-1], tuple(index_operands(op))), []).append(op)
            for loads in rows.values():
                if (row := _row_axis(loads[0], outer, inner)) is not None:
                    _ask(loads, outer, tiles, inner, row)
        for load in _scalar_loads(outer, buffer) if over is None else []:
            _ahead(load, outer)


def _row_axis(load: vec.Load, outer: loop.For, inner: loop.For) -> int | None:
    """The axis along which the loop `inner` moves through a panel; None if `outer` does not choose the panel."""
    indices = index_operands(load)
    if outer.variable not in indices or inner.variable not in indices:
        return None
    k = f"d{indices.index(inner.variable)}"
    rows = [n for n, e in enumerate(load.at) if k in e.symbols() and e.is_linear_in(k) and e.coefficient(k) == 1]
    return rows[0] if len(rows) == 1 and load.at[-1].is_const else None


def shares(tiles: loop.For | None) -> int:
    """In how many parts the next panel is asked for: one in each tile, as far as a power of two goes."""
    if tiles is None:
        return 1
    count = tiles.trip_count
    return SHARES if count is None else min(MOST_SHARES, 1 << max(0, count.bit_length() - 1))


def _ask(loads: list[vec.Load], outer: loop.For, tiles: loop.For | None, inner: loop.For, row: int) -> None:
    load = loads[0]
    indices = list(index_operands(load))
    k = sym(f"d{indices.index(inner.variable)}")
    following = {f"d{n}": sym(f"d{n}") + 1 for n, value in enumerate(indices) if value is outer.variable}
    parts = shares(tiles)
    step = load.at[row]
    if tiles is not None and parts > 1:
        step = step + _extent(load.buffer, row) * _place(tiles.variable, indices)
    at = [e.substitute(following) for e in load.at]
    at[row] = step // parts
    for column in _columns(loads, k, parts):
        if load.parent is not None:
            places = (*at[:-1], at[-1] + column)
            load.parent.insert_after(loads[-1], vec.Prefetch(load.buffer, *indices, at=places, loc=load.loc))


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
    kind = loads[0].result.type
    if not isinstance(kind, VectorType):
        raise InternalError(f"{kind} is not a vector")
    line = max(1, LINE_BYTES * 8 // kind.element.bits)  # elements
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
