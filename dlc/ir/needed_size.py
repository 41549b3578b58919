"""Which sizes of a dimension fulfil a requirement, for messages that say what to change."""

from __future__ import annotations

from collections.abc import Callable

from dlc.ir.expr import Expr
from dlc.ir.requirements import AT_LEAST, EQUAL

MOST = 1 << 62


def needed_size(surplus: Expr, relation: str) -> str | None:
    """What is needed of the only named dimension in `surplus`, in words; None if that cannot be said in a few."""
    names = surplus.symbols()
    if len(names) != 1:
        return None
    (name,) = names
    if relation == EQUAL:
        return _exactly(surplus, name)
    if relation != AT_LEAST:
        return None

    def fits(size: int) -> bool:
        return surplus.evaluate({name: size}) >= 0

    if _rises(surplus):
        return f"at least {_first(fits)}" if fits(MOST) else None
    if _rises(-surplus):
        return f"at most {_first(lambda size: not fits(size)) - 1}" if fits(0) and not fits(MOST) else None
    return None


def _exactly(surplus: Expr, name: str) -> str | None:
    """The one size of ``factor * n + constant == 0``."""
    factor = surplus.coefficient(name)
    if not factor or not surplus.is_linear_in(name) or surplus.has_compounds():
        return None
    size, rest = divmod(-surplus.constant, factor)
    return None if rest or size < 0 else str(size)


def _rises(expr: Expr) -> bool:
    """Whether an expression visibly never falls when its symbols, all sizes, grow."""
    for monomial, factor in expr.terms:
        if monomial and factor < 0:
            return False
        for atom in monomial:
            if isinstance(atom, str):
                continue
            divides = atom.kind == "//" and atom.right.is_const and atom.right.value > 0
            picks = atom.kind in ("min", "max") and _rises(atom.right)
            if len(monomial) > 1 or not (divides or picks) or not _rises(atom.left):
                return False
    return True


def _first(holds: Callable[[int], bool]) -> int:
    """The first size at which something holds that stays so."""
    low, high = -1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
