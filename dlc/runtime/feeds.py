"""Turn what the caller feeds into arrays that compiled code can read: right type, C order, aligned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dlc.errors import UserError
from dlc.runtime.spec import TensorSpec, shape_text

# What the code behind `__array__` and `__dlpack__` has been seen to raise: anything that says that it cannot.
REFUSALS = (
    ArithmeticError, AttributeError, BufferError, LookupError, MemoryError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip


def ordered_feeds(specs: Sequence[TensorSpec], feeds: Mapping[str, object]) -> list[object]:
    """The fed values in the model's order; a missing or unknown name is the user's mistake."""
    if not isinstance(feeds, Mapping):
        raise UserError(f"run takes a mapping of input names to arrays, got {type(feeds).__name__}")
    expected = ", ".join(repr(spec.name) for spec in specs) or "none"
    known = {spec.name for spec in specs}
    if unknown := [name for name in feeds if name not in known]:
        raise UserError(f"the model has no input {unknown[0]!r}, its inputs are: {expected}")
    if missing := [spec.name for spec in specs if spec.name not in feeds]:
        names = ", ".join(repr(name) for name in missing)
        raise UserError(f"no value is given for input {names}, the model's inputs are: {expected}")
    return [feeds[spec.name] for spec in specs]


def readable_array(spec: TensorSpec, value: object) -> np.ndarray:
    """The value as a C-ordered aligned array of the input's type; copied only where it is not one already."""
    array = as_array(spec, value)
    if array.dtype != spec.dtype:
        # The same type in the other byte order is the same numbers; anything else would be a silent conversion.
        if array.dtype.newbyteorder("=") != spec.dtype:
            raise UserError(f"input {spec.name!r} must have type {spec.dtype}, got {array.dtype}")
        array = copied(spec, array)
    elif not (array.flags.c_contiguous and array.flags.aligned):
        array = copied(spec, array)
    return array


def copied(spec: TensorSpec, array: np.ndarray) -> np.ndarray:
    """A C-ordered copy in the input's type; what is broadcast may be far larger than its memory."""
    try:
        # Not ascontiguousarray, which gives a scalar one dimension and leaves a misaligned array where it is.
        return array.astype(spec.dtype, order="C")
    except (MemoryError, ValueError) as error:
        raise UserError(
            f"there is no memory for a copy of input {spec.name!r} of shape {shape_text(array.shape)}, which is not "
            f"contiguous: {array.size * array.itemsize} bytes"
        ) from error


def as_array(spec: TensorSpec, value: object) -> np.ndarray:
    """Whatever offers its data as an array, without a copy if it can be avoided."""
    if isinstance(value, np.ndarray):
        if type(value) is not np.ndarray and np.ma.is_masked(value):
            raise UserError(
                f"input {spec.name!r} has masked elements, which compiled code knows nothing of", hint="x.filled(0)"
            )
        return np.asarray(value)
    try:
        if hasattr(value, "__array__"):
            return np.asarray(value)
        if hasattr(value, "__dlpack__"):
            return np.from_dlpack(value)
    except REFUSALS as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"input {spec.name!r} cannot be read as an array: {reason}") from error
    raise UserError(f"input {spec.name!r} must be an array of type {spec.dtype}, got {type(value).__name__}")


def refuse_shape(spec: TensorSpec, shape: Sequence[int], reason: str) -> UserError:
    """The error for an input whose shape does not fit."""
    got = shape_text(tuple(shape))
    return UserError(f"input {spec.name!r} must have shape {spec.shape_text}, got {got}: {reason}")
