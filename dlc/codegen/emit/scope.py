"""Where instructions go: nested scopes that let an expression be computed as far out as its operands allow.

Each region of the loop level opens a `Scope`. While an inner scope is being written, the outer scope's block is still
open just before the branch into the inner one, so a loop-invariant part of an address is simply appended there. LLVM's
code generator then sees hoisted addresses without having run its IR passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field

from dlc.codegen.emit.types import value_type
from dlc.ir.core import Value
from dlc.ir.expr import ZERO, Expr
from dlc.ir.expr_atoms import Atom, Compound, Monomial
from dlc.ir.types import Type
from dlc.record import record


@record(frozen=False)
class Block:
    """A basic block being written."""

    label: str
    lines: list[str] = field(default_factory=list)


@record(frozen=False)
class Scope:
    """One open region: its current block and what has been computed in it."""

    block: Block
    exprs: dict[object, str] = field(default_factory=dict)


class Writer:
    """Instructions of one function, with the values' names and the depth at which each is defined."""

    def __init__(self, features: frozenset[str] = frozenset()) -> None:
        self.features = features  # what the target's instructions include, for rows that need one
        self.blocks: list[Block] = []
        self.scopes: list[Scope] = []
        self.names: dict[Value, str] = {}
        self.depths: dict[Value, int] = {}
        self.symbols: dict[str, tuple[str, int]] = {}  # an atom of the canonical expressions: its LLVM name and depth
        self.slots: dict[str, int] = {}  # where in `dims` a named dimension stands
        self.codes: dict[str, int] = {}  # of the messages of checks
        self.declared: dict[str, None] = {}
        self._counter = 0
        self._canonical: dict[tuple[Expr, tuple[Value, ...]], Expr] = {}

    # -- text --------------------------------------------------------------------------------------------------------

    def fresh(self, stem: str = "v") -> str:
        self._counter += 1
        return f"%{stem}{self._counter}"

    def new_block(self, stem: str) -> Block:
        """A block with a fresh label, placed after those written so far."""
        self._counter += 1
        block = Block(f"{stem}{self._counter}")
        self.blocks.append(block)
        return block

    @property
    def depth(self) -> int:
        return len(self.scopes) - 1

    @property
    def block(self) -> Block:
        return self.scopes[-1].block

    def line(self, text: str) -> None:
        self.scopes[-1].block.lines.append(text)

    def assign(self, text: str, stem: str = "v", depth: int | None = None) -> str:
        """Append ``name = text`` to the scope at `depth` (default: innermost); returns the name."""
        name = self.fresh(stem)
        self.scopes[self.depth if depth is None else depth].block.lines.append(f"{name} = {text}")
        return name

    def declare(self, signature: str) -> None:
        """Have ``declare <signature>`` in the module once."""
        self.declared[signature] = None

    def call(
        self, result: Type, name: str, args: Sequence[tuple[Type | str, str]], stem: str = "v", flags: str = ""
    ) -> str:
        """Call an intrinsic, declaring it; `flags` are fast-math flags."""
        kinds = [kind if isinstance(kind, str) else value_type(kind) for kind, _ in args]
        self.declare(f"{value_type(result)} @{name}({', '.join(kinds)})")
        passed = ", ".join(f"{kind} {text}" for kind, (_, text) in zip(kinds, args, strict=True))
        return self.assign(f"call {flags}{value_type(result)} @{name}({passed})", stem)

    # -- values ------------------------------------------------------------------------------------------------------

    def define(self, value: Value, name: str, depth: int | None = None) -> None:
        self.names[value] = name
        self.depths[value] = self.depth if depth is None else depth

    def use(self, value: Value) -> str:
        return self.names[value]

    # -- integer expressions -----------------------------------------------------------------------------------------

    def canonical(self, expr: Expr, indices: list[Value]) -> Expr:
        """`expr` with each ``dN`` replaced by a symbol that stands for the LLVM value of operand N."""
        key = expr.varying, tuple(indices)  # the accesses of a tile differ in the constant alone
        found = self._canonical.get(key)
        if found is None:
            found = self._canonical[key] = self._renamed(key[0], indices)
        return found + expr.constant

    def _renamed(self, expr: Expr, indices: list[Value]) -> Expr:
        values: dict[str, Expr | int] = {}
        for number, value in enumerate(indices):
            name = self.names[value]
            if name.lstrip("-").isdigit():
                values[f"d{number}"] = int(name)
                continue
            self.symbols.setdefault(name, (name, self.depths[value]))
            values[f"d{number}"] = Expr((((name,), 1),))
        return expr.substitute(values)

    def depth_of(self, atom: Atom) -> int:
        if isinstance(atom, str):
            return self.symbols[atom][1]
        return max((self.symbols[s][1] for s in atom.left.symbols() | atom.right.symbols()), default=0)

    def by_depth(self, expr: Expr) -> list[tuple[int, Expr]]:
        """The terms of `expr` grouped by the depth at which they can be computed, outermost first; no constant term."""
        groups: dict[int, list[tuple[Monomial, int]]] = {}
        for monomial, factor in expr.terms:
            if monomial:
                groups.setdefault(max(map(self.depth_of, monomial)), []).append((monomial, factor))
        return [(depth, Expr(tuple(groups[depth]))) for depth in sorted(groups)]

    def integer(self, expr: Expr) -> str:
        """An LLVM i64 with the value of a canonical expression."""
        total, so_far = "", ZERO
        for depth, part in self.by_depth(expr):
            text = self._sum(part, depth)
            so_far = so_far + part
            total = text if not total else self._once(("sum", so_far), f"add nsw i64 {total}, {text}", depth)
        if not total:
            return str(expr.constant)
        if expr.constant:
            depth = self.by_depth(expr)[-1][0]
            total = self._once(("sum", expr), f"add nsw i64 {total}, {expr.constant}", depth)
        return total

    def _once(self, key: object, text: str, depth: int) -> str:
        """Compute `text` in the scope at `depth` unless an open scope has it."""
        for scope in self.scopes[: depth + 1]:
            if key in scope.exprs:
                return scope.exprs[key]
        name = self.assign(text, "i", depth)
        self.scopes[depth].exprs[key] = name
        return name

    def _sum(self, expr: Expr, depth: int) -> str:
        """Terms without a constant, all computable at `depth`."""
        total, so_far = "", ZERO
        for monomial, factor in expr.terms:
            term = Expr(((monomial, factor),))
            text = self._product(monomial, factor, depth)
            so_far = so_far + term
            total = text if not total else self._once(("sum", so_far), f"add nsw i64 {total}, {text}", depth)
        return total

    def _product(self, monomial: Monomial, factor: int, depth: int) -> str:
        total = ""
        done: Monomial = ()
        for atom in sorted(monomial, key=self.depth_of):
            text = self._atom(atom)
            done = (*done, atom)
            where = max(map(self.depth_of, done))
            total = text if not total else self._once(("mul", done), f"mul nsw i64 {total}, {text}", where)
        return total if factor == 1 else self._once(("mul", done, factor), f"mul nsw i64 {total}, {factor}", depth)

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, str):
            return self.symbols[atom][0]
        depth = self.depth_of(atom)
        left, right = self.integer(atom.left), self.integer(atom.right)
        if atom.kind in ("min", "max"):
            self.declare(f"i64 @llvm.s{atom.kind}.i64(i64, i64)")
            return self._once(atom, f"call i64 @llvm.s{atom.kind}.i64(i64 {left}, i64 {right})", depth)
        if atom.right.is_const and atom.right.value > 0 and atom.right.value & (atom.right.value - 1) == 0:
            bits = atom.right.value.bit_length() - 1
            text = f"ashr i64 {left}, {bits}" if atom.kind == "//" else f"and i64 {left}, {atom.right.value - 1}"
            return self._once(atom, text, depth)
        return self._floored(atom, left, right, depth)

    def _floored(self, atom: Compound, left: str, right: str, depth: int) -> str:
        """Quotient or remainder, rounded towards minus infinity: LLVM's truncate, so remainders are mended."""
        kind = atom.kind
        divided_at = max((self.symbols[s][1] for s in atom.right.symbols()), default=0)
        if not right.lstrip("-").isdigit():
            # a dimension: where it is 0 nothing runs that needs the quotient, but this may stand further out
            self.declare("i64 @llvm.smax.i64(i64, i64)")
            right = self._once(("divisor", right), f"call i64 @llvm.smax.i64(i64 {right}, i64 1)", divided_at)
        rest = self._once(("srem", left, right), f"srem i64 {left}, {right}", depth)
        mixed = self._once(("mixed", left, right), f"xor i64 {rest}, {right}", depth)
        differ = self._once(("differ", left, right), f"icmp slt i64 {mixed}, 0", depth)
        some = self._once(("some", left, right), f"icmp ne i64 {rest}, 0", depth)
        fix = self._once(("fix", left, right), f"and i1 {differ}, {some}", depth)
        if kind == "%":
            more = self._once(("more", left, right), f"select i1 {fix}, i64 {right}, i64 0", depth)
            return self._once(atom, f"add i64 {rest}, {more}", depth)
        quotient = self._once(("sdiv", left, right), f"sdiv i64 {left}, {right}", depth)
        less = self._once(("less", left, right), f"sext i1 {fix} to i64", depth)
        return self._once(atom, f"add i64 {quotient}, {less}", depth)

    def address(self, base: str, base_depth: int, element: str, offset: Expr) -> str:
        """A pointer `offset` elements (canonical) behind `base`, its parts computed as far out as may be."""
        pointer, at, so_far, whole = base, base_depth, ZERO, offset.varying
        for depth, scope in enumerate(self.scopes):
            if (known := scope.exprs.get(("ptr", base, element, whole))) is not None:
                pointer, at = known, depth
                break
        else:
            for depth, part in self.by_depth(whole):
                text = self._sum(part, depth)
                at, so_far = max(at, depth), so_far + part
                text = f"getelementptr {element}, ptr {pointer}, i64 {text}"
                pointer = self._once(("ptr", base, element, so_far), text, at)
        if offset.constant:
            text = f"getelementptr {element}, ptr {pointer}, i64 {offset.constant}"
            pointer = self._once(("ptr", base, element, offset), text, at)
        return pointer
