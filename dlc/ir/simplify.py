"""Expressions of indices, simplified by the ranges of loops: what simplifies an index of a split loop."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import gcd

from dlc.ir.expr import FOLD, ZERO, Expr, combine, divided, extreme, split_multiples, sym
from dlc.ir.expr_atoms import Compound
from dlc.ir.expr_bounds import Range, bounds, nonnegative


def simplify(expr: Expr, ranges: Mapping[str, Range]) -> Expr:
    """Rewrite quotients, remainders, minima and maxima that the ranges of the symbols decide."""
    if not expr.has_compounds():
        return expr
    terms = []
    for monomial, factor in expr.terms:
        parts = [sym(atom) if isinstance(atom, str) else _simplify_atom(atom, ranges) for atom in monomial]
        terms.append((parts, factor))
    return combine(terms)


def _simplify_atom(atom: Compound, ranges: Mapping[str, Range]) -> Expr:
    return _simplified(atom, tuple(map(ranges.get, atom.names())))


@lru_cache(maxsize=1 << 14)
def _simplified(atom: Compound, limits: tuple[Range | None, ...]) -> Expr:
    ranges = {name: limit for name, limit in zip(atom.names(), limits, strict=True) if limit is not None}
    left, right = simplify(atom.left, ranges), simplify(atom.right, ranges)
    if atom.kind in ("min", "max"):
        return extreme(atom.kind, left, right, ranges)
    if right.is_const and right.value > 0:
        whole, rest = split_multiples(left, right.value)
        coarse, fine = _apart(rest, right.value, ranges)
        found = FOLD[atom.kind](coarse, right)
        return whole + found if atom.kind == "//" else found + fine
    if not right.is_const:
        whole, rest = divided(left, right)
        if nonnegative(rest, ranges) and nonnegative(right - 1 - rest, ranges):
            return whole if atom.kind == "//" else rest
    return FOLD[atom.kind](left, right)


def _apart(expr: Expr, divisor: int, ranges: Mapping[str, Range]) -> tuple[Expr, Expr]:
    """(a, b) with ``expr = a + b`` where b never carries into a quotient by `divisor`.

    All of a, and the divisor, are multiples of some n, and b lies between two of its multiples: ``o * 16 + i`` by 48 is
    ``o * 16`` by 48, for i below 16.
    """
    terms = sorted(expr.varying.terms, key=lambda term: gcd(term[1], divisor))
    common = divisor
    for count in range(len(terms), -1, -1):
        if count < len(terms):
            common = gcd(common, terms[count][1])
        fine = combine([([Expr(((monomial, 1),))], factor) for monomial, factor in terms[:count]]) + expr.constant
        low, high = bounds(fine, ranges)
        if low is not None and high is not None and low // common == high // common:
            start = low // common * common
            return expr - fine + start, fine - start
    return expr, ZERO
