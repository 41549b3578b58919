"""What is tried with an op: made from its declaration and a case of tests/eval, so that a new op needs nothing here.

Each axis of each operand becomes a symbol of its own, unless the op's declaration says that it must be a number. So do
the sizes that stand in attributes (those declared as `Dim` or `Shape`), which an input of their own gives a value.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from inspect import get_annotations
from typing import Any

import numpy as np

from dlc.errors import DlcError
from dlc.frontends.slices import cut
from dlc.ir.core import Block, Location, Module, Op
from dlc.ir.dialects.graph_shape import Slice
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.expr import Dim, Expr, as_expr, sym
from dlc.ir.guards import Names, renamed
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.requirements import BROADCASTS, EQUAL, requirements
from dlc.ir.types import UI8, TensorType, scalar_of
from tests.eval.cases import Case
from tests.guards.build import NODE, module_of

Array = np.ndarray
Numbers = dict[str, int]
DIMS_IN_ATTRIBUTES = ("AttrDef[Dim]", "AttrDef[Shape]", "AttrDef[tuple[Dim, ...]]")
VARIANTS = ("all", "some", "even", "odd", "attributes", "held", "last", "turned")
OFFSET = 9  # an attribute is a symbol less this, so that it can be negative
LARGE = 10**6
HUGE = (1 << 31, 1 << 61, (1 << 63) - 1)  # are bound, never run
MOST_ELEMENTS = 120_000  # of all arrays of a run
WIDER = 9  # times: not a number of whole vectors
WIDE_ELEMENTS = 30_000


@dataclass(frozen=True)
class Trial:
    """Sizes, and what the operands hold."""

    probe: Probe
    what: str
    numbers: Numbers
    data: str = "case"
    only_bind: bool = False

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        return [tuple(as_expr(d).evaluate(self.numbers) for d in kind.shape) for kind in self.probe.types]

    @cached_property
    def elements(self) -> int:
        """Of all arrays; a result that cannot be counts as none."""
        operands = sum(map(math.prod, self.shapes[: self.probe.used]))
        return operands + sum(math.prod(shape) for shape in self.result_shapes if min(shape, default=0) >= 0)

    @cached_property
    def result_shapes(self) -> list[tuple[int, ...]]:
        """Sizes that the op finds count as large as the whole of its first operand."""
        whole = {name: math.prod(self.shapes[0]) for name in self.probe.found}
        types = [value.type for value in self.probe.op.results]
        return [
            tuple(as_expr(d).evaluate({**whole, **self.numbers}) for d in kind.shape)
            for kind in types if isinstance(kind, TensorType)
        ]  # fmt: skip

    @property
    def is_case(self) -> bool:
        """Whether the operands are those of the case."""
        shapes = [array.shape for array in self.probe.case.arrays]
        return self.data == "case" and self.shapes[: self.probe.used] == shapes

    @cached_property
    def arrays(self) -> list[Array]:
        given = [resized(a, shape) for a, shape in zip(self.probe.case.arrays, self.shapes, strict=False)]
        given = [filled(array, self.data) for array in given]
        return [*given, *(np.zeros(shape, np.uint8) for shape in self.shapes[self.probe.used :])]

    @cached_property
    def expected(self) -> list[Array] | Exception:
        """The evaluator's answer; an error where there is none."""
        try:
            return evaluate_op(self.probe.op, self.arrays[: self.probe.used], self.numbers)
        except Exception as error:  # noqa: BLE001  # NumPy raises what it likes
            return error

    @cached_property
    def is_valid(self) -> bool:
        """Whether the same op of these sizes, all of them numbers, may be."""
        try:
            op = self.probe.concrete(self.numbers)
            if list(op.check()) or any(each.holds() is False for each in requirements(op)):
                return False
        except (DlcError, ValueError, IndexError):
            return False
        return True

    @cached_property
    def is_fine(self) -> bool:
        """Whether the op of these sizes, all of them numbers, has an answer."""
        if not self.is_valid:
            return False
        try:
            evaluate_op(self.probe.concrete(self.numbers), self.arrays[: self.probe.used])
        except Exception:  # noqa: BLE001  # NumPy raises what it likes
            return False
        return True

    def __str__(self) -> str:
        sizes = ", ".join(f"{name}={size}" for name, size in self.numbers.items())
        return f"{self.what}: {sizes}{'' if self.data == 'case' else f'; data {self.data}'}"


def resized(array: Array, shape: tuple[int, ...]) -> Array:
    if array.shape == shape:
        return array
    return np.resize(array, shape) if array.size else np.zeros(shape, array.dtype)


def filled(array: Array, data: str) -> Array:
    """Integers of an operand replaced by others, or floats by what is no number."""
    if data in ("case", "zeros") and (data == "case" or array.dtype.kind not in "iu"):
        return array
    kind, _, amount = data.partition(" ")
    if array.dtype.kind in "iu" and kind in ("zeros", "integers"):
        limits = np.iinfo(array.dtype)
        number = {"min": limits.min, "max": limits.max}.get(amount) if amount else 0
        value = int(amount) if number is None else number
        return np.full_like(array, max(limits.min, min(limits.max, value)))
    if array.dtype.kind == "f" and kind == "floats":
        return np.full_like(array, float(amount))
    return array


@dataclass(frozen=True)
class Probe:
    """A case with symbols in the place of sizes."""

    case: Case
    variant: str
    types: tuple[TensorType, ...]  # of the operands, then of what gives the sizes in attributes
    names: tuple[str, ...]
    attrs: Mapping[str, Any]
    base: Numbers

    @cached_property
    def kind(self) -> type[Op]:
        return type(self.case.op())

    @property
    def used(self) -> int:
        return len(self.case.arrays)

    @cached_property
    def op(self) -> Op:
        op = self.make(*Block(list(self.types[: self.used]), self.names).args)
        op.loc = Location((NODE,))
        return op

    @cached_property
    def found(self) -> tuple[str, ...]:
        size = self.op.attrs.get("size")
        return (size,) if isinstance(size, str) else ()

    def make(self, *values: Any) -> Op:
        return self.kind(*values, **self.attrs)

    def concrete(self, numbers: Numbers) -> Op:
        """The op with numbers for all sizes."""
        values = {name: as_expr(number) for name, number in numbers.items()}
        types = [renamed(kind, Names(values)) for kind in self.types[: self.used]]
        attrs = {key: renamed(value, Names(values)) for key, value in self.attrs.items()}
        return self.kind(*Block(types).args, **attrs)

    def knowing(self, names: frozenset[str]) -> Probe:
        """The same with numbers in the place of some symbols."""
        known = {name: as_expr(self.base[name]) for name in names}
        types = tuple(renamed(kind, Names(known)) for kind in self.types)
        attrs = {key: renamed(value, Names(known)) for key, value in self.attrs.items()}
        base = {name: size for name, size in self.base.items() if name not in names}
        return replace(self, types=types, attrs=attrs, base=base)  # type: ignore[arg-type]

    def widened(self) -> Probe:
        """The same with a larger base, as far as sizes may grow: so many that kernels work in blocks and vectors."""
        base = self.base
        for group in self.classes():
            larger = {name: size * WIDER for name, size in base.items() if name in group and size > 1}
            trial = Trial(replace(self, base={**base, **larger}), "wide", {**base, **larger})
            if larger and trial.is_valid and trial.elements <= WIDE_ELEMENTS and trial.is_fine:
                base = trial.numbers
        return replace(self, base=base)

    def module(self) -> Module:
        return module_of(self.types, self.names, self.make, self.used)

    # -- what is tried -----------------------------------------------------------------------------------------------

    def trials(self) -> Iterator[Trial]:
        yield Trial(self, "base", self.base)
        for name, size in self.base.items():
            for other in others(size):
                yield Trial(self, f"{name} alone", {**self.base, name: other})
            for other in HUGE:
                yield Trial(self, f"{name} huge", {**self.base, name: other}, only_bind=True)
        yield Trial(self, "all huge", dict.fromkeys(self.base, 1 << 31), only_bind=True)
        for group in self.groups():
            size = self.base[group[0]]
            for other in (*others(size), 2 * size + (size == 0), 37):
                yield Trial(self, "together", {**self.base, **dict.fromkeys(group, other)})
        yield from self.hostile()

    def groups(self) -> Iterator[tuple[str, ...]]:
        """Symbols that the op declares to be equal, and those that happen to be in the case."""
        alike = [{name for name in self.base if self.base[name] == size} for size in self.base.values()]
        found = dict.fromkeys(tuple(sorted(each)) for each in (*self.classes(), *alike))
        yield from (each for each in found if len(each) > 1)

    def classes(self) -> list[set[str]]:
        """Symbols that the op declares to be equal, or one of them 1, each with its like."""
        classes = {name: {name} for name in self.base}
        for need in requirements(self.op):
            names = sorted(need.surplus.symbols() & self.base.keys())
            if need.relation in (EQUAL, *BROADCASTS) and len(names) == 2 and self.base[names[0]] == self.base[names[1]]:
                merged = classes[names[0]] | classes[names[1]]
                classes.update(dict.fromkeys(merged, merged))
        return [set(names) for names in dict.fromkeys(tuple(sorted(each)) for each in classes.values())]

    def hostile(self) -> Iterator[Trial]:
        if self.kind.spec.has(ELEMENTWISE):
            return  # such an op reads no index out of its operands
        if any(a.dtype.kind in "iu" for a in self.case.arrays):
            for number in ("-1", "1", "5", "1000000", "2147483648", "-2147483649", "max", "min"):
                yield Trial(self, "base", self.base, f"integers {number}")
            for name, size in self.base.items():
                for other in others(size):
                    yield Trial(self, f"{name} alone", {**self.base, name: other}, "zeros")
        if any(a.dtype.kind == "f" for a in self.case.arrays):
            for number in ("nan", "inf", "-inf"):
                yield Trial(self, "base", self.base, f"floats {number}")

    def __str__(self) -> str:
        return f"{self.case.name} ({self.variant})"


def others(size: int) -> list[int]:
    """What a size is replaced by."""
    return [each for each in dict.fromkeys((0, 1, size - 1, size + 1, LARGE)) if each >= 0 and each != size]


# -- from cases to probes ----------------------------------------------------------------------------------------------


def probes(case: Case) -> list[Probe]:
    """`all`: every size a symbol. `some`: 0 and 1 stay numbers, which broadcast. `attributes`: their sizes too.

    `even` and `odd`: wide, and every other size is a number, for which kernels have other ways. `held`, `last`,
    `turned`: slices that lie in their axes at all sizes, as an importer makes them, so that none is refused.
    """
    op = case.op()
    kinds = [TensorType(a.shape, scalar_of(a.dtype)) for a in case.arrays]
    names = tuple(operand_names(op, len(kinds)))
    axes = [(n, axis) for n, kind in enumerate(kinds) for axis in range(kind.rank)]
    fixed = {(n, axis) for n, axis in axes if must_be_known(op, kinds, n, axis)}
    found = []
    attrs = dict(op.attrs)
    for variant, least in (("all", 0), ("some", 2)):
        base: Numbers = {}
        types = tuple(
            TensorType(tuple(named(f"{name}{axis}", size, base) if (n, axis) not in fixed and size >= least else size
                             for axis, size in enumerate(kind.shape)), kind.element)
            for n, (name, kind) in enumerate(zip(names, kinds, strict=True))
        )  # fmt: skip
        if variant == "all" or any(size < 2 for kind in kinds for size in kind.shape):
            found.append(Probe(case, variant, types, names, attrs, base))
    if not op.spec.has(ELEMENTWISE) and len(found[0].base) > 1:
        wide = found[0].widened()
        halves = {variant: frozenset(list(wide.base)[start::2]) for variant, start in (("even", 1), ("odd", 0))}
        found += [replace(wide.knowing(names), variant=variant) for variant, names in halves.items()]
    if isinstance(op, Slice):
        found += [replace(found[0], variant=variant, attrs=held(op, found[0].types[0], variant)) for variant in LIMITS]
    sized = dims_in_attributes(type(op)) & attrs.keys()
    if sized:
        base = dict(found[0].base)
        changed = {key: in_symbols(key, value, base) if key in sized else value for key, value in attrs.items()}
        more = [name for name in base if name not in found[0].base]
        types = (*found[0].types, *(TensorType((sym(name),), UI8) for name in more))
        found.append(Probe(case, "attributes", types, (*names, *more), changed, base))
    return found


LIMITS = {"held": None, "last": (-2, 1 << 40, 1), "turned": (-2, -(1 << 40), -2)}  # start, end, step; None: the case's


def held(op: Slice, kind: TensorType, variant: str) -> Mapping[str, Any]:
    """What the importer makes of a slice of axes whose sizes are symbols."""
    own = zip(op.starts, op.sizes, op.steps or (1,) * len(op.starts), strict=True)
    limits = [LIMITS[variant] or (start, start + size * step, step) for start, size, step in own]
    parts = [cut(dim, *each) for dim, each in zip(kind.shape, limits, strict=True)]
    return {
        "starts": tuple(part.start for part in parts), "sizes": tuple(part.size for part in parts),
        "steps": tuple(part.step for part in parts),
    }  # fmt: skip


def named(name: str, size: int, base: Numbers) -> Expr:
    base[name] = size
    return sym(name)


def in_symbols(key: str, value: object, base: Numbers) -> object:
    """Each number of an attribute as a symbol less OFFSET."""
    if isinstance(value, tuple):
        return tuple(in_symbols(f"{key}{n}", each, base) for n, each in enumerate(value))
    number = as_expr(value)  # type: ignore[arg-type]  # a size of a case: an int
    return named(f"{key}_", number.value + OFFSET, base) - OFFSET


def dims_in_attributes(kind: type[Op]) -> set[str]:
    """The attributes that are declared to hold sizes."""
    return {
        name for base in kind.__mro__ for name, text in get_annotations(base).items()
        if text in DIMS_IN_ATTRIBUTES
    }  # fmt: skip


def operand_names(op: Op, count: int) -> list[str]:
    names = [each.name for each in op.spec.operands]
    return names if len(names) == count else [*names, *(f"{names[-1]}_{n}" for n in range(count))][:count]


def must_be_known(op: Op, kinds: Sequence[TensorType], number: int, axis: int) -> bool:
    """Whether the declaration refuses a symbol at this axis."""
    shape: list[Dim] = list(kinds[number].shape)
    shape[axis] = sym("open")
    changed = [TensorType(tuple(shape), k.element) if n == number else k for n, k in enumerate(kinds)]
    try:
        return bool(list(type(op)(*Block(changed).args, **op.attrs).check()))
    except (DlcError, TypeError, ValueError):
        return True
