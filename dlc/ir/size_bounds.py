"""Bounds of sizes that are found at run time: an expression over named dimensions, none of which kernels find.

A found symbol lies between 0 and its upper bound; all other named dimensions are numbers of 0 or more and stay as they
are.
"""

from __future__ import annotations

from collections.abc import Mapping

from dlc.ir.core import Func
from dlc.ir.expr import Dim, Expr, as_expr, const, maximum, minimum, product, sym
from dlc.ir.expr_atoms import Atom, Compound

Uppers = Mapping[str, Expr]  # found symbol: its upper bound over other named dimensions


def upper_bounds(main: Func) -> dict[str, Expr]:
    """The most that each size found at run time can be, as the lowering has noted it on `main`."""
    bounds: dict[str, Expr] = {}
    for name, bound in zip(main.listed("derived"), main.listed("derived_upper"), strict=True):
        if not isinstance(bound, Expr):
            raise TypeError(f"the bound of {name} is no expression")
        bounds[str(name)] = bound
    return bounds


def at_most(dim: Dim, uppers: Uppers) -> Expr:
    """An upper bound of `dim` that no found symbol occurs in."""
    return _extreme(as_expr(dim), uppers, high=True)


def at_least(dim: Dim, uppers: Uppers) -> Expr:
    """A lower bound of `dim` that no found symbol occurs in."""
    return _extreme(as_expr(dim), uppers, high=False)


def elements_at_most(shape: tuple[Dim, ...], uppers: Uppers) -> Expr:
    return as_expr(product(at_most(dim, uppers) for dim in shape))


def _extreme(expr: Expr, uppers: Uppers, high: bool) -> Expr:
    if uppers.keys().isdisjoint(expr.symbols()):
        return expr
    total = const(0)
    for monomial, factor in expr.terms:
        term = const(factor)
        for atom in monomial:
            term = term * _atom(atom, uppers, high == (factor > 0))
        total = total + term
    return total


def _atom(atom: Atom, uppers: Uppers, high: bool) -> Expr:
    if isinstance(atom, str):
        found = uppers.get(atom)
        return sym(atom) if found is None else found if high else const(0)
    return _compound(atom, uppers, high)


def _compound(atom: Compound, uppers: Uppers, high: bool) -> Expr:
    left, right = _extreme(atom.left, uppers, high), _extreme(atom.right, uppers, high)
    match atom.kind:
        case "min":
            return minimum(left, right)
        case "max":
            return maximum(left, right)
        case "%":
            return right - 1 if high else const(0)
    if uppers.keys().isdisjoint(atom.right.symbols()):
        return left // right
    return left if high else const(0)  # the divisor is found at run time, and at least 1
