"""Scalar functions that a kernel calls again: the ops of the first call are copied, not elaborated anew.

Winograd's transforms are two functions, called for each row and each column of a tile. What a call of a function emits
depends on its definition, on the types of the scalars it is given and on all else that it is given; so two calls that
differ in the scalars alone come to the same ops on other operands.
"""

from __future__ import annotations

from dlc.ir.core import Attribute, Op, Value
from dlc.ir.types import Type
from dlc.passes.lower.scalars import Emitter, Scalar
from dlc.record import record


@record
class Step:
    """An op of a call; the operands by their numbers: first the call's scalars, then the results of its ops."""

    kind: type[Op]
    attrs: dict[str, Attribute]
    operands: tuple[int, ...]
    results: tuple[Type, ...]


@record
class Recording:
    """What a call emitted, and what it gave: a number, a list of such, or a value known at compile time."""

    steps: tuple[Step, ...]
    given: object

    def repeat(self, emit: Emitter, scalars: list[Value]) -> object:
        """The same for other scalars."""
        values = list(scalars)
        for step in self.steps:
            operands = [values[n] for n in step.operands]
            op = step.kind.unchecked(operands, step.attrs, step.results, loc=emit.loc)
            values += emit.block.append(op).results
        return _in_place(self.given, values)


@record
class _Place:
    number: int


def call_key(name: str, arguments: list[object], attributes: dict[str, object], scalars: list[Value]) -> object:
    """Equal for calls that differ in their scalars alone, which are added to `scalars`; None where that is open."""
    try:
        numbers: dict[Value, int] = {}
        key = (name, _key(arguments, numbers), tuple((n, _key(v, numbers)) for n, v in sorted(attributes.items())))
    except _UnlikeOthers:
        return None
    scalars += numbers
    return key


def recording(ops: list[Op], given: object, scalars: list[Value]) -> Recording | None:
    """What a call that emitted `ops` did, if it was arithmetic on its scalars."""
    numbers = {value: n for n, value in enumerate(scalars)}
    steps = []
    try:
        for op in ops:
            if op.regions or not op.name.startswith("arith."):
                return None
            places = tuple([numbers[v] for v in op.operands])
            steps.append(Step(type(op), op.attrs, places, tuple([v.type for v in op.results])))
            for value in op.results:
                numbers[value] = len(numbers)
        return Recording(tuple(steps), _out_of_place(given, numbers))
    except KeyError:  # a value from outside of the call
        return None


class _UnlikeOthers(Exception):
    """An argument that is no scalar, number or word: what the call emits may depend on all there is."""


def _key(value: object, numbers: dict[Value, int]) -> object:
    if isinstance(value, Scalar):
        return value.value.type, numbers.setdefault(value.value, len(numbers))
    if isinstance(value, list):
        return tuple([_key(v, numbers) for v in value])
    if value is None or isinstance(value, bool | int | float | str):
        return type(value), repr(value)
    raise _UnlikeOthers


def _out_of_place(value: object, numbers: dict[Value, int]) -> object:
    if isinstance(value, Scalar):
        return _Place(numbers[value.value])
    return [_out_of_place(v, numbers) for v in value] if isinstance(value, list) else value


def _in_place(value: object, values: list[Value]) -> object:
    if isinstance(value, _Place):
        return Scalar(values[value.number])
    return [_in_place(v, values) for v in value] if isinstance(value, list) else value
