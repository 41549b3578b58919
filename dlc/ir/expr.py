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

from dlc.ir.expr_spelling import spelled

Range = tuple[int | None, int | None]  # inclusive bounds; None: unbounded


class Compound:
    """A part of an expression that is no polynomial: ``//``, ``%``, ``min`` or ``max`` of two."""

    __slots__ = ("_hash", "_key", "_names", "kind", "left", "right")

    def __init__(self, kind: str, left: Expr, right: Expr) -> None:
        self.kind = kind
        self.left = left
        self.right = right
        self._hash = hash((kind, left, right))
        self._key = ""
        self._names: tuple[str, ...] | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Compound):
            return NotImplemented
        return self is other or (
            self._hash == other._hash and (self.kind, self.left, self.right) == (other.kind, other.left, other.right)
        )

    def sort_key(self) -> str:
        self._key = self._key or f"~{self.kind}({self.left}, {self.right})"
        return self._key

    def names(self) -> tuple[str, ...]:
        """Its symbols, in order."""
        if self._names is None:
            self._names = tuple(sorted(self.left.symbols() | self.right.symbols()))
        return self._names


Atom = str | Compound
Monomial = tuple[Atom, ...]


def _atom_key(atom: Atom) -> str:
    return atom if isinstance(atom, str) else atom.sort_key()


@lru_cache(maxsize=1 << 14)
def _monomial_key(monomial: Monomial) -> tuple[int, tuple[str, ...]]:
    return (-len(monomial), tuple(map(_atom_key, monomial)))


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
                monomial = tuple(sorted(left + right, key=_atom_key)) if left and right else left or right
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
        total: dict[Monomial, int] = {}
        for monomial, factor in self.terms:
            _add(total, _product([_substitute_atom(atom, values) for atom in monomial]), factor)
        return _normal(total)

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
    ordered = sorted(total, key=_monomial_key)
    return Expr(tuple([(monomial, factor) for monomial in ordered if (factor := total[monomial])]))


def _add(total: dict[Monomial, int], expr: Expr, factor: int) -> None:
    """Add a multiple of an expression to terms that are being collected."""
    for monomial, own in expr.terms:
        total[monomial] = total.get(monomial, 0) + own * factor


def combination(exprs: Iterable[Expr], factors: Iterable[Expr]) -> Expr:
    """The sum of all expressions, each times its factor."""
    total: dict[Monomial, int] = {}
    for expr, factor in zip(exprs, factors, strict=True):
        if factor.is_const:
            _add(total, expr, factor.value)
        else:
            _add(total, expr * factor, 1)
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
    if right.is_const:
        divisor = right.value
        if divisor == 0:
            raise ZeroDivisionError(f"{left} // 0")
        if divisor == 1:
            return left
        if left.is_const:
            return const(left.value // divisor)
        if divisor > 0:
            whole, rest = split_multiples(left, divisor)
            if whole.terms:
                return whole + _divide(rest, right)
    elif left == right:
        return const(1)
    elif right.is_symbol and left.terms and all(right.terms[0][0][0] in m for m, _ in left.terms):
        return _normal({_without(m, right.terms[0][0][0]): f for m, f in left.terms})
    return ZERO if not left.terms else _compound("//", left, right)


def _without(monomial: Monomial, atom: Atom) -> Monomial:
    at = monomial.index(atom)
    return monomial[:at] + monomial[at + 1 :]


def _modulo(left: Expr, right: Expr) -> Expr:
    if right.is_const:
        divisor = right.value
        if divisor == 0:
            raise ZeroDivisionError(f"{left} % 0")
        if left.is_const:
            return const(left.value % divisor)
        if divisor == 1:
            return ZERO
        if divisor > 0:
            left = split_multiples(left, divisor)[1]
            if left.is_const:
                return const(left.value % divisor)
    elif left == right or not left.terms:
        return ZERO
    return _compound("%", left, right)


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
    return _extreme("min", as_expr(left), as_expr(right), min)


def maximum(left: Expr | int, right: Expr | int) -> Expr:
    return _extreme("max", as_expr(left), as_expr(right), max)


def _extreme(kind: str, left: Expr, right: Expr, choose: Callable[[int, int], int]) -> Expr:
    if left == right:
        return left
    if left.is_const and right.is_const:
        return const(choose(left.value, right.value))
    distance = left - right
    if distance.is_const:
        return left if choose(distance.value, 0) == distance.value else right
    if str(right) < str(left):
        left, right = right, left
    return _compound(kind, left, right)


def ceil_div(left: Expr | int, right: int) -> Expr:
    return (as_expr(left) + (right - 1)) // right


_FOLD: dict[str, Callable[[Expr, Expr], Expr]] = {"//": _divide, "%": _modulo, "min": minimum, "max": maximum}


def _substitute_atom(atom: Atom, values: Mapping[str, Expr | int]) -> Expr:
    if isinstance(atom, str):
        return as_expr(values[atom]) if atom in values else sym(atom)
    return _substituted(atom, tuple(map(values.get, atom.names())))


@lru_cache(maxsize=1 << 14)  # a kernel's accesses share most of their quotients
def _substituted(atom: Compound, replacements: tuple[Expr | int | None, ...]) -> Expr:
    values = {name: new for name, new in zip(atom.names(), replacements, strict=True) if new is not None}
    return _FOLD[atom.kind](atom.left.substitute(values), atom.right.substitute(values))


_NUMBERS: dict[str, Callable[[int, int], int]] = {"//": operator.floordiv, "%": operator.mod, "min": min, "max": max}


def _evaluate(atom: Compound, values: Mapping[str, int]) -> int:
    return _NUMBERS[atom.kind](atom.left.evaluate(values), atom.right.evaluate(values))


# -- ranges: what simplifies an index of a split loop -----------------------------------------------------------------


def bounds(expr: Expr, ranges: Mapping[str, Range]) -> Range:
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


def _monomial_bounds(monomial: Monomial, ranges: Mapping[str, Range]) -> Range:
    parts = [ranges.get(a, (None, None)) if isinstance(a, str) else _compound_bounds(a, ranges) for a in monomial]
    low, high = parts[0] if parts else (1, 1)
    for a, b in parts[1:]:
        if a is None or a < 0 or low is None or low < 0:  # products of possibly negative factors: keep it simple
            corners = [x * y for x in (low, high) for y in (a, b) if x is not None and y is not None]
            known = len(corners) == 4
            low, high = (min(corners), max(corners)) if known else (None, None)
        else:
            low, high = low * a, None if high is None or b is None else high * b
    return low, high


def _compound_bounds(atom: Compound, ranges: Mapping[str, Range]) -> Range:
    left, right = bounds(atom.left, ranges), bounds(atom.right, ranges)
    match atom.kind:
        case "//" if atom.right.is_const and atom.right.value > 0:
            n = atom.right.value
            return (None if left[0] is None else left[0] // n), (None if left[1] is None else left[1] // n)
        case "//" if left[0] is not None and left[0] >= 0 and right[0] is not None and right[0] > 0:
            return 0, left[1]
        case "%" if right[0] is not None and right[0] > 0:
            return 0, None if right[1] is None else right[1] - 1
        case "min":
            low = None if left[0] is None or right[0] is None else min(left[0], right[0])
            highs = [h for h in (left[1], right[1]) if h is not None]
            return low, min(highs) if highs else None
        case "max":
            lows = [x for x in (left[0], right[0]) if x is not None]
            high = None if left[1] is None or right[1] is None else max(left[1], right[1])
            return max(lows) if lows else None, high
    return None, None


def simplify(expr: Expr, ranges: Mapping[str, Range]) -> Expr:
    """Rewrite quotients, remainders, minima and maxima that the ranges of the symbols decide."""
    if not expr.has_compounds():
        return expr
    total: dict[Monomial, int] = {}
    for monomial, factor in expr.terms:
        parts = [sym(atom) if isinstance(atom, str) else _simplify_atom(atom, ranges) for atom in monomial]
        _add(total, _product(parts), factor)
    return _normal(total)


def _simplify_atom(atom: Compound, ranges: Mapping[str, Range]) -> Expr:
    return _simplified(atom, tuple(map(ranges.get, atom.names())))


@lru_cache(maxsize=1 << 14)
def _simplified(atom: Compound, limits: tuple[Range | None, ...]) -> Expr:
    ranges = {name: limit for name, limit in zip(atom.names(), limits, strict=True) if limit is not None}
    left, right = simplify(atom.left, ranges), simplify(atom.right, ranges)
    if atom.kind in ("//", "%") and right.is_const and right.value > 0:
        whole, rest = split_multiples(left, right.value)
        low, high = bounds(rest, ranges)
        if low is not None and high is not None and low // right.value == high // right.value:
            quotient = low // right.value
            return whole + quotient if atom.kind == "//" else rest - quotient * right.value
    if atom.kind in ("min", "max"):
        low, high = bounds(left - right, ranges)
        if low is not None and low >= 0:
            return left if atom.kind == "max" else right
        if high is not None and high <= 0:
            return right if atom.kind == "max" else left
    return _FOLD[atom.kind](left, right)


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
