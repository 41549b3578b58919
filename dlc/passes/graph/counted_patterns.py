"""Patterns of simplify-shapes for elements that are gathered at places counted 0, 1, 2, … along whole axes.

    gather(x, iota)                   ->  x, with new axes
    gather_nd(x, (iota_0, iota_1))    ->  transpose(x), with new axes

is how exporters write `x[b, s]` of a mask for all b and s. Each count goes along one axis of the indices, and to the
end of the axis of x that it indexes: all of x is read, and no index is outside.
"""

from __future__ import annotations

import numpy as np

from dlc.ir.core import Value
from dlc.ir.dialects.graph_index import Gather, GatherNd
from dlc.ir.dialects.graph_shape import Broadcast, Concat, Iota, Reshape, Transpose
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter
from dlc.ir.types import Array
from dlc.passes.graph.constants import contents
from dlc.passes.graph.unit_axes_patterns import is_by_ones, long_axes

MOST = 1 << 16  # elements of constant indices that are looked at


class GatherCounted(Pattern[Gather]):
    def rewrite(self, op: Gather, rw: Rewriter) -> NoMatch | None:
        shape, indices = tensor(op.x).shape, tensor(op.indices).shape
        along = next((a for a in counted_axes(op.indices, rw.pool) if indices[a] == shape[op.axis]), None)
        if along is None:
            return NoMatch("the indices do not count along the whole axis")
        new = tuple(dim if axis == along else 1 for axis, dim in enumerate(indices))
        placed = rw.insert(Reshape(op.x, shape=(*shape[: op.axis], *new, *shape[op.axis + 1 :])))
        rw.replace(op, rw.insert(Broadcast(placed.result, shape=tensor(op.result).shape)).result)
        return None


class GatherNdCounted(Pattern[GatherNd]):
    def rewrite(self, op: GatherNd, rw: Rewriter) -> NoMatch | None:
        shape, lead = tensor(op.x).shape, tensor(op.indices).shape[:-1]
        if op.batch_dims:
            return NoMatch("there are batch axes")
        along: list[int] = []
        for dim, axes in zip(shape, axes_of_components(op.indices, rw.pool), strict=False):
            along += [axis for axis in axes if lead[axis] == dim and axis not in along][:1]
        depth = len(along)
        if tensor(op.indices).shape[-1] != depth:
            return NoMatch("not every index counts along an axis of its own, which is as long as that of x")
        perm = (*sorted(range(depth), key=along.__getitem__), *range(depth, len(shape)))
        new = tuple(dim if axis in along else 1 for axis, dim in enumerate(lead))
        moved = rw.insert(Transpose(op.x, perm=perm))
        placed = rw.insert(Reshape(moved.result, shape=(*new, *shape[depth:])))
        rw.replace(op, rw.insert(Broadcast(placed.result, shape=tensor(op.result).shape)).result)
        return None


def axes_of_components(indices: Value, pool: ConstantPool) -> list[list[int]]:
    """For each member of index vectors the axes along which it counts, where they are known apart."""
    joined, array, last = indices.defined_by(Concat), contents(indices, pool, MOST), tensor(indices).rank - 1
    if array is not None:
        return [axes_of_array(array[..., n]) for n in range(array.shape[-1])]
    apart = [indices]
    if joined is not None and joined.axis == last:
        apart = list(joined.parts)
    if any(tensor(part).shape[-1] != 1 for part in apart):
        return []
    return [[axis for axis in counted_axes(part, pool) if axis != last] for part in apart]


def counted_axes(value: Value, pool: ConstantPool) -> list[int]:
    """The axes along which each element of an integer tensor is its place: one, or all of size 1 where all are 0."""
    op = value.defining_op
    if isinstance(op, Iota):
        return [op.axis]
    if not isinstance(op, Broadcast | Transpose | Reshape):
        array = contents(value, pool, MOST)
        return [] if array is None else axes_of_array(array)
    source, target, inner = tensor(op.x).shape, tensor(op.result).shape, counted_axes(op.x, pool)
    if isinstance(op, Transpose):
        return [op.perm.index(axis) for axis in inner]
    if isinstance(op, Broadcast):
        added = len(target) - len(source)
        return [axis + added for axis in inner if source[axis] == target[axis + added]]
    if any(source[axis] == 1 for axis in inner):
        return [axis for axis, dim in enumerate(target) if dim == 1]
    place = dict(zip(long_axes(source), long_axes(target), strict=True)) if is_by_ones(op) else {}
    return [place[axis] for axis in inner if axis in place]


def axes_of_array(array: Array) -> list[int]:
    shapes = [(size, *(1,) * (array.ndim - axis - 1)) for axis, size in enumerate(array.shape)]
    places = [np.arange(shape[0]).reshape(shape) for shape in shapes]
    return [axis for axis, each in enumerate(places) if array.size and bool((array == each).all())]


COUNTED_PATTERNS: tuple[AnyPattern, ...] = (GatherCounted(), GatherNdCounted())
