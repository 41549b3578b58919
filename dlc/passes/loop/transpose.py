"""transpose-copies: nests that read across the grain read squares along it and turn them in registers.

    for h: for w: for c:                        for h: for c.o: for w.o:
      y[h, w, c] = f(x[c, h, w])         →        r0..r15 = x[c.o*16 + 0..15, h, w.o*16 .. + 15]
                                                  s0..s15 = transpose(r0..r15)
                                                  y[h, w.o*16 + 0..15, c.o*16 .. + 15] = f(s0..s15)

One loop (`along`) moves the stores element by element and becomes the lanes; another one (`across`) moves the load
element by element and becomes the square's other side. Where the squares of a line do not come out even, the last one
overlaps the one before it and copies some elements again, which the function's attribute `STORES_AGAIN` says. Where
that cannot be (a line shorter than a square, of unknown length or in blocks), an ``if`` inside chooses between the
whole square and its rest. The loops around stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.errors import InternalError
from dlc.ir.access import clone_with, expressions, index_operands, is_indexed
from dlc.ir.core import Block, Func, Op, Region, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.dialects.buf import buffer_type
from dlc.ir.expr import Expr, as_expr, const, sym
from dlc.ir.expr_atoms import Compound
from dlc.ir.expr_bounds import Range, bounds
from dlc.ir.simplify import simplify
from dlc.ir.types import BOOL, INDEX, ScalarType, VectorType
from dlc.passes.loop.loops import all_loops, only_inner_loop, replace_loop, substitution, variable_ranges
from dlc.passes.loop.reorder import reorder
from dlc.passes.loop.split import split
from dlc.passes.loop.unroll import inline_single, unroll
from dlc.passes.loop.vectorize import NotVectorizable, vectorize
from dlc.record import record

Access = buf.Load | buf.Store
STORES_AGAIN = "stores_again"  # of a function that stores some elements twice: not over what it computes them of
SHORTEST = 2  # a side of fewer elements is not worth the shuffles
PAGE = 4096  # bytes; a square whose rows lie farther apart is followed by its neighbours along the rows
NEIGHBOURS = 4


@record
class Plan:
    """A nest (outermost loop first), the loop that becomes lanes and the one that becomes the square's other side."""

    nest: list[loop.For]
    along: loop.For
    across: loop.For
    neighbours: int  # squares side by side before the next step along


def transpose_copies(func: Func, lanes: int, fill: bool = False) -> bool:
    """Put every nest that copies across the grain on squares of `lanes` by `lanes`; whether there was one."""
    changed = False
    while (plan := next(plans(func, lanes), None)) is not None:
        if _apply(plan, lanes, fill):
            func.attrs[STORES_AGAIN] = True
        changed = True
    return changed


def plans(func: Func, lanes: int) -> Iterator[Plan]:
    """What there is to do, nest by nest."""
    if lanes < SHORTEST or lanes & (lanes - 1):
        return
    for op in all_loops(func):
        around = op.parent_op()
        if isinstance(around, loop.For) and only_inner_loop(around) is op:
            continue
        plan = _plan(op, lanes)
        if plan is not None:
            yield plan


def _plan(top: loop.For, lanes: int) -> Plan | None:
    nest = [top]
    while (inner := only_inner_loop(nest[-1])) is not None:
        nest.append(inner)
    if len(nest) < 2 or not _is_plain(nest):
        return None
    ops = nest[-1].block.ops[:-1]
    stores = [op for op in ops if isinstance(op, buf.Store)]
    written = {op.buffer for op in stores}
    loads = [
        op
        for op in ops
        if isinstance(op, buf.Load) and op.buffer not in written and buffer_type(op.buffer).element != BOOL
    ]
    best: tuple[int, Plan] | None = None
    for along in nest:
        if not stores or not all(_is_unit(op, _steps(op, along, lanes)) for op in stores):
            continue
        far = [op for op in loads if _is_far(op, _steps(op, along, lanes))]
        for across in nest:
            served = sum(_is_unit(op, _steps(op, across, lanes)) for op in far)
            if (
                across is not along
                and served > (best[0] if best else 0)
                and _is_long(along, 2)
                and _is_long(across, SHORTEST)
            ):
                best = served, Plan(nest, along, across, _neighbours(nest, along, across, far, lanes))
    return best[1] if best else None


def _neighbours(nest: list[loop.For], along: loop.For, across: loop.For, loads: list[buf.Load], lanes: int) -> int:
    """How many squares to take side by side: more than one where each step along would reach other pages of memory."""
    squares = None if across.trip_count is None else across.trip_count // lanes
    if nest.index(across) > nest.index(along) or (squares is not None and squares < 2 * NEIGHBOURS):
        return 1
    for load in loads:
        distance = _stride(load, _steps(load, along, lanes) or (0,) * len(load.at))
        if not distance.is_const or abs(distance.value) * lanes * buffer_type(load.buffer).element.bytes < PAGE:
            return 1
    return NEIGHBOURS


def _is_plain(nest: list[loop.For]) -> bool:
    """Whether the loops run from 0 by 1, each as often as it always does, over scalar code without branches."""
    variables = {op.variable for op in nest}
    for op in nest:
        if op.carried or op.lower != 0 or op.step != 1 or op.trip_count == 0 or any(v in variables for v in op.indices):
            return False
    names = {op.name_hint for op in nest}
    ops = nest[-1].block.ops[:-1]
    return len(names) == len(nest) and all(
        isinstance(op, buf.Load | buf.Store) or op.name.startswith("arith.") for op in ops
    )


def _is_long(op: loop.For, least: int) -> bool:
    return op.trip_count is None or op.trip_count >= least


# -- how accesses move -------------------------------------------------------------------------------------------------


def _steps(access: Access, along: loop.For, lanes: int) -> tuple[int, ...] | None:
    """How the access moves, per axis, with the lanes of `along` once it is split; None if unevenly."""
    indices = index_operands(access)
    names = [f"d{n}" for n, v in enumerate(indices) if v is along.variable]
    if len(names) != 1:
        return None if names else (0,) * len(access.at)
    known = variable_ranges(along)
    ranges: dict[str, Range] = {f"d{n}": known[v] for n, v in enumerate(indices) if v in known}
    ranges |= {"lane'": (0, lanes - 1), "block'": (0, None)}
    steps = []
    for expr in access.at:
        moved = simplify(expr.substitute({names[0]: sym("block'") * lanes + sym("lane'")}), ranges)
        if not moved.is_linear_in("lane'"):
            return None
        steps.append(moved.coefficient("lane'"))
    return tuple(steps)


def _stride(access: Access, steps: tuple[int, ...]) -> Expr:
    """The distance in elements of places that are `steps` apart."""
    strides = buffer_type(access.buffer).strides()
    return sum((as_expr(stride) * step for step, stride in zip(steps, strides, strict=True)), start=const(0))


def _is_unit(access: Access, steps: tuple[int, ...] | None) -> bool:
    return steps is not None and steps == _unit(access)


def _is_far(access: Access, steps: tuple[int, ...] | None) -> bool:
    return steps is not None and any(steps) and _stride(access, steps) != 1


def _unit(access: Access | vec.Load) -> tuple[int, ...]:
    """One step along the innermost axis that has more than one element."""
    shape = buffer_type(access.buffer).shape
    inner = max((n for n, dim in enumerate(shape) if dim != 1), default=len(shape) - 1)
    return tuple(int(n == inner) for n in range(len(shape)))


# -- the rewrite -------------------------------------------------------------------------------------------------------


def _apply(plan: Plan, lanes: int, fill: bool) -> bool:
    """Whether squares overlap."""
    block = plan.nest[0].parent
    if block is None:
        raise InternalError("a nest stands in a block", op=plan.nest[0])
    at = block.index_of(plan.nest[0])
    names, overlap = _tile(plan, lanes, block, at)
    tile = _nest(block.ops[at])[-2]
    if not _has_vector_form(tile, lanes):
        return overlap  # stays scalar
    for half in _versions(tile, tile, lanes):
        for piece in _versions(half, _lanes_of(half), lanes):
            _turn(piece, lanes, fill)
    if plan.neighbours > 1:
        _side_by_side(_nest(block.ops[at]), names, f"{plan.across.name_hint}.o", plan.neighbours)
    return overlap


def _tile(plan: Plan, lanes: int, block: Block, at: int) -> tuple[list[str], bool]:
    """Split both loops and bring their short parts innermost, the lanes last; the names of the loops around these, and
    whether squares overlap.
    """
    overlap = False
    sides = ((plan.along.name_hint, ".v"), (plan.across.name_hint, ".t"))
    names = [f"{op.name_hint}.o" if op in (plan.along, plan.across) else op.name_hint for op in plan.nest]
    for name, short in sides:
        op = next(o for o in _nest(block.ops[at]) if o.name_hint == name)
        tail = "overlap" if _may_overlap(op, lanes) else "guard"
        overlap = overlap or (tail == "overlap" and (op.trip_count or 0) % lanes > 0)
        outer, _ = split(op, lanes, f"{name}.o", name + short, tail)
        if outer is not None and outer.trip_count == 1:
            inline_single(outer)
            names.remove(f"{name}.o")
    reorder(_nest(block.ops[at])[0], [*names, *(name + short for name, short in reversed(sides))])
    return names, overlap


def _may_overlap(op: loop.For, lanes: int) -> bool:
    """Whether the last iterations of a loop may run twice, and its accesses still move evenly within a square then."""
    if op.trip_count is None or op.trip_count < lanes:
        return False
    inside = [inner for inner in op.walk() if is_indexed(inner) and not isinstance(inner, loop.For)]
    written = {inner.buffer for inner in inside if isinstance(inner, buf.Store)}
    if any(isinstance(inner, buf.Load) and inner.buffer in written for inner in inside):
        return False
    return all(
        expr.is_linear_in(f"d{n}")
        for inner in inside
        for n, value in enumerate(index_operands(inner))
        if value is op.variable
        for attribute in expressions(inner).values()
        for expr in (attribute if isinstance(attribute, tuple) else (attribute,))
        if isinstance(expr, Expr)
    )


def _side_by_side(nest: list[loop.For], names: list[str], across: str, count: int) -> None:
    """Take `count` squares across before the next step of the loops inside."""
    block = nest[0].parent
    if block is None:
        raise InternalError("a nest stands in a block", op=nest[0])
    at = block.index_of(nest[0])
    split(next(o for o in nest if o.name_hint == across), count, across, f"{across}.s", tail="guard")
    reorder(_nest(block.ops[at])[0], [*names, f"{across}.s"])


def _nest(top: Op) -> list[loop.For]:
    if not isinstance(top, loop.For):
        raise InternalError(f"{top.name} is no loop", op=top)
    nest = [top]
    while (inner := only_inner_loop(nest[-1])) is not None:
        nest.append(inner)
    return nest


def _lanes_of(tile: loop.For) -> loop.For:
    inner = only_inner_loop(tile)
    if inner is None:
        raise InternalError("a tile is two loops", op=tile)
    return inner


def _has_vector_form(tile: loop.For, lanes: int) -> bool:
    trial = Block()
    try:
        vectorize(_lanes_of(trial.append(_copy(tile))), lanes)
    except NotVectorizable:
        return False
    finally:
        for op in trial.ops:
            op.drop_all()
    return True


def _copy(tile: loop.For) -> loop.For:
    copy = clone_with(tile, substitution(tile))
    if not isinstance(copy, loop.For):
        raise InternalError("the clone of a loop is a loop", op=copy)
    return copy


def _versions(tile: loop.For, side: loop.For, lanes: int) -> list[loop.For]:
    """Give one side of the tile a known length: in a copy of the tile for the whole square, and one for the rest."""
    limit, rest = _lengths(side, lanes)
    if limit is None:
        _set_length(side, rest)
        return [tile]
    number = arith.Index(*side.indices, expr=limit, loc=tile.loc)
    least = arith.Constant(value=lanes, type=INDEX, loc=tile.loc)
    whole = arith.Compare(number.result, least.result, predicate="ge", loc=tile.loc)
    copies, regions = [], []
    for length in (lanes, rest):
        block = Block()
        copy = _copy(tile)
        _set_length(copy if side is tile else _lanes_of(copy), length)
        copies.append(block.append(copy))
        block.append(loop.Yield(loc=tile.loc))
        regions.append(Region([block]))
    replace_loop(tile, [number, least, whole, loop.If(whole.result, regions=regions, loc=tile.loc)], [])
    return copies


def _set_length(op: loop.For, length: int | None) -> None:
    if length is not None and not op.upper.is_const:
        op.set_operands([])
        op.upper = const(length)


def _lengths(op: loop.For, lanes: int) -> tuple[Expr | None, int | None]:
    """(E, r): the loop runs min(lanes, E) times, r if not `lanes`; E None: always r times (r None: unknown)."""
    known = variable_ranges(op)
    ranges = {f"d{n}": known[v] for n, v in enumerate(op.indices) if v in known}
    limits = [e for e in _minima(op.upper) if (low := bounds(e, ranges)[0]) is None or low < lanes]
    if all(e.is_const for e in limits):
        return None, min((e.value for e in limits), default=lanes)
    if len(limits) != 1:
        return None, None
    limit = limits[0]
    low = bounds(limit, ranges)[0]
    decided = low is not None and low >= 1 and all(factor % lanes == 0 for monomial, factor in limit.terms if monomial)
    if decided and limit.constant % lanes == 0:
        return None, lanes
    return limit, limit.constant % lanes if decided else None


def _minima(expr: Expr) -> list[Expr]:
    """Expressions whose minimum `expr` is."""
    for monomial, factor in expr.terms:
        atom = monomial[0] if len(monomial) == 1 else None
        if isinstance(atom, Compound) and atom.kind == "min" and factor == 1:
            others = expr - Expr(((monomial, factor),))
            return [e for side in (atom.left, atom.right) for e in _minima(others + side)]
    return [expr]


def _turn(tile: loop.For, lanes: int, fill: bool) -> None:
    """Vectors along, copies across, and the copies' loads as a transposed square."""
    block = tile.parent
    vectorize(_lanes_of(tile), lanes, fill)
    if tile.trip_count is None or block is None:
        return  # of unknown length: its loads stay as they are
    unroll(tile)
    for run in _runs(block, lanes):
        _replace(run, block, lanes)


def _runs(block: Block, lanes: int) -> list[list[vec.Load]]:
    """Strided loads at places that follow one another, in order."""
    groups: dict[tuple[object, ...], dict[int, vec.Load]] = {}
    for op in block.ops:
        if not isinstance(op, vec.Load) or op.attrs.get("step") in (None, _unit(op)) or op.lanes != lanes:
            continue
        inner = _unit(op).index(1)
        place = op.at[inner].constant
        key = (
            op.buffer,
            tuple(op.indices),
            (*op.at[:inner], op.at[inner] - place, *op.at[inner + 1 :]),
            op.step,
            op.valid,
        )
        first = groups.setdefault(key, {}).setdefault(place, op)
        if first is not op:
            op.result.replace_all_uses_with(first.result)
    found = []
    for members in groups.values():
        places = sorted(members)
        starts = [n for n, place in enumerate(places) if n == 0 or places[n - 1] != place - 1]
        for start, end in zip(starts, [*starts[1:], len(places)], strict=True):
            found += [[members[p] for p in places[n : min(n + lanes, end)]] for n in range(start, end, lanes)]
    return [run for run in found if len(run) >= 2 and _height(run[0], lanes) is not None]


def _height(load: vec.Load, lanes: int) -> int | None:
    """How many lanes of a load touch memory, if that is known."""
    valid = load.attrs.get("valid")
    if not isinstance(valid, Expr):
        return lanes
    return min(lanes, max(0, valid.value)) if valid.is_const else None


def _replace(run: list[vec.Load], block: Block, lanes: int) -> None:
    """Load row by row what `run` loads column by column."""
    first = run[0]
    element = first.result.type.element if isinstance(first.result.type, VectorType) else INDEX
    at = min(block.index_of(op) for op in run)
    unit = _unit(first)
    step = () if unit == (*(0,) * (len(unit) - 1), 1) else unit
    valid = const(len(run)) if len(run) < lanes else None
    made: list[Op] = []
    rows: list[Value] = []
    for row in range(_height(first, lanes) or 0):
        place = tuple(expr + by * row for expr, by in zip(first.at, first.step, strict=True))
        load = vec.Load(first.buffer, *first.indices, at=place, lanes=lanes, step=step, valid=valid, loc=first.loc)
        made.append(load)
        rows.append(made[-1].result)
    if len(rows) < lanes:
        made.append(arith.Constant(value=_zero(element), type=VectorType(lanes, element), loc=first.loc))
        rows += [made[-1].result] * (lanes - len(rows))
    turned = vec.Transpose(*rows, loc=first.loc)
    for offset, op in enumerate([*made, turned]):
        block.insert(at + offset, op)
    for op, column in zip(run, turned.results, strict=False):
        column.hint = op.result.hint
        op.result.replace_all_uses_with(column)
        op.erase()


def _zero(kind: ScalarType) -> float | int:
    return 0.0 if kind.is_float else 0
