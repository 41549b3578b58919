"""reorder: exchange two loops, one of which is all that the other contains.

    for a: for b: S   →   for b: for a: S

Loops that carry values (sums) may change places too: the terms are then added in another order.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.access import Substitution
from dlc.ir.dialects import loop
from dlc.passes.loop.loops import body_block, make_loop, only_inner_loop, replace_loop, substitution
from dlc.passes.loop.split import fill


def interchange(outer: loop.For) -> loop.For:
    """Exchange `outer` with the loop inside it; returns the new outer loop.

    Raises InternalError if the body is more than a loop or the inner bounds depend on the outer variable.
    """
    inner = only_inner_loop(outer)
    if inner is None:
        raise InternalError(f"loop {outer.name_hint!r} holds more than a loop: it cannot be reordered", op=outer)
    if outer.variable in inner.indices:
        raise InternalError(f"the bounds of {inner.name_hint!r} depend on {outer.name_hint!r}", op=outer)
    new_outer_body = body_block(inner.name_hint, outer.inits)
    new_inner_body = body_block(outer.name_hint, outer.inits)
    new_inner = make_loop(
        outer.lower, outer.upper, new_inner_body, outer.indices, new_outer_body.args[1:], kind=outer.kind,
        name=outer.name_hint, loc=outer.loc,
    )  # fmt: skip
    new_outer_body.append(new_inner)
    new_outer_body.append(loop.Yield(*new_inner.results, loc=outer.loc))
    made = make_loop(
        inner.lower, inner.upper, new_outer_body, inner.indices, outer.inits, kind=inner.kind, name=inner.name_hint,
        loc=inner.loc,
    )  # fmt: skip
    mapping = substitution(outer)
    _rename(mapping, outer, new_inner)
    _rename(mapping, inner, made)
    fill(inner, new_inner_body, mapping)
    replace_loop(outer, [made], made.results)
    return made


def _rename(mapping: Substitution, old: loop.For, new: loop.For) -> None:
    mapping.values[old.variable] = new.variable
    if old.variable in mapping.ranges:
        mapping.ranges[new.variable] = mapping.ranges[old.variable]


def reorder(outermost: loop.For, names: list[str]) -> loop.For:
    """Bring a perfect nest below `outermost` into the order of `names` (all its loops); returns the new outermost.

    Bubble sort by adjacent exchanges: each is checked by itself.
    """
    nest = [outermost]
    while len(nest) < len(names) and (inner := only_inner_loop(nest[-1])) is not None:
        nest.append(inner)
    current = [op.name_hint for op in nest]
    if sorted(current) != sorted(names):
        raise InternalError(f"cannot reorder the nest {current} to {names}", op=outermost)
    for target in range(len(names)):
        for at in range(current.index(names[target]), target, -1):
            made = interchange(nest[at - 1])
            nest = _nest_from(made if at - 1 == 0 else nest[0], len(names))
            current = [op.name_hint for op in nest]
    return nest[0]


def _nest_from(outermost: loop.For, depth: int) -> list[loop.For]:
    nest = [outermost]
    while len(nest) < depth and (inner := only_inner_loop(nest[-1])) is not None:
        nest.append(inner)
    return nest
