"""Integer expressions: symbolic dimensions, loop bounds and the indices of memory accesses.

An expression is kept in one normal form, a polynomial with integer coefficients over *atoms*. An atom is a symbol (a
string: a named dimension such as ``batch``, or ``d0``, ``d1``, … for the index operands of an op) or an opaque
quotient, remainder, minimum or maximum of expressions. Because the form is unique, equal polynomials compare equal,
which is what makes layout and index algebra decidable enough for a compiler.

Division and remainder round towards minus infinity, as Python's do.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from math import gcd

from dlc.ir.expr_atoms import Atom, Compound, Monomial, atom_key, monomial_key
from dlc.ir.expr_bounds import NOTHING, Ranges, bounds, nonnegative
from dlc.ir.expr_spelling import spelled


class Expr:
    """An integer polynomial over atoms. Immutable; build with `sym`, `const` and the Python operators."""

    __slots__ = ("_compounds", "_hash", "_places", "_symbols", "is_const", "terms")

    terms: tuple[tuple[Monomial, int], ...]  # sorted; the constant has the empty monomial; no zero coefficients

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self.is_const = not terms or (len(terms) == 1 and not terms[0][0])
        self._hash = hash(self.value) if self.is_const else hash(terms)  # equal to an int: the int's hash
        self._symbols: frozenset[str] | None = None
        self._places: tuple[int, ...] | None = None
        self._compounds: bool | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Expr):
            return self is other or (self._hash == other._hash and self.terms == other.terms)
        return isinstance(other, int) and self.is_const and self.value == other

    # -- what it is --------------------------------------------------------------------------------------------------

    @property
    def value(self) -> int:
        """The value of a constant expression."""
        if not self.terms:
            return 0
        if not self.is_const:
            raise ValueError(f"{self} is not a constant")
        return self.terms[0][1]

    @property
    def constant(self) -> int:
        """The constant term."""
        return self.terms[-1][1] if self.terms and not self.terms[-1][0] else 0

    @property
    def varying(self) -> Expr:
        """All but the constant term."""
        return Expr(self.terms[:-1]) if self.terms and not self.terms[-1][0] else self

    @property
    def is_symbol(self) -> bool:
        return [(len(m), factor) for m, factor in self.terms] == [(1, 1)] and isinstance(self.terms[0][0][0], str)

    def has_compounds(self) -> bool:
        """Whether there is more in it than a polynomial of symbols."""
        if self._compounds is None:
            self._compounds = any(isinstance(atom, Compound) for monomial, _ in self.terms for atom in monomial)
        return self._compounds

    def coefficient(self, symbol: str) -> int:
        """The coefficient of the linear term in `symbol`."""
        return next((factor for monomial, factor in self.terms if monomial == (symbol,)), 0)

    def symbols(self) -> frozenset[str]:
        if self._symbols is None:
            found: set[str] = set()
            for monomial, _ in self.terms:
                for atom in monomial:
                    if isinstance(atom, str):
                        found.add(atom)
                    else:
                        found.update(atom.names())
            self._symbols = frozenset(found)
        return self._symbols

    def places(self) -> tuple[int, ...]:
        """The index operands that it mentions: n for each symbol ``d<n>``, in order."""
        if self._places is None:
            names = (name for name in self.symbols() if name[0] == "d" and name[1:].isdigit())
            self._places = tuple(sorted(int(name[1:]) for name in names))
        return self._places

    def is_linear_in(self, symbol: str) -> bool:
        """Whether `symbol` occurs only as a term ``c * symbol`` (or not at all)."""
        for monomial, _ in self.terms:
            if monomial == (symbol,):
                continue
            for atom in monomial:
                inner = atom.left.symbols() | atom.right.symbols() if isinstance(atom, Compound) else {atom}
                if symbol in inner:
                    return False
        return True

    # -- arithmetic --------------------------------------------------------------------------------------------------

    def __add__(self, other: Expr | int) -> Expr:
        other = as_expr(other)
        if not other.terms:
            return self
        if not self.terms:
            return other
        if other.is_const:
            rest = self.varying
            constant = self.constant + other.terms[0][1]
            return Expr((*rest.terms, ((), constant))) if constant else rest
        total = dict(self.terms)
        _add(total, other, 1)
        if self.has_compounds() and other.has_compounds():
            return _rejoined(total)
        return _normal(total)

    __radd__ = __add__

    def __neg__(self) -> Expr:
        return Expr(tuple((monomial, -factor) for monomial, factor in self.terms))

    def __sub__(self, other: Expr | int) -> Expr:
        return self + (-as_expr(other))

    def __rsub__(self, other: Expr | int) -> Expr:
        return as_expr(other) - self

    def __mul__(self, other: Expr | int) -> Expr:
        if isinstance(other, int):
            if other == 1:
                return self
            return Expr(tuple((m, f * other) for m, f in self.terms)) if other else ZERO
        total: dict[Monomial, int] = {}
        for left, a in self.terms:
            for right, b in other.terms:
                monomial = tuple(sorted(left + right, key=atom_key)) if left and right else left or right
                total[monomial] = total.get(monomial, 0) + a * b
        return _normal(total)

    __rmul__ = __mul__

    def __floordiv__(self, other: Expr | int) -> Expr:
        return _divide(self, as_expr(other))

    def __rfloordiv__(self, other: int) -> Expr:
        return _divide(as_expr(other), self)

    def __mod__(self, other: Expr | int) -> Expr:
        return _modulo(self, as_expr(other))

    def __rmod__(self, other: int) -> Expr:
        return _modulo(as_expr(other), self)

    # -- rewriting ---------------------------------------------------------------------------------------------------

    def substitute(self, values: Mapping[str, Expr | int]) -> Expr:
        """Replace symbols by expressions, at once."""
        if not values or values.keys().isdisjoint(self.symbols()):
            return self
        return combine([([_substitute_atom(atom, values) for atom in m], factor) for m, factor in self.terms])

    def evaluate(self, values: Mapping[str, int]) -> int:
        """The value for given symbols; KeyError names a symbol that is missing."""
        total = 0
        for monomial, factor in self.terms:
            for atom in monomial:
                factor *= values[atom] if isinstance(atom, str) else _evaluate(atom, values)
            total += factor
        return total

    # -- text --------------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        return spelled(self)

    __repr__ = __str__


def _normal(total: dict[Monomial, int]) -> Expr:
    if len(total) < 2:
        return Expr(tuple(term for term in total.items() if term[1]))
    ordered = sorted(total, key=monomial_key)
    return Expr(tuple([(monomial, factor) for monomial in ordered if (factor := total[monomial])]))


def _add(total: dict[Monomial, int], expr: Expr, factor: int) -> None:
    """Add a multiple of an expression to terms that are being collected."""
    for monomial, own in expr.terms:
        total[monomial] = total.get(monomial, 0) + own * factor


def combination(exprs: Iterable[Expr], factors: Iterable[Expr]) -> Expr:
    """The sum of all expressions, each times its factor."""
    total: dict[Monomial, int] = {}
    compounds = 0
    for expr, factor in zip(exprs, factors, strict=True):
        compounds += expr.has_compounds()
        if factor.is_const:
            _add(total, expr, factor.value)
        else:
            _add(total, expr * factor, 1)
    return _rejoined(total) if compounds > 1 else _normal(total)


def combine(terms: Iterable[tuple[list[Expr], int]]) -> Expr:
    """The sum of products, each times a number."""
    total: dict[Monomial, int] = {}
    count = 0
    for factors, number in terms:
        _add(total, _product(factors), number)
        count += 1
    return _rejoined(total) if count > 1 else _normal(total)


def _rejoined(total: dict[Monomial, int]) -> Expr:
    """Terms that are collected, with ``(x // n) * n + x % n`` made x again: an axis that is split and joined."""
    kinds = {atom.kind for monomial in total for atom in monomial if not isinstance(atom, str)}
    for monomial, factor in tuple(total.items()) if kinds >= {"//", "%"} else ():
        rest = monomial[0] if len(monomial) == 1 else ""
        if isinstance(rest, str) or rest.kind != "%" or not factor:
            continue
        quotient = _divide(rest.left, rest.right) * rest.right * factor
        if quotient.terms and all(total.get(each) == own for each, own in quotient.terms):
            _add(total, quotient, -1)
            del total[monomial]
            _add(total, rest.left, factor)
    return _normal(total)


def _product(factors: list[Expr]) -> Expr:
    return functools.reduce(operator.mul, factors) if factors else ONE


@lru_cache(maxsize=1 << 12)
def const(value: int) -> Expr:
    return Expr((((), int(value)),)) if value else ZERO


@lru_cache(maxsize=1 << 12)
def sym(name: str) -> Expr:
    return Expr((((name,), 1),))


def as_expr(value: Expr | int | str) -> Expr:
    """An expression from an expression, an integer or a symbol's name."""
    if isinstance(value, Expr):
        return value
    return sym(value) if isinstance(value, str) else const(value)


ZERO = Expr(())
ONE = Expr((((), 1),))


def _compound(kind: str, left: Expr, right: Expr) -> Expr:
    return Expr((((Compound(kind, left, right),), 1),))


def _divide(left: Expr, right: Expr) -> Expr:
    if not right.is_const:
        return _divide_by_sizes(left, right)
    divisor = right.value
    if divisor == 0:
        raise ZeroDivisionError(f"{left} // 0")
    if divisor == 1:
        return left
    if left.is_const:
        return const(left.value // divisor)
    if divisor < 0:
        return _compound("//", left, right)
    whole, rest = split_multiples(left, divisor)
    if whole.terms:
        return whole + _divide(rest, right)
    common = gcd(divisor, *(factor for monomial, factor in left.terms if monomial))
    if common > 1:  # what the constant adds beyond their common factor never carries
        parts = [(monomial, factor // common) for monomial, factor in left.terms if monomial or factor >= common]
        return _divide(Expr(tuple(parts)), const(divisor // common))
    inner = left.terms[0][0][0] if len(left.varying.terms) == 1 and len(left.terms[0][0]) == 1 else ""
    if not isinstance(inner, str) and left.terms[0][1] == 1:
        if inner.kind == "//" and inner.right.is_const and inner.right.value > 0:  # (x // m + c) // n
            return _divide(inner.left + inner.right * left.constant, inner.right * divisor)
        low, high = bounds(left)
        if low is not None and high is not None and low // divisor == high // divisor:
            return const(low // divisor)
    return _compound("//", left, right)


def _modulo(left: Expr, right: Expr) -> Expr:
    if not right.is_const:
        return _divide_by_sizes(left, right, rest=True)
    divisor = right.value
    if divisor == 0:
        raise ZeroDivisionError(f"{left} % 0")
    if left.is_const:
        return const(left.value % divisor)
    if divisor == 1:
        return ZERO
    if divisor < 0:
        return _compound("%", left, right)
    left = split_multiples(left, divisor)[1]
    if left.is_const:
        return const(left.value % divisor)
    common = gcd(divisor, *(factor for monomial, factor in left.terms if monomial))
    if common > 1:
        parts = [(monomial, factor // common) for monomial, factor in left.terms if monomial or factor >= common]
        return _modulo(Expr(tuple(parts)), const(divisor // common)) * common + left.constant % common
    if left.has_compounds():
        low, high = bounds(left)
        if low is not None and high is not None and low // divisor == high // divisor:
            return left - low // divisor * divisor
    return _compound("%", left, right)


def _divide_by_sizes(left: Expr, right: Expr, rest: bool = False) -> Expr:
    """The quotient (or the rest) of a division by an expression, which is not 0 wherever its value matters."""
    if left == right or not left.terms:
        return ONE if left.terms and not rest else ZERO
    whole, over = divided(left, right)
    if not over.terms or (nonnegative(over) and nonnegative(right - 1 - over)):
        return over if rest else whole
    shared, over, right = _reduced(over, right)
    kind = "%" if rest else "//"
    found = FOLD[kind](over, right) if right.is_const else _compound(kind, over, right)
    return found * shared if rest else whole + found


def divided(left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """(q, r) with ``left = q * right + r``: long division of polynomials by the first term of `right`."""
    (lead, factor), *_ = right.terms
    whole, rest, negative = ZERO, left, nonnegative(-right)
    for monomial, own in left.terms:
        if own % factor or negative or not (other := _without(monomial, lead)):
            continue
        part = Expr(((other[0], own // factor),))
        over = rest - part * right
        if nonnegative(over) or not nonnegative(rest):  # n by n + 1 is 0, and not 1 with a rest of -1
            whole, rest = whole + part, over
    return whole, rest


def _without(monomial: Monomial, taken: Monomial) -> list[Monomial]:
    """What is left of a product without some of its factors, if it has them all."""
    left = list(monomial)
    for atom in taken:
        if atom not in left:
            return []
        left.remove(atom)
    return [tuple(left)]


def _reduced(left: Expr, right: Expr) -> tuple[Expr, Expr, Expr]:
    """(s, a, b) with ``left = s * a`` and ``right = s * b``: the sizes and the number that all terms share."""
    shared = left.terms[0][0]
    for monomial, _ in (*left.terms, *right.terms):
        others = list(monomial)
        kept = []
        for atom in shared:
            if atom in others:
                others.remove(atom)
                kept.append(atom)
        shared = tuple(kept)
    common = gcd(*(factor for _, factor in (*left.terms, *right.terms)))
    if not shared and common == 1:
        return ONE, left, right

    def without(expr: Expr) -> Expr:
        return _normal({_without(monomial, shared)[0]: factor // common for monomial, factor in expr.terms})

    return Expr(((shared, common),)), without(left), without(right)


def split_multiples(expr: Expr, divisor: int) -> tuple[Expr, Expr]:
    """(q, r) with ``expr = q * divisor + r``; r: what is not visibly divisible, its constant in [0, divisor)."""
    whole: list[tuple[Monomial, int]] = []
    rest: list[tuple[Monomial, int]] = []
    for monomial, factor in expr.terms:
        if factor % divisor == 0:
            whole.append((monomial, factor // divisor))
        elif not monomial:
            if factor // divisor:
                whole.append((monomial, factor // divisor))
            rest.append((monomial, factor % divisor))
        else:
            rest.append((monomial, factor))
    return Expr(tuple(whole)), Expr(tuple(rest))


def minimum(left: Expr | int, right: Expr | int) -> Expr:
    return extreme("min", as_expr(left), as_expr(right))


def maximum(left: Expr | int, right: Expr | int) -> Expr:
    return extreme("max", as_expr(left), as_expr(right))


def extreme(kind: str, left: Expr, right: Expr, ranges: Ranges = NOTHING) -> Expr:
    """The minimum or maximum: a chain of members in order, none of which another one makes superfluous."""
    kept: list[Expr] = []
    found = [*members(kind, left), *members(kind, right)]
    if kind == "min" and ONE in found:  # of a multiple of a size only whether it is 0 counts
        found = [_least_multiple(each) for each in found]
    for each in found:
        if any(_never_decides(kind, each, other, ranges) for other in kept):
            continue
        kept = [other for other in kept if not _never_decides(kind, other, each, ranges)]
        kept.append(each)
    kept.sort(key=str)
    return functools.reduce(lambda rest, each: _compound(kind, each, rest), reversed(kept))


def _least_multiple(expr: Expr) -> Expr:
    shared = gcd(*(factor for _, factor in expr.terms)) if len(expr.terms) > 0 and not expr.is_const else 1
    if shared < 2 or not nonnegative(expr):
        return expr
    return Expr(tuple((monomial, factor // shared) for monomial, factor in expr.terms))


def members(kind: str, expr: Expr) -> list[Expr]:
    """What `expr` is the minimum or maximum of; itself, if of nothing."""
    atom = expr.terms[0][0][0] if len(expr.terms) == 1 and len(expr.terms[0][0]) == 1 else ""
    if isinstance(atom, str) or atom.kind != kind or expr.terms[0][1] != 1:
        return [expr]
    return [*members(kind, atom.left), *members(kind, atom.right)]


def _never_decides(kind: str, each: Expr, other: Expr, ranges: Ranges) -> bool:
    """Whether `each` is never less (more) than `other` is, which is a member too."""
    difference = each - other if kind == "min" else other - each
    return nonnegative(difference, ranges)


def ceil_div(left: Expr | int, right: int) -> Expr:
    return (as_expr(left) + (right - 1)) // right


FOLD: dict[str, Callable[[Expr, Expr], Expr]] = {"//": _divide, "%": _modulo, "min": minimum, "max": maximum}


def _substitute_atom(atom: Atom, values: Mapping[str, Expr | int]) -> Expr:
    if isinstance(atom, str):
        return as_expr(values[atom]) if atom in values else sym(atom)
    return _substituted(atom, tuple(map(values.get, atom.names())))


@lru_cache(maxsize=1 << 14)  # a kernel's accesses share most of their quotients
def _substituted(atom: Compound, replacements: tuple[Expr | int | None, ...]) -> Expr:
    values = {name: new for name, new in zip(atom.names(), replacements, strict=True) if new is not None}
    return FOLD[atom.kind](atom.left.substitute(values), atom.right.substitute(values))


_NUMBERS: dict[str, Callable[[int, int], int]] = {  # a divisor is a size; where it is 0, as if it were 1
    "//": lambda a, b: a // (b or 1), "%": lambda a, b: a % (b or 1), "min": min, "max": max
}  # fmt: skip


def _evaluate(atom: Compound, values: Mapping[str, int]) -> int:
    return _NUMBERS[atom.kind](atom.left.evaluate(values), atom.right.evaluate(values))


# -- dimensions -------------------------------------------------------------------------------------------------------

Dim = int | Expr


def as_dim(value: Expr | int | str) -> Dim:
    """A dimension: an int where the expression is constant."""
    expr = as_expr(value)
    return expr.value if expr.is_const else expr


def product(dims: Iterable[Dim]) -> Dim:
    total: Expr = const(1)
    for dim in dims:
        total = total * as_expr(dim)
    return as_dim(total)
