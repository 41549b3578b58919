"""How the generator adds ops that make, move and select elements."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_index as index
from dlc.ir.dialects import graph_shape as ops
from dlc.ir.dialects.shape_rules import replaced, tensor
from dlc.ir.expr import Dim, as_dim, product
from dlc.ir.types import F32, SI64, TensorType
from tests.differential.growing import Draw, Growing, anything, is_bool, is_float, is_number, of_rank
from tests.differential.steps_math import Step


def static_axes(kind: TensorType) -> list[int]:
    return [axis for axis, dim in enumerate(kind.shape) if isinstance(dim, int) and dim > 0]


def with_static_axis(kind: TensorType) -> bool:
    return bool(static_axes(kind))


def axis_of(draw: Draw, x: Value) -> int:
    return draw(st.sampled_from(static_axes(tensor(x))))


def size_of(x: Value, axis: int) -> int:
    size = tensor(x).shape[axis]
    assert isinstance(size, int)
    return size


def indices(draw: Draw, growing: Growing, size: int, *shape: int) -> Value:
    """A constant of indices, negative ones too."""
    del draw
    return growing.constant(growing.rng.integers(-size, size, shape))


# -- moving ------------------------------------------------------------------------------------------------------------


def dims(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, anything)
    return None if x is None else growing.add(ops.Dims(values=tensor(x).shape))


def iota(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 4))
    if x is None:
        return None
    axis = draw(st.integers(0, tensor(x).rank - 1))
    return growing.add(ops.Iota(shape=tensor(x).shape, axis=axis, type=draw(st.sampled_from((SI64, F32)))))


def reshape(draw: Draw, growing: Growing) -> Op | None:
    """Join two neighbouring axes, split an axis in two, or add one."""
    x = growing.pick(draw, of_rank(1, 5))
    if x is None:
        return None
    shape = tensor(x).shape
    at = draw(st.integers(0, len(shape) - 1))
    joined: Dim = as_dim(product(shape[at : at + 2]))
    dim = shape[at]
    halves = (2, dim // 2) if isinstance(dim, int) and dim % 2 == 0 else (dim, 1)
    middle = draw(st.sampled_from([(joined, at + 2), (halves, at + 1)]))
    new = middle[0] if isinstance(middle[0], tuple) else (middle[0],)
    return growing.add(ops.Reshape(x, shape=(*shape[:at], *new, *shape[middle[1] :])))


def transpose(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(2, 5))
    if x is None:
        return None
    return growing.add(ops.Transpose(x, perm=tuple(draw(st.permutations(range(tensor(x).rank))))))


def broadcast(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(0, 3))
    if x is None:
        return None
    grown = tuple(3 if dim == 1 else dim for dim in tensor(x).shape)
    return growing.add(ops.Broadcast(x, shape=(*draw(st.sampled_from([(), (2,)])), *grown)))


def concat(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 4))
    if x is None:
        return None
    kind = tensor(x)
    axis = draw(st.integers(0, kind.rank - 1))

    def fits(other: TensorType) -> bool:
        same_rank = other.scalar == kind.scalar and other.rank == kind.rank
        return same_rank and replaced(other.shape, axis, 1) == replaced(kind.shape, axis, 1)

    second = growing.pick(draw, fits)
    assert second is not None  # x itself fits
    return growing.add(ops.Concat(x, second, axis=axis))


def slice_of(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, with_static_axis)
    if x is None:
        return None
    shape, axis = tensor(x).shape, axis_of(draw, x)
    first, last = draw(st.integers(0, size_of(x, axis) - 1)), draw(st.integers(0, size_of(x, axis) - 1))
    step = (1 if last >= first else -1) * draw(st.integers(1, 2))
    starts = tuple(first if n == axis else 0 for n in range(len(shape)))
    steps = tuple(step if n == axis else 1 for n in range(len(shape)))
    return growing.add(
        ops.Slice(x, starts=starts, sizes=replaced(shape, axis, (last - first) // step + 1), steps=steps)
    )


def dynamic_slice(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, with_static_axis)
    if x is None:
        return None
    axis = axis_of(draw, x)
    starts = growing.argument((tensor(x).rank,), SI64)
    size = draw(st.integers(1, size_of(x, axis)))
    return growing.add(ops.DynamicSlice(x, starts, sizes=replaced(tensor(x).shape, axis, size)))


def pad(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: is_number(kind) and with_static_axis(kind))
    if x is None:
        return None
    axis, wanted = axis_of(draw, x), tensor(x).rank
    mode = draw(
        st.sampled_from(("constant", "edge", "reflect", "wrap") if size_of(x, axis) > 2 else ("constant", "edge"))
    )
    before = tuple(draw(st.integers(0, 2)) if n == axis else 0 for n in range(wanted))
    after = tuple(draw(st.integers(0, 2)) if n == axis else 0 for n in range(wanted))
    value = draw(st.sampled_from((None, 1))) if mode == "constant" else None
    return growing.add(ops.Pad(x, before=before, after=after, mode=mode, value=value))


def tile(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 4))
    if x is None:
        return None
    return growing.add(ops.Tile(x, repeats=tuple(draw(st.integers(1, 2)) for _ in tensor(x).shape)))


def trilu(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(2, 4, is_number))
    if x is None:
        return None
    return growing.add(ops.Trilu(x, upper=draw(st.booleans()), k=draw(st.integers(-2, 2))))


def reverse_sequence(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: len(static_axes(kind)) >= 2)
    if x is None:
        return None
    batch, time = draw(st.permutations(static_axes(tensor(x))))[:2]
    lengths = growing.rng.integers(0, size_of(x, time) + 1, size_of(x, batch))
    return growing.add(ops.ReverseSequence(x, growing.constant(lengths), batch_axis=batch, time_axis=time))


def one_hot(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(0, 2, lambda kind: kind.scalar == SI64))
    if x is None:
        return None
    values = growing.constant(np.array([-0.5, 2], np.float32))
    return growing.add(ops.OneHot(x, values, axis=draw(st.integers(0, tensor(x).rank)), depth=3))


def resize(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: is_float(kind) and with_static_axis(kind))
    if x is None:
        return None
    axis = axis_of(draw, x)
    if not all(map(growing.size, tensor(x).shape)):
        return None
    sizes = replaced(tensor(x).shape, axis, draw(st.sampled_from((size_of(x, axis) * 2, 3))))
    mode = draw(st.sampled_from(("nearest", "linear", "cubic")))
    where = draw(st.sampled_from(("half_pixel", "align_corners", "asymmetric")))
    return growing.add(ops.Resize(x, sizes=sizes, mode=mode, coordinate=where))


# -- by index ----------------------------------------------------------------------------------------------------------


def gather(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, with_static_axis)
    if x is None:
        return None
    axis = axis_of(draw, x)
    shape = draw(st.sampled_from([(), (2,), (2, 3)]))
    return growing.add(index.Gather(x, indices(draw, growing, size_of(x, axis), *shape), axis=axis))


def fully_static(kind: TensorType) -> bool:
    return kind.rank > 0 and len(static_axes(kind)) == kind.rank


def gather_elements(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, fully_static)
    if x is None:
        return None
    axis = axis_of(draw, x)
    shape = [size_of(x, n) for n in static_axes(tensor(x))]
    shape[axis] = 2
    return growing.add(index.GatherElements(x, indices(draw, growing, size_of(x, axis), *shape), axis=axis))


def gather_nd(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, with_static_axis)
    if x is None or 0 not in static_axes(tensor(x)):
        return None
    return growing.add(index.GatherNd(x, indices(draw, growing, size_of(x, 0), 3, 1)))


def scatter_elements(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: fully_static(kind) and is_number(kind))
    if x is None:
        return None
    shape = [size_of(x, n) for n in static_axes(tensor(x))]
    axis = axis_of(draw, x)
    reduction = draw(st.sampled_from(("add", "max", "min")))  # with `none` the order of equal indices would matter
    updates = growing.weight(*shape, element=tensor(x).scalar)
    places = indices(draw, growing, shape[axis], *shape)
    return growing.add(index.ScatterElements(x, places, updates, axis=axis, reduction=reduction))


def scatter_nd(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: fully_static(kind) and is_number(kind))
    if x is None:
        return None
    shape = [size_of(x, n) for n in static_axes(tensor(x))]
    updates = growing.weight(2, *shape[1:], element=tensor(x).scalar)
    return growing.add(index.ScatterNd(x, indices(draw, growing, shape[0], 2, 1), updates, reduction="add"))


def cum_sum(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 4, is_number))
    if x is None:
        return None
    axis = draw(st.integers(0, tensor(x).rank - 1))
    return growing.add(index.CumSum(x, axis=axis, exclusive=draw(st.booleans()), reverse=draw(st.booleans())))


def top_k(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: is_number(kind) and with_static_axis(kind), exact=True)
    if x is None:
        return None
    axis = axis_of(draw, x)
    k = draw(st.integers(1, size_of(x, axis)))
    return growing.add(index.TopK(x, axis=axis, k=k, largest=draw(st.booleans())))


def counting(kind: type[Op]) -> Step:
    """An op whose result has a size found at run time; each has a symbol of its own."""

    def step(draw: Draw, growing: Growing) -> Op | None:
        x = growing.pick(draw, of_rank(1, 3, is_number), exact=True)
        return None if x is None else growing.add(kind(x, size=growing.fresh_symbol()))

    return step


def compress(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 4))
    condition = growing.pick(draw, of_rank(1, 1, is_bool))
    if x is None or condition is None:
        return None
    length = growing.size(tensor(condition).shape[0])
    axes = [n for n, dim in enumerate(tensor(x).shape) if growing.size(dim) == length]
    if not axes:
        return None
    return growing.add(index.Compress(x, condition, axis=axes[0], size=growing.fresh_symbol()))


STEPS: dict[type[Op], Step] = {
    ops.Dims: dims, ops.Iota: iota, ops.Reshape: reshape, ops.Transpose: transpose, ops.Broadcast: broadcast,
    ops.Concat: concat, ops.Slice: slice_of, ops.DynamicSlice: dynamic_slice, ops.Pad: pad, ops.Tile: tile,
    ops.Trilu: trilu, ops.ReverseSequence: reverse_sequence, ops.OneHot: one_hot, ops.Resize: resize,
    index.Gather: gather, index.GatherElements: gather_elements, index.GatherNd: gather_nd,
    index.ScatterElements: scatter_elements, index.ScatterNd: scatter_nd, index.CumSum: cum_sum, index.TopK: top_k,
}  # fmt: skip

COUNTING_STEPS: dict[type[Op], Step] = {
    index.NonZero: counting(index.NonZero), index.Unique: counting(index.Unique), index.Compress: compress,
}  # fmt: skip
