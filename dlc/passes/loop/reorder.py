"""reorder: exchange two loops, one of which is all that the other contains.

    for a: for b: S   →   for b: for a: S

Loops that carry values (sums) may change places too: the terms are then added in another order.
"""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.dialects import loop
from dlc.passes.loop.loops import only_inner_loop


def interchange(outer: loop.For) -> loop.For:
    """Exchange `outer` with the loop inside it, all but their bodies; returns the outer one.

    Raises InternalError if the body is more than a loop or the inner bounds depend on the outer variable.
    """
    inner = only_inner_loop(outer)
    if inner is None:
        raise InternalError(f"loop {outer.name_hint!r} holds more than a loop: it cannot be reordered", op=outer)
    if outer.variable in inner.indices:
        raise InternalError(f"the bounds of {inner.name_hint!r} depend on {outer.name_hint!r}", op=outer)
    indices = outer.indices, inner.indices
    outer.set_operands([*indices[1], *outer.inits])
    inner.set_operands([*indices[0], *inner.inits])
    outer.attrs, inner.attrs = inner.attrs, outer.attrs
    outer.loc, inner.loc = inner.loc, outer.loc
    outer.block.args[0], inner.block.args[0] = inner.variable, outer.variable
    for op in (outer, inner):
        op.variable.owner = op.block
    return outer


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
            interchange(nest[at - 1])
            current = [op.name_hint for op in nest]
    return nest[0]
