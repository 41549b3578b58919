"""Arithmetic on contents that are known while a model is imported: numbers, or expressions of the input's dimensions.

Known contents are a NumPy array: of the value's own dtype where all are numbers, else of objects, each an int, a bool,
an `Expr` or a `Ratio`. So the shape arithmetic that exporters leave in a graph (Shape, Gather, Mul, Cast, Floor,
Concat, …) runs here and ends in the attributes of the ops that use it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import gcd
from typing import TypeAlias

import numpy as np

from dlc.frontends.symbols import at_least
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, ceil_div, maximum, members, minimum
from dlc.ir.types import Array, ScalarType
from dlc.record import record

FINEST = 1 << 16  # floats that are no multiple of 1 / FINEST are not followed: 1/3 has no exact float


class Undecided(Exception):
    """The contents depend on dimensions in a way that is not followed."""


@record
class Ratio:
    """An exact fraction: a float that was computed from dimensions."""

    over: Expr
    under: int


Element: TypeAlias = "int | bool | float | Expr | Ratio"


def is_symbolic(array: Array) -> bool:
    """Whether contents hold expressions (an array of strings has objects too)."""
    return array.dtype == object and not any(isinstance(each, str) for each in array.reshape(-1)[:1])


def is_integral(array: Array) -> bool:
    """Whether symbolic contents are integers that an op can state."""
    return all(isinstance(each, int | Expr) and not isinstance(each, bool) for each in array.reshape(-1))


def settled(array: Array, element: ScalarType) -> Array:
    """Symbolic contents as plain numbers, if they are such."""
    if not is_symbolic(array):
        return array
    flat = [_settled_one(each) for each in array.reshape(-1)]
    if not any(isinstance(each, Expr | Ratio) for each in flat):
        return np.array(flat, element.dtype).reshape(array.shape)
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(array.shape)


def _settled_one(value: Element | np.generic) -> Element:
    if isinstance(value, Expr):
        return as_dim(value)
    if isinstance(value, np.generic):
        plain: Element = value.item()
        return plain
    return value


def dims_array(dims: tuple[Dim, ...]) -> Array:
    """Dimensions as the contents of an int64 vector."""
    if all(isinstance(dim, int) for dim in dims):
        return np.array(dims, np.int64)
    out = np.empty(len(dims), object)
    out[:] = dims
    return out


# -- arithmetic on one element -----------------------------------------------------------------------------------------


def _fraction(value: Element) -> tuple[Expr, int]:
    if isinstance(value, Ratio):
        return value.over, value.under
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            raise Undecided
        over, under = float(value).as_integer_ratio()
        if under > FINEST:
            raise Undecided
        return as_expr(over), under
    return value if isinstance(value, Expr) else as_expr(int(value)), 1


def _made(over: Expr, under: int) -> Element:
    common = gcd(under, *(factor for _, factor in over.terms))
    if common > 1:
        over, under = Expr(tuple((monomial, factor // common) for monomial, factor in over.terms)), under // common
    return as_dim(over) if under == 1 else Ratio(over, under)


def add(left: Element, right: Element) -> Element:
    (a, n), (b, m) = _fraction(left), _fraction(right)
    return _made(a * m + b * n, n * m)


def subtract(left: Element, right: Element) -> Element:
    return add(left, negate(right))


def negate(value: Element) -> Element:
    over, under = _fraction(value)
    return _made(-over, under)


def multiply(left: Element, right: Element) -> Element:
    (a, n), (b, m) = _fraction(left), _fraction(right)
    return _made(a * b, n * m)


def divide(left: Element, right: Element) -> Element:
    """The exact quotient of floats."""
    (a, n), (b, m) = _fraction(left), _fraction(right)
    if b.is_const and b.value:
        sign = -1 if b.value < 0 else 1
        return _made(a * (m * sign), n * abs(b.value))
    if (quotient := exact_quotient(a * m, b * n)) is not None:
        return as_dim(quotient)
    raise Undecided


def divide_integers(left: Element, right: Element) -> Element:
    a, b = _whole(left), _whole(right)
    if b == 0:
        return 0
    if not at_least(a, 0) or not at_least(b, 0):
        raise Undecided
    exact = exact_quotient(a, b)  # of sizes whose product is divided by one of them, also where that is 0
    if exact is not None:
        return as_dim(exact)
    return as_dim(a // b if at_least(b, 1) else (a // b) * minimum(b, 1))


def remainder(left: Element, right: Element) -> Element:
    a, b = _whole(left), _whole(right)
    if not at_least(b, 0):
        raise Undecided
    return as_dim(a % b) if b != 0 else 0


def _whole(value: Element) -> Expr:
    over, under = _fraction(value)
    if under != 1:
        raise Undecided
    return over


def floor(value: Element) -> Element:
    over, under = _fraction(value)
    return as_dim(over // under)


def ceil(value: Element) -> Element:
    over, under = _fraction(value)
    return as_dim(ceil_div(over, under))


def truncate(value: Element) -> Element:
    """Towards zero, as a cast to an integer does."""
    over, under = _fraction(value)
    if under > 1 and not at_least(over, 0):
        raise Undecided
    return as_dim(over // under)


def lower(left: Element, right: Element) -> Element:
    a, b = _whole(left), _whole(right)
    return least(a, b)


def upper(left: Element, right: Element) -> Element:
    return greatest(_whole(left), _whole(right))


def least(left: Dim, right: Dim) -> Dim:
    """The minimum of two expressions of sizes, decided where it can be.

    What a slice leaves of an axis is n - min(n, 1), so min(1, n - min(n, 1)) is min(2, n) - min(1, n).
    """
    one, other = as_expr(left), as_expr(right)
    for a, b in ((one, other), (other, one)):
        if taken := _minimum_in(b, -1):
            return as_dim(as_expr(least(a + taken, b + taken)) - taken)
    plain = minimum(one, other)
    for a, b in ((one, other), (other, one)):  # a minimum that something is added to, as one of sums
        if (inner := _minimum_in(a, 1)) and inner != a:
            sums = reduce(minimum, (each + (a - inner) for each in members("min", inner)), b)
            plain = min(sums, plain, key=lambda expr: len(members("min", expr)))
    return as_dim(plain)


def _minimum_in(expr: Expr, sign: int) -> Expr | None:
    """A minimum that is added or taken off."""
    terms = (Expr(((monomial, 1),)) for monomial, factor in expr.terms if factor == sign)
    return next((term for term in terms if len(members("min", term)) > 1), None)


def greatest(left: Dim, right: Dim) -> Dim:
    if left == 0 or right == 0:
        return positive_part(as_expr(left) + right)
    return as_dim(maximum(left, right))


def positive_part(expr: Expr) -> Dim:
    """max(0, a - b) as a - min(a, b), which is what slices make of such sizes too."""
    added = Expr(tuple((monomial, factor) for monomial, factor in expr.terms if factor > 0))
    return as_dim(added - least(added, added - expr))


def _reduced(expr: Expr) -> Dim:
    return as_dim(expr)


def magnitude(value: Element) -> Element:
    if not at_least(_fraction(value)[0], 0):
        raise Undecided
    return value


# -- comparisons -------------------------------------------------------------------------------------------------------


def _difference(left: Element, right: Element) -> Expr:
    (a, n), (b, m) = _fraction(left), _fraction(right)
    return a * m - b * n


def equal(left: Element, right: Element) -> bool:
    distance = _difference(left, right)
    if not distance.terms:
        return True
    if at_least(distance, 1) or at_least(-distance, 1):
        return False
    raise Undecided


def less(left: Element, right: Element) -> bool:
    distance = _difference(right, left)
    if at_least(distance, 1):
        return True
    if at_least(-distance, 0):
        return False
    raise Undecided


def less_or_equal(left: Element, right: Element) -> bool:
    return not less(right, left)


def choose(condition: Element, left: Element, right: Element) -> Element:
    return left if condition else right


def undecided(*values: Element) -> Element:
    raise Undecided


def each(function: Callable[..., Element], *arrays: Array) -> Array:
    """Apply `function` to the elements of broadcast arrays. Raises Undecided."""
    operands = [array if array.dtype == object else array.astype(object) for array in arrays]
    shape = np.broadcast_shapes(*(array.shape for array in operands))
    out = np.empty(shape, object)
    flat = [np.broadcast_to(array, shape).reshape(-1) for array in operands]
    out.reshape(-1)[:] = [function(*values) for values in zip(*flat, strict=True)]
    return out


# -- exact division ----------------------------------------------------------------------------------------------------


def exact_quotient(over: Expr, under: Expr) -> Expr | None:
    """over / under where `under` is one product that divides every term of `over`; None otherwise."""
    if len(under.terms) != 1:
        return Expr((((), 1),)) if over == under else None
    atoms, factor = under.terms[0]
    quotient = []
    for monomial, coefficient in over.terms:
        left = list(monomial)
        for atom in atoms:
            if atom not in left:
                return None
            left.remove(atom)
        if coefficient % factor:
            return None
        quotient.append((tuple(left), coefficient // factor))
    return Expr(tuple(quotient))
