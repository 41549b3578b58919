"""Structural equality: the same ops, attributes, types and uses, whatever the values are called."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlc.ir.attrs import attribute_text, same
from dlc.ir.core import Attribute, Block, Func, Module, Op, Region, Value
from dlc.ir.opdef import REQUIRED
from dlc.ir.pool import ConstantPool, DenseRef


def compare(left: Module, right: Module, *, locations: bool = True) -> str | None:
    """None for equal modules, else where they first differ and how: ``main/3 graph.conv/pads: [1, 1] and [0, 0]``.

    Constants are equal if their keys are, or else their contents.
    """
    comparer = Comparer(left.pool, right.pool, locations)
    if left.name != right.name:
        return f"name: {left.name!r} and {right.name!r}"
    if found := comparer.attrs("module", left.attrs, right.attrs):
        return found
    if list(left.funcs) != list(right.funcs):
        return f"functions: {', '.join(left.funcs) or 'none'} and {', '.join(right.funcs) or 'none'}"
    for name in left.funcs:
        if found := comparer.func(left.funcs[name], right.funcs[name]):
            return found
    return None


def compare_funcs(left: Func, right: Func, pool: ConstantPool | None = None, *, locations: bool = True) -> str | None:
    """As `compare`, for two functions of one module (or with one pool)."""
    held = ConstantPool() if pool is None else pool
    return Comparer(held, held, locations).func(left, right)


def compare_ops(left: Op, right: Op, pool: ConstantPool | None = None, *, locations: bool = True) -> str | None:
    """As `compare`, for two ops; operands from outside must be the same values."""
    held = ConstantPool() if pool is None else pool
    comparer = Comparer(held, held, locations)
    return comparer.op(left.name, left, right) or comparer.late()


class Comparer:
    """Compares while it learns which value of the right side stands for which of the left."""

    def __init__(self, left_pool: ConstantPool, right_pool: ConstantPool, locations: bool) -> None:
        self.pools = left_pool, right_pool
        self.locations = locations
        self.partner: dict[Value, Value] = {}
        self.awaited: list[tuple[str, Value, Value]] = []  # operands met before their definitions

    def func(self, left: Func, right: Func) -> str | None:
        if left.name != right.name:
            return f"function name: {left.name!r} and {right.name!r}"
        if left.results != right.results:
            return f"{left.name}/results: {_types(left.results)} and {_types(right.results)}"
        found = self.attrs(left.name, left.attrs, right.attrs) or self.region(left.name, left.body, right.body)
        return found or self.late()

    def region(self, path: str, left: Region, right: Region) -> str | None:
        if len(left.blocks) != len(right.blocks):
            return f"{path}: {len(left.blocks)} blocks and {len(right.blocks)}"
        for number, (a, b) in enumerate(zip(left.blocks, right.blocks, strict=True)):
            if found := self.block(f"{path}/^{number}" if number else path, a, b):
                return found
        return None

    def block(self, path: str, left: Block, right: Block) -> str | None:
        if found := self.values(f"{path}/arguments", left.args, right.args):
            return found
        for number, (a, b) in enumerate(zip(left.ops, right.ops, strict=False)):
            if found := self.op(f"{path}/{number} {a.name}", a, b):
                return found
        if len(left.ops) != len(right.ops):
            longer = left.ops if len(left.ops) > len(right.ops) else right.ops
            extra = longer[min(len(left.ops), len(right.ops))]
            return f"{path}: {len(left.ops)} ops and {len(right.ops)}, the first extra one is {extra.name}"
        return None

    def op(self, path: str, left: Op, right: Op) -> str | None:
        if left.name != right.name:
            return f"{path}: {left.name} and {right.name}"
        if self.locations and left.loc != right.loc:
            return f"{path}/loc: {left.loc} and {right.loc}"
        return (
            self.operands(path, left, right)
            or self.attrs(path, effective_attrs(left), effective_attrs(right))
            or self.values(f"{path}/results", left.results, right.results)
            or self.regions(path, left, right)
        )

    def regions(self, path: str, left: Op, right: Op) -> str | None:
        if len(left.regions) != len(right.regions):
            return f"{path}: {len(left.regions)} regions and {len(right.regions)}"
        for number, (a, b) in enumerate(zip(left.regions, right.regions, strict=True)):
            name = left.spec.regions[number] if number < len(left.spec.regions) else f"region {number}"
            if found := self.region(f"{path}/{name}", a, b):
                return found
        return None

    def operands(self, path: str, left: Op, right: Op) -> str | None:
        if len(left.operands) != len(right.operands):
            return f"{path}: {len(left.operands)} operands and {len(right.operands)}"
        for number, (a, b) in enumerate(zip(left.operands, right.operands, strict=True)):
            if a in self.partner:
                if self.partner[a] is not b:
                    return f"{path}/operand {number}: different values"
            elif a is not b:
                self.awaited.append((f"{path}/operand {number}", a, b))
        return None

    def late(self) -> str | None:
        return next((f"{path}: different values" for path, a, b in self.awaited if self.partner.get(a) is not b), None)

    def values(self, path: str, left: Sequence[Value], right: Sequence[Value]) -> str | None:
        kinds = tuple(v.type for v in left), tuple(v.type for v in right)
        if kinds[0] != kinds[1]:
            return f"{path}: {_types(kinds[0])} and {_types(kinds[1])}"
        self.partner.update(zip(left, right, strict=True))
        return None

    def attrs(self, path: str, left: dict[str, Attribute], right: dict[str, Attribute]) -> str | None:
        for key in dict.fromkeys([*left, *right]):
            if key not in left or key not in right:
                side = "left" if key in left else "right"
                return f"{path}/{key}: only on the {side}"
            if not self.attr(left[key], right[key]):
                return f"{path}/{key}: {attribute_text(left[key])} and {attribute_text(right[key])}"
        return None

    def attr(self, left: Attribute, right: Attribute) -> bool:
        if isinstance(left, tuple) and isinstance(right, tuple):
            return len(left) == len(right) and all(map(self.attr, left, right))
        if isinstance(left, DenseRef) and isinstance(right, DenseRef):
            return left == right or self.contents(left, right)
        return same(left, right)

    def contents(self, left: DenseRef, right: DenseRef) -> bool:
        if left not in self.pools[0] or right not in self.pools[1]:
            return False
        a, b = self.pools[0].get(left), self.pools[1].get(right)
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return bool(np.array_equal(a, b)) if a.dtype == object else a.tobytes() == b.tobytes()


def effective_attrs(op: Op) -> dict[str, Attribute]:
    """The attributes of an op with its defaults filled in."""
    defaults = {key: d.default for key, d in op.spec.attrs.items() if d.default is not REQUIRED}
    return {**defaults, **op.attrs}


def _types(types: Sequence[object]) -> str:
    return f"({', '.join(map(str, types))})"
