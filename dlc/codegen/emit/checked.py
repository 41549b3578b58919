"""Integer expressions in checked arithmetic: next to each number, whether something on the way to it left 63 bits.

The code runs once per set of shapes, so it is written to be small: straight on, nothing computed twice.
"""

from __future__ import annotations

from dlc.codegen.emit.scope import Writer
from dlc.ir.expr import Expr, as_expr
from dlc.ir.expr_atoms import Atom
from dlc.ir.requirements import AT_LEAST, ONE_OR_EQUAL

Number = tuple[str, str]  # the LLVM i64, and the i1 that says that it is wrong


class Checked:
    """Numbers computed by a function; `symbols` are the named dimensions that it knows so far."""

    def __init__(self, w: Writer) -> None:
        self.w = w
        self.symbols: dict[str, str] = {}
        self._known: dict[Expr | Atom, Number] = {}

    def number(self, expr: Expr | int) -> Number:
        """The value of an expression of known dimensions."""
        expr = as_expr(expr)
        if expr.is_const:
            return (str(expr.value), "false") if -(1 << 63) <= expr.value < 1 << 63 else ("0", "true")
        if expr not in self._known:
            total: Number | None = None
            for monomial, factor in expr.terms:
                term: Number | None = None
                for atom in monomial:
                    term = self._atom(atom) if term is None else self._combined("mul", term, self._atom(atom))
                if term is None:
                    term = self.number(factor)
                elif factor != 1:
                    term = self._combined("mul", term, self.number(factor))
                total = term if total is None else self._combined("add", total, term)
            self._known[expr] = total or ("0", "false")
        return self._known[expr]

    def sum(self, left: Number, right: Number) -> Number:
        return self._combined("add", left, right)

    def stand_in(self, relation: str, left: Number, right: Number) -> str:
        """Whether two numbers stand in a relation of dlc/ir/requirements.py."""
        kind = "sge" if relation == AT_LEAST else "eq"
        holds = self.w.assign(f"icmp {kind} i64 {left[0]}, {right[0]}", "holds")
        if relation == ONE_OR_EQUAL:
            one = self.w.assign(f"icmp eq i64 {left[0]}, 1", "one")
            holds = self.w.assign(f"or i1 {one}, {holds}", "holds")
        return holds

    def either(self, *flags: str) -> str:
        """Whether one of several flags is set."""
        total = "false"
        for flag in flags:
            if flag != "false":
                total = flag if total == "false" else self.w.assign(f"or i1 {total}, {flag}", "bad")
        return total

    def _combined(self, kind: str, left: Number, right: Number) -> Number:
        name = f"llvm.s{kind}.with.overflow.i64"
        self.w.declare(f"{{i64, i1}} @{name}(i64, i64)")
        pair = self.w.assign(f"call {{i64, i1}} @{name}(i64 {left[0]}, i64 {right[0]})", "pair")
        value = self.w.assign(f"extractvalue {{i64, i1}} {pair}, 0", "i")
        return value, self.either(left[1], right[1], self.w.assign(f"extractvalue {{i64, i1}} {pair}, 1", "bad"))

    def _atom(self, atom: Atom) -> Number:
        if isinstance(atom, str):
            return self.symbols[atom], "false"
        if atom not in self._known:
            left, right = self.number(atom.left), self.number(atom.right)
            bad = self.either(left[1], right[1])
            if atom.kind in ("min", "max"):
                self._known[atom] = self._extreme(atom.kind, left[0], right[0]), bad
            else:
                # as in the kernels: where a divisor is 0, nothing runs that needs the quotient
                self._known[atom] = self._floored(atom.kind, left[0], self._extreme("max", right[0], "1")), bad
        return self._known[atom]

    def _extreme(self, kind: str, left: str, right: str) -> str:
        if left.lstrip("-").isdigit() and right.lstrip("-").isdigit():
            return str(min(int(left), int(right)) if kind == "min" else max(int(left), int(right)))
        self.w.declare(f"i64 @llvm.s{kind}.i64(i64, i64)")
        return self.w.assign(f"call i64 @llvm.s{kind}.i64(i64 {left}, i64 {right})", "i")

    def _floored(self, kind: str, left: str, right: str) -> str:
        """Quotient or remainder by a number of at least 1, rounded towards minus infinity."""
        rest = self.w.assign(f"srem i64 {left}, {right}", "i")
        below = self.w.assign(f"icmp slt i64 {rest}, 0", "below")
        if kind == "%":
            more = self.w.assign(f"select i1 {below}, i64 {right}, i64 0", "i")
            return self.w.assign(f"add i64 {rest}, {more}", "i")
        quotient = self.w.assign(f"sdiv i64 {left}, {right}", "i")
        less = self.w.assign(f"sext i1 {below} to i64", "i")
        return self.w.assign(f"add i64 {quotient}, {less}", "i")
