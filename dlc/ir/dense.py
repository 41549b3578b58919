"""Small constants as text: ``dense<[1, 2]>``, the elements in row-major order; type and shape are the op's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlc.ir.attrs import quoted
from dlc.ir.core import Attribute
from dlc.ir.floats import float_from_bits
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.types import Array, BufferType, ScalarType, TensorType, Type, VectorType

INLINE_ELEMENTS = 16
FLOAT_BITS = {2: "u2", 4: "u4", 8: "u8"}

Form = tuple[ScalarType, tuple[int, ...]]
Number = bool | int | float | str  # bits of floats stay text: their width is the constant's


def dense_form(attrs: Mapping[str, Attribute], result_types: Sequence[Type]) -> Form | None:
    """Element type and shape of an op's constants: those of its attribute ``type``, else of its first result."""
    stated = attrs.get("type", result_types[0] if result_types else None)
    match stated:
        case ScalarType():
            return stated, ()
        case VectorType():
            return stated.element, (stated.lanes,)
        case TensorType() | BufferType():
            shape = tuple(dim for dim in stated.shape if isinstance(dim, int))
            element = stated.scalar if isinstance(stated, TensorType) else stated.element
            return (element, shape) if len(shape) == len(stated.shape) else None
    return None


def dense_text(ref: DenseRef, pool: ConstantPool, form: Form | None) -> str:
    """The contents in place where they are few, known and of the stated form; else the key."""
    if form is None or ref not in pool or not 0 <= np.prod(form[1], dtype=object) <= INLINE_ELEMENTS:
        return str(ref)
    array = pool.get(ref)
    if array.dtype != form[0].dtype or array.shape != form[1]:
        return str(ref)
    texts = [_element_text(array.reshape(-1)[n : n + 1]) for n in range(array.size)]
    return str(ref) if None in texts else f"dense<[{', '.join(map(str, texts))}]>"


def _element_text(one: Array) -> str | None:
    value = one[0]
    if one.dtype == object:
        return quoted(value) if isinstance(value, str) else None
    if one.dtype.kind == "b":
        return "true" if value else "false"
    if one.dtype.kind in "iu":
        return str(value)
    if not np.isfinite(value.astype(np.float64)):
        return f"0x{one.view(FLOAT_BITS[one.itemsize])[0]:0{one.itemsize * 2}x}"
    for text in (str(value), repr(float(value))):  # the first is shorter; it may lose a bit on its way through f64
        text = text if set(text) & set(".e") else f"{text}.0"
        if np.array([float(text)]).astype(one.dtype).tobytes() == one.tobytes():
            return text
    return None


def dense_array(values: Sequence[Number], form: Form) -> Array:
    """The array that `dense_text` printed. Raises ValueError where the elements do not fit the form."""
    scalar, shape = form
    wanted = int(np.prod(shape, dtype=np.int64))
    if len(values) != wanted:
        raise ValueError(f"expected {wanted} elements, got {len(values)}")
    array = np.empty(len(values), scalar.dtype)
    for n, value in enumerate(values):
        array[n : n + 1] = _element(value, scalar)
    return array.reshape(shape)


def _element(value: Number, scalar: ScalarType) -> Array:
    """An array of one element."""
    dtype = scalar.dtype
    if isinstance(value, Bits):
        if scalar.is_float:
            return value.array(dtype)
    elif scalar.is_float and type(value) in (int, float):
        with np.errstate(over="ignore"):
            one = np.array([float(value)]).astype(dtype)
        if np.isfinite(one.astype(np.float64)).all():
            return one
    elif scalar.is_integer and type(value) is int:
        limits = np.iinfo(dtype)
        if limits.min <= value <= limits.max:
            return np.array([value], dtype)
    elif type(value) is {"b": bool, "O": str}.get(dtype.kind):
        return np.array([value], dtype)
    raise ValueError(f"{value!r} is no {scalar}")


class Bits(str):
    """The bits of a float as written: ``0x7fc00000``."""

    __slots__ = ()

    def array(self, dtype: np.dtype) -> Array:
        if len(self) != 2 + 2 * dtype.itemsize:
            return np.array([float_from_bits(self)]).astype(dtype)
        return np.array([int(self, 16)], FLOAT_BITS[dtype.itemsize]).view(dtype)
