"""Ops that hold integer expressions over index operands, seen alike: loads, stores, loop bounds, index values.

A schedule transform replaces a loop's variable by an expression of others. That is one operation here, whatever the
op: `clone_with` composes the expressions, drops index operands that are no longer mentioned and shares equal ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import lru_cache

from dlc.ir.core import Attribute, Op, Region, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.expr import Expr, sym
from dlc.ir.expr_bounds import Range, last_index
from dlc.ir.simplify import simplify
from dlc.record import record

# op -> (operands before the index operands, attributes that hold expressions)
_INDEXED: dict[type[Op], tuple[int, tuple[str, ...]]] = {
    arith.Index: (0, ("expr",)),
    vec.Lanes: (0, ("expr",)),
    buf.Load: (1, ("at",)),
    buf.Store: (2, ("at",)),
    vec.Load: (1, ("at", "valid")),
    vec.Store: (2, ("at", "valid")),
    vec.Prefetch: (1, ("at",)),
    vec.Gather: (1, ("at", "valid")),
    loop.For: (0, ("lower", "upper")),
}


@record
class Formula:
    """An integer expression over ``d0``, ``d1``, … that stand for `values`."""

    expr: Expr
    values: tuple[Value, ...] = ()


@record(frozen=False)
class Substitution:
    """What clones replace: values by values, and index values by formulas."""

    values: dict[Value, Value] = field(default_factory=dict)
    formulas: dict[Value, Formula] = field(default_factory=dict)
    ranges: dict[Value, Range] = field(default_factory=dict)  # of loop variables, to simplify what becomes decidable

    def copy(self) -> Substitution:
        return Substitution(dict(self.values), dict(self.formulas), self.ranges)

    def value(self, old: Value) -> Value:
        return self.values.get(old, old)


def is_indexed(op: Op) -> bool:
    return type(op) in _INDEXED


def index_span(op: Op) -> tuple[int, int]:
    """The operands [start, stop) of `op` that are indices."""
    start = _INDEXED[type(op)][0]
    return start, len(op.operands) - (op.carried if isinstance(op, loop.For) else 0)


def index_operands(op: Op) -> list[Value]:
    start, stop = index_span(op)
    return op.operands[start:stop]


def expressions(op: Op) -> dict[str, Attribute]:
    """The attributes of `op` that hold expressions (an `Expr` or a tuple of them; absent ones left out)."""
    return {name: op.attrs[name] for name in _INDEXED[type(op)][1] if op.attrs.get(name) is not None}


def expression(attrs: Mapping[str, Attribute], name: str) -> Expr:
    """The attribute `name`, which holds an expression."""
    found = attrs[name]
    if not isinstance(found, Expr):
        raise TypeError(f"{name} is no expression")
    return found


class Composer:
    """Collects index operands, each once, while expressions are composed."""

    def __init__(self, mapping: Substitution) -> None:
        self.mapping = mapping
        self.operands: list[Value] = []
        self._numbers: dict[Value, int] = {}
        self._replaced: dict[Value, Expr] = {}  # what stands for the indices that have been met
        self._formulas = False  # whether any index has been replaced by more than another one
        self.simplifies = False  # whether operands may have become superfluous

    def symbol(self, value: Value) -> str:
        if value not in self._numbers:
            self._numbers[value] = len(self.operands)
            self.operands.append(value)
        return f"d{self._numbers[value]}"

    def expr(self, expr: Expr, indices: list[Value]) -> Expr:
        """`expr` over `indices`, in terms of the operands collected here."""
        places = expr.places()
        if not places:
            return expr
        known = self._replaced
        replacements = tuple([known[v] if (v := indices[n]) in known else self._replacement(v) for n in places])
        if not (self._formulas or expr.has_compounds()):
            return _composed(expr, replacements, ())
        self.simplifies = True
        return _composed(expr, replacements, tuple(map(self.mapping.ranges.get, self.operands)))

    def _replacement(self, old: Value) -> Expr:
        formula = self.mapping.formulas.get(old)
        if formula is None:
            made = sym(self.symbol(self.mapping.value(old)))
        else:
            self._formulas = True
            new = {f"d{n}": sym(self.symbol(v)) for n, v in enumerate(formula.values)}
            made = renamed(formula.expr, new)
        self._replaced[old] = made
        return made

    def simplified(self, expr: Expr) -> Expr:
        ranges = {f"d{n}": self.mapping.ranges[v] for n, v in enumerate(self.operands) if v in self.mapping.ranges}
        return simplify(expr, ranges)

    def attribute(self, value: Attribute, indices: list[Value]) -> Attribute:
        if isinstance(value, Expr):
            return self.expr(value, indices)
        if isinstance(value, tuple):
            return tuple([self.expr(item, indices) if isinstance(item, Expr) else item for item in value])
        return value


def renamed(expr: Expr, values: Mapping[str, Expr]) -> Expr:
    """`expr.substitute(values)`, remembered: a kernel renames the same few indices again and again."""
    return _renamed(expr, tuple(map(values.get, sorted(names)))) if (names := expr.symbols()) else expr


@lru_cache(maxsize=1 << 14)
def _renamed(expr: Expr, replacements: tuple[Expr | None, ...]) -> Expr:
    names = zip(sorted(expr.symbols()), replacements, strict=True)
    return expr.substitute({name: new for name, new in names if new is not None})


@lru_cache(maxsize=1 << 14)  # the accesses of a kernel are alike: most axes are indexed in few ways
def _composed(expr: Expr, replacements: tuple[Expr, ...], limits: tuple[Range | None, ...]) -> Expr:
    """`expr` with its index operands replaced, simplified for new ones within `limits`."""
    changed = expr.substitute({f"d{n}": new for n, new in zip(expr.places(), replacements, strict=True)})
    if not limits:
        return changed
    return simplify(changed, {f"d{n}": limit for n, limit in enumerate(limits) if limit is not None})


def compact(composer: Composer, attrs: dict[str, Attribute]) -> tuple[list[Value], dict[str, Attribute]]:
    """Leave out collected operands that simplification made superfluous."""
    if not composer.simplifies:
        return composer.operands, attrs
    used: set[str] = set()
    for value in attrs.values():
        for item in value if isinstance(value, tuple) else (value,):
            used |= item.symbols() if isinstance(item, Expr) else set()
    kept = [n for n in range(len(composer.operands)) if f"d{n}" in used]
    if len(kept) == len(composer.operands):
        return composer.operands, attrs
    renumber: dict[str, Expr | int] = {f"d{old}": sym(f"d{new}") for new, old in enumerate(kept)}

    def renamed(value: Attribute) -> Attribute:
        if isinstance(value, tuple):
            return tuple(item.substitute(renumber) if isinstance(item, Expr) else item for item in value)
        return value.substitute(renumber) if isinstance(value, Expr) else value

    return [composer.operands[n] for n in kept], {name: renamed(value) for name, value in attrs.items()}


def mapped_operands(op: Op, mapping: Substitution) -> tuple[list[Value], dict[str, Attribute]]:
    """The operands and attributes of a clone of `op`."""
    if type(op) not in _INDEXED:
        values = mapping.values
        return [values.get(v, v) for v in op.operands], op.attrs
    start, stop = index_span(op)
    composer = Composer(mapping)
    indices = op.operands[start:stop]
    changed = {name: composer.attribute(value, indices) for name, value in expressions(op).items()}
    collected, changed = compact(composer, changed)
    before = [mapping.value(v) for v in op.operands[:start]]
    after = [mapping.value(v) for v in op.operands[stop:]]
    return [*before, *collected, *after], {**op.attrs, **changed}


def clone_parts(op: Op, mapping: Substitution) -> tuple[list[Value], dict[str, Attribute]]:
    """The operands and attributes of a clone of `op`; a limit that covers all lanes is none."""
    operand_list, attrs = mapped_operands(op, mapping)
    if isinstance(op, vec.Load | vec.Store | vec.Gather):
        attrs = full_when_valid(op, attrs)
    return operand_list, attrs


def clone_with(op: Op, mapping: Substitution) -> Op:
    """A copy of `op` and all inside it under `mapping`, which learns the results."""
    operand_list, attrs = clone_parts(op, mapping)
    copy = type(op).unchecked(operand_list, attrs, [v.type for v in op.results], loc=op.loc)
    for old, new in zip(op.results, copy.results, strict=True):
        new.hint = old.hint
        mapping.values[old] = new
    for region in op.regions:
        copy.add_region(clone_region(region, mapping))
    if isinstance(copy, loop.For):
        note_range(copy, mapping)
    return copy


def note_range(op: loop.For, mapping: Substitution) -> None:
    if op.lower.is_const:
        mapping.ranges[op.variable] = (op.lower.value, last_index(op.upper))


def full_when_valid(op: Op, attrs: Mapping[str, Attribute]) -> dict[str, Attribute]:
    """Drop a `valid` that turned out to cover all lanes."""
    valid = attrs.get("valid")
    lanes = attrs.get("lanes") or getattr(op.operands[0].type, "lanes", 0)
    if isinstance(valid, Expr) and valid.is_const and isinstance(lanes, int) and valid.value >= lanes:
        return {name: value for name, value in attrs.items() if name != "valid"}
    return dict(attrs)


def clone_region(region: Region, mapping: Substitution) -> Region:
    copy = Region()
    for block in region.blocks:
        new = copy.add_block(type(block)())
        for arg in block.args:
            mapping.values[arg] = new.add_arg(arg.type, arg.hint)
            if arg in mapping.ranges:
                mapping.ranges[mapping.values[arg]] = mapping.ranges[arg]
        if isinstance(region.parent, loop.For) and block.args:
            old = region.parent
            if old.lower.is_const:
                mapping.ranges[mapping.values[block.args[0]]] = (old.lower.value, last_index(old.upper))
        for op in block.ops:
            new.append(clone_with(op, mapping))
    return copy
