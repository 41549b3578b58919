"""What is known of an expression's value: by the ranges of its symbols, and because named dimensions are sizes.

A symbol without a range is a size, at least 0, unless it stands for an index (``d0``, or a name with an apostrophe).
A range's upper end may itself be an expression of sizes: an index runs below its loop's extent.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from dlc.ir.expr import Expr
    from dlc.ir.expr_atoms import Atom, Compound, Monomial

Range = tuple[int | None, Union[int, "Expr", None]]  # inclusive; None: unbounded
Numbers = tuple[int | None, int | None]
Ranges = Mapping[str, Range]

NOTHING: Ranges = {}
SIZE: Range = (0, None)
UNKNOWN: Range = (None, None)


@lru_cache(maxsize=1 << 14)
def is_size(name: str) -> bool:
    """Whether a symbol is a named dimension, and not an index."""
    return not (name.endswith("'") or (name[:1] == "d" and name[1:].isdigit()))


def bounds(expr: Expr, ranges: Ranges = NOTHING) -> Numbers:
    """Inclusive bounds of `expr` when each symbol lies in its range (interval arithmetic; None where unknown)."""
    low: int | None = 0
    high: int | None = 0
    for monomial, factor in expr.terms:
        a, b = _monomial_bounds(monomial, ranges)
        if factor < 0:
            a, b = b, a
        low = None if low is None or a is None else low + a * factor
        high = None if high is None or b is None else high + b * factor
    return low, high


def _monomial_bounds(monomial: Monomial, ranges: Ranges) -> Numbers:
    parts = [_atom_bounds(atom, ranges) for atom in monomial]
    low, high = parts[0] if parts else (1, 1)
    for a, b in parts[1:]:
        if a is None or a < 0 or low is None or low < 0:  # products of possibly negative factors: keep it simple
            corners = [x * y for x in (low, high) for y in (a, b) if x is not None and y is not None]
            known = len(corners) == 4
            low, high = (min(corners), max(corners)) if known else (None, None)
        elif high == 0 or b == 0:
            low, high = 0, 0
        else:
            low, high = low * a, None if high is None or b is None else high * b
    return low, high


def _atom_bounds(atom: Atom, ranges: Ranges) -> Numbers:
    if not isinstance(atom, str):
        return _compound_bounds(atom, ranges)
    found = ranges.get(atom)
    low, high = found if found is not None else SIZE if is_size(atom) else UNKNOWN
    return low, high if high is None or isinstance(high, int) else bounds(high)[1]


def _compound_bounds(atom: Compound, ranges: Ranges) -> Numbers:
    left, right = bounds(atom.left, ranges), bounds(atom.right, ranges)
    match atom.kind:
        case "//" if atom.right.is_const and atom.right.value > 0:
            n = atom.right.value
            return (None if left[0] is None else left[0] // n), (None if left[1] is None else left[1] // n)
        case "//" if left[0] is not None and left[0] >= 0 and right[0] is not None and right[0] >= 0:
            return 0, left[1]  # a divisor of 0 divides nothing
        case "%" if right[0] is not None and right[0] >= 0:
            return 0, None if right[1] is None else max(right[1] - 1, 0)
        case "min":
            low = None if left[0] is None or right[0] is None else min(left[0], right[0])
            highs = [h for h in (left[1], right[1]) if h is not None]
            return low, min(highs) if highs else None
        case "max":
            lows = [x for x in (left[0], right[0]) if x is not None]
            high = None if left[1] is None or right[1] is None else max(left[1], right[1])
            return max(lows) if lows else None, high
    return None, None


def nonnegative(expr: Expr, ranges: Ranges = NOTHING) -> bool:
    """Whether `expr` is visibly at least 0.

    What is taken off as a minimum, as in ``n - min(n, 9)``, is no more than either of its members, and a maximum is no
    less; where a minimum is added or a maximum is taken off, each member must do.
    """
    if expr.is_const:
        return expr.value >= 0
    if ranges is not NOTHING and ranges:
        low = bounds(expr, ranges)[0]
        return (low is not None and low >= 0) or _nonnegative_below(expr, ranges)
    return _nonnegative_of_sizes(expr)


@lru_cache(maxsize=1 << 14)
def _nonnegative_of_sizes(expr: Expr) -> bool:
    low = bounds(expr)[0]
    if (low is not None and low >= 0) or not expr.has_compounds():
        return low is not None and low >= 0
    return _by_members(expr, NOTHING) or _by_quotients(expr)


def _nonnegative_below(expr: Expr, ranges: Ranges) -> bool:
    """By ends of ranges that are expressions of sizes: ``4 * n - 1 - (3 * n + i)`` where i < n."""
    if expr.has_compounds() and _by_members(expr, ranges):
        return True
    least = smallest(expr, ranges)
    return least is not None and least != expr and nonnegative(least)


def _by_members(expr: Expr, ranges: Ranges) -> bool:
    for monomial, factor in expr.terms:
        atom = monomial[0] if len(monomial) == 1 else ""
        if not isinstance(atom, str) and atom.kind in ("min", "max"):
            rest = expr - type(expr)(((monomial, factor),))
            enough = any if (atom.kind == "min") == (factor < 0) else all
            return enough(nonnegative(rest + side * factor, ranges) for side in (atom.left, atom.right))
    return False


def _by_quotients(expr: Expr) -> bool:
    """x // n lies between (x - n + 1) / n and x / n: with the end that counts, n times the expression is at least 0."""
    kind = type(expr)
    for monomial, factor in expr.terms:
        for number, atom in enumerate(monomial):
            if isinstance(atom, str) or atom.kind != "//" or not atom.right.is_const or atom.right.value < 1:
                continue
            others = monomial[:number] + monomial[number + 1 :]
            if any((low := _atom_bounds(other, NOTHING)[0]) is None or low < 0 for other in others):
                continue
            divisor = atom.right.value
            end = atom.left - (divisor - 1) if factor > 0 else atom.left
            rest = expr - kind(((monomial, factor),))
            return nonnegative(rest * divisor + end * kind(((others, factor),)))
    return False


def smallest(expr: Expr, ranges: Ranges) -> Expr | None:
    """An expression of sizes that `expr` is never below; None if none is visible."""
    return _extreme(expr, ranges, False)


def largest(expr: Expr, ranges: Ranges) -> Expr | None:
    """An expression of sizes that `expr` is never above; None if none is visible."""
    return _extreme(expr, ranges, True)


def last_index(extent: Expr) -> int | Expr | None:
    """The last index of a loop from 0: a number, or an expression of sizes; None if neither is visible."""
    if extent.is_const:
        return extent.value - 1
    end = largest(extent, NOTHING)
    return None if end is None else end.value - 1 if end.is_const else end - 1


def _extreme(expr: Expr, ranges: Ranges, high: bool) -> Expr | None:
    kind = type(expr)
    total = kind(())
    for monomial, factor in expr.terms:
        term = _extreme_monomial(monomial, ranges, high == (factor > 0), kind)
        if term is None:
            return None
        total = total + kind((((), 1),)) * term * factor
    return total


def _extreme_monomial(monomial: Monomial, ranges: Ranges, high: bool, kind: type[Expr]) -> Expr | int | None:
    total: Expr | int = 1
    for atom in monomial:
        low = _atom_bounds(atom, ranges)[0]
        if len(monomial) > 1 and (low is None or low < 0):
            return None  # a product of numbers that may be negative
        end = _extreme_atom(atom, ranges, high, kind)
        if end is None:
            return None
        total = total * end
    return total


def _extreme_atom(atom: Atom, ranges: Ranges, high: bool, kind: type[Expr]) -> Expr | int | None:
    if isinstance(atom, str):
        found = ranges.get(atom)
        if found is None:
            return kind((((atom,), 1),)) if is_size(atom) else None
        return found[1] if high else found[0]
    if all(is_size(name) and name not in ranges for name in atom.names()):
        return kind((((atom,), 1),))
    low, top = _compound_bounds(atom, ranges)
    if not high:
        return low
    if atom.kind == "%" and all(map(is_size, atom.right.symbols())) and nonnegative(atom.right):
        return atom.right - 1
    return top
