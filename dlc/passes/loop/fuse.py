"""fuse: two nested loops into one, for instance to have enough iterations to share between threads.

    for a in [0, n): for b in [0, m): S   →   for f in [0, n * m): S with a = f // m, b = f % m
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import Composer, Formula, compact, expression
from dlc.ir.dialects import loop
from dlc.ir.expr import as_expr, sym
from dlc.ir.expr_bounds import last_index
from dlc.passes.loop.loops import make_loop, only_inner_loop, recompose, replace_loop, substitution, take_body


def fuse(outer: loop.For, name: str) -> loop.For:
    """Fuse `outer` with the loop inside it; returns the new loop, called `name`.

    Raises InternalError unless the two form a perfect nest from 0 and the inner bound is the same for all iterations.
    """
    inner = only_inner_loop(outer)
    if inner is None or outer.variable in inner.indices:
        raise InternalError(f"loop {outer.name_hint!r} cannot be fused with what it contains", op=outer)
    if outer.step != 1 or inner.step != 1 or outer.lower != 0 or inner.lower != 0:
        raise InternalError(f"loops {outer.name_hint!r} and {inner.name_hint!r} must run from 0 by 1", op=outer)
    mapping = substitution(outer)
    composer = Composer(mapping)
    height = composer.expr(outer.upper, outer.indices)
    width = composer.expr(inner.upper, inner.indices)
    bound = height * width
    operands, attrs = compact(composer, {"upper": bound, "width": width})
    upper, row = expression(attrs, "upper"), expression(attrs, "width")
    body, column = take_body(inner, name)
    made = make_loop(as_expr(0), upper, body, operands, outer.inits, kind=outer.kind, name=name, loc=outer.loc)
    mapping.ranges[body.args[0]] = (0, last_index(upper))
    shifted = row.substitute({f"d{n}": sym(f"d{n + 1}") for n in range(len(operands))})
    if shifted.is_const and shifted.value <= 0:
        shifted = as_expr(1)  # the loop never runs; its body must still be expressible
    whole = sym("d0")
    values = (body.args[0], *operands)
    limit = outer.upper.value if outer.upper.is_const else None
    mapping.formulas[outer.variable] = Formula(whole // shifted if limit != 1 else as_expr(0), values)
    mapping.formulas[column] = Formula(whole % shifted if limit != 1 else whole, values)
    recompose([outer.variable, column], mapping)
    replace_loop(outer, [made], made.results)
    return made
