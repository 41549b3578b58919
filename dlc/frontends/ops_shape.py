"""Operators that make, move and select elements by position."""

from __future__ import annotations

import numpy as np

from dlc.frontends import from_data
from dlc.frontends.build import (
    assume_parts,
    broadcasted,
    cast,
    padded,
    reshaped,
    shape_of,
    sliced,
    transposed,
)
from dlc.frontends.contents import exact_quotient, greatest, is_symbolic
from dlc.frontends.context import Handler, Item, NodeContext, Unsupported
from dlc.frontends.known import fill_value
from dlc.frontends.ops_math import element_from
from dlc.frontends.records import TensorRecord
from dlc.frontends.shapes import (
    axes_of,
    canonical_axes,
    canonical_axis,
    flattened,
    quotient,
    reshape_target,
)
from dlc.frontends.slices import cut, split_evenly
from dlc.ir.core import Value
from dlc.ir.dialects.graph_math import Add, Equal, GreaterEqual, LessEqual, Mul, Where
from dlc.ir.dialects.graph_shape import Concat, Iota, ReverseSequence, Slice, Tile, Trilu
from dlc.ir.dialects.shape_rules import broadcast, tensor
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, ceil_div
from dlc.ir.expr_cases import never_negative
from dlc.ir.requirements import ALIKE, ONE_OR_EQUAL, Requirement, relation_of
from dlc.ir.types import BOOL, Array

Shape = tuple[Dim, ...]

# -- constants ---------------------------------------------------------------------------------------------------------

TYPED_VALUES = {  # attribute → what its elements are, and their type
    "value_float": (float, np.float32), "value_floats": (float, np.float32), "value_int": (int, np.int64),
    "value_ints": (int, np.int64), "value_string": (str, object), "value_strings": (str, object),
}  # fmt: skip


def constant(cx: NodeContext) -> Item:
    value = cx.attribute("value") or cx.attribute("sparse_value")
    if isinstance(value, TensorRecord):
        if value.element is None:
            raise Unsupported(f"a constant of type {value.type_name} is not supported")
        return known(cx, value.load())
    for name, (kind, dtype) in TYPED_VALUES.items():
        given = cx.attribute(name)
        if given is not None:
            if not all(isinstance(each, kind) for each in (given if isinstance(given, tuple) else (given,))):
                raise Unsupported(f"its attribute {name} must be made of values of type {kind.__name__}")
            return known(cx, np.array(given, dtype))
    raise Unsupported("it has no value")


def known(cx: NodeContext, contents: Array) -> Item:
    return Item.known(contents, cx.builder, cx.node.outputs[0])


def constant_of_shape(cx: NodeContext) -> Value:
    return broadcasted(cx, cx.constant(fill_value(cx)), from_data.sizes(cx, 0, "shape"))


def always_known(cx: NodeContext) -> Value:
    """Shape and Size: their results are known before a handler is asked."""
    raise Unsupported("its input has no shape")


def range_(cx: NodeContext) -> Value:
    if from_data.is_data(cx, 0, 1, 2):
        return from_data.range_by(cx)
    element = cx.type(0).scalar
    (start,), (limit,), (step,) = (cx.dims(n, name) for n, name in enumerate(("start", "limit", "delta")))
    if not isinstance(step, int) or step == 0:
        raise Unsupported(f"its delta is {step}, expected a number that is not 0")
    distance = (as_expr(limit) - start) * (1 if step > 0 else -1)
    count = greatest(as_dim(ceil_div(distance, abs(step))), 0)
    values = cx.put(Iota(shape=(count,), axis=0, type=element))
    if step != 1:
        values = cx.put(Mul(values, cx.number(step, values)))
    return values if start == 0 else cx.put(Add(values, cx.x(0)))


def eye_like(cx: NodeContext) -> Value:
    shape, offset = cx.shape(), cx.integer("k", 0)
    element = element_from(cx, "dtype", cx.type().scalar)
    rows = cx.put(Iota(shape=(shape[0], 1), axis=0))
    columns = cx.put(Iota(shape=(1, shape[1]), axis=1))
    if offset:
        rows = cx.put(Add(rows, cx.number(offset, rows)))
    return cast(cx, cx.put(Equal(rows, columns)), element)


# -- shape -------------------------------------------------------------------------------------------------------------


def reshape(cx: NodeContext) -> Value:
    if cx.version >= 5 and from_data.is_data(cx, 1):
        return reshaped(cx, cx.x(), from_data.reshape_target(cx, cx.shape(), 1, cx.flag("allowzero")))
    wanted: Shape = from_data.sizes(cx, 1, "shape") if cx.version >= 5 else cx.integers("shape")
    return reshaped(cx, cx.x(), reshape_target(cx.shape(), wanted, cx.flag("allowzero")))


def flatten(cx: NodeContext) -> Value:
    axis = cx.integer("axis", 1)
    shape = cx.shape()
    return reshaped(cx, cx.x(), flattened(shape, axis + len(shape) if axis < 0 else axis))


def squeeze(cx: NodeContext) -> Value:
    if cx.version >= 13 and from_data.is_data(cx, 1):
        return reshaped(cx, cx.x(), from_data.squeezed_shape(cx, 1))
    axes, shape = axes_of(cx, 1, 13), cx.shape()
    if axes is None:
        if symbolic := [dim for dim in shape if isinstance(dim, Expr)]:
            raise Unsupported(f"it drops every axis of size 1, and {symbolic[0]} is known only at run time")
        drop = tuple(n for n, dim in enumerate(shape) if dim == 1)
    else:
        drop = canonical_axes(axes, len(shape))
    if wrong := [shape[axis] for axis in drop if isinstance(shape[axis], int) and shape[axis] != 1]:
        raise Unsupported(f"it drops an axis of size {wrong[0]}")
    return reshaped(cx, cx.x(), tuple(dim for n, dim in enumerate(shape) if n not in drop))


def unsqueeze(cx: NodeContext) -> Value:
    if cx.version >= 13 and from_data.is_data(cx, 1):
        return reshaped(cx, cx.x(), from_data.unsqueezed_shape(cx, 1))
    axes, shape = axes_of(cx, 1, 13), list(cx.shape())
    if axes is None:
        raise Unsupported("its axes are missing")
    for axis in sorted(canonical_axes(axes, len(shape) + len(axes))):
        shape.insert(axis, 1)
    return reshaped(cx, cx.x(), tuple(shape))


def transpose(cx: NodeContext) -> Value:
    rank = cx.type().rank
    perm = cx.integers("perm", tuple(reversed(range(rank))))
    return transposed(cx, cx.x(), canonical_axes(perm, rank))


def expand(cx: NodeContext) -> Value:
    own, wanted = cx.shape(), from_data.sizes(cx, 1, "shape")
    for size, given in zip(reversed(own), reversed(wanted), strict=False):
        if isinstance(given, Expr) and size not in (1, given):
            # where x has a number, it is known what comes out, and x is read alike whatever the symbol is
            relation = ONE_OR_EQUAL if isinstance(size, int) else relation_of(given, ALIKE, size)
            cx.scope.assume(Requirement(given, relation, size, "x and the shape must broadcast"))
    return broadcasted(cx, cx.x(), broadcast((own, wanted)))


def tile(cx: NodeContext) -> Value:
    x = cx.x()
    if cx.version < 6:
        raise Unsupported("its form before opset 6 is not supported")
    repeats = from_data.sizes(cx, 1, "repeats")
    return x if all(each == 1 for each in repeats) else cx.put(Tile(x, repeats=repeats))


def depth_to_space(cx: NodeContext) -> Value:
    x, block = cx.x(), cx.integer("blocksize")
    n, c, h, w = shape_of(x)
    depth = quotient((c,), (block, block))
    if cx.text("mode", "DCR") == "DCR":
        split: Shape = (n, block, block, depth, h, w)
        perm = (0, 3, 4, 1, 5, 2)
    else:
        split, perm = (n, depth, block, block, h, w), (0, 1, 4, 2, 5, 3)
    moved = transposed(cx, reshaped(cx, x, split), perm)
    return reshaped(cx, moved, (n, depth, as_dim(as_expr(h) * block), as_dim(as_expr(w) * block)))


def space_to_depth(cx: NodeContext) -> Value:
    x, block = cx.x(), cx.integer("blocksize")
    n, c, h, w = shape_of(x)
    high, wide = quotient((h,), (block,)), quotient((w,), (block,))
    depth = as_dim(as_expr(c) * (block * block))
    perm = (0, 3, 5, 1, 2, 4) if cx.text("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    moved = transposed(cx, reshaped(cx, x, (n, c, high, block, wide, block)), perm)
    return reshaped(cx, moved, (n, depth, high, wide))


# -- parts -------------------------------------------------------------------------------------------------------------


def concat(cx: NodeContext) -> Value:
    values = cx.values()
    axis = canonical_axis(cx.integer("axis", 1 if cx.version < 4 else None), tensor(values[0]).rank)
    return values[0] if len(values) == 1 else cx.put(Concat(*values, axis=axis))


def slice_(cx: NodeContext) -> Value:
    if cx.version >= 10 and from_data.is_data(cx, 1, 2, 3, 4):
        count = from_data.length(cx, 1, "starts")
        given = cx.has(3) and not from_data.is_data(cx, 3)
        axes = cx.numbers(3, "axes") if given else tuple(range(count))
        steps = cx.numbers(4, "steps") if cx.has(4) and not from_data.is_data(cx, 4) else (1,) * count
        known_axes = None if from_data.is_data(cx, 3) else canonical_axes(axes, cx.type().rank)
        return from_data.slice_by(cx, known_axes, None if from_data.is_data(cx, 4) else steps)
    starts, ends, axes, steps = _slice_arguments(cx)
    x, shape = cx.x(), cx.shape()
    cuts = {
        axis: cut(shape[axis], start, end, step)
        for axis, start, end, step in zip(canonical_axes(axes, len(shape)), starts, ends, steps, strict=True)
    }
    if all(part.start == 0 and part.step == 1 and part.size == shape[axis] for axis, part in cuts.items()):
        return x
    every = [(cuts[n].start, cuts[n].size, cuts[n].step) if n in cuts else (0, dim, 1) for n, dim in enumerate(shape)]
    first, sizes, strides = zip(*every, strict=True)
    made = Slice(x, starts=first, sizes=sizes, steps=strides if any(step != 1 for step in strides) else ())
    cx.scope.assure(made)
    return cx.put(made)


def _slice_arguments(cx: NodeContext) -> tuple[Shape, Shape, tuple[int, ...], tuple[int, ...]]:
    if cx.version < 10:
        starts: Shape = cx.integers("starts")
        return starts, cx.integers("ends"), cx.integers("axes", tuple(range(len(starts)))), (1,) * len(starts)
    starts, ends = cx.dims(1, "starts"), cx.dims(2, "ends")
    axes = cx.numbers(3, "axes") if cx.has(3) else tuple(range(len(starts)))
    return starts, ends, axes, cx.numbers(4, "steps") if cx.has(4) else (1,) * len(starts)


def split(cx: NodeContext) -> list[Value]:
    x = cx.x()
    axis = canonical_axis(cx.integer("axis", 0), tensor(x).rank)
    parts, start = [], as_expr(0)
    sizes = split_sizes(cx, shape_of(x)[axis], len(cx.node.outputs))
    if len(sizes) != len(cx.node.outputs):
        raise Unsupported(f"it has {len(sizes)} sizes for {len(cx.node.outputs)} outputs")
    assume_parts(cx, shape_of(x)[axis], sizes)
    for size in sizes:
        parts.append(sliced(cx, x, axis, as_dim(start), size))
        start = start + size
    return parts


def split_sizes(cx: NodeContext, dim: Dim, count: int) -> Shape:
    if cx.version >= 13 and cx.has(1):
        return from_data.sizes(cx, 1, "split", (dim,) * count)
    if cx.attribute("split") is not None:
        return cx.integers("split")
    if cx.version >= 18:
        if (parts := cx.integer("num_outputs", count)) != count:
            raise Unsupported(f"its num_outputs is {parts}, but it has {count} outputs")
        return split_evenly(dim, count)
    even = exact_quotient(as_expr(dim), as_expr(count))  # before opset 18 all parts are equal
    return (as_dim(as_expr(dim) // count if even is None else even),) * count


PADS = ("paddings", "pads")  # before opset 2, and since


def pad(cx: NodeContext) -> Value:
    x, rank = cx.x(), cx.type().rank
    pads: Shape
    if cx.version >= 18 and from_data.is_data(cx, 3):
        pads, axes = from_data.pads_by(cx, rank), tuple(range(rank))
    else:
        pads = from_data.positions(cx, 1, "pads") if cx.version >= 11 else cx.integers(PADS[cx.version > 1])
        axes = canonical_axes(cx.numbers(3, "axes"), rank) if cx.version >= 18 and cx.has(3) else tuple(range(rank))
    before, after = dict(zip(axes, pads, strict=False)), dict(zip(axes, pads[len(axes) :], strict=True))
    mode = cx.text("mode", "constant")
    full = [(before.get(n, 0), after.get(n, 0)) for n in range(rank)]
    for axis, (low, high) in enumerate(full):  # a negative pad cuts
        cut_low, cut_high = _less(low), _less(high)
        if cut_low != 0 or cut_high != 0:
            x = sliced(cx, x, axis, cut_low, as_dim(as_expr(shape_of(x)[axis]) - cut_low - cut_high))
    low_pads, high_pads = (tuple(as_dim(as_expr(pair[side]) + _less(pair[side])) for pair in full) for side in (0, 1))
    return _padded_by(cx, x, low_pads, high_pads, mode)


def _padded_by(cx: NodeContext, x: Value, before: Shape, after: Shape, mode: str) -> Value:
    if cx.version < 11 or mode != "constant" or not cx.has(2) or cx.contents(2) is not None:
        return padded(cx, x, before, after, mode, _pad_value(cx))
    inside = broadcasted(cx, cx.constant(np.array(1, np.uint8)), shape_of(x))  # a value that only the run time knows
    mask = cast(cx, padded(cx, inside, before, after), BOOL)
    return cx.put(Where(mask, padded(cx, x, before, after), reshaped(cx, cx.x(2), ())))


def _less(pad: Dim) -> Dim:
    """How many elements a pad takes away; where sizes decide whether it is negative, an expression that may be 0."""
    return 0 if never_negative(as_expr(pad)) else greatest(-as_expr(pad), 0)


def _pad_value(cx: NodeContext) -> float:
    if cx.version < 11:
        return cx.decimal("value", 0.0)
    if not cx.has(2) or cx.text("mode", "constant") != "constant":
        return 0
    value: float = cx.known(2, "constant_value").reshape(-1)[0].item()
    return value


def center_crop_pad(cx: NodeContext) -> Value:
    x = cx.x()
    rank = tensor(x).rank
    axes = canonical_axes(cx.integers("axes", tuple(range(rank))), rank)
    before: list[Dim] = [0] * rank
    after: list[Dim] = [0] * rank
    for axis, size in zip(axes, from_data.sizes(cx, 1, "shape"), strict=True):
        dim = shape_of(x)[axis]
        less, more = as_expr(greatest(as_expr(dim) - size, 0)), as_expr(greatest(as_expr(size) - dim, 0))
        x = sliced(cx, x, axis, as_dim(less // 2), as_dim(as_expr(dim) - less))
        before[axis], after[axis] = as_dim(more // 2), as_dim(more - more // 2)
    return padded(cx, x, tuple(before), tuple(after))


def trilu(cx: NodeContext) -> Value:
    x, upper = cx.x(), cx.flag("upper", True)
    if not cx.has(1) or (cx.contents(1) is not None and not is_symbolic(cx.known(1, "k"))):
        return cx.put(Trilu(x, upper=upper, k=cx.numbers(1, "k")[0] if cx.has(1) else 0))
    height, width = shape_of(x)[-2:]  # a diagonal that only the run time knows
    rows, columns = (cx.put(Iota(shape=shape, axis=n)) for n, shape in enumerate(((height, 1), (1, width))))
    first = cx.put(Add(rows, reshaped(cx, cx.x(1), (1, 1))))
    keep = cx.put(GreaterEqual(columns, first) if upper else LessEqual(columns, first))
    return cx.put(Where(keep, x, cx.number(0, x)))


def reverse_sequence(cx: NodeContext) -> Value:
    batch, time = cx.integer("batch_axis", 1), cx.integer("time_axis", 0)
    return cx.put(ReverseSequence(cx.x(0), cx.x(1), batch_axis=batch, time_axis=time))


HANDLERS: dict[str, Handler] = {
    "Constant": constant, "ConstantOfShape": constant_of_shape, "Shape": always_known, "Size": always_known,
    "Range": range_, "EyeLike": eye_like, "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Transpose": transpose, "Expand": expand, "Tile": tile, "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth, "Concat": concat, "Slice": slice_, "Split": split, "Pad": pad,
    "CenterCropPad": center_crop_pad, "Trilu": trilu, "ReverseSequence": reverse_sequence,
}  # fmt: skip
