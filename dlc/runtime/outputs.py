"""Arrays for the outputs: fresh and aligned, or the caller's own after a check."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.runtime.binding import Binder, Bound, Shape
from dlc.runtime.spec import TensorSpec, shape_text

LINE = 64


def address_of(array: np.ndarray) -> int:
    """Where an array's elements lie. `ctypes.data` says it too, in three times the time, which small models notice."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  # arrays are buffers
    except (TypeError, ValueError, BufferError):  # no elements, not writeable, or of a type that buffers do not have
        return int(array.ctypes.data)


def fresh_array(name: str, shape: Shape, dtype: np.dtype, size: int) -> tuple[np.ndarray, int]:
    """An uninitialized C-ordered array that starts at a cache line, and its address; none if data decides its size."""
    if size < 0:
        return np.empty(0, dtype), 0
    try:
        raw = np.empty(size + LINE, np.uint8)
        address = address_of(raw)
        padding = -address % LINE
        return np.ndarray(shape, dtype, raw, padding), address + padding
    except (MemoryError, OverflowError, ValueError) as error:  # ValueError: more than NumPy can say, even if empty
        raise UserError(f"there is no memory for output {name!r} of shape {shape_text(shape)}, {size} bytes") from error


def check_targets(
    specs: Sequence[TensorSpec], derived: Sequence[bool], bound: Bound, out: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """The caller's arrays where given, fresh ones elsewhere."""
    if not isinstance(out, Mapping):
        raise UserError(f"out takes a mapping of output names to arrays, got {type(out).__name__}")
    names = {spec.name for spec in specs}
    if unknown := [name for name in out if name not in names]:
        listed = ", ".join(repr(spec.name) for spec in specs)
        raise UserError(f"the model has no output {unknown[0]!r}, its outputs are: {listed}")
    results = []
    for spec, open_size, row in zip(specs, derived, bound.outputs, strict=True):
        if spec.name not in out:
            results.append(fresh_array(*row)[0])
            continue
        if open_size:
            raise UserError(f"output {spec.name!r} cannot go to a given array: its size depends on the data")
        results.append(checked_target(*row[:3], out[spec.name]))
    refuse_overlap([spec.name for spec in specs], results)
    return results


def checked_target(name: str, shape: Shape, dtype: np.dtype, array: object) -> np.ndarray:
    """An array that compiled code can write the output to."""
    if not isinstance(array, np.ndarray):
        raise UserError(f"the array for output {name!r} must be a numpy array, got {type(array).__name__}")
    if array.dtype != dtype:
        raise UserError(f"the array for output {name!r} must have type {dtype}, got {array.dtype}")
    if array.shape != shape:
        raise UserError(
            f"the array for output {name!r} must have shape {shape_text(shape)}, got {shape_text(array.shape)}"
        )
    if not array.flags.carray:
        raise UserError(f"the array for output {name!r} must be C-contiguous, aligned and writeable")
    return array


def refuse_overlap(names: Sequence[str], arrays: Sequence[np.ndarray]) -> None:
    """Two outputs in the same memory would overwrite each other."""
    for second in range(len(arrays)):
        for first in range(second):
            if np.may_share_memory(arrays[first], arrays[second]):
                raise UserError(f"the arrays for outputs {names[first]!r} and {names[second]!r} overlap")


def separate_inputs(
    inputs: list[np.ndarray], outputs: Sequence[np.ndarray], buffers: ctypes.Array[ctypes.c_void_p]
) -> None:
    """Copy an input that an output would overwrite while it is still read."""
    for index, array in enumerate(inputs):
        if any(np.may_share_memory(array, output) for output in outputs):
            inputs[index] = array.copy(order="C")
            buffers[index] = inputs[index].ctypes.data


class Allocator:
    """Gives a run memory for the outputs whose sizes it finds, where nothing bounds them."""

    def __init__(self) -> None:
        self.given: dict[int, np.ndarray] = {}
        given = self.given  # the callback holds no reference to this, which would be a circle

        def allocate(user: int | None, result: int, size: int) -> int | None:
            try:
                raw = np.empty(size + LINE, np.uint8)
            except (MemoryError, ValueError):
                return None
            given[result] = raw[-address_of(raw) % LINE :][:size]
            return address_of(given[result])

        self.callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(allocate)


def real_outputs(
    binder: Binder, sizes: Sequence[int], results: list[np.ndarray], given: dict[int, np.ndarray]
) -> list[np.ndarray]:
    """Cut outputs whose size the run found out: the code wrote them densely, in their real shape.

    Those in `given` lie in memory that the run has asked for.
    """
    for index, (derived, shape) in enumerate(zip(binder.is_derived, binder.shapes(sizes), strict=True)):
        if not derived:
            continue
        if (raw := given.pop(index, None)) is not None:
            results[index] = np.ndarray(shape, results[index].dtype, raw)
            continue
        count = math.prod(shape)
        if count > results[index].size:
            raise InternalError(f"output {binder.metadata.outputs[index].name!r} outgrew its bound: {shape}")
        results[index] = results[index].reshape(-1)[:count].reshape(shape).copy()
    return results
