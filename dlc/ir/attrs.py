"""Attribute values: which there are, when two are the same, and their text.

An attribute is one of: none, bool, int, float, str, a type, an `Expr`, a `Layout`, a `DenseRef`, a `SymbolRef`, or a
tuple of attributes. Anything else prints as ``<<…>>``, which does not parse, and fails the verifier.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable

from dlc.ir.core import Attribute
from dlc.ir.expr import Expr
from dlc.ir.floats import float_text
from dlc.ir.pool import DenseRef
from dlc.ir.types import Layout, Type
from dlc.record import record


@record
class SymbolRef:
    """The name of a function of the module."""

    name: str

    def __str__(self) -> str:
        return symbol_text(self.name)


ATOMS: tuple[type, ...] = (type(None), bool, int, float, str, Expr, Layout, DenseRef, SymbolRef)


def is_attribute(value: object) -> bool:
    """Whether `value` is of a kind that prints and parses; subclasses such as NumPy's scalars are not."""
    if type(value) is tuple:
        return all(map(is_attribute, value))
    return type(value) in ATOMS or isinstance(value, Type)


def same(left: Attribute, right: Attribute) -> bool:
    """Equal in kind and, for floats, in every bit: 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


# -- text -------------------------------------------------------------------------------------------------------------


def attribute_text(value: Attribute, dense: Callable[[DenseRef], str] = str) -> str:
    """The text of an attribute; `dense` prints constants of the pool."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case str():
            return quoted(value)
        case tuple():
            return f"[{', '.join(attribute_text(member, dense) for member in value)}]"
        case _ if not is_attribute(value):
            return f"<<{type(value).__name__} {value}>>"
        case float():
            return float_text(value)
        case Expr():
            return f"<{value}>"
        case Layout():
            return f"layout<{value}>"
        case DenseRef():
            return dense(value)
    return str(value)


def quoted(text: str) -> str:
    """A JSON string; what would not show is escaped."""
    return json.dumps(text, ensure_ascii=not text.isprintable())


_SYMBOL = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)


def symbol_text(name: str) -> str:
    """``@name``, quoted where it is not an identifier."""
    return f"@{name}" if _SYMBOL.fullmatch(name) else f"@{quoted(name)}"
