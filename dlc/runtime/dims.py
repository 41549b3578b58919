"""Dimension expressions: integers, names, + - * // % min max and parentheses, compiled to closures.

An artefact is a file from elsewhere, so its expressions are taken apart by `ast` and never evaluated as Python.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence

from dlc.errors import UserError
from dlc.record import record

Values = Sequence[int]
Compute = Callable[[Values], int]

OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}
FUNCTIONS: dict[str, Callable[[Sequence[int]], int]] = {"min": min, "max": max}


@record
class Expr:
    """A compiled expression over the dims array."""

    text: str
    names: frozenset[str]
    compute: Compute
    constant: int | None

    def __call__(self, values: Values) -> int:
        try:
            return self.compute(values)
        except ZeroDivisionError as error:
            raise UserError(f"the dimension {self.text} divides by zero for these input shapes") from error


def compile_expr(source: int | str, slots: Mapping[str, int]) -> Expr:
    """Compile an expression; `slots` says where each name's value stands in the dims array."""
    if isinstance(source, int):
        return Expr(str(source), frozenset(), constant(source), source)
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"the model holds a malformed dimension expression {source!r}") from error
    names = frozenset(found.id for found in ast.walk(tree) if isinstance(found, ast.Name)) - FUNCTIONS.keys()
    compute = compile_tree(tree, slots, source)
    expr = Expr(source, names, compute, None)
    return expr if names else Expr(source, names, compute, expr(()))


def compile_tree(tree: ast.expr, slots: Mapping[str, int], source: str) -> Compute:
    """The closure of one subexpression."""
    match tree:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            return constant(value)
        case ast.Name(id=name) if name in slots:
            return operator.itemgetter(slots[name])
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return negation(compile_tree(inner, slots, source))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            operands = compile_tree(left, slots, source), compile_tree(right, slots, source)
            return binary(OPERATORS[type(op)], *operands)
        case ast.Call(func=ast.Name(id=name), args=[_, *_] as arguments, keywords=[]) if name in FUNCTIONS:
            return variadic(FUNCTIONS[name], [compile_tree(argument, slots, source) for argument in arguments])
    raise UserError(f"the model holds a dimension expression dlc does not understand: {source!r}")


def constant(value: int) -> Compute:
    return lambda values: value


def negation(inner: Compute) -> Compute:
    return lambda values: -inner(values)


def binary(function: Callable[[int, int], int], left: Compute, right: Compute) -> Compute:
    return lambda values: function(left(values), right(values))


def variadic(function: Callable[[Sequence[int]], int], arguments: Sequence[Compute]) -> Compute:
    return lambda values: function([argument(values) for argument in arguments])
