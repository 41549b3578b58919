"""The meaning of ops that select by index, sort or count."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np

from dlc.errors import InternalError, UserError
from dlc.ir.core import Op
from dlc.ir.dialects import graph_index as ops
from dlc.ir.eval.frame import Array, Frame, Meaning, Run, SymbolicMeaning, Symbols

Index = tuple[Array, ...]


def wrapped(indices: Array, size: int) -> Array:
    """Indices with negative ones counted from the end. Raises UserError for one that is out of range."""
    wide = indices.astype(np.int64)
    found = np.where(wide < 0, wide + size, wide)
    if (outside := (found < 0) | (found >= size)).any():
        raise UserError(f"index {wide[outside][0]} is out of range for an axis of size {size}")
    return found


def gather(op: ops.Gather, x: Array, indices: Array) -> Array:
    return np.take(x, wrapped(indices, x.shape[op.axis]), op.axis)


def element_places(x: Array, indices: Array, axis: int) -> Index:
    """For each element of `indices` the place in x: its own, but for the index along `axis`."""
    places: list[Array] = list(np.indices(indices.shape, sparse=True))
    places[axis] = wrapped(indices, x.shape[axis])
    return tuple(places)


def gather_elements(op: ops.GatherElements, x: Array, indices: Array) -> Array:
    return x[element_places(x, indices, op.axis)]


def vector_places(x: Array, indices: Array, batch_dims: int = 0) -> Index:
    """The index vectors along the last axis of `indices`, one array per axis of x, after the batch axes."""
    outer = indices.shape[:-1]
    batch = np.indices(outer, sparse=True)[:batch_dims]
    depth = indices.shape[-1]
    return (*batch, *(wrapped(indices[..., n], x.shape[batch_dims + n]) for n in range(depth)))


def gather_nd(op: ops.GatherNd, x: Array, indices: Array) -> Array:
    return x[vector_places(x, indices, op.batch_dims)]


def scattered(x: Array, places: Index, updates: Array, reduction: str) -> Array:
    result = x.copy()
    if reduction == "none":
        result[places] = updates
        return result
    combine = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[reduction]
    combine.at(result, places, updates)
    return result


def scatter_elements(op: ops.ScatterElements, x: Array, indices: Array, updates: Array) -> Array:
    return scattered(x, element_places(x, indices, op.axis), updates, op.reduction)


def scatter_nd(op: ops.ScatterNd, x: Array, indices: Array, updates: Array) -> Array:
    return scattered(x, vector_places(x, indices), updates, op.reduction)


def cum_sum(op: ops.CumSum, x: Array) -> Array:
    lines = np.moveaxis(x, op.axis, -1)
    if op.reverse:
        lines = lines[..., ::-1]
    sums = np.cumsum(lines, -1, dtype=np.float64 if x.dtype.kind == "f" else x.dtype)
    if op.exclusive:
        sums = np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], -1)
    return np.moveaxis(sums[..., ::-1] if op.reverse else sums, -1, op.axis)


def top_k(op: ops.TopK, symbols: Symbols, x: Array) -> tuple[Array, Array]:
    count = x.shape[op.axis]
    if op.largest:  # a stable ascending sort of the reversed line, read backwards, keeps lower indices first
        order = np.flip(count - 1 - np.argsort(np.flip(x, op.axis), op.axis, kind="stable"), op.axis)
    else:
        order = np.argsort(x, op.axis, kind="stable")
    order = np.take(order, np.arange(symbols.value(op.k)), op.axis)
    return np.take_along_axis(x, order, op.axis), order


def nonzero(op: ops.NonZero, x: Array) -> Array:
    if x.ndim == 0:
        return np.zeros((0, int(bool(x))), np.int64)
    return np.array(np.nonzero(x), np.int64)


def compress(op: ops.Compress, x: Array, condition: Array) -> Array:
    size = x.size if op.axis is None else x.shape[op.axis]
    return np.compress(condition[:size], x, op.axis)


def unique(op: ops.Unique, x: Array) -> tuple[Array, Array, Array, Array]:
    values, first, inverse, counts = np.unique(x, True, True, True, axis=op.axis)
    inverse = inverse.reshape(-1)
    if op.sorted:
        return values, first, inverse, counts
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return np.take(values, order, op.axis), first[order], rank[inverse], counts[order]


MEANINGS: dict[type[Op], Meaning] = {
    ops.Gather: gather, ops.GatherElements: gather_elements, ops.GatherNd: gather_nd,
    ops.ScatterElements: scatter_elements, ops.ScatterNd: scatter_nd, ops.CumSum: cum_sum, ops.NonZero: nonzero,
    ops.Compress: compress, ops.Unique: unique,
}  # fmt: skip

SYMBOLIC_MEANINGS: dict[type[Op], SymbolicMeaning] = {ops.TopK: top_k}


def read_sizes(frame: Frame, op: Op, args: list[object]) -> list[object]:
    if not isinstance(op, ops.ReadSizes) or not isinstance(args[0], np.ndarray):
        raise InternalError(f"{op.name} reads no array", op=op)
    for name, most, size in zip(op.sizes, op.most, args[0].tolist(), strict=True):
        bound = ops.MOST_READ if most == -1 else frame.symbols.value(most)
        if not 0 <= size <= bound:
            raise UserError(f"{op.what} '{op.loc}': {op.text} must be at least 0 and at most {bound}, got {size}")
        frame.symbols.numbers[name] = size
    return []


RUNS: dict[type[Op], Run] = {ops.ReadSizes: read_sizes}
