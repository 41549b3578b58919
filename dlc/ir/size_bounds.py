"""Bounds of sizes that are found at run time: an expression over named dimensions, none of which the run finds.

A found symbol lies between 0 and its upper bound, or any number if it has none; all other named dimensions are numbers
of 0 or more and stay as they are. None stands for "no bound".
"""

from __future__ import annotations

from collections.abc import Mapping

from dlc.errors import InternalError
from dlc.ir.core import Func
from dlc.ir.expr import Dim, Expr, as_expr, const, maximum, minimum, sym
from dlc.ir.expr_atoms import Atom, Compound

Uppers = Mapping[str, Expr | None]  # found symbol: its upper bound over other named dimensions
NO_BOUND = const(-1)  # in the attribute `derived_upper`


def upper_bounds(main: Func) -> dict[str, Expr | None]:
    """The most that each size found at run time can be, as the lowering has noted it on `main`."""
    bounds: dict[str, Expr | None] = {}
    for name, bound in zip(main.listed("derived"), main.listed("derived_upper"), strict=True):
        if not isinstance(bound, Expr):
            raise TypeError(f"the bound of {name} is no expression")
        bounds[str(name)] = None if bound == NO_BOUND else bound
    return bounds


def at_most(dim: Dim, uppers: Uppers) -> Expr | None:
    """An upper bound of `dim` that no found symbol occurs in."""
    return _extreme(as_expr(dim), uppers, high=True)


def at_least(dim: Dim, uppers: Uppers) -> Expr | None:
    """A lower bound of `dim` that no found symbol occurs in."""
    return _extreme(as_expr(dim), uppers, high=False)


def elements_at_most(shape: tuple[Dim, ...], uppers: Uppers) -> Expr | None:
    total: Expr = const(1)
    for dim in shape:
        most = at_most(dim, uppers)
        if most is None:
            return None
        total = total * most
    return total


def bounded(expr: Expr | None) -> Expr:
    """A bound that is there, since late memory and results have been set apart."""
    if expr is None:
        raise InternalError("a size without a bound stands where one is needed")
    return expr


def _extreme(expr: Expr, uppers: Uppers, high: bool) -> Expr | None:
    if uppers.keys().isdisjoint(expr.symbols()):
        return expr
    total = const(0)
    for monomial, factor in expr.terms:
        term = const(factor)
        for atom in monomial:
            most = _atom(atom, uppers, high == (factor > 0))
            if most is None:
                return None
            term = term * most
        total = total + term
    return total


def _atom(atom: Atom, uppers: Uppers, high: bool) -> Expr | None:
    if not isinstance(atom, str):
        return _compound(atom, uppers, high)
    if atom not in uppers:
        return sym(atom)
    return uppers[atom] if high else const(0)


def _compound(atom: Compound, uppers: Uppers, high: bool) -> Expr | None:
    left, right = _extreme(atom.left, uppers, high), _extreme(atom.right, uppers, high)
    if atom.kind in ("min", "max"):
        if left is None or right is None:  # of two that are at most so much, the one that is known
            return (right if left is None else left) if (atom.kind == "min") == high else None
        return minimum(left, right) if atom.kind == "min" else maximum(left, right)
    if atom.kind == "%":
        return const(0) if not high else None if right is None else right - 1
    if uppers.keys().isdisjoint(atom.right.symbols()):
        return None if left is None else left // atom.right
    return left if high else const(0)  # the divisor is found at run time, and at least 1
