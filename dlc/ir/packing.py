"""Arrays to and from the physical layout of a tensor type.

    (N, C) with block(1:16)   →   N x ceil(C / 16) x 16, the last block filled up with zeros

The same permutation that `Layout.physical_index` describes element by element, done with views so that large weights
take one pass.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlc.errors import InternalError
from dlc.ir.types import Array, Layout, TensorType
from dlc.record import record


def pack(array: Array, kind: TensorType) -> Array:
    """The contents of the buffer that holds `array` (of the logical shape): contiguous; `array` itself if plain."""
    check_shape(array.shape, logical_shape(kind), "array")
    given = array.astype(kind.scalar.dtype, copy=False)
    if kind.layout is None:
        return np.ascontiguousarray(given).reshape(given.shape)
    plan = plan_of(kind.layout, given.shape)
    packed = np.zeros(plan.physical, given.dtype) if plan.has_gaps else np.empty(plan.physical, given.dtype)
    for region in regions(plan):
        source = filled(given[region.logical], region.padding)
        packed[region.physical] = source.reshape(region.split).transpose(plan.permutation)
    return packed


def unpack(buffer: Array, kind: TensorType) -> Array:
    """The array of the logical shape that a buffer holds; a copy unless the layout is plain."""
    shape = logical_shape(kind)
    if kind.layout is None:
        check_shape(buffer.shape, shape, "buffer")
        return buffer
    plan = plan_of(kind.layout, shape)
    check_shape(buffer.shape, plan.physical, "buffer")
    array = np.empty(shape, buffer.dtype)
    back = np.argsort(plan.permutation)
    for region in regions(plan):
        whole = buffer[region.physical].transpose(back).reshape(region.whole)
        kept = tuple(slice(0, size - extra) for size, extra in zip(region.whole, region.padding, strict=True))
        array[region.logical] = whole[kept]
    return array


def logical_shape(kind: TensorType) -> tuple[int, ...]:
    shape = tuple(dim for dim in kind.shape if isinstance(dim, int))
    if len(shape) != len(kind.shape):
        raise InternalError(f"an array of type {kind} cannot be laid out: its shape is not known")
    return shape


def check_shape(found: Sequence[int], wanted: Sequence[int], what: str) -> None:
    if tuple(found) != tuple(wanted):
        raise InternalError(f"the {what} must have the shape {list(wanted)}, got {list(found)}")


@record
class Plan:
    """A layout applied to a shape: the order in which the split axes lie in memory."""

    shape: tuple[int, ...]
    blocks: tuple[tuple[int, ...], ...]  # per axis, outermost first
    before: tuple[int, ...]  # elements of halo in front, per axis
    order: tuple[int, ...]
    permutation: tuple[int, ...]  # of the axes after splitting
    physical: tuple[int, ...]

    @property
    def has_gaps(self) -> bool:
        return int(np.prod(self.physical)) != int(np.prod(self.shape))


def plan_of(layout: Layout, shape: tuple[int, ...]) -> Plan:
    blocks = tuple(tuple(size for axis, size in layout.blocks if axis == n) for n in range(len(shape)))
    first = [
        sum(1 + len(sizes) for sizes in blocks[:n]) for n in range(len(shape))
    ]  # of an axis' parts, after splitting
    seen = [0] * len(shape)
    inner = []
    for axis, _ in layout.blocks:
        seen[axis] += 1
        inner.append(first[axis] + seen[axis])
    before = tuple(0 if blocks[n] else layout.halo_of(n)[0] for n in range(len(shape)))
    physical = tuple(int(dim) for dim in layout.physical_shape(shape) if isinstance(dim, int))
    return Plan(shape, blocks, before, layout.order, (*(first[axis] for axis in layout.order), *inner), physical)


@record
class Part:
    """A stretch of one axis that is copied at once: whole blocks, or the incomplete last one."""

    start: int
    size: int
    padding: int  # elements that fill the last block


@record
class Region:
    """One copy: a box of the array and the box of the buffer that it goes to."""

    logical: tuple[slice, ...]
    physical: tuple[slice, ...]
    padding: tuple[int, ...]
    whole: tuple[int, ...]  # the box's shape, filled up
    split: tuple[int, ...]  # and with its axes split into blocks


def regions(plan: Plan) -> list[Region]:
    """The boxes that a copy takes: two per axis whose last block is incomplete."""
    boxes: list[list[Part]] = [[]]
    for axis, size in enumerate(plan.shape):
        block = int(np.prod(plan.blocks[axis], dtype=np.int64))
        rest = size % block
        parts = [Part(0, size - rest, 0)] if size > rest or not rest else []
        parts += [Part(size - rest, rest, block - rest)] if rest else []
        boxes = [[*box, part] for box in boxes for part in parts]
    return [region_of(plan, box) for box in boxes]


def region_of(plan: Plan, box: list[Part]) -> Region:
    whole = tuple(part.size + part.padding for part in box)
    split: list[int] = []
    outer: dict[int, slice] = {}
    for axis, part in enumerate(box):
        block = int(np.prod(plan.blocks[axis], dtype=np.int64))
        count = whole[axis] // block
        split += [count, *plan.blocks[axis]]
        start = part.start // block + plan.before[axis]
        outer[axis] = slice(start, start + count)
    logical = tuple(slice(part.start, part.start + part.size) for part in box)
    physical = tuple(outer[axis] for axis in plan.order)
    return Region(logical, physical, tuple(part.padding for part in box), whole, tuple(split))


def filled(array: Array, padding: tuple[int, ...]) -> Array:
    return np.pad(array, [(0, extra) for extra in padding]) if any(padding) else array
