"""narrow: what is stored into the padding of a blocked result need not be computed.

    v: vector<16xf32> = …                            v: vector<8xf32> = …
    store v, y[…, 1, …, 0]                     →     store v, y[…, 1, …, 0]
                                                     store 0, y[…, 1, …, 8]

Of 24 channels in blocks of 16, the second block is half padding. Machines that take a vector in several passes save one
where all that leads to the store is of half a vector; on others nothing would be gained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dlc.ir.core import Block, Func, Op, Value
from dlc.ir.dialects import arith, loop, vec
from dlc.ir.expr import Expr
from dlc.ir.types import ScalarType, VectorType, scalar_type

ELEMENTWISE = tuple(kind for kind in arith.OPS if kind not in (arith.Constant, arith.Index))

Values = dict[Value, None]


def narrow_padding(func: Func, ends: Mapping[Value, tuple[int, int]], lanes: int, width: int) -> None:
    """Compute only `width` of `lanes` lanes where the others are padding.

    `ends` has, for buffers whose last axis is a block of `lanes` elements of a longer axis, the place of the axis that
    counts the blocks and the length of the whole one. All such stores are narrowed, or none.
    """
    stores = {op: None for op in func.walk() if isinstance(op, vec.Store) and _ends_early(op, ends, lanes, width)}
    chain = _chain(stores, lanes)
    if not stores or chain is None or not all(_stays_inside(op, number, chain, stores) for op, number in _uses(chain)):
        return
    sources = {source: None for value in (*chain, *(op.value for op in stores)) for source in _sources(value) or ()}
    for leaf in filter(_is_leaf, sources):  # others may use it whole
        _narrow_leaf(leaf, chain, stores, width)
    for value in chain:
        value.type = VectorType(width, scalar_type(value.type))
    for store in stores:
        _fill(store, width, lanes - width)


def _ends_early(op: vec.Store, ends: Mapping[Value, tuple[int, int]], lanes: int, width: int) -> bool:
    axis, length = ends.get(op.buffer, (0, 0))
    if not length or op.valid is not None or op.step or _lanes(op.value) != lanes:
        return False
    block, first = _known(op.at[axis], op.indices), op.at[-1]
    return block.is_const and first.is_const and first.value == 0 and 0 < length - block.value * lanes <= width


def _known(expr: Expr, indices: Iterable[Value]) -> Expr:
    """The expression, with the variables of loops that run once replaced by their value."""
    once: dict[str, Expr] = {}
    for number, index in enumerate(indices):
        around = _loop_around(index)
        if around is not None and around.trip_count == 1 and around.lower.is_const:
            once[f"d{number}"] = around.lower
    return expr.substitute(once)


def _loop_around(value: Value) -> loop.For | None:
    """The loop whose body has the value as an argument."""
    region = value.owner.parent if isinstance(value.owner, Block) else None
    return region.parent if region is not None and isinstance(region.parent, loop.For) else None


def _lanes(value: Value) -> int:
    return value.type.lanes if isinstance(value.type, VectorType) else 1


def _chain(stores: Iterable[vec.Store], lanes: int) -> Values | None:
    """The vectors that the stored ones are computed from, but for leaves; None if one cannot be narrowed."""
    chain: Values = {}
    waiting = [op.value for op in stores]
    while waiting:
        value = waiting.pop()
        if value in chain or _is_leaf(value) or not isinstance(value.type, VectorType):
            continue
        sources = _sources(value)
        if sources is None or _lanes(value) != lanes:
            return None
        chain[value] = None
        waiting += sources
    return chain


def _is_leaf(value: Value) -> bool:
    match value.defining_op:
        case vec.Load() as op:
            return op.valid is None or _known(op.valid, op.indices).is_const
        case vec.Broadcast() as op:
            return isinstance(op.x.type, ScalarType)
        case arith.Constant():
            return isinstance(value.type, VectorType)
    return False


def _sources(value: Value) -> list[Value] | None:
    """What a vector is computed from; None if its lanes are not computed one by one."""
    if _is_leaf(value):
        return [value]
    op = value.owner
    if isinstance(op, ELEMENTWISE):
        return op.operands
    if isinstance(op, loop.For):
        return _carried(op, value.index)
    around = _loop_around(value)
    return _carried(around, value.index - 1) if around is not None else None


def _carried(op: loop.For, number: int) -> list[Value]:
    """One value that a loop carries, as it begins, goes on and ends."""
    return [op.inits[number], op.block.args[1 + number], op.block.terminator.operands[number], op.results[number]]


def _uses(values: Values) -> Iterator[tuple[Op, int]]:
    return ((op, number) for value in values for op, number in value.uses)


def _stays_inside(op: Op, number: int, chain: Values, stores: Mapping[vec.Store, None]) -> bool:
    """Whether a use of a vector is one for which the lanes that are left suffice."""
    if isinstance(op, vec.Store):
        return op in stores and number == 0
    if isinstance(op, loop.For):
        carried = number - len(op.indices)
        return carried >= 0 and op.results[carried] in chain
    if isinstance(op, loop.Yield):
        around = op.parent_op()
        return isinstance(around, loop.For) and around.results[number] in chain
    return isinstance(op, ELEMENTWISE) and op.results[0] in chain


def _narrow_leaf(leaf: Value, chain: Values, stores: Mapping[vec.Store, None], width: int) -> None:
    op, kind = leaf.defining_op, VectorType(width, scalar_type(leaf.type))
    made: Op
    if isinstance(op, vec.Load):
        attrs = op.attrs | {"lanes": width}
        if op.valid is not None and _known(op.valid, op.indices).value >= width:
            attrs["valid"] = None
        made = vec.Load.unchecked(op.operands, attrs, [kind], loc=op.loc)
    elif isinstance(op, vec.Broadcast):
        made = vec.Broadcast(op.x, lanes=width, loc=op.loc)
    else:
        assert isinstance(op, arith.Constant)
        made = arith.Constant(value=op.value, type=kind, loc=op.loc)
    assert op.parent is not None
    op.parent.insert_after(op, made)
    for user, number in list(leaf.uses):
        if _stays_inside(user, number, chain, stores):
            user.set_operand(number, made.results[0])


def _fill(store: vec.Store, width: int, rest: int) -> None:
    """Zeros for the lanes that are not computed."""
    element = scalar_type(store.value.type)
    zero = arith.Constant(value=0.0 if element.is_float else 0, type=VectorType(rest, element), loc=store.loc)
    at = (*store.at[:-1], store.at[-1] + width)
    block = store.parent
    assert block is not None
    block.insert_before(store, zero)
    block.insert_after(store, vec.Store(zero.result, store.buffer, *store.indices, at=at, loc=store.loc))
