"""split: one loop into two, the inner of a fixed length; and cut: one loop into two that run one after the other.

    for i in [0, n)   →   for i.o in [0, n // f)          and, where f does not divide n, a tail
                            for i.i in [0, f)                for i.i in [0, n % f)   with i = n // f * f + i.i
                              i = i.o * f + i.i

With ``tail="guard"`` there is no tail loop; the last block's inner loop is shorter: i.i in [0, min(f, n - i.o * f)).
With ``tail="block"`` the tail loop stands in a loop i.o of its own, which runs once.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import Formula, Substitution, clone_with
from dlc.ir.core import Block, Op, Value
from dlc.ir.dialects import loop
from dlc.ir.expr import Expr, as_expr, ceil_div, minimum, sym
from dlc.passes.loop.loops import body_block, make_loop, replace_loop, substitution

D0, D1 = sym("d0"), sym("d1")


def split(
    op: loop.For, factor: int, outer: str, inner: str, tail: str = "peel"
) -> tuple[loop.For | None, loop.For | None]:
    """Split `op` by `factor`; returns (outer loop, tail loop), each None where it would never run.

    `tail`: ``peel`` (a loop of its own, called `inner`), ``block`` (that loop in one called `outer`, which is the tail
    loop returned; `op` may carry nothing) or ``guard``. Raises InternalError for a step other than 1.
    """
    if op.step != 1 or not op.lower.is_const or op.lower.value != 0:
        raise InternalError(f"cannot split loop {op.name_hint!r}: it must run from 0 by 1", op=op)
    extent = op.upper
    if tail == "guard" and not (extent.is_const and extent.value % factor == 0):
        made = _blocked(op, ceil_div(extent, factor), factor, outer, inner, op.inits, guard=True)
        replace_loop(op, [made], made.results)
        return made, None
    whole = extent // factor
    rest = extent % factor  # as a remainder its limit is known, and with it the quotients of the tail's indices
    new: list[Op] = []
    carried: list[Value] = op.inits
    main = tail_loop = None
    if not (whole.is_const and whole.value == 0):
        main = _blocked(op, whole, factor, outer, inner, carried, guard=False)
        new.append(main)
        carried = main.results
    if not (rest.is_const and rest.value == 0):
        tail_loop = _shifted(op, as_expr(0), rest, whole * factor, inner, carried)
        if tail == "block":
            tail_loop = _once(tail_loop, outer)
        new.append(tail_loop)
        carried = tail_loop.results
    replace_loop(op, new, list(carried))
    return main, tail_loop


def _blocked(
    op: loop.For, count: Expr, factor: int, outer: str, inner: str, inits: list[Value], guard: bool
) -> loop.For:
    outer_body = body_block(outer, inits)
    inner_body = body_block(inner, inits)
    own = op.indices
    # bounds of `op` are over d0…; the inner bound also needs the outer variable, put in front
    shifted = op.upper.substitute({f"d{n}": sym(f"d{n + 1}") for n in range(len(own))})
    upper = minimum(as_expr(factor), shifted - D0 * factor) if guard else as_expr(factor)
    indices = [outer_body.args[0], *own] if guard else []
    if guard and count == 1:  # the only block
        upper, indices = op.upper, own
    inner_loop = make_loop(as_expr(0), upper, inner_body, indices, outer_body.args[1:], name=inner, loc=op.loc)
    outer_body.append(inner_loop)
    outer_body.append(loop.Yield(*inner_loop.results, loc=op.loc))
    made = make_loop(as_expr(0), count, outer_body, own, inits, kind=op.kind, name=outer, loc=op.loc)
    mapping = substitution(op)
    mapping.ranges[outer_body.args[0]] = (0, count.value - 1 if count.is_const else None)
    mapping.ranges[inner_body.args[0]] = (0, factor - 1)
    mapping.formulas[op.variable] = Formula(D0 * factor + D1, (outer_body.args[0], inner_body.args[0]))
    fill(op, inner_body, mapping)
    return made


def _shifted(op: loop.For, lower: Expr, upper: Expr, shift: Expr, name: str, inits: list[Value]) -> loop.For:
    """A copy of `op` over [lower, upper) whose variable stands for ``shift + variable``."""
    body = body_block(name, inits)
    own = op.indices
    made = make_loop(lower, upper, body, own, inits, kind=op.kind, name=name, loc=op.loc)
    mapping = substitution(op)
    if lower.is_const:
        mapping.ranges[body.args[0]] = (lower.value, upper.value - 1 if upper.is_const else None)
    moved = shift.substitute({f"d{n}": sym(f"d{n + 1}") for n in range(len(own))})
    mapping.formulas[op.variable] = Formula(D0 + moved, (body.args[0], *own))
    fill(op, body, mapping)
    return made


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


def cut(op: loop.For, at: int, first: str, second: str) -> tuple[loop.For, loop.For]:
    """Split the iterations of `op` at `at`: [0, at) in a loop called `first`, the others, from 0, in `second`."""
    head = _shifted(op, as_expr(0), as_expr(at), as_expr(0), first, op.inits)
    rest = _shifted(op, as_expr(0), op.upper - at, as_expr(at), second, head.results)
    replace_loop(op, [head, rest], list(rest.results))
    return head, rest


def fill(op: loop.For, body: Block, mapping: Substitution) -> None:
    """Clone the body of `op` into `body`, whose arguments after the variable take the place of the carried values."""
    for old, new in zip(op.block.args[1:], body.args[1:], strict=True):
        mapping.values[old] = new
    for inner in op.block.ops:
        body.append(clone_with(inner, mapping))
