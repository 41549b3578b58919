"""split: one loop into two, the inner of a fixed length; and cut: one loop into two that run one after the other.

    for i in [0, n)   →   for i.o in [0, n // f)          and, where f does not divide n, a tail
                            for i.i in [0, f)                for i.i in [0, n % f)   with i = n // f * f + i.i
                              i = i.o * f + i.i

With ``tail="guard"`` there is no tail loop; the last block's inner loop is shorter: i.i in [0, min(f, n - i.o * f)).
With ``tail="block"`` the tail loop stands in a loop i.o of its own, which runs once.
With ``tail="overlap"`` the last block begins early, at n - f: some iterations run twice.
With ``tail="none"`` the caller knows that f divides n.

`split_evenly` makes blocks of f and of f - 1, which fill any length but some short ones: 16 is
6 + 5 + 5.
"""

from __future__ import annotations

from math import gcd

from dlc.errors import InternalError
from dlc.ir.access import Formula, Substitution, clone_with
from dlc.ir.core import Block, Value
from dlc.ir.dialects import loop
from dlc.ir.expr import ZERO, Expr, as_expr, ceil_div, minimum, sym
from dlc.ir.expr_bounds import last_index
from dlc.passes.loop.loops import body_block, make_loop, recompose, replace_loop, substitution, take_body

D0, D1 = sym("d0"), sym("d1")


def split(
    op: loop.For, factor: int, outer: str, inner: str, tail: str = "peel"
) -> tuple[loop.For | None, loop.For | None]:
    """Split `op` by `factor`; returns (outer loop, tail loop), each None where it would never run.

    `tail`: ``peel`` (a loop of its own, called `inner`), ``block`` (that loop in one called `outer`, which is the tail
    loop returned; `op` may carry nothing), ``guard`` or ``overlap`` (for a known length of `factor` at least, and only
    where it makes no difference that an iteration runs again). Raises InternalError for a step other than 1.
    """
    if op.step != 1 or not op.lower.is_const or op.lower.value != 0:
        raise InternalError(f"cannot split loop {op.name_hint!r}: it must run from 0 by 1", op=op)
    extent = op.upper
    if tail == "guard" and not (extent.is_const and extent.value % factor == 0):
        made = _blocked(op, ceil_div(extent, factor), factor, outer, inner, guard=True)
        replace_loop(op, [made], made.results)
        return made, None
    if tail == "overlap":
        made = _blocked(op, ceil_div(extent, factor), factor, outer, inner, guard=False, last=extent - factor)
        replace_loop(op, [made], made.results)
        return made, None
    whole = extent // factor
    # as a remainder its limit is known, and with it the quotients of the tail's indices
    rest = ZERO if tail == "none" else extent % factor
    main = tail_loop = None
    results: list[Value] = op.inits
    if rest != 0:
        tail_loop = _shifted(op, rest, whole * factor, inner, reuse=whole == 0)
        if tail == "block":
            tail_loop = _once(tail_loop, outer)
        results = tail_loop.results
    if whole != 0:
        main = _blocked(op, whole, factor, outer, inner, guard=False)
        if tail_loop is None:
            results = main.results
        else:
            tail_loop.set_operands([*tail_loop.indices, *main.results])
    replace_loop(op, [each for each in (main, tail_loop) if each is not None], results)
    return main, tail_loop


def _blocked(
    op: loop.For, count: Expr, factor: int, outer: str, inner: str, guard: bool, last: Expr | None = None
) -> loop.For:
    """`op` in blocks of `factor`, with its own body; `last`: where the last block begins, if not at a multiple."""
    mapping = substitution(op)
    body = body_block(outer, op.inits)
    own = op.indices
    # bounds of `op` are over d0…; the inner bound also needs the outer variable, put in front
    shifted = op.upper.substitute({f"d{n}": sym(f"d{n + 1}") for n in range(len(own))})
    upper = minimum(as_expr(factor), shifted - D0 * factor) if guard else as_expr(factor)
    indices = [body.args[0], *own] if guard else []
    if guard and count == 1:  # the only block
        upper, indices = op.upper, own
    block, old = take_body(op, inner)
    held = make_loop(as_expr(0), upper, block, indices, body.args[1:], name=inner, loc=op.loc)
    body.append(held)
    body.append(loop.Yield(*held.results, loc=op.loc))
    made = make_loop(as_expr(0), count, body, own, op.inits, kind=op.kind, name=outer, loc=op.loc)
    mapping.ranges[body.args[0]] = (0, last_index(count))
    mapping.ranges[held.variable] = (0, factor - 1)
    start = D0 * factor if last is None else minimum(D0 * factor, last)
    mapping.formulas[old] = Formula(start + D1, (body.args[0], held.variable))
    recompose([old], mapping)
    return made


def _shifted(op: loop.For, upper: Expr, shift: Expr, name: str, reuse: bool = False) -> loop.For:
    """A loop over [0, upper) whose variable is that of `op` less `shift`: with a copy of its body, or its own."""
    mapping = substitution(op)
    own = op.indices
    moved = shift.substitute({f"d{n}": sym(f"d{n + 1}") for n in range(len(own))})
    block, old = take_body(op, name) if reuse else (body_block(name, op.inits), op.variable)
    mapping.ranges[block.args[0]] = (0, last_index(upper))
    mapping.formulas[old] = Formula(D0 + moved, (block.args[0], *own))
    if reuse:
        recompose([old], mapping)
    else:
        fill(op, block, mapping)
    return make_loop(as_expr(0), upper, block, own, op.inits, kind=op.kind, name=name, loc=op.loc)


def _once(op: loop.For, name: str) -> loop.For:
    """A loop around `op` that runs once."""
    if op.carried:
        raise InternalError(f"loop {op.name_hint!r} carries values: its tail cannot be a block", op=op)
    body = body_block(name)
    body.append(op)
    body.append(loop.Yield(loc=op.loc))
    made = make_loop(as_expr(0), as_expr(1), body, kind=op.kind, name=name, loc=op.loc)
    op.kind = "serial"
    return made


def cut(op: loop.For, at: int | Expr, first: str, second: str) -> tuple[loop.For, loop.For]:
    """Split the iterations of `op` at `at`: [0, at) in a loop called `first`, the others, from 0, in `second`.

    `at` is a number, or an expression over the index operands of `op`, between 0 and its length.
    """
    rest = _shifted(op, op.upper - at, as_expr(at), second)
    head = _shifted(op, as_expr(at), as_expr(0), first, reuse=True)
    rest.set_operands([*rest.indices, *head.results])
    replace_loop(op, [head, rest], list(rest.results))
    return head, rest


def even_parts(extent: int, limit: int) -> tuple[int, int]:
    """(larger part, number of larger parts) when `extent` is cut into as few parts of at most `limit` as possible.

    Their sizes differ by one at most.
    """
    count = -(-extent // limit)
    small = extent // count
    extra = extent - small * count
    return (small + 1, extra) if extra else (small, count)


def parts_of_unknown(extent: int, limit: int) -> list[tuple[int, int]]:
    """(size, how many) of the parts that `split_evenly` cuts a loop into that is so long, which it does not know."""
    found, left = [], extent
    if limit > 1:
        shorter = min(-extent % limit, extent // (limit - 1))
        whole, left = divmod(extent - shorter * (limit - 1), limit)
        found = [(limit, whole), (limit - 1, shorter)]
    while (limit := limit // 2) > 1:
        found.append((limit, left // limit))
        left %= limit
    return [(size, count) for size, count in (*found, (1, left)) if count]


def least_blocks(extent: Expr, factor: int) -> int:
    """How many blocks of at most `factor` fill `extent` at least, if it is not 0."""
    return -(-gcd(*(number for _, number in extent.terms)) // factor)


def split_evenly(op: loop.For, factor: int, outer: str, inner: str) -> None:
    """Split `op` into as few blocks of at most `factor` as possible, whose lengths differ by one at most.

    Where the length is not known, what blocks of `factor` and `factor` - 1 do not fill goes in ever smaller blocks, so
    that all can be unrolled.
    """
    extent = op.upper
    if not extent.is_const:
        _split_unknown(op, factor, outer, inner)
    elif extent != 0:
        larger, count = even_parts(extent.value, factor)
        if larger * count < extent.value:
            op, rest = cut(op, larger * count, op.name_hint, op.name_hint)
            split(rest, larger - 1, outer, inner)
        split(op, larger, outer, inner)


def _split_unknown(op: loop.For, factor: int, outer: str, inner: str) -> None:
    rest: loop.For | None = op
    if factor > 1:
        extent, smaller = op.upper, factor - 1
        shorter = -extent % factor  # so many blocks less one fill the length, if there are so many blocks
        if not (fills := _fills(extent, factor)):
            shorter = minimum(shorter, extent // smaller)
        head, last = cut(op, extent - shorter * smaller, op.name_hint, op.name_hint)
        split(last, smaller, outer, inner, "none")
        rest = split(head, factor, outer, inner, "none" if fills else "peel")[1]
    while rest is not None and (factor := factor // 2) > 1:
        rest = split(rest, factor, outer, inner)[1]
    if rest is not None:
        split(rest, 1, outer, inner)


def _fills(extent: Expr, factor: int) -> bool:
    """Whether blocks of `factor` and one less fill `extent`, whatever its symbols: what divides it they do fill."""
    shared = gcd(*(number for _, number in extent.terms))
    return any((shared - count * factor) % (factor - 1) == 0 for count in range(shared // factor + 1))


def fill(op: loop.For, body: Block, mapping: Substitution) -> None:
    """Clone the body of `op` into `body`, whose arguments after the variable take the place of the carried values."""
    for old, new in zip(op.block.args[1:], body.args[1:], strict=True):
        mapping.values[old] = new
    for inner in op.block.ops:
        body.append(clone_with(inner, mapping))
