"""Facts about expressions of sizes, by cases: a minimum (or maximum) is one of its members, and then the others are not
less (more). What `dlc.ir.expr` decides on its own is cheap and local; here each minimum is looked at together with the
rest of the expression. For guards and for what an importer builds, not for indices.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from functools import lru_cache

from dlc.ir.expr import FOLD, Expr, const, members, sym
from dlc.ir.expr_atoms import Atom, Compound, Monomial
from dlc.ir.expr_bounds import bounds, nonnegative

Facts = tuple[Expr, ...]  # each is at least 0
MOST_STEPS, MOST_CLAIMS = 100, 30  # beyond that nothing is proved


@lru_cache(maxsize=1 << 12)
def never_negative(expr: Expr, facts: Facts = ()) -> bool:
    """Whether `expr` is visibly at least 0 at all sizes (0 or more each) at which all `facts` are."""
    if nonnegative(expr):
        return True
    if not facts and not expr.has_compounds():
        return False
    return _Cases().hold(expr, facts)


def _least(expr: Expr) -> int | None:
    return bounds(expr)[0]


def _visibly(expr: Expr) -> bool:
    low = _least(expr)
    return low is not None and low >= 0


def _contradict(claims: Sequence[Expr]) -> bool:
    """Whether no sizes make all claims (linear in their terms) at least 0: terms are eliminated one by one."""
    left = [each for each in dict.fromkeys(claims) if not _visibly(each)]
    for monomial in dict.fromkeys(monomial for each in left for monomial, _ in each.terms if monomial):
        low = _least(term := Expr(((monomial, 1),)))
        with_it = [(each, dict(each.terms).get(monomial, 0)) for each in left]
        raising = [(each, factor) for each, factor in with_it if factor > 0]
        lowering = [(each, factor) for each, factor in with_it if factor < 0]
        if low is not None:
            raising.append((term - low, 1))
        sums = [a * -n + b * m for a, m in raising for b, n in lowering]
        left = [each for each, factor in with_it if not factor] + [each for each in sums if not _visibly(each)]
        if any(each.is_const and each.value < 0 for each in left):
            return True
        if len(left) > MOST_CLAIMS:
            return False
    return any(each.is_const and each.value < 0 for each in left)


class _Cases:
    """One proof; it is given up after a number of steps."""

    def __init__(self) -> None:
        self.left = MOST_STEPS

    def hold(self, expr: Expr, facts: Facts, defined: frozenset[Compound] = frozenset()) -> bool:
        self.left -= 1
        if self.left < 0:
            return False
        if nonnegative(expr) or _contradict((-expr - 1, *facts)):
            return True
        if (extreme := _first_atom((expr, *facts), ("min", "max"))) is not None:
            numbers = range(len(extreme_members(extreme)))
            return all(self._holds_as(number, extreme, expr, facts, defined) for number in numbers)
        if (quotient := _first_atom((expr, *facts), ("//",), defined)) is None:
            return False
        times = Expr((((quotient,), 1),)) * quotient.right
        what_it_is = (quotient.left - times, times + (quotient.right - 1) - quotient.left)
        return self.hold(expr, (*facts, *what_it_is), defined | {quotient})

    def _holds_as(
        self, number: int, extreme: Compound, expr: Expr, facts: Facts, defined: frozenset[Compound]
    ) -> bool:  # fmt: skip
        members = extreme_members(extreme)
        value = members[number]
        sign = 1 if extreme.kind == "min" else -1
        try:
            others = [(each - value) * sign for n, each in enumerate(members) if n != number]
            replaced = [replaced_atom(each, extreme, value) for each in (expr, *facts)]
        except ZeroDivisionError:
            return False
        new = tuple(dict.fromkeys(each for each in (*replaced[1:], *others) if not each.is_const or each.value < 0))
        return self.hold(replaced[0], new, defined)


def _first_atom(exprs: Sequence[Expr], kinds: Container[str], but: Container[Compound] = ()) -> Compound | None:
    """The first minimum or maximum, or quotient by a positive number."""
    for atom in (atom for expr in exprs for monomial, _ in expr.terms for atom in monomial):
        if isinstance(atom, str) or atom.kind not in kinds or atom in but:
            continue
        if atom.kind != "//" or (atom.right.is_const and atom.right.value > 0):
            return atom
    return None


def extreme_members(atom: Compound) -> list[Expr]:
    """What a minimum or maximum is taken of."""
    return members(atom.kind, Expr((((atom,), 1),)))


def replaced_atom(expr: Expr, atom: Atom, value: Expr) -> Expr:
    """`value` in place of an atom, wherever it stands."""
    if not expr.has_compounds() and isinstance(atom, Compound):
        return expr
    total = const(0)
    for monomial, factor in expr.terms:
        total = total + _replaced_monomial(monomial, atom, value) * factor
    return total


def _replaced_monomial(monomial: Monomial, atom: Atom, value: Expr) -> Expr:
    product = const(1)
    for each in monomial:
        if each == atom:
            product = product * value
        elif isinstance(each, str):
            product = product * sym(each)
        else:
            left, right = (replaced_atom(side, atom, value) for side in (each.left, each.right))
            same = left == each.left and right == each.right
            product = product * (Expr((((each,), 1),)) if same else FOLD[each.kind](left, right))
    return product


# -- what facts decide -------------------------------------------------------------------------------------------------


def facts_of(surplus: Expr, equal: bool) -> Facts:
    """What is at least 0 where `surplus` is (or is 0): of a minimum that equals something, each member is no less."""
    if not equal:
        return (surplus,)
    found = []
    for monomial, factor in surplus.terms:
        atom = monomial[0] if len(monomial) == 1 else ""
        if isinstance(atom, str) or atom.kind not in ("min", "max") or abs(factor) != 1:
            continue
        rest = (surplus - Expr(((monomial, factor),))) * -factor  # what the minimum equals
        sign = 1 if atom.kind == "min" else -1
        found += [(each - rest) * sign for each in extreme_members(atom)]
    return tuple(each for each in found if not never_negative(each))


@lru_cache(maxsize=1 << 12)
def assuming(expr: Expr, facts: Facts) -> Expr:
    """`expr` with those members of minima and maxima left out that never decide where all `facts` are at least 0."""
    if not facts or not expr.has_compounds():
        return expr
    total = const(0)
    for monomial, factor in expr.terms:
        product = const(factor)
        for atom in monomial:
            product = product * (sym(atom) if isinstance(atom, str) else _atom_assuming(atom, facts))
        total = total + product
    return total


def _atom_assuming(atom: Compound, facts: Facts) -> Expr:
    if atom.kind not in ("min", "max"):
        return FOLD[atom.kind](assuming(atom.left, facts), assuming(atom.right, facts))
    sign = 1 if atom.kind == "min" else -1
    kept: list[Expr] = []
    for each in (assuming(member, facts) for member in extreme_members(atom)):
        if not any(never_negative((each - other) * sign, facts) for other in kept):
            kept = [other for other in kept if not never_negative((other - each) * sign, facts)] + [each]
    total = kept[0]
    for each in kept[1:]:
        total = FOLD[atom.kind](total, each)
    return total
