"""Dimension expressions: integers, names, + - * // % min max and parentheses, compiled to closures.

A name that is no plain word stands in quotes, as in JSON: a model file may call a dimension "batch size" or "n+1".
An artefact is a file from elsewhere, so its expressions are taken apart by `ast` and never evaluated as Python.
"""

from __future__ import annotations

import ast
import json
import operator
import re
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
NAME = re.compile(r'"(?:[^"\\]|\\.)*"|[^\W\d][\w.]*(?![\w.]|\s*\()')  # one that no bracket follows: that is a function


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
    names: dict[str, str] = {}  # that Python can read, by those of the model: it takes some letters for others

    def plain(found: re.Match[str]) -> str:
        return names.setdefault(unquoted(found[0]), f"_{len(names)}")

    try:
        tree = ast.parse(NAME.sub(plain, source.strip()), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise UserError(f"the model holds a malformed dimension expression {source!r}") from error
    compute = compile_tree(tree, {word: slots[name] for name, word in names.items() if name in slots}, source)
    expr = Expr(source, frozenset(names), compute, None)
    return expr if names else Expr(source, frozenset(), compute, expr(()))


def compile_dim(dim: int | str, slots: Mapping[str, int]) -> Expr:
    """Compile a dimension of a shape, where a name stands without quotes."""
    if isinstance(dim, str) and dim in slots:
        return Expr(dim, frozenset((dim,)), operator.itemgetter(slots[dim]), None)
    return compile_expr(dim, slots)


def unquoted(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


def compile_tree(tree: ast.expr, slots: Mapping[str, int], source: str) -> Compute:
    """The closure of one subexpression; `slots` are of the names as they stand in the tree."""
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
