"""Expression to text: what `dlc.ir.expr_text` parses, or with names as someone else wants them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlc.ir.expr import Expr
    from dlc.ir.expr_atoms import Atom

_NAME = re.compile(r"[A-Za-z_][\w.]*")
_UNSAFE = re.compile(r"[^\w .:/+*-]")
Named = Callable[[str], str]


def _quoted_where_needed(name: str) -> str:
    """A symbol; in quotes brackets and the like are escaped, for an expression stands between brackets."""
    if _NAME.fullmatch(name) and name not in ("min", "max"):
        return name
    return '"' + _UNSAFE.sub(lambda found: f"\\u{{{ord(found.group()):x}}}", name) + '"'


def spelled(expr: Expr, named: Named = _quoted_where_needed) -> str:
    if not expr.terms:
        return "0"
    text = ""
    for monomial, factor in expr.terms:
        body = " * ".join([_atom_text(atom, named) for atom in monomial])
        size = abs(factor)
        piece = str(size) if not body else body if size == 1 else f"{body} * {size}"
        text += (f" {'-' if factor < 0 else '+'} " if text else "-" if factor < 0 else "") + piece
    return text


def _atom_text(atom: Atom, named: Named) -> str:
    if isinstance(atom, str):
        return named(atom)
    if atom.kind in ("min", "max"):
        return f"{atom.kind}({spelled(atom.left, named)}, {spelled(atom.right, named)})"
    return f"({_operand_text(atom.left, named)} {atom.kind} {_operand_text(atom.right, named)})"


def _operand_text(expr: Expr, named: Named) -> str:
    text = spelled(expr, named)
    return text if expr.is_symbol or (expr.is_const and expr.value >= 0) else f"({text})"
