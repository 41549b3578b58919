"""Expression to text: what `dlc.ir.expr_text` parses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlc.ir.expr import Expr
    from dlc.ir.expr_atoms import Atom


def spelled(expr: Expr) -> str:
    if not expr.terms:
        return "0"
    text = ""
    for monomial, factor in expr.terms:
        body = " * ".join(map(_atom_text, monomial))
        size = abs(factor)
        piece = str(size) if not body else body if size == 1 else f"{body} * {size}"
        text += (f" {'-' if factor < 0 else '+'} " if text else "-" if factor < 0 else "") + piece
    return text


def _atom_text(atom: Atom) -> str:
    if isinstance(atom, str):
        return atom if _NAME.fullmatch(atom) else _quoted(atom)
    if atom.kind in ("min", "max"):
        return f"{atom.kind}({atom.left}, {atom.right})"
    return f"({_operand_text(atom.left)} {atom.kind} {_operand_text(atom.right)})"


_NAME = re.compile(r"[A-Za-z_][\w.]*")
_UNSAFE = re.compile(r"[^\w .:/+*-]")


def _quoted(name: str) -> str:
    """A symbol that is no identifier; brackets and the like are escaped, for an expression stands between brackets."""
    return '"' + _UNSAFE.sub(lambda found: f"\\u{{{ord(found.group()):x}}}", name) + '"'


def _operand_text(expr: Expr) -> str:
    return str(expr) if expr.is_symbol or (expr.is_const and expr.value >= 0) else f"({expr})"
