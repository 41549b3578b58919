"""Text to expression: the inverse of ``str(expr)``, and a little more."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable

from dlc.ir.expr import Expr, const, maximum, minimum, sym

_TOKEN = re.compile(r'\s*(?:(\d+)|([A-Za-z_][\w.]*)|("[^"]*")|(//|[-+*%(),]))')
_OPERATORS: dict[str, Callable[[Expr, Expr], Expr]] = {"*": operator.mul, "//": operator.floordiv, "%": operator.mod}


def parse_expr(text: str) -> Expr:
    """Parse what `str(expr)` prints, and any integer expression of ``+ - * // % min max`` and parentheses.

    Raises ValueError naming the position of what it does not understand.
    """
    tokens: list[str] = []
    at = 0
    text = text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"unexpected {text[at]!r} at column {at + 1} of {text!r}")
        tokens.append(found.group().strip())
        at = found.end()
    tokens.append("")
    expr, end = _parse_sum(tokens, 0)
    if tokens[end]:
        raise ValueError(f"unexpected {tokens[end]!r} in {text!r}")
    return expr


def _parse_sum(tokens: list[str], at: int) -> tuple[Expr, int]:
    value, at = _parse_product(tokens, at)
    while tokens[at] in ("+", "-"):
        right, end = _parse_product(tokens, at + 1)
        value, at = (value + right if tokens[at] == "+" else value - right), end
    return value, at


def _parse_product(tokens: list[str], at: int) -> tuple[Expr, int]:
    value, at = _parse_unary(tokens, at)
    while tokens[at] in ("*", "//", "%"):
        kind = tokens[at]
        right, at = _parse_unary(tokens, at + 1)
        value = _OPERATORS[kind](value, right)
    return value, at


def _parse_unary(tokens: list[str], at: int) -> tuple[Expr, int]:
    token = tokens[at]
    if token == "-":
        value, at = _parse_unary(tokens, at + 1)
        return -value, at
    if token == "(":
        value, at = _parse_sum(tokens, at + 1)
        return value, _expect(tokens, at, ")")
    if token in ("min", "max") and tokens[at + 1] == "(":
        left, at = _parse_sum(tokens, at + 2)
        right, at = _parse_sum(tokens, _expect(tokens, at, ","))
        extreme = minimum if token == "min" else maximum
        return extreme(left, right), _expect(tokens, at, ")")
    if token.isdigit():
        return const(int(token)), at + 1
    if token and (token[0].isalpha() or token[0] == "_"):
        return sym(token), at + 1
    if token.startswith('"'):
        return sym(_unquoted(token)), at + 1
    raise ValueError(f"unexpected {token or 'end'!r} in an integer expression")


def _expect(tokens: list[str], at: int, wanted: str) -> int:
    if tokens[at] != wanted:
        raise ValueError(f"expected {wanted!r}, got {tokens[at] or 'end'!r} in an integer expression")
    return at + 1


def _unquoted(text: str) -> str:
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), text[1:-1])
