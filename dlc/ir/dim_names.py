"""Names of dimensions: any text that a model file has, and what people read of expressions of them.

A symbol is the name itself, but for those that would read as an index inside a kernel (``d0``, a name with an
apostrophe behind it): these have a ``#`` more behind them.
"""

from __future__ import annotations

import json
import re

from dlc.ir.expr import Dim, Expr
from dlc.ir.expr_spelling import spelled

PLAIN = re.compile(r"[^\W\d][\w.]*")  # needs no quotes in an expression
FUNCTIONS = ("min", "max")


def symbol_of(name: str) -> str:
    return f"{name}#" if _reads_as_index(name) else name


def name_of(symbol: str) -> str:
    """What the model file calls a symbol."""
    return symbol[:-1] if symbol.endswith("#") and _reads_as_index(symbol) else symbol


def _reads_as_index(name: str) -> bool:
    bare = name.rstrip("#")
    return bare.endswith("'") or bare.startswith("\0") or (bare[:1] == "d" and bare[1:].isdigit())


def in_expression(symbol: str) -> str:
    """A name as expressions show it: in the quotes of JSON where it could be taken for something else."""
    name = name_of(symbol)
    return name if PLAIN.fullmatch(name) and name not in FUNCTIONS else json.dumps(name, ensure_ascii=False)


def readable(dim: Dim) -> str:
    """A number, or an expression of names as the model file has them, each in quotes where that is needed."""
    return spelled(dim, in_expression) if isinstance(dim, Expr) else str(dim)


def symbol_in(dim: Dim) -> str | None:
    """The symbol that a dimension is; None if it is anything else."""
    return next(iter(dim.symbols())) if isinstance(dim, Expr) and dim.is_symbol else None


def plain_dim(dim: Dim) -> str:
    """A dimension of a shape: a name without quotes."""
    symbol = symbol_in(dim)
    return readable(dim) if symbol is None else name_of(symbol)


def plain_shape(dims: tuple[Dim, ...]) -> str:
    return f"({', '.join(map(plain_dim, dims))})"
