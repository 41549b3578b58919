"""Scratch memory of the kernel language: variables (one number) and arrays."""

from __future__ import annotations

from dlc.errors import UserError
from dlc.ir.core import Value
from dlc.ir.dialects import buf
from dlc.ir.expr import Expr, as_expr, const
from dlc.ir.types import BufferType, ScalarType
from dlc.passes.lower import builtins
from dlc.passes.lower.scalars import Emitter, Scalar, UnknownSize
from dlc.record import record

ROOM = 64  # the innermost axis of an array is rounded up to this: vectors may run over its end


@record(frozen=False)
class Variable:
    """A mutable number: one element of scratch memory."""

    buffer: Value
    type: ScalarType


@record
class Array:
    """Scratch memory of a size known at compile time."""

    buffer: Value
    shape: tuple[int, ...]
    type: ScalarType


def make_variable(emit: Emitter, arguments: list[object]) -> Variable:
    """``var(value)`` or ``var(value, type)``."""
    kind = builtins.as_type(arguments[1]) if len(arguments) > 1 else None
    first = emit.scalar(arguments[0], kind)
    buffer = emit.add(buf.Scratch(type=BufferType((1,), first.type, "scratch"))).result
    variable = Variable(buffer, first.type)
    set_variable(emit, variable, first)
    return variable


def set_variable(emit: Emitter, variable: Variable, value: object) -> None:
    emit.add(buf.Store(emit.scalar(value, variable.type).value, variable.buffer, at=(const(0),)))


def variable_value(emit: Emitter, variable: Variable) -> Scalar:
    return Scalar(emit.add(buf.Load(variable.buffer, at=(const(0),))).result)


def make_array(emit: Emitter, arguments: list[object]) -> Array:
    """``array(type, size)`` or ``array(type, [sizes])``."""
    kind = builtins.as_type(arguments[0])
    shape = arguments[1] if isinstance(arguments[1], list) else [arguments[1]]
    sizes = tuple(_known_size(n) for n in shape)
    room = (*sizes[:-1], -(-sizes[-1] // ROOM) * ROOM) if sizes else ()
    return Array(emit.add(buf.Scratch(type=BufferType(room, kind, "scratch"))).result, sizes, kind)


def _known_size(size: object) -> int:
    if isinstance(size, int | Expr) and as_expr(size).is_const:
        return as_expr(size).value
    message = "an array needs a size that is known at compile time"
    raise UnknownSize(message, size) if isinstance(size, Expr) else UserError(message)


def store_element(emit: Emitter, array: Array, index: list[Expr], value: object) -> None:
    scalar = emit.scalar(value, array.type)
    if scalar.type != array.type:
        raise UserError(f"an array of {array.type} got a {scalar.type}")
    operands, at = emit.localized(_checked(array, index))
    emit.add(buf.Store(scalar.value, array.buffer, *operands, at=at))


def load_element(emit: Emitter, array: Array, index: list[Expr]) -> Scalar:
    operands, at = emit.localized(_checked(array, index))
    return Scalar(emit.add(buf.Load(array.buffer, *operands, at=at)).result)


def _checked(array: Array, index: list[Expr]) -> tuple[Expr, ...]:
    if len(index) != len(array.shape):
        raise UserError(f"an array of {len(array.shape)} axes got {len(index)} indices")
    return tuple(index)
