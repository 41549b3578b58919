"""The shapes of a model's inputs: what the model declares, what the caller asks for, and names for the rest.

Two inputs that name the same dimension have the same symbol; a size given for one of them holds for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Container, Mapping, Sequence
from operator import index
from typing import SupportsIndex, TypeAlias

from dlc.errors import UserError
from dlc.frontends.records import DeclaredDim, ValueRecord
from dlc.ir.dim_names import name_of, readable, symbol_of
from dlc.ir.expr import Dim, Expr, as_dim, sym
from dlc.ir.expr_cases import never_negative

InputShapes: TypeAlias = Mapping[str, Sequence[int | str | None]]
Shape: TypeAlias = tuple[Dim, ...]

def input_shapes(inputs: Sequence[ValueRecord], overrides: InputShapes | None = None) -> dict[str, Shape]:
    """The shape of each tensor input. Raises UserError for overrides that do not fit the model."""
    wanted = dict(overrides or {})
    unknown = [name for name in wanted if name not in {each.name for each in inputs}]
    if unknown:
        names = ", ".join(f"'{each.name}'" for each in inputs)
        raise UserError(f"input_shapes names '{unknown[0]}', which is no input of the model; its inputs are {names}")
    taken = {dim for each in inputs for dim in each.type.shape or () if isinstance(dim, str)}
    declared = {each.name: declared_shape(each, wanted.get(each.name), taken) for each in inputs}
    bindings = Bindings()
    for name, shape in wanted.items():
        bindings.add(name, declared[name], shape)
    return {name: bindings.applied(name, shape) for name, shape in declared.items()}


def declared_shape(
    value: ValueRecord, override: Sequence[int | str | None] | None, taken: Container[str] = ()
) -> Shape:  # fmt: skip
    """What the model says of an input, with names that are not `taken` for dimensions that have none."""
    shape = value.type.shape
    if shape is None:
        if override is None:
            raise UserError(
                f"the model does not say how many dimensions its input '{value.name}' has",
                hint=f"give input_shapes={{'{value.name}': (...)}}",
            )
        shape = (None,) * len(override)
    return tuple(_declared_dim(value.name, axis, dim, taken) for axis, dim in enumerate(shape))


def _declared_dim(name: str, axis: int, dim: DeclaredDim, taken: Container[str]) -> Dim:
    if isinstance(dim, int):
        return dim
    return sym(symbol_of(dim if dim is not None else unique_name(f"{name}_dim_{axis}", taken)))


def unique_name(text: str, taken: Container[str]) -> str:
    """`text`, with a number behind it if the model uses that as a name already."""
    names = (f"{text}_{number}" for number in itertools.count(2))
    return text if text not in taken else next(name for name in names if name not in taken)


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
        (symbol,) = dim.symbols()
        known = self.values.get(symbol, given)
        if known != given:
            raise UserError(
                f"input_shapes gives '{name_of(symbol)}' as {readable(given)} in '{name}' and as {readable(known)} in "
                f"'{self.origin[symbol]}'"
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
        return sym(symbol_of(given))
    if isinstance(given, SupportsIndex) and not isinstance(given, bool) and index(given) >= 0:  # NumPy's integers too
        return index(given)
    raise UserError(f"input_shapes gives dimension {axis} of '{name}' as {given!r}, expected a size >= 0 or a name")


# -- what is known about symbols: they count elements ------------------------------------------------------------------


def at_least(expr: Expr, low: int) -> bool:
    """Whether `expr` is known to be `low` or more, every symbol being a size (0 or more)."""
    return never_negative(expr - low)
