"""The size of an axis that may broadcast."""

from __future__ import annotations

import functools

from dlc.ir.expr import ONE, Expr, maximum, members, minimum


def broadcast_size(left: Expr, right: Expr) -> Expr:
    """The size of an axis in which sizes meet that are equal, or one of them 1: their maximum, but 0 where one is 0.

    Commutative, associative and idempotent: of members that occur again nothing is said twice.
    """
    met = dict.fromkeys((*sizes_met(left), *sizes_met(right)))
    sizes = [each for each in met if each != 1]
    if len(sizes) < 2:
        return sizes[0] if sizes else ONE
    most, least = functools.reduce(maximum, sizes), functools.reduce(minimum, sizes, ONE)
    return most if {*members("min", least)} <= {ONE, most} else most * least  # n * min(1, n) is n


def equal_or_wrong(left: Expr, right: Expr) -> bool:
    """Whether two sizes that broadcast are equal: one is the other, but for numbers above 1 that cut it short.

    A table of 512 places of which n are taken has min(512, n); that is 1 only where n is.
    """
    return _cut_from(left, right) or _cut_from(right, left)


def _cut_from(part: Expr, whole: Expr) -> bool:
    found = members("min", part)
    return whole in found and all(each == whole or (each.is_const and each.value > 1) for each in found)


def sizes_met(size: Expr) -> list[Expr]:
    """The sizes that `size` is the broadcast of."""
    if len(size.terms) != 1 or size.terms[0][1] != 1 or len(size.terms[0][0]) > 2:
        return [size]
    atoms = size.terms[0][0]
    of = {atom.kind: members(atom.kind, Expr((((atom,), 1),))) for atom in atoms if not isinstance(atom, str)}
    largest, least = of.get("max", []), of.get("min", [ONE])
    if len(of) != len(atoms) or len(largest) < 2 or ONE not in least:
        return [size]
    wanted = members("min", functools.reduce(minimum, largest, ONE))
    return largest if set(wanted) == set(least) else [size]
