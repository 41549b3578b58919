"""The size of an axis that may broadcast."""

from __future__ import annotations

import functools

from dlc.ir.expr import ONE, Expr, maximum, members, minimum
from dlc.ir.expr_bounds import nonnegative


def broadcast_size(left: Expr, right: Expr) -> Expr:
    """The size of an axis in which sizes meet that are equal, or one of them 1: their maximum, but 0 where one is 0.

    Commutative, associative and idempotent: of members that occur again nothing is said twice.
    """
    met = dict.fromkeys((*_met(left), *_met(right)))
    sizes = [each for each in met if each != 1]
    if len(sizes) < 2:
        return sizes[0] if sizes else ONE
    return functools.reduce(maximum, sizes) * functools.reduce(minimum, sizes, ONE)


def _met(size: Expr) -> list[Expr]:
    """The sizes that `size` is the broadcast of."""
    if len(size.terms) != 1 or size.terms[0][1] != 1 or len(size.terms[0][0]) > 2:
        return [size]
    atoms = size.terms[0][0]
    of = {atom.kind: members(atom.kind, Expr((((atom,), 1),))) for atom in atoms if not isinstance(atom, str)}
    largest, least = of.get("max", []), of.get("min", [ONE])
    if len(of) != len(atoms) or len(largest) < 2 or ONE not in least:
        return [size]
    either = [each for each in largest if not nonnegative(each - 1)]
    return largest if set(either) == {each for each in least if each != 1} else [size]
