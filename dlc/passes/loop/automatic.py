"""The schedule of kernels that have none of their own: put what is contiguous in lanes, share the outer loops.

Loops over a result's elements are vectorized along the axis in which the result is stored contiguously, which in a
blocked layout is a block; a reduction whose terms lie contiguously, and which is not inside such a loop, along its own.
What cannot be expressed on vectors stays scalar: right, only slower.
"""

from __future__ import annotations

from dlc.ir.access import index_operands
from dlc.ir.core import Func, Op, Value
from dlc.ir.dialects import buf, loop, vec
from dlc.ir.expr import Expr, as_expr, ceil_div, sym
from dlc.ir.expr_atoms import Compound
from dlc.ir.expr_bounds import bounds
from dlc.ir.types import BufferType, VectorType
from dlc.passes.loop.accumulate import accumulate
from dlc.passes.loop.fuse import fuse
from dlc.passes.loop.loops import all_loops, only_inner_loop, variable_ranges
from dlc.passes.loop.split import cut, split
from dlc.passes.loop.transpose import transpose_copies
from dlc.passes.loop.unroll import inline_single
from dlc.passes.loop.vectorize import NotVectorizable, vectorize

WIDE = 4  # vectors per step of a long reduction: hides the latency of its additions
SHORT = 4  # a reduction of fewer terms stays scalar
MOST_PIECES = 4  # of a loop that is cut where an index reaches an edge


def schedule_automatically(func: Func, lanes: int, fill: bool) -> None:
    """Vectorize and parallelize `func` as far as its loops allow."""
    _drop_single_loops(func)
    for op in all_loops(func):
        _cut_where_indices_bend(op)
    transpose_copies(func, lanes, fill)
    for op in _element_loops(func):
        if op.parent is not None:  # else it went along with a loop around it
            _elements(op, lanes, fill)
    for op in all_loops(func):
        if op.parent is not None and op.carried and _is_innermost(op) and not _stores(op):
            _reduction(op, lanes)
    _share_outer_loops(func)


def _drop_single_loops(func: Func) -> None:
    """Loops of one iteration only hide the perfect nest around them."""
    for op in reversed(all_loops(func)):
        if op.trip_count == 1 and op.lower.is_const:
            inline_single(op)


def _is_innermost(op: loop.For) -> bool:
    return not any(isinstance(inner, loop.For | loop.While) for inner in op.walk() if inner is not op)


def _stores(op: Op) -> list[buf.Store]:
    return [inner for inner in op.walk() if isinstance(inner, buf.Store)]


def _loads(op: Op) -> list[buf.Load]:
    return [inner for inner in op.walk() if isinstance(inner, buf.Load)]


# -- how accesses move -------------------------------------------------------------------------------------------------


def _names(access: Op, variable: Value) -> list[str]:
    """How the expressions of `access` call the loop variable."""
    return [f"d{n}" for n, v in enumerate(index_operands(access)) if v is variable]


def _compounds(expr: Expr) -> list[Compound]:
    return [atom for monomial, _ in expr.terms for atom in monomial if isinstance(atom, Compound)]


def block_period(access: buf.Load | buf.Store, variable: Value) -> int:
    """B if the variable v moves the access through blocks as v // B and v % B; 0 if it moves it in another way."""
    names = _names(access, variable)
    if len(names) != 1:
        return 0
    name, periods = names[0], set()
    for expr in access.at:
        if name not in expr.symbols():
            continue
        atoms = [a for a in _compounds(expr) if name in a.left.symbols() | a.right.symbols()]
        simple = all(a.kind in ("//", "%") and a.right.is_const and a.left.coefficient(name) == 1 for a in atoms)
        if len(atoms) != 1 or not simple or expr.coefficient(name):
            return 0
        periods.add(atoms[0].right.value)
    return periods.pop() if len(periods) == 1 else 0


def byte_stride(access: buf.Load | buf.Store, variable: Value) -> int | None:
    """Bytes between the places of two neighbouring iterations; None where that is not one known number."""
    kind, names = access.buffer.type, _names(access, variable)
    if not isinstance(kind, BufferType) or len(names) != 1:
        return None
    total = as_expr(0)
    for expr, step in zip(access.at, kind.strides(), strict=True):
        if not expr.is_linear_in(names[0]):
            return None
        total += expr.coefficient(names[0]) * step
    return total.value * kind.element.bytes if total.is_const else None


def _motion(access: buf.Load | buf.Store, variable: Value) -> str:
    """How the access moves with the variable: ``still``, ``unit`` (element by element), or ``far``."""
    names = _names(access, variable)
    if not names:
        return "still"
    if len(names) != 1:
        return "far"
    if block_period(access, variable):
        last = access.at[-1]
        return "unit" if any(a.kind == "%" and names[0] in a.left.symbols() for a in _compounds(last)) else "far"
    *outer, last = _without_unit_axes(access)
    if any(names[0] in e.symbols() for e in outer):
        return "far"
    return "unit" if last.coefficient(names[0]) == 1 and last.is_linear_in(names[0]) else "far"


def _without_unit_axes(access: buf.Load | buf.Store) -> list[Expr]:
    """The index without innermost axes of one element."""
    kind = access.buffer.type
    at = list(access.at)
    shape = list(kind.shape) if isinstance(kind, BufferType) else []
    while len(at) > 1 and shape and shape[-1] == 1:
        at.pop()
        shape.pop()
    return at or [sym("none'")]


def _element_loops(func: Func) -> list[loop.For]:
    """Loops to put in lanes: those that move every store by one element, unless a reduction inside does better."""
    return [op for op in all_loops(func) if not op.carried and _moves_along_stores(op) and not _prefers_terms(op)]


def _moves_along_stores(op: loop.For) -> bool:
    stores = _stores(op)
    return bool(stores) and all(_motion(store, op.variable) == "unit" for store in stores)


def _prefers_terms(op: loop.For) -> bool:
    """Whether loads lie contiguously along a sum inside the loop rather than along the loop."""
    sums = [inner for inner in all_loops(op) if inner.carried and _is_innermost(inner)]
    if not sums or all(_motion(load, op.variable) != "far" for inner in sums for load in _loads(inner)):
        return False
    long = [inner for inner in sums if inner.trip_count is None or inner.trip_count >= SHORT]
    return any(_motion(load, inner.variable) == "unit" for inner in long for load in _loads(inner))


# -- cutting -----------------------------------------------------------------------------------------------------------


def _cut_where_indices_bend(op: loop.For) -> None:
    """Cut a loop over elements where a min or max in an index changes sides, and where a store's block begins."""
    if op.carried or op.lower != 0 or op.step != 1 or not op.upper.is_const or not _moves_along_stores(op):
        return
    accesses: list[buf.Load | buf.Store] = [*_loads(op), *_stores(op)]
    places = {p for access in accesses for p in _bends(access, op.variable)}
    inside = sorted(p for p in places if 0 < p < op.upper.value)
    if len(inside) >= MOST_PIECES:
        return
    start = 0
    for place in inside:
        _, op = cut(op, place - start, op.name_hint, op.name_hint)
        start = place


def _bends(access: buf.Load | buf.Store, variable: Value) -> set[int]:
    places: set[int] = set()
    for name in _names(access, variable):
        for expr in access.at:
            for atom in _all_compounds(expr):
                places |= _bend(atom, name, isinstance(access, buf.Store))
    return places


def _all_compounds(expr: Expr) -> list[Compound]:
    found = []
    for atom in _compounds(expr):
        found += [atom, *_all_compounds(atom.left), *_all_compounds(atom.right)]
    return found


def _bend(atom: Compound, name: str, is_store: bool) -> set[int]:
    if atom.kind in ("min", "max"):
        difference = atom.left - atom.right
        factor = difference.coefficient(name)
        rest = difference - sym(name) * factor
        if abs(factor) == 1 and rest.is_const:
            return {-rest.value * factor}
        return set()
    rest = atom.left - sym(name)
    if is_store and atom.kind == "%" and atom.right.is_const and rest.is_const:
        return {-rest.value % atom.right.value}  # from here on whole blocks
    return set()


# -- elements ----------------------------------------------------------------------------------------------------------


def _elements(op: loop.For, lanes: int, fill: bool) -> None:
    if op.lower != 0 or op.step != 1 or not _moves_along_stores(op):
        return
    count, name = op.trip_count, op.name_hint
    block = max((block_period(s, op.variable) for s in _stores(op)), default=0)
    if block:
        fill = fill and all(_covers_axis(s, op, block) for s in _stores(op))
        outer, tail = split(op, block, name + ".b", name + ".v", tail="guard")
        for inner in [o for o in outer.block.ops if isinstance(o, loop.For)] if outer is not None else [tail]:
            if inner is not None:
                _try_vectorize(inner, block, fill)
        return
    period = max((block_period(load, op.variable) for load in _loads(op)), default=0)
    width = period or lanes
    if not period and (count or 0) >= WIDE * lanes and any(o.carried for o in all_loops(op)):
        width = WIDE * lanes
    if count is not None and count < width:
        if count > 1:
            _try_vectorize(op, width, False)
        return
    top = not isinstance(op.parent_op(), loop.For)
    outer, tail = split(op, width, name + ".o", name + ".v", tail="guard" if top else "peel")
    if outer is not None:
        _try_vectorize(next(o for o in outer.block.ops if isinstance(o, loop.For)), width, False)
    if tail is not None:
        _elements(tail, lanes, False) if width == WIDE * lanes else _try_vectorize(tail, width, False)


def _covers_axis(store: buf.Store, op: loop.For, block: int) -> bool:
    """Whether the loop writes all blocks of an axis, so that its end is the end of the last one."""
    name = _names(store, op.variable)[0]
    kind = store.buffer.type
    blocks = ceil_div(op.upper, block)
    return isinstance(kind, BufferType) and any(
        expr == sym(name) // block and as_expr(dim) == blocks for expr, dim in zip(store.at, kind.shape, strict=True)
    )


def _try_vectorize(op: loop.For, lanes: int, fill: bool) -> None:
    try:
        vectorize(op, lanes, fill)
    except NotVectorizable:
        return


def _reduction(op: loop.For, lanes: int) -> None:
    count = op.trip_count
    if count is not None and count < SHORT:
        return
    block = max((block_period(load, op.variable) for load in _loads(op)), default=0)
    wide = 0 if block or (count is not None and count < lanes * WIDE * 2) else lanes * WIDE
    try:
        accumulate(op, block or lanes, wide)
    except NotVectorizable:
        return


# -- sharing -----------------------------------------------------------------------------------------------------------

EFFECTS = (loop.For, loop.While, loop.If, buf.Store, vec.Store, buf.Publish)


def _tops(func: Func) -> list[Op]:
    """What the kernel does, nest by nest."""
    return [op for op in func.block.ops if isinstance(op, EFFECTS) and not _only_prepares(op)]


def share_all_or_nothing(func: Func) -> None:
    """Leave no loop parallel beside something that is not: every chunk would do that again."""
    tops = _tops(func)
    if any(not isinstance(op, loop.For) or op.kind != "parallel" for op in tops):
        for op in tops:
            if isinstance(op, loop.For):
                op.kind = "serial"


def _share_outer_loops(func: Func) -> None:
    """Make the outermost loops parallel, if they are all that the kernel does and do not depend on one another."""
    tops = _tops(func)
    nests = [op for op in tops if isinstance(op, loop.For) and not op.carried and op.lower == 0 and op.step == 1]
    if not nests or len(nests) != len(tops) or not all(map(_is_shareable, nests)):
        return
    if any(not _are_apart(a, b) for n, a in enumerate(nests) for b in nests[n + 1 :]):
        return
    for top in nests:
        while (
            (inner := only_inner_loop(top)) is not None and not inner.carried and inner.lower == 0 and inner.step == 1
        ):
            if top.variable in inner.indices or not _has_loops(inner) or not _is_shareable(inner):
                break
            top = fuse(top, top.name_hint)
        top.kind = "parallel"


def _only_prepares(op: Op) -> bool:
    """Whether the op writes scratch memory alone: tables, which every chunk makes for itself."""
    return all(isinstance(inner.operands[1].owner, buf.Scratch) for inner in _written(op))


def _has_loops(op: loop.For) -> bool:
    """A fused innermost loop would pay a division per element: leave it serial."""
    return any(isinstance(inner, loop.For) for inner in op.walk() if inner is not op)


def _written(op: Op) -> list[buf.Store | vec.Store]:
    return [inner for inner in op.walk() if isinstance(inner, buf.Store | vec.Store)]


def _is_shareable(op: loop.For) -> bool:
    """Whether each iteration writes places of its own: its variable is in every access to a written result."""
    own = {scratch.result for scratch in op.walk() if isinstance(scratch, buf.Scratch)}
    written = {store.operands[1] for store in _written(op)}
    for inner in op.walk():
        if isinstance(inner, buf.Store | vec.Store):
            buffer = inner.operands[1]
        elif isinstance(inner, buf.Load | vec.Load | vec.Gather) and inner.operands[0] in written:
            buffer = inner.operands[0]
        else:
            continue
        if buffer not in own and op.variable not in index_operands(inner):
            return False
    return True


def _are_apart(first: loop.For, second: loop.For) -> bool:
    """Whether two nests touch different places of what they write, scratch memory of their own aside."""
    own = {op.result for nest in (first, second) for op in nest.walk() if isinstance(op, buf.Scratch)}
    a, b = ([op for op in _written(nest) if op.operands[1] not in own] for nest in (first, second))
    touched = {
        op.operands[0]
        for nest in (first, second)
        for op in nest.walk()
        if isinstance(op, buf.Load | vec.Load | vec.Gather)
    }
    if touched & {op.operands[1] for op in (*a, *b)}:
        return False
    return all(x.operands[1] is not y.operands[1] or _disjoint(x, y, first, second) for x in a for y in b)


def _disjoint(x: buf.Store | vec.Store, y: buf.Store | vec.Store, first: loop.For, second: loop.For) -> bool:
    for left, right in zip(_extent(x, first), _extent(y, second), strict=True):
        if left is not None and right is not None and (left[1] < right[0] or right[1] < left[0]):
            return True
    return False


def _extent(store: buf.Store | vec.Store, nest: loop.For) -> list[tuple[int, int] | None]:
    """Per axis the places that a store may touch, where they are known."""
    ranges = variable_ranges(nest)
    named = {f"d{n}": ranges.get(v, (None, None)) for n, v in enumerate(index_operands(store))}
    kind = store.value.type
    last = kind.lanes - 1 if isinstance(kind, VectorType) else 0
    steps = (store.step if isinstance(store, vec.Store) else ()) or (*(0 for _ in store.at[1:]), 1)
    found: list[tuple[int, int] | None] = []
    for expr, step in zip(store.at, steps, strict=True):
        low, high = bounds(expr, named)
        if low is None or high is None:
            found.append(None)
        else:
            found.append((low + min(0, step * last), high + max(0, step * last)))
    return found
