"""What the monomials of an expression are products of: symbols, and quotients, remainders, minima and maxima."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlc.ir.expr import Expr


class Compound:
    """A part of an expression that is no polynomial: ``//``, ``%``, ``min`` or ``max`` of two."""

    __slots__ = ("_hash", "_key", "_names", "kind", "left", "right")

    def __init__(self, kind: str, left: Expr, right: Expr) -> None:
        self.kind = kind
        self.left = left
        self.right = right
        self._hash = hash((kind, left, right))
        self._key = ""
        self._names: tuple[str, ...] | None = None

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Compound):
            return NotImplemented
        return self is other or (
            self._hash == other._hash and (self.kind, self.left, self.right) == (other.kind, other.left, other.right)
        )

    def sort_key(self) -> str:
        self._key = self._key or f"~{self.kind}({self.left}, {self.right})"
        return self._key

    def names(self) -> tuple[str, ...]:
        """Its symbols, in order."""
        if self._names is None:
            self._names = tuple(sorted(self.left.symbols() | self.right.symbols()))
        return self._names


Atom = str | Compound
Monomial = tuple[Atom, ...]


def atom_key(atom: Atom) -> str:
    return atom if isinstance(atom, str) else atom.sort_key()


@lru_cache(maxsize=1 << 14)
def monomial_key(monomial: Monomial) -> tuple[int, tuple[str, ...]]:
    return (-len(monomial), tuple(map(atom_key, monomial)))
