"""The meaning of ops that make and move elements."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.ir.core import Op
from dlc.ir.dialects import graph_shape as ops
from dlc.ir.eval.frame import Array, Frame, Meaning, Run, SymbolicMeaning, Symbols, finished
from dlc.ir.eval.resize import resize


def run_constant(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, ops.Constant):
        raise InternalError("expected graph.constant", op=op)
    return finished(frame, op, frame.pool.get(op.value))


def dims(op: ops.Dims, symbols: Symbols) -> Array:
    numbers = np.array(symbols.shape(op.values), np.int64)
    return numbers.reshape(()) if op.scalar else numbers


def iota(op: ops.Iota, symbols: Symbols) -> Array:
    shape = symbols.shape(op.shape)
    line = np.arange(shape[op.axis]).reshape([-1 if n == op.axis else 1 for n in range(len(shape))])
    return np.broadcast_to(line, shape)


def reshape(op: ops.Reshape, symbols: Symbols, x: Array) -> Array:
    return x.reshape(symbols.shape(op.shape))


def transpose(op: ops.Transpose, x: Array) -> Array:
    return x.transpose(op.perm)


def broadcast(op: ops.Broadcast, symbols: Symbols, x: Array) -> Array:
    return np.broadcast_to(x, symbols.shape(op.shape))


def concat(op: ops.Concat, *parts: Array) -> Array:
    return np.concatenate(parts, op.axis)


def slice_of(op: ops.Slice, symbols: Symbols, x: Array) -> Array:
    starts, sizes = symbols.shape(op.starts), symbols.shape(op.sizes)
    steps = op.steps or (1,) * x.ndim
    return x[tuple(map(stepped, starts, sizes, steps))]


def stepped(start: int, size: int, step: int) -> slice:
    """`size` elements from `start` on."""
    if size == 0:
        return slice(0, 0)
    stop = start + size * step
    return slice(start, None if stop < 0 else stop, step)


def dynamic_slice(op: ops.DynamicSlice, symbols: Symbols, x: Array, starts: Array) -> Array:
    sizes = symbols.shape(op.sizes)
    held = [min(max(int(start), 0), dim - size) for start, size, dim in zip(starts, sizes, x.shape, strict=True)]
    return x[tuple(slice(start, start + size) for start, size in zip(held, sizes, strict=True))]


def pad(op: ops.Pad, symbols: Symbols, x: Array) -> Array:
    widths = list(zip(symbols.shape(op.before), symbols.shape(op.after), strict=True))
    if op.mode == "constant":
        return np.pad(x, widths, constant_values=op.value or 0)
    if op.mode == "edge":
        return np.pad(x, widths, mode="edge")
    return np.pad(x, widths, mode="reflect") if op.mode == "reflect" else np.pad(x, widths, mode="wrap")


def tile(op: ops.Tile, symbols: Symbols, x: Array) -> Array:
    return np.tile(x, symbols.shape(op.repeats))


def trilu(op: ops.Trilu, x: Array) -> Array:
    return np.triu(x, op.k) if op.upper else np.tril(x, op.k)


def reverse_sequence(op: ops.ReverseSequence, x: Array, lengths: Array) -> Array:
    batches = np.moveaxis(x, (op.batch_axis, op.time_axis), (0, 1)).copy()
    steps = x.shape[op.time_axis]
    if x.size and any(not 0 <= length <= steps for length in lengths):
        raise UserError(f"reverse_sequence '{op.loc}': a length is out of range for {steps} steps")
    for batch, length in zip(batches, lengths, strict=True):
        batch[:length] = batch[:length][::-1].copy()
    return np.moveaxis(batches, (0, 1), (op.batch_axis, op.time_axis))


def one_hot(op: ops.OneHot, symbols: Symbols, indices: Array, values: Array) -> Array:
    depth = symbols.value(op.depth)
    wanted = indices.astype(np.int64)
    wanted = np.expand_dims(np.where(wanted < 0, wanted + depth, wanted), op.axis)
    places = np.arange(depth).reshape([-1 if n == op.axis else 1 for n in range(wanted.ndim)])
    return np.where(wanted == places, values[1], values[0])


def relayout(op: ops.Relayout, x: Array) -> Array:
    return x


def resized(op: ops.Resize, symbols: Symbols, x: Array) -> Array:
    return resize(op, symbols.shape(op.sizes), x)


MEANINGS: dict[type[Op], Meaning] = {
    ops.Transpose: transpose, ops.Concat: concat, ops.Trilu: trilu, ops.ReverseSequence: reverse_sequence,
    ops.Relayout: relayout,
}  # fmt: skip

SYMBOLIC_MEANINGS: dict[type[Op], SymbolicMeaning] = {
    ops.Dims: dims, ops.Iota: iota, ops.Reshape: reshape, ops.Broadcast: broadcast, ops.Slice: slice_of,
    ops.DynamicSlice: dynamic_slice, ops.Pad: pad, ops.Tile: tile, ops.OneHot: one_hot, ops.Resize: resized,
}  # fmt: skip

RUNS: dict[type[Op], Run] = {ops.Constant: run_constant}
