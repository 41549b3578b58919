"""Ops that make, move and select elements without computing on them. Axes are canonical: 0 <= axis < rank."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op
from dlc.ir.dialects.shape_rules import (
    DIM,
    Shape,
    axes_in_range,
    canonical,
    dim_sum,
    replaced,
    tensor,
)
from dlc.ir.expr import Dim, as_dim, as_expr, minimum, product
from dlc.ir.opdef import (
    CONSTANT,
    INTEGER_TENSOR,
    NUMBER_TENSOR,
    PURE,
    TENSOR,
    AttrDef,
    attr,
    op_def,
    operand,
    operands,
    rank,
)
from dlc.ir.pool import DenseRef
from dlc.ir.requirements import Requirement, at_least, broadcast_to, equal, equal_shapes
from dlc.ir.types import SI64, Layout, ScalarType, TensorType, Type


class Placed(Op):
    """Base of ops whose result may be stored in a chosen `layout`."""

    layout: AttrDef[Layout | None] = attr(None)


@op_def("graph.constant", traits={PURE, CONSTANT})
class Constant(Op):
    """A constant of the pool"""

    value: AttrDef[DenseRef] = attr(kind=DenseRef)
    type: AttrDef[TensorType] = attr(kind=TensorType)

    def infer(self) -> tuple[Type, ...]:
        return (self.type,)


@op_def("graph.dims", traits={PURE})
class Dims(Op):
    """Symbolic integers as an si64 vector, or as a scalar"""

    values: AttrDef[Shape] = attr(kind=tuple)
    scalar = attr(False)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(() if self.scalar else (len(self.values),), SI64),)

    def check(self) -> Iterator[str]:
        if self.scalar and len(self.values) != 1:
            yield "c1: a scalar holds one value"


@op_def("graph.iota", traits={PURE})
class Iota(Op):
    """The index along `axis`"""

    shape: AttrDef[Shape] = attr(kind=tuple)
    axis = attr(0)
    type: AttrDef[ScalarType] = attr(SI64)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(canonical(self.shape), self.type),)

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.axis,), len(self.shape)):
            yield "c1: axis must be one of the shape's"


@op_def("graph.reshape", traits={PURE})
class Reshape(Op):
    """The same elements in row-major order under another shape"""

    x = operand(TENSOR)
    shape: AttrDef[Shape] = attr(kind=tuple)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(canonical(self.shape), tensor(self.x).element),)

    def requires(self) -> Iterator[Requirement]:
        elements = product(canonical(self.shape))
        yield from equal(tensor(self.x).elements, elements, "c1: the number of elements must stay")


@op_def("graph.transpose", traits={PURE})
class Transpose(Placed):
    """Axis n of the result is axis perm[n] of x"""

    x = operand(TENSOR)
    perm: AttrDef[tuple[int, ...]] = attr(kind=tuple)

    def infer(self) -> tuple[Type, ...]:
        shape = tensor(self.x).shape
        return (TensorType(tuple(shape[axis] for axis in self.perm), tensor(self.x).element, self.layout),)

    def check(self) -> Iterator[str]:
        if sorted(self.perm) != list(range(tensor(self.x).rank)):
            yield "c1: perm must name each axis of x once"


@op_def("graph.broadcast", traits={PURE})
class Broadcast(Placed):
    """x repeated along axes of size 1 and new leading axes to fill `shape`"""

    x = operand(TENSOR)
    shape: AttrDef[Shape] = attr(kind=tuple)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(canonical(self.shape), tensor(self.x).element, self.layout),)

    def check(self) -> Iterator[str]:
        if tensor(self.x).rank > len(self.shape):
            yield "c2: the shape must have at least the axes of x"

    def requires(self) -> Iterator[Requirement]:
        yield from broadcast_to(tensor(self.x).shape, canonical(self.shape), "c1: x must broadcast to the shape")

    @property
    def is_undecided(self) -> bool:
        """Whether the sizes of a run say if an axis is repeated."""
        pairs = zip(reversed(tensor(self.x).shape), reversed(canonical(self.shape)), strict=False)
        return any(a not in (1, b) for a, b in pairs)


@op_def("graph.concat", traits={PURE})
class Concat(Placed):
    """The operands one after the other along `axis`"""

    parts = operands(TENSOR)
    axis = attr(0)

    def infer(self) -> tuple[Type, ...]:
        first = tensor(self.parts[0])
        total = dim_sum(tensor(part).shape[self.axis] for part in self.parts)
        return (TensorType(replaced(first.shape, self.axis, total), first.element, self.layout),)

    def check(self) -> Iterator[str]:
        types = [tensor(part) for part in self.parts]
        if not types or not axes_in_range((self.axis,), types[0].rank):
            yield "c1: at least one operand, and axis must be one of its axes"
            return
        if any(each.rank != types[0].rank for each in types):
            yield "c4: the operands must have one rank"
        if any(each.element != types[0].element for each in types):
            yield "c3: the operands must have one element type"

    def requires(self) -> Iterator[Requirement]:
        first, *others = [replaced(tensor(part).shape, self.axis, 1) for part in self.parts]
        for shape in others:
            yield from equal_shapes(shape, first, "c2: the operands' shapes must agree but for the axis")


@op_def("graph.slice", traits={PURE})
class Slice(Placed):
    """Per axis `sizes` elements from the index `starts` on, `steps` apart; a step may be negative"""

    x = operand(TENSOR)
    starts: AttrDef[Shape] = attr(kind=tuple)
    sizes: AttrDef[Shape] = attr(kind=tuple)
    steps: AttrDef[tuple[int, ...]] = attr(())  # empty: all 1

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(canonical(self.sizes), tensor(self.x).element, self.layout),)

    def check(self) -> Iterator[str]:
        wanted = tensor(self.x).rank
        if len(self.starts) != wanted or len(self.sizes) != wanted or len(self.steps) not in (0, wanted):
            yield "c1: starts, sizes and steps must have one number per axis of x"
        elif 0 in self.steps:
            yield "c3: steps must not be 0"

    def requires(self) -> Iterator[Requirement]:
        shape = tensor(self.x).shape
        for start, size, step, dim in zip(self.starts, self.sizes, self.steps or (1,) * len(shape), shape, strict=True):
            if size == 0 or (start == 0 and size == dim and step == 1):
                continue
            last = as_dim(as_expr(start) + (as_expr(size) - 1) * step)
            low, high = (start, last) if step > 0 else (last, start)
            yield from at_least(low, 0, "c2: a slice must lie inside its axis")
            yield from at_least(dim, as_dim(as_expr(high) + 1), "c4: a slice must lie inside its axis")


@op_def("graph.dynamic_slice", traits={PURE})
class DynamicSlice(Placed):
    """The part of x of size `sizes` at `starts`, one per axis, held so that the part lies inside x"""

    x = operand(TENSOR)
    starts = operand(INTEGER_TENSOR, rank(1))
    sizes: AttrDef[Shape] = attr(kind=tuple)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(canonical(self.sizes), tensor(self.x).element, self.layout),)

    def check(self) -> Iterator[str]:
        wanted = tensor(self.x).rank
        if len(self.sizes) != wanted:
            yield "c1: sizes must have one number per axis of x"

    def requires(self) -> Iterator[Requirement]:
        yield from equal(tensor(self.starts).shape[0], tensor(self.x).rank, "c3: there must be one start per axis of x")
        for size, dim in zip(canonical(self.sizes), tensor(self.x).shape, strict=True):
            yield from at_least(dim, size, "c2: the part must not be larger than x")


@op_def("graph.pad", traits={PURE})
class Pad(Placed):
    """x with elements added per axis; modes constant, edge, reflect, wrap"""

    x = operand(TENSOR)
    before: AttrDef[Shape] = attr(kind=tuple)
    after: AttrDef[Shape] = attr(kind=tuple)
    mode = attr("constant")
    value: AttrDef[float | int | bool | None] = attr(None)  # None: zero

    def infer(self) -> tuple[Type, ...]:
        x = tensor(self.x)
        shape = tuple(map(dim_sum, zip(self.before, x.shape, self.after, strict=True)))
        return (TensorType(shape, x.element, self.layout),)

    def check(self) -> Iterator[str]:
        if len(self.before) != tensor(self.x).rank or len(self.after) != tensor(self.x).rank:
            yield "c1: before and after must have one number per axis of x"
        if self.mode not in ("constant", "edge", "reflect", "wrap"):
            yield "c3: mode must be constant, edge, reflect or wrap"

    def requires(self) -> Iterator[Requirement]:
        for before, after, dim in zip(canonical(self.before), canonical(self.after), tensor(self.x).shape, strict=True):
            if before == after == 0:
                continue
            yield from at_least(before, 0, "c2: pads must not be negative; a negative pad is a slice")
            yield from at_least(after, 0, "c2: pads must not be negative; a negative pad is a slice")
            if self.mode != "constant":
                yield from at_least(dim, 1, "c4: an axis without elements has none to repeat")
            elif not isinstance(dim, int):  # what lies between the pads is read wherever one looks
                some = as_dim(minimum(as_expr(before) + as_expr(after), 1))
                yield from at_least(dim, some, "c5: an axis of a size that is not known must have elements")


@op_def("graph.tile", traits={PURE})
class Tile(Placed):
    """x repeated as a whole along each axis"""

    x = operand(TENSOR)
    repeats: AttrDef[Shape] = attr(kind=tuple)

    def infer(self) -> tuple[Type, ...]:
        x = tensor(self.x)
        pairs = zip(x.shape, self.repeats, strict=True)
        return (TensorType(tuple(as_dim(as_expr(d) * as_expr(r)) for d, r in pairs), x.element, self.layout),)

    def check(self) -> Iterator[str]:
        if len(self.repeats) != tensor(self.x).rank:
            yield "c1: repeats must have one number per axis of x"

    def requires(self) -> Iterator[Requirement]:
        for each in self.repeats:
            yield from at_least(each, 0, "c2: repeats must not be negative")


@op_def("graph.trilu", traits={PURE})
class Trilu(Op):
    """The upper or lower triangle of the last two axes from diagonal k on, zero elsewhere"""

    x = operand(TENSOR)
    upper = attr(True)
    k = attr(0)

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.x).with_layout(None),)

    def check(self) -> Iterator[str]:
        if tensor(self.x).rank < 2:
            yield "c1: x must have at least two axes"


@op_def("graph.reverse_sequence", traits={PURE})
class ReverseSequence(Op):
    """The first lengths[b] elements along `time_axis` of batch b in reverse order"""

    x = operand(TENSOR)
    lengths = operand(INTEGER_TENSOR, rank(1))
    batch_axis = attr(1)
    time_axis = attr(0)

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.x).with_layout(None),)

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.batch_axis, self.time_axis), tensor(self.x).rank):
            yield "c1: batch_axis and time_axis must be two axes of x"

    def requires(self) -> Iterator[Requirement]:
        batch = tensor(self.x).shape[self.batch_axis]
        yield from equal(tensor(self.lengths).shape[0], batch, "c2: there must be one length per element of the batch")


@op_def("graph.one_hot", traits={PURE})
class OneHot(Op):
    """values[1] where the new `axis` meets the index, else values[0]; negative indices count from depth"""

    indices = operand(NUMBER_TENSOR)
    values = operand(TENSOR, rank(1))
    axis = attr(0)
    depth: AttrDef[Dim] = attr(kind=DIM)

    def infer(self) -> tuple[Type, ...]:
        shape = tensor(self.indices).shape
        depth = as_dim(self.depth)
        return (TensorType((*shape[: self.axis], depth, *shape[self.axis :]), tensor(self.values).element),)

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.axis,), tensor(self.indices).rank + 1):
            yield "c1: axis must be one of the result's"

    def requires(self) -> Iterator[Requirement]:
        yield from equal(tensor(self.values).shape[0], 2, "c2: there must be two values, off and on")


@op_def("graph.relayout", traits={PURE})
class Relayout(Placed):
    """The same tensor in another memory layout"""

    x = operand(TENSOR)

    def infer(self) -> tuple[Type, ...]:
        return (tensor(self.x).with_layout(self.layout),)


@op_def("graph.resize", traits={PURE})
class Resize(Placed):
    """x resampled to `sizes`; coordinates as ONNX Resize defines them, with `scales` per axis"""

    x = operand(NUMBER_TENSOR)
    sizes: AttrDef[Shape] = attr(kind=tuple)
    scales: AttrDef[tuple[float, ...]] = attr(())  # empty: size of the result / size of x
    mode = attr("nearest")  # nearest, linear, cubic
    coordinate = attr("half_pixel")  # ONNX coordinate_transformation_mode
    rounding = attr("round_prefer_floor")  # ONNX nearest_mode
    cubic_coeff_a = attr(-0.75)
    exclude_outside = attr(False)
    extrapolation_value = attr(0.0)
    roi: AttrDef[tuple[float, ...]] = attr(())  # starts then ends per axis, for tf_crop_and_resize
    antialias = attr(False)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(canonical(self.sizes), tensor(self.x).element, self.layout),)

    def check(self) -> Iterator[str]:
        wanted = tensor(self.x).rank
        if len(self.sizes) != wanted or len(self.scales) not in (0, wanted) or len(self.roi) not in (0, 2 * wanted):
            yield "c1: sizes and scales must have one number per axis of x, roi two"
        if self.mode not in ("nearest", "linear", "cubic"):
            yield "c2: mode must be nearest, linear or cubic"
        if self.coordinate not in COORDINATES:
            yield f"c3: coordinate must be one of {', '.join(COORDINATES)}"
        if self.rounding not in ROUNDINGS:
            yield f"c4: rounding must be one of {', '.join(ROUNDINGS)}"

    def requires(self) -> Iterator[Requirement]:
        for before, after in zip(tensor(self.x).shape, canonical(self.sizes), strict=True):
            if before != after:
                some = as_dim(minimum(after, 1))
                yield from at_least(before, some, "c5: an axis without elements cannot be resized")


COORDINATES = (
    "half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric",
    "tf_crop_and_resize", "tf_half_pixel_for_nn",
)  # fmt: skip
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")

OPS: tuple[type[Op], ...] = (
    Constant, Dims, Iota, Reshape, Transpose, Broadcast, Concat, Slice, DynamicSlice, Pad, Tile, Trilu,
    ReverseSequence, OneHot, Relayout, Resize,
)  # fmt: skip
