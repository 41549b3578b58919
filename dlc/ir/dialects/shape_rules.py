"""Rules that several ops share for the shapes and layouts of their results. Dimensions may be symbolic."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from dlc.errors import InternalError, UserError
from dlc.ir.broadcast import broadcast_size, equal_or_wrong
from dlc.ir.core import Op, Value
from dlc.ir.expr import Dim, as_dim, as_expr, ceil_div, minimum
from dlc.ir.types import Element, Layout, TensorType

Shape = tuple[Dim, ...]
DIM = cast(type[Dim], object)  # the kind of an attribute that is an int or an Expr: no class holds just these


def tensor(value: Value) -> TensorType:
    """The type of a value that must be a tensor."""
    if not isinstance(value.type, TensorType):
        raise InternalError(f"expected a tensor, got {value.type}")
    return value.type


def shape_text(shape: Shape) -> str:
    return f"({', '.join(map(str, shape))})"


# -- broadcasting ------------------------------------------------------------------------------------------------------


def broadcast_dim(left: Dim, right: Dim) -> Dim:
    """The dimension of the result: where sizes are open that of `broadcast_size`, unless one is a number besides 1."""
    if left == right or right == 1:
        return left
    if left == 1:
        return right
    if isinstance(left, int) and isinstance(right, int):
        raise UserError(f"dimensions {left} and {right} do not broadcast")
    if isinstance(left, int):
        return left
    if isinstance(right, int):
        return right
    if equal_or_wrong(left, right):
        return left
    return as_dim(broadcast_size(left, right))


def broadcast(shapes: Iterable[Shape]) -> Shape:
    """The NumPy broadcast of all shapes. Raises UserError where there is none."""
    result: Shape = ()
    for shape in shapes:
        longest = max(len(result), len(shape))
        left = (1,) * (longest - len(result)) + result
        right = (1,) * (longest - len(shape)) + shape
        result = tuple(map(broadcast_dim, left, right))
    return result


# -- elementwise -------------------------------------------------------------------------------------------------------


def common_layout(shape: Shape, values: Iterable[Value]) -> Layout | None:
    """The layout that all operands of the full shape have; None if they differ or none has the full shape."""
    layouts = {tensor(v).layout: None for v in values if tensor(v).shape == shape}
    return next(iter(layouts)) if len(layouts) == 1 else None


def elementwise_type(values: Sequence[Value], layout: Layout | None, element: Element | None = None) -> TensorType:
    """The result of an elementwise op: `layout` if given, else the one its full-shape operands share."""
    shape = broadcast(tensor(v).shape for v in values)
    chosen = layout if layout is not None else common_layout(shape, values)
    return TensorType(shape, element or tensor(values[0]).element, chosen)


# -- sliding windows ---------------------------------------------------------------------------------------------------


def spatial_pads(pads: Sequence[int], axis: int) -> tuple[int, int]:
    """(before, after) of a spatial axis; empty `pads` are zeros."""
    return (pads[axis], pads[len(pads) // 2 + axis]) if pads else (0, 0)


def per_axis(values: Sequence[int], axis: int, default: int = 1) -> int:
    """One number of a spatial axis; an empty attribute means the default everywhere."""
    return values[axis] if values else default


def window_count(size: Dim, window: Dim, stride: int, pads: tuple[int, int], dilation: int, ceil: bool = False) -> Dim:
    """How many windows fit. With `ceil` a last incomplete one counts if it starts before the end of the input."""
    reach = as_expr(size) + sum(pads) - (as_expr(window) - 1) * dilation - 1
    if not ceil:
        return as_dim(reach // stride + 1)
    return as_dim(minimum(ceil_div(reach, stride) + 1, ceil_div(as_expr(size) + pads[0], stride)))


def window_shape(
    sizes: Shape,
    window: Shape,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    ceil: bool = False,
) -> Shape:
    """The spatial shape of the result of a convolution or a pool."""
    return tuple(
        window_count(
            size, window[n], per_axis(strides, n), spatial_pads(pads, n), per_axis(dilations, n), ceil
        )
        for n, size in enumerate(sizes)
    )  # fmt: skip


def transposed_window_shape(
    sizes: Shape,
    window: Shape,
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    extra: Sequence[int],
) -> Shape:
    """The spatial shape of the result of a transposed convolution."""
    return tuple(
        as_dim(
            (as_expr(size) - 1) * per_axis(strides, n)
            + (as_expr(window[n]) - 1) * per_axis(dilations, n)
            + (1 + per_axis(extra, n, 0) - sum(spatial_pads(pads, n)))
        )
        for n, size in enumerate(sizes)
    )


def window_attr_problem(rank: int, strides: Sequence[int], pads: Sequence[int], dilations: Sequence[int]) -> str:
    """What is wrong with the attributes of a sliding window over `rank` spatial axes; empty if nothing is."""
    for name, values, wanted, least in (
        ("strides", strides, rank, 1), ("pads", pads, 2 * rank, 0), ("dilations", dilations, rank, 1),
    ):  # fmt: skip
        if values and (len(values) != wanted or min(values) < least):
            return f"{name} must be {wanted} numbers >= {least} or empty"
    return ""


# -- shapes ------------------------------------------------------------------------------------------------------------


def axes_in_range(axes: Iterable[int], rank: int) -> bool:
    """Whether axes are canonical: 0 <= axis < rank, each once."""
    listed = list(axes)
    return all(0 <= axis < rank for axis in listed) and len(set(listed)) == len(listed)


def reduced_shape(shape: Shape, axes: Sequence[int], keepdims: bool) -> Shape:
    if keepdims:
        return tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))
    return tuple(dim for axis, dim in enumerate(shape) if axis not in axes)


def replaced(shape: Shape, axis: int, dim: Dim) -> Shape:
    """`shape` with another dimension at `axis`."""
    return (*shape[:axis], dim, *shape[axis + 1 :])


def dim_sum(dims: Iterable[Dim]) -> Dim:
    total = as_expr(0)
    for dim in dims:
        total = total + as_expr(dim)
    return as_dim(total)


def matmul_shape(left: Shape, right: Shape) -> Shape:
    """(..., m, k) by (..., k, n), the leading dimensions broadcast."""
    return (*broadcast((left[:-2], right[:-2])), left[-2], right[-1])


def static(shape: Iterable[Dim]) -> tuple[int, ...]:
    """Dimensions that must be integers. Raises InternalError for a symbol."""
    dims = canonical(shape)
    if symbols := [dim for dim in dims if not isinstance(dim, int)]:
        raise InternalError(f"expected static dimensions, got {symbols[0]}")
    return tuple(dim for dim in dims if isinstance(dim, int))


def canonical(shape: Iterable[Dim]) -> Shape:
    """Dimensions with constants as ints."""
    return tuple(dim if isinstance(dim, int) else as_dim(dim) for dim in shape)


class FindsSizes(Op):
    """Base of ops that make named dimensions known when they run.

    They are not pure: types and attributes may use the symbols where nothing uses the results.
    """

    def found(self) -> dict[str, Dim | None]:
        """The symbols, each with the most that it can be, if there is a most."""
        raise NotImplementedError
