"""The shapes of a model's inputs: what the model declares, what the caller asks for, and names for the rest.

Two inputs that name the same dimension have the same symbol; a size given for one of them holds for all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import index
from typing import SupportsIndex, TypeAlias

from dlc.errors import UserError
from dlc.frontends.records import DeclaredDim, ValueRecord
from dlc.ir.expr import Dim, Expr, as_dim, sym
from dlc.ir.expr_bounds import bounds

InputShapes: TypeAlias = Mapping[str, Sequence[int | str | None]]
Shape: TypeAlias = tuple[Dim, ...]

RESERVED = re.compile(r"d\d+|min|max")  # names that mean something else inside expressions


def symbol_name(text: str) -> str:
    """`text` as a name that an expression can hold: ``batch-size`` is ``batch_size``."""
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    if not name or not (name[0].isalpha() or name[0] == "_") or RESERVED.fullmatch(name):
        name = f"dim_{name}"
    return name


def input_shapes(inputs: Sequence[ValueRecord], overrides: InputShapes | None = None) -> dict[str, Shape]:
    """The shape of each tensor input. Raises UserError for overrides that do not fit the model."""
    wanted = dict(overrides or {})
    unknown = [name for name in wanted if name not in {each.name for each in inputs}]
    if unknown:
        names = ", ".join(f"'{each.name}'" for each in inputs)
        raise UserError(f"input_shapes names '{unknown[0]}', which is no input of the model; its inputs are {names}")
    declared = {each.name: declared_shape(each, wanted.get(each.name)) for each in inputs}
    bindings = Bindings()
    for name, shape in wanted.items():
        bindings.add(name, declared[name], shape)
    return {name: bindings.applied(name, shape) for name, shape in declared.items()}


def declared_shape(value: ValueRecord, override: Sequence[int | str | None] | None) -> Shape:
    """What the model says of an input, with names for dimensions that have none."""
    shape = value.type.shape
    if shape is None:
        if override is None:
            raise UserError(
                f"the model does not say how many dimensions its input '{value.name}' has",
                hint=f"give input_shapes={{'{value.name}': (...)}}",
            )
        shape = (None,) * len(override)
    return tuple(_declared_dim(value.name, axis, dim) for axis, dim in enumerate(shape))


def _declared_dim(name: str, axis: int, dim: DeclaredDim) -> Dim:
    if isinstance(dim, int):
        return dim
    return sym(symbol_name(dim if dim is not None else f"{name}_dim_{axis}"))


class Bindings:
    """What the overrides say about the symbols of the model, and about dimensions that it fixes.

    A fixed dimension may be given anew (a model exported for a batch of 1 and compiled for 8, or for any): whether the
    model's ops go along with that, their own shapes tell.
    """

    def __init__(self) -> None:
        self.fixed: dict[tuple[str, int], Dim] = {}
        self.values: dict[str, Dim] = {}
        self.origin: dict[str, str] = {}  # which input bound a symbol

    def add(self, name: str, declared: Shape, wanted: Sequence[int | str | None]) -> None:
        if len(wanted) != len(declared):
            raise UserError(
                f"input_shapes gives '{name}' {len(wanted)} dimensions {tuple(wanted)}, but the model declares "
                f"{len(declared)}: {declared}"
            )
        for axis, (dim, given) in enumerate(zip(declared, wanted, strict=True)):
            if given is not None:
                self._bind(name, axis, dim, _wanted_dim(name, axis, given))

    def _bind(self, name: str, axis: int, dim: Dim, given: Dim) -> None:
        if isinstance(dim, int):
            self.fixed[name, axis] = given
            return
        symbol = str(dim)
        known = self.values.get(symbol, given)
        if known != given:
            raise UserError(
                f"input_shapes gives '{symbol}' as {given} in '{name}' and as {known} in '{self.origin[symbol]}'"
            )
        self.values[symbol] = given
        self.origin.setdefault(symbol, name)

    def applied(self, name: str, shape: Shape) -> Shape:
        return tuple(
            self.fixed.get((name, axis), dim) if isinstance(dim, int) else as_dim(dim.substitute(self.values))
            for axis, dim in enumerate(shape)
        )


def _wanted_dim(name: str, axis: int, given: object) -> Dim:
    if isinstance(given, str) and given:
        return int(given) if given.isdecimal() else sym(symbol_name(given))
    if isinstance(given, SupportsIndex) and not isinstance(given, bool) and index(given) >= 0:  # NumPy's integers too
        return index(given)
    raise UserError(f"input_shapes gives dimension {axis} of '{name}' as {given!r}, expected a size >= 0 or a name")


# -- what is known about symbols: they count elements ------------------------------------------------------------------


def at_least(expr: Expr, low: int) -> bool:
    """Whether `expr` is known to be `low` or more, every symbol being a size (0 or more)."""
    found = bounds(expr)[0]
    return found is not None and found >= low


def at_most(expr: Expr, high: int) -> bool:
    return at_least(-expr, -high)
