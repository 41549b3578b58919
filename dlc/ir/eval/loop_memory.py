"""The meaning of memory accesses. One outside its buffer raises; memory that was never written holds NaN or junk."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlc.errors import InternalError
from dlc.ir.core import Op
from dlc.ir.dialects import buf, vec
from dlc.ir.eval.frame import Array, Frame, Run
from dlc.ir.eval.loop_exprs import number
from dlc.ir.types import INDEX, BufferType

JUNK = 0xA5  # a byte of memory that nothing has written


def fresh(shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """Undefined memory: floats are NaN, integers look like nothing sensible."""
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    if dtype.kind in "iu":
        return np.full(int(np.prod(shape)) * dtype.itemsize, JUNK, np.uint8).view(dtype).reshape(shape)
    return np.full(shape, np.nan, dtype)


def memory(content: object, op: Op) -> Array:
    if not isinstance(content, np.ndarray):
        raise InternalError(f"{op.name} needs a buffer, got {type(content).__name__}", op=op)
    return content


def place(frame: Frame, op: Op, array: Array, indices: Sequence[object], shift: Sequence[int] = ()) -> tuple[int, ...]:
    """The index of the accessed element. Raises InternalError if it lies outside the buffer."""
    at = op.attrs["at"]
    if not isinstance(at, tuple) or len(at) != array.ndim:
        raise InternalError(f"{op.name} has the wrong number of indices for a buffer of rank {array.ndim}", op=op)
    found = tuple(number(frame, op, expr, indices) for expr in at)  # type: ignore[arg-type]  # indices are ints
    if shift:
        found = tuple(i + s for i, s in zip(found, shift, strict=True))
    if any(not 0 <= i < extent for i, extent in zip(found, array.shape, strict=True)):
        raise InternalError(f"{op.name} at {list(found)} is outside its buffer of shape {list(array.shape)}", op=op)
    return found


def element(content: object, buffer: Array, op: Op) -> object:
    return int(content) if op.results[0].type == INDEX else content  # type: ignore[call-overload]  # a number


def writable(op: Op, array: Array) -> Array:
    kind = op.operands[1].type
    if isinstance(kind, BufferType) and kind.space == "const":
        raise InternalError(f"{op.name} writes to a constant", op=op)
    return array


def run_load(frame: Frame, op: Op, args: list[object]) -> list[object]:
    array = memory(args[0], op)
    return [element(array[place(frame, op, array, args[1:])], array, op)]


def run_store(frame: Frame, op: Op, args: list[object]) -> list[object]:
    array = writable(op, memory(args[1], op))
    array[place(frame, op, array, args[2:])] = args[0]
    return []


def run_scratch(frame: Frame, op: Op, args: list[object]) -> list[object]:
    kind = op.results[0].type
    if not isinstance(kind, BufferType):
        raise InternalError(f"{op.name} makes a {kind}", op=op)
    return [fresh(frame.symbols.shape(kind.shape), kind.element.dtype)]


# -- lanes -------------------------------------------------------------------------------------------------------------


def valid_lanes(frame: Frame, op: Op, lanes: int, indices: Sequence[object]) -> int:
    """How many lanes take part in an access."""
    valid = op.attrs.get("valid")
    if valid is None:
        return lanes
    return max(0, min(lanes, number(frame, op, valid, indices)))  # type: ignore[arg-type]  # indices are ints


def lane_steps(op: Op, rank: int) -> tuple[int, ...]:
    """How far neighbouring lanes are apart, per axis."""
    step = op.attrs.get("step", ())
    return step if isinstance(step, tuple) and step else (*(0,) * (rank - 1), 1)


def lane_places(frame: Frame, op: Op, array: Array, lanes: int, indices: Sequence[object]) -> list[tuple[int, ...]]:
    steps = lane_steps(op, array.ndim)
    if not op.attrs.get("step") and is_rows(frame, op, array, lanes, indices):
        width = array.shape[-1]
        rest = (0,) * (array.ndim - 2)
        return [place(frame, op, array, indices, [*rest, lane // width, lane % width]) for lane in range(lanes)]
    return [
        place(frame, op, array, indices, [step * lane for step in steps])
        for lane in range(valid_lanes(frame, op, lanes, indices))
    ]


def is_rows(frame: Frame, op: Op, array: Array, lanes: int, indices: Sequence[object]) -> bool:
    """Whether an access takes whole rows of the last axis, one after the other."""
    if (
        array.ndim < 2
        or op.attrs.get("valid") is not None
        or lanes <= array.shape[-1]
        or lanes % max(1, array.shape[-1])
    ):
        return False
    return place(frame, op, array, indices)[-1] == 0


def run_vector_load(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, vec.Load):
        raise InternalError(f"{op.name} is no vector load", op=op)
    array = memory(args[0], op)
    result = np.zeros(op.lanes, array.dtype)
    for lane, where in enumerate(lane_places(frame, op, array, op.lanes, args[1:])):
        result[lane] = array[where]
    return [result]


def run_vector_store(frame: Frame, op: Op, args: list[object]) -> list[object]:
    vector, array = memory(args[0], op), writable(op, memory(args[1], op))
    for lane, where in enumerate(lane_places(frame, op, array, len(vector), args[2:])):
        array[where] = vector[lane]
    return []


def run_gather(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, vec.Gather):
        raise InternalError(f"{op.name} is no gather", op=op)
    array = memory(args[0], op)
    result = np.zeros(op.lanes, array.dtype)
    first = [of_lane(content, 0) for content in args[1:]]
    for lane in range(valid_lanes(frame, op, op.lanes, first)):
        result[lane] = array[place(frame, op, array, [of_lane(content, lane) for content in args[1:]])]
    return [result]


def of_lane(content: object, lane: int) -> int:
    """An index that may differ by lane."""
    return int(content[lane]) if isinstance(content, np.ndarray) else int(content)  # type: ignore[call-overload]


RUNS: dict[type[Op], Run] = {
    buf.Load: run_load,
    buf.Store: run_store,
    buf.Scratch: run_scratch,
    vec.Load: run_vector_load,
    vec.Store: run_vector_store,
    vec.Prefetch: lambda frame, op, args: [],
    vec.Gather: run_gather,
}
