"""Numbers for integer expressions: each is turned into a Python function once, for a loop asks for it at every turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from dlc.errors import InternalError
from dlc.ir.core import Attribute, Op
from dlc.ir.eval.frame import Frame
from dlc.ir.expr import Expr
from dlc.ir.expr_atoms import Atom

Formula = Callable[[Sequence[int], Mapping[str, int]], int]  # (index operands, symbols) -> value


def number(frame: Frame, op: Op, expr: Attribute, indices: Sequence[int]) -> int:
    """The value of `expr` where ``dN`` is ``indices[N]``."""
    if not isinstance(expr, Expr):
        raise InternalError(f"{op.name} holds {expr!r} where an expression belongs", op=op)
    try:
        return compiled(expr)(indices, frame.symbols.numbers)
    except KeyError as missing:
        raise InternalError(f"no value is known for the symbol {missing}", op=op) from None


@lru_cache(maxsize=65536)
def compiled(expr: Expr) -> Formula:
    """A function that evaluates `expr`. (The text holds numbers, operators and quoted names only.)"""
    found: Formula = eval(f"lambda d, s: {_text(expr)}", {"__builtins__": {"min": min, "max": max}})
    return found


def _text(expr: Expr) -> str:
    terms = ["*".join([str(factor), *map(_atom, monomial)]) for monomial, factor in expr.terms]
    return f"({' + '.join(terms)})" if terms else "0"


def _atom(atom: Atom) -> str:
    if isinstance(atom, str):
        return f"d[{int(atom[1:])}]" if atom[0] == "d" and atom[1:].isdigit() else f"s[{atom!r}]"
    if atom.kind in ("min", "max"):
        return f"{atom.kind}({_text(atom.left)}, {_text(atom.right)})"
    return f"({_text(atom.left)} {atom.kind} {_text(atom.right)})"
