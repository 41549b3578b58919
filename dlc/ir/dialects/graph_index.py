"""Ops that select elements by index, sort them, or count them. Negative indices count from the end."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op, Value
from dlc.ir.dialects.shape_rules import DIM, FindsSizes, axes_in_range, replaced, tensor
from dlc.ir.expr import Dim, as_dim, sym
from dlc.ir.opdef import (
    BOOL_TENSOR,
    COMPARES,
    FINDS_SIZE,
    INTEGER_TENSOR,
    NUMBER_TENSOR,
    PURE,
    SI64_TENSOR,
    TENSOR,
    AttrDef,
    attr,
    op_def,
    operand,
    rank,
    result,
)
from dlc.ir.requirements import Requirement, at_least, equal_shapes
from dlc.ir.types import SI64, TensorType, Type

READS_BACK = "reads-back"  # a trait: the kernel reads what it has stored, so all results need memory, used or not
REDUCTIONS = ("none", "add", "mul", "max", "min")


def inside_but_for(axis: int, indices: Value, x: Value, text: str) -> Iterator[Requirement]:
    """Along all axes but one, indices are at most as long as x."""
    for n, (limit, size) in enumerate(zip(tensor(x).shape, tensor(indices).shape, strict=True)):
        if n != axis:
            yield from at_least(limit, size, text)


def same_as(value: Value) -> tuple[Type, ...]:
    return (tensor(value).with_layout(None),)


@op_def("graph.gather", traits={PURE})
class Gather(Op):
    """The slices of x along `axis` that the indices name; the shape of indices takes the axis's place"""

    x = operand(TENSOR)
    indices = operand(INTEGER_TENSOR)
    axis = attr(0)

    def infer(self) -> tuple[Type, ...]:
        x, indices = tensor(self.x), tensor(self.indices)
        return (TensorType((*x.shape[: self.axis], *indices.shape, *x.shape[self.axis + 1 :]), x.element),)

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.axis,), tensor(self.x).rank):
            yield "c1: axis must be one of x's"


@op_def("graph.gather_elements", traits={PURE})
class GatherElements(Op):
    """At each place of indices the element of x there, but for the index along `axis`"""

    x = operand(TENSOR)
    indices = operand(INTEGER_TENSOR)
    axis = attr(0)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType(tensor(self.indices).shape, tensor(self.x).element),)

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.axis,), tensor(self.x).rank):
            yield "c1: axis must be one of x's"
        if tensor(self.x).rank != tensor(self.indices).rank:
            yield "c2: indices must have the rank of x"

    def requires(self) -> Iterator[Requirement]:
        yield from inside_but_for(self.axis, self.indices, self.x, "c3: indices must lie inside x but for the axis")


@op_def("graph.gather_nd", traits={PURE})
class GatherNd(Op):
    """The slices of x at the index vectors along the last axis of indices, after `batch_dims` shared axes"""

    x = operand(TENSOR)
    indices = operand(INTEGER_TENSOR)
    batch_dims = attr(0)

    def infer(self) -> tuple[Type, ...]:
        x, indices = tensor(self.x), tensor(self.indices)
        depth = indices.shape[-1]
        taken = self.batch_dims + (depth if isinstance(depth, int) else 0)
        return (TensorType((*indices.shape[:-1], *x.shape[taken:]), x.element),)

    def check(self) -> Iterator[str]:
        indices = tensor(self.indices)
        depth = indices.shape[-1] if indices.rank else None
        if not isinstance(depth, int) or not 1 <= depth <= tensor(self.x).rank - self.batch_dims:
            yield "c1: the last axis of indices must be an integer from 1 to the axes of x that are no batch axes"
        if not 0 <= self.batch_dims < max(1, indices.rank):
            yield "c2: batch_dims must be less than the rank of indices"

    def requires(self) -> Iterator[Requirement]:
        batch = slice(self.batch_dims)
        x, indices = tensor(self.x).shape[batch], tensor(self.indices).shape[batch]
        yield from equal_shapes(indices, x, "c3: indices must have the batch axes of x")


@op_def("graph.scatter_elements", traits={PURE})
class ScatterElements(Op):
    """x with updates put at the places that `gather_elements` would read, by a reduction"""

    x = operand(TENSOR)
    indices = operand(INTEGER_TENSOR)
    updates = operand(TENSOR)
    axis = attr(0)
    reduction = attr("none")

    def infer(self) -> tuple[Type, ...]:
        return same_as(self.x)

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.axis,), tensor(self.x).rank):
            yield "c1: axis must be one of x's"
        if self.reduction not in REDUCTIONS:
            yield f"c3: reduction must be one of {', '.join(REDUCTIONS)}"
        if tensor(self.x).element != tensor(self.updates).element:
            yield "c4: x and updates must have one element type"
        if not tensor(self.x).rank == tensor(self.indices).rank == tensor(self.updates).rank:
            yield "c5: indices and updates must have the rank of x"

    def requires(self) -> Iterator[Requirement]:
        indices, updates = tensor(self.indices).shape, tensor(self.updates).shape
        yield from equal_shapes(indices, updates, "c2: indices and updates must have one shape")
        yield from inside_but_for(self.axis, self.indices, self.x, "c6: indices must lie inside x but for the axis")


@op_def("graph.scatter_nd", traits={PURE})
class ScatterNd(Op):
    """x with updates put at the slices that `gather_nd` would read, by a reduction"""

    x = operand(TENSOR)
    indices = operand(INTEGER_TENSOR)
    updates = operand(TENSOR)
    reduction = attr("none")

    def infer(self) -> tuple[Type, ...]:
        return same_as(self.x)

    def check(self) -> Iterator[str]:
        x, indices, updates = tensor(self.x), tensor(self.indices), tensor(self.updates)
        depth = indices.shape[-1] if indices.rank else None
        if not isinstance(depth, int) or not 1 <= depth <= x.rank:
            yield "c1: the last axis of indices must be an integer from 1 to the rank of x"
        elif updates.rank != indices.rank - 1 + x.rank - depth:
            yield "c5: updates must have the rank that gather_nd would give"
        if self.reduction not in REDUCTIONS:
            yield f"c3: reduction must be one of {', '.join(REDUCTIONS)}"
        if x.element != updates.element:
            yield "c4: x and updates must have one element type"

    def requires(self) -> Iterator[Requirement]:
        x, indices = tensor(self.x).shape, tensor(self.indices).shape
        depth = indices[-1]
        rows = (*indices[:-1], *x[depth if isinstance(depth, int) else 0 :])
        wanted = "c2: updates must have the shape that gather_nd would give"
        yield from equal_shapes(tensor(self.updates).shape, rows, wanted)


@op_def("graph.cum_sum", traits={PURE})
class CumSum(Op):
    """Running sums along `axis`"""

    x = operand(NUMBER_TENSOR)
    axis = attr(0)
    exclusive = attr(False)
    reverse = attr(False)

    def infer(self) -> tuple[Type, ...]:
        return same_as(self.x)

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.axis,), tensor(self.x).rank):
            yield "c1: axis must be one of x's"


@op_def("graph.top_k", traits={PURE, READS_BACK, COMPARES})
class TopK(Op):
    """The k largest or smallest elements along `axis` and their indices; of equals the lower index comes first"""

    x = operand(NUMBER_TENSOR)
    axis = attr(0)
    k: AttrDef[Dim] = attr(kind=DIM)
    largest = attr(True)
    sorted = attr(True)
    values = result()
    indices = result()

    def infer(self) -> tuple[Type, ...]:
        x = tensor(self.x)
        shape = replaced(x.shape, self.axis, as_dim(self.k))
        return (TensorType(shape, x.element), TensorType(shape, SI64))

    def check(self) -> Iterator[str]:
        if not axes_in_range((self.axis,), tensor(self.x).rank):
            yield "c1: axis must be one of x's"

    def requires(self) -> Iterator[Requirement]:
        size = tensor(self.x).shape[self.axis]
        yield from at_least(size, as_dim(self.k), "c2: k must not exceed the size of the axis")


class Counting(FindsSizes):
    """Base of ops whose result has a size found only at run time: the symbol `size`, at most `size_bound()`."""

    size: AttrDef[str] = attr(kind=str)

    def size_bound(self) -> Dim:
        return tensor(self.operands[0]).elements

    def found(self) -> dict[str, Dim | None]:
        return {self.size: self.size_bound()}


MOST_READ = 1 << 46  # a size that is read from data and has no other bound: no tensor can have more elements


@op_def("graph.read_sizes", traits={FINDS_SIZE})
class ReadSizes(FindsSizes):
    """Makes each element of x (N) the value of one of the N named dimensions `sizes`

    A run fails where one is negative, or more than `most` says: a bound for each, -1 for none. The message calls the op
    `what` and the numbers `text`.
    """

    x = operand(SI64_TENSOR, rank(1))
    sizes: AttrDef[tuple[str, ...]] = attr(kind=tuple)
    most: AttrDef[tuple[Dim, ...]] = attr(kind=tuple)
    what = attr("model")
    text = attr("a size")

    def infer(self) -> tuple[Type, ...]:
        return ()

    def check(self) -> Iterator[str]:
        if len(self.sizes) != len(self.most) or tensor(self.x).shape != (len(self.sizes),):
            yield "c1: x must have as many elements as there are sizes and bounds"

    def found(self) -> dict[str, Dim | None]:
        bounds = (None if most == -1 else most for most in self.most)
        return dict(zip(self.sizes, bounds, strict=True))


@op_def("graph.nonzero", traits={FINDS_SIZE, COMPARES})
class NonZero(Counting):
    """The indices of elements that are not zero, one column each, in row-major order"""

    x = operand(TENSOR)

    def infer(self) -> tuple[Type, ...]:
        return (TensorType((tensor(self.x).rank, sym(self.size)), SI64),)


@op_def("graph.compress", traits={FINDS_SIZE})
class Compress(Counting):
    """The slices of x along `axis` where the condition holds; without an axis x is flattened first"""

    x = operand(TENSOR)
    condition = operand(BOOL_TENSOR, rank(1))
    axis: AttrDef[int | None] = attr(None)

    def infer(self) -> tuple[Type, ...]:
        x = tensor(self.x)
        shape = (sym(self.size),) if self.axis is None else replaced(x.shape, self.axis, sym(self.size))
        return (TensorType(shape, x.element),)

    def check(self) -> Iterator[str]:
        if self.axis is not None and not axes_in_range((self.axis,), tensor(self.x).rank):
            yield "c1: axis must be one of x's"

    def size_bound(self) -> Dim:
        return tensor(self.x).elements if self.axis is None else tensor(self.x).shape[self.axis]


@op_def("graph.unique", traits={FINDS_SIZE, COMPARES})
class Unique(Counting):
    """The distinct elements, or slices along `axis`, with the index of the first of each, for each element the index
    of its value, and how often each occurs; sorted, or in the order of the first occurrence
    """

    x = operand(TENSOR)
    axis: AttrDef[int | None] = attr(None)
    sorted = attr(True)
    values = result()
    first = result()
    inverse = result()
    counts = result()

    def infer(self) -> tuple[Type, ...]:
        x, size = tensor(self.x), sym(self.size)
        shape: tuple[Dim, ...] = (size,) if self.axis is None else replaced(x.shape, self.axis, size)
        counts = TensorType((size,), SI64)
        return (TensorType(shape, x.element), counts, TensorType((self.size_bound(),), SI64), counts)

    def check(self) -> Iterator[str]:
        if self.axis is not None and not axes_in_range((self.axis,), tensor(self.x).rank):
            yield "c1: axis must be one of x's"

    def size_bound(self) -> Dim:
        return tensor(self.x).elements if self.axis is None else tensor(self.x).shape[self.axis]


OPS: tuple[type[Op], ...] = (
    Gather, GatherElements, GatherNd, ScatterElements, ScatterNd, CumSum, TopK, NonZero, Compress, Unique,
    ReadSizes,
)  # fmt: skip
