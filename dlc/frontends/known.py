"""Operators on known contents: what they give is known too, and no op is built.

A rule returns the contents of the result (or of each), or None where it does not apply. It may raise `Undecided`.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import Any, TypeAlias

import numpy as np

from dlc.frontends import contents as exact
from dlc.frontends.contents import Undecided, dims_array, each, is_symbolic, settled
from dlc.frontends.context import NodeContext, Unsupported
from dlc.frontends.records import ELEMENTS, TensorRecord
from dlc.frontends.shapes import axes_of, canonical_axes, canonical_axis, flattened, reshape_target
from dlc.frontends.slices import cut
from dlc.ir.expr import Expr, product
from dlc.ir.types import BOOL, SI64, STRING, Array, ScalarType

Known: TypeAlias = "Array | tuple[Array, ...] | None"
Rule: TypeAlias = Callable[[NodeContext], Known]

MOST_ELEMENTS = 1024  # contents above this are left to the pass that folds constants


def known_results(cx: NodeContext) -> tuple[Array, ...] | None:
    """The contents of the results of a node, if its rule finds them."""
    rule = RULES.get(cx.node.op_type)
    if rule is None:
        return None
    try:
        found = rule(cx)
    except Undecided:
        return None
    if found is None:
        return None
    return found if isinstance(found, tuple) else (found,)


def known_element(cx: NodeContext) -> ScalarType:
    """The element type of a known result that holds expressions."""
    match cx.node.op_type:
        case "Shape" | "Size":
            return SI64
        case "CastLike":
            return cx.type(1).scalar
        case "Cast":
            return ELEMENTS[cx.integer("to")]
        case "Where":
            return cx.type(1).scalar
    return cx.type(0).scalar


def all_contents(cx: NodeContext, most: int | None = MOST_ELEMENTS) -> list[Array] | None:
    """The contents of all inputs, if all are known and small."""
    found = [item.contents for item in cx.inputs if item is not None]
    arrays = [array for array in found if array is not None]
    if len(arrays) != len(found) or any(array.size > most for array in arrays if most is not None):
        return None
    return arrays


# -- elementwise -------------------------------------------------------------------------------------------------------


def elementwise(
    numeric: Callable[..., Any], symbolic: Callable[..., Any] = exact.undecided, result: ScalarType | None = None,
    operands: int = 0,
) -> Rule:  # fmt: skip
    """A rule for an elementwise operator, from its meaning on numbers and on expressions.

    It takes as many `operands` as `numeric`, if that is one of NumPy's functions on elements and says so itself.
    """
    count = operands or getattr(numeric, "nin", 0)

    def rule(cx: NodeContext) -> Known:
        arrays = all_contents(cx)
        if arrays is None or len(arrays) != count:
            return None
        if prod(np.broadcast_shapes(*(array.shape for array in arrays))) > MOST_ELEMENTS:
            return None
        element = result or cx.type(len(arrays) - 1).scalar
        if any(map(is_symbolic, arrays)):
            return settled(each(symbolic, *arrays), element)
        with np.errstate(all="ignore"):
            found = np.asarray(numeric(*arrays))
        return found if found.dtype == element.dtype else found.astype(element.dtype)

    return rule


def divide(cx: NodeContext) -> Known:
    if cx.type(0).scalar.is_float:
        return elementwise(np.divide, exact.divide)(cx)
    divisor = cx.contents(1)
    if divisor is None or (not is_symbolic(divisor) and not divisor.all()):
        return None
    return elementwise(_truncated_quotient, exact.divide_integers, operands=2)(cx)


def _truncated_quotient(left: Array, right: Array) -> Array:
    quotient: Array = np.floor_divide(left, right)
    inexact = np.remainder(left, right) != 0
    return np.asarray(np.add(quotient, np.less(quotient, 0) & inexact, dtype=quotient.dtype))


def modulo(cx: NodeContext) -> Known:
    divisor = cx.contents(1)
    if divisor is None or (not is_symbolic(divisor) and not divisor.all()):
        return None
    if cx.flag("fmod"):
        return elementwise(np.fmod)(cx)
    return elementwise(np.mod, exact.remainder)(cx)


def power(cx: NodeContext) -> Known:
    arrays = all_contents(cx)
    if arrays is None or any(map(is_symbolic, arrays)) or not cx.type(0).scalar.is_float:
        return None
    return np.asarray(np.power(arrays[0], arrays[1]).astype(arrays[0].dtype))


def folded(numeric: Callable[..., Any], symbolic: Callable[..., Any]) -> Rule:
    """A rule for an operator of any number of operands."""

    def rule(cx: NodeContext) -> Known:
        arrays = all_contents(cx)
        if not arrays:
            return None
        total = arrays[0]
        for array in arrays[1:]:
            mixed = is_symbolic(total) or is_symbolic(array)
            total = each(symbolic, total, array) if mixed else np.asarray(numeric(total, array))
        return settled(total, cx.type(0).scalar)

    return rule


def cast(cx: NodeContext) -> Known:
    element = cx.type(1).scalar if cx.node.op_type == "CastLike" else ELEMENTS.get(cx.integer("to"))
    x = cx.contents(0)
    if x is None or x.size > MOST_ELEMENTS or element is None or STRING in (element, cx.type(0).scalar):
        return None
    if is_symbolic(x):
        if element == BOOL:
            return settled(each(lambda value: not exact.equal(value, 0), x), element)
        return settled(x if element.is_float else each(exact.truncate, x), element)
    with np.errstate(all="ignore"):
        return x.astype(element.dtype)


def whole_numbers(array: Array) -> tuple[int, ...]:
    """Contents that say a shape. Raises Unsupported if they do not."""
    if array.ndim > 1 or array.dtype.kind not in "iu":
        raise Unsupported(f"a vector of integers must say its shape, got {array.ndim} axes of {array.dtype}")
    return tuple(int(value) for value in array.reshape(-1))


# -- structure: the same for numbers and expressions -------------------------------------------------------------------


def identity(cx: NodeContext) -> Known:
    return cx.contents(0)


def shape_of(cx: NodeContext) -> Known:
    shape = cx.shape()
    if cx.version >= 15:
        start, end = cx.integer("start", 0), cx.integer("end", len(shape))
        shape = shape[slice(start, end)]
    return dims_array(shape)


def size_of(cx: NodeContext) -> Known:
    return dims_array((product(cx.shape()),)).reshape(())


def reshape(cx: NodeContext) -> Known:
    x = cx.contents(0)
    wanted = cx.contents(1) if cx.version >= 5 else np.array(cx.integers("shape"))
    if x is None or wanted is None or is_symbolic(wanted):
        return None
    target = reshape_target(x.shape, whole_numbers(wanted), cx.flag("allowzero"))
    return x.reshape(tuple(int(dim) for dim in target if isinstance(dim, int)))


def squeeze(cx: NodeContext) -> Known:
    x = cx.contents(0)
    if x is None:
        return None
    axes = axes_of(cx, 1, 13)
    drop = [n for n, dim in enumerate(x.shape) if dim == 1] if axes is None else canonical_axes(axes, x.ndim)
    return np.squeeze(x, tuple(drop))


def unsqueeze(cx: NodeContext) -> Known:
    x, axes = cx.contents(0), axes_of(cx, 1, 13)
    if x is None or axes is None:
        return None
    return np.expand_dims(x, canonical_axes(axes, x.ndim + len(axes)))


def flatten(cx: NodeContext) -> Known:
    x = cx.contents(0)
    if x is None:
        return None
    axis = cx.integer("axis", 1)
    return x.reshape(tuple(int(str(dim)) for dim in flattened(x.shape, axis + x.ndim if axis < 0 else axis)))


def transpose(cx: NodeContext) -> Known:
    arrays = all_contents(cx)
    if not arrays:
        return None
    perm = cx.integers("perm", tuple(reversed(range(arrays[0].ndim))))
    return np.ascontiguousarray(arrays[0].transpose(perm)).reshape(tuple(arrays[0].shape[axis] for axis in perm))


def concat(cx: NodeContext) -> Known:
    arrays = all_contents(cx)
    if not arrays:
        return None
    axis = canonical_axis(cx.integer("axis", 1 if cx.version < 4 else None), arrays[0].ndim)
    if any(map(is_symbolic, arrays)):
        arrays = [array.astype(object) for array in arrays]
    return settled(np.concatenate(arrays, axis), cx.type(0).scalar)


def gather(cx: NodeContext) -> Known:
    x, indices = cx.contents(0), cx.contents(1)
    if x is None or indices is None or is_symbolic(indices) or max(x.size, indices.size) > MOST_ELEMENTS:
        return None
    axis = canonical_axis(cx.integer("axis", 0), x.ndim)
    if indices.size and not (-x.shape[axis] <= indices.min() and indices.max() < x.shape[axis]):
        return None
    return settled(np.asarray(np.take(x, indices.astype(np.int64), axis)), cx.type(0).scalar)


def slice_(cx: NodeContext) -> Known:
    arrays = all_contents(cx)
    if not arrays or any(map(is_symbolic, arrays[1:])):
        return None
    rank = arrays[0].ndim
    if cx.version >= 10:
        starts, ends = cx.numbers(1, "starts"), cx.numbers(2, "ends")
        axes = cx.numbers(3, "axes") if cx.has(3) else tuple(range(len(starts)))
        steps = cx.numbers(4, "steps") if cx.has(4) else (1,) * len(starts)
    else:
        starts, ends = cx.integers("starts"), cx.integers("ends")
        axes, steps = cx.integers("axes", tuple(range(len(starts)))), (1,) * len(starts)
    x = arrays[0]
    for start, end, axis, step in zip(starts, ends, canonical_axes(axes, rank), steps, strict=True):
        part = cut(x.shape[axis], start, end, step)
        if not isinstance(part.start, int) or not isinstance(part.size, int):
            return None
        x = x.take(range(part.start, part.start + part.size * part.step, part.step), axis)
    return settled(np.ascontiguousarray(x).reshape(x.shape), cx.type(0).scalar)


def split(cx: NodeContext) -> Known:
    x = cx.contents(0)
    if x is None or x.size > MOST_ELEMENTS or len(cx.node.outputs) != x.shape[axis := cx.integer("axis", 0)]:
        return None
    if cx.has(1) or cx.attribute("split") is not None:
        return None
    return tuple(settled(part, cx.type(0).scalar) for part in np.split(x, x.shape[axis], axis))


def expand(cx: NodeContext) -> Known:
    x, shape = cx.contents(0), cx.contents(1)
    if x is None or shape is None or is_symbolic(shape):
        return None
    target = np.broadcast_shapes(x.shape, whole_numbers(shape))
    if prod(target) > MOST_ELEMENTS:
        return None
    return np.ascontiguousarray(np.broadcast_to(x, target)).reshape(target)


def tile(cx: NodeContext) -> Known:
    arrays = all_contents(cx)
    if not arrays or cx.version < 6 or is_symbolic(arrays[1]):
        return None
    repeats = whole_numbers(arrays[1])
    return np.tile(arrays[0], repeats) if arrays[0].size * prod(repeats) <= MOST_ELEMENTS else None


def constant_of_shape(cx: NodeContext) -> Known:
    shape = cx.contents(0)
    if shape is None or is_symbolic(shape) or prod(sizes := whole_numbers(shape)) > MOST_ELEMENTS:
        return None
    return np.full(sizes, fill_value(cx)).astype(fill_value(cx).dtype)


def fill_value(cx: NodeContext) -> Array:
    """The scalar that ConstantOfShape repeats."""
    value = cx.attribute("value")
    if not isinstance(value, TensorRecord) or value.element is None:
        if value is not None:
            raise Unsupported("its value is of a type that dlc does not have")
        return np.array(0, np.float32)
    return value.load().reshape(-1)[:1].reshape(())


def range_(cx: NodeContext) -> Known:
    arrays = all_contents(cx)
    if not arrays or any(map(is_symbolic, arrays)) or not arrays[2].all():
        return None
    start, limit, delta = (array.reshape(-1)[0].item() for array in arrays)
    if not all(map(np.isfinite, (start, limit, delta))):
        return None
    count = max(0, ceil((limit - start) / delta))
    if count > MOST_ELEMENTS:
        return None
    dtype = arrays[0].dtype
    steps = np.arange(count, dtype=np.float64 if dtype.kind == "f" else np.int64)
    return np.asarray(steps * delta + start).astype(dtype)


def reduction(numeric: Callable[..., Any], symbolic: Callable[..., Any], since: int) -> Rule:
    """A rule for a reduction of a vector to one element."""

    def rule(cx: NodeContext) -> Known:
        x = cx.contents(0)
        if x is None or x.ndim > 1 or not 0 < x.size <= MOST_ELEMENTS or (cx.has(1) and cx.contents(1) is None):
            return None
        if x.ndim and axes_of(cx, 1, since) is None and cx.flag("noop_with_empty_axes"):
            return None
        keep = (1,) if cx.flag("keepdims", True) and x.ndim else ()
        if not is_symbolic(x):
            return np.asarray(numeric(x)).astype(x.dtype).reshape(keep)
        total = x.reshape(-1)[0]
        for value in x.reshape(-1)[1:]:
            total = symbolic(total, value)
        return settled(np.array([total], object).reshape(keep), cx.type(0).scalar)

    return rule


def round_(cx: NodeContext) -> Known:
    def kept(value: exact.Element) -> exact.Element:
        return value if isinstance(value, int | Expr) else exact.undecided()

    return elementwise(np.round, kept, operands=1)(cx)


RULES: dict[str, Rule] = {
    "Identity": identity, "Shape": shape_of, "Size": size_of, "Reshape": reshape, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Flatten": flatten, "Transpose": transpose, "Concat": concat, "Gather": gather,
    "Slice": slice_, "Split": split, "Expand": expand, "Tile": tile, "ConstantOfShape": constant_of_shape,
    "Range": range_, "Cast": cast, "CastLike": cast,
    "Add": elementwise(np.add, exact.add), "Sub": elementwise(np.subtract, exact.subtract),
    "Mul": elementwise(np.multiply, exact.multiply), "Div": divide, "Mod": modulo, "Pow": power,
    "Neg": elementwise(np.negative, exact.negate), "Abs": elementwise(np.abs, exact.magnitude),
    "Floor": elementwise(np.floor, exact.floor), "Ceil": elementwise(np.ceil, exact.ceil), "Round": round_,
    "Sqrt": elementwise(np.sqrt), "Exp": elementwise(np.exp), "Log": elementwise(np.log),
    "Reciprocal": elementwise(np.reciprocal), "Sign": elementwise(np.sign),
    "Min": folded(np.minimum, exact.lower), "Max": folded(np.maximum, exact.upper), "Sum": folded(np.add, exact.add),
    "Equal": elementwise(np.equal, exact.equal, BOOL),
    "Less": elementwise(np.less, exact.less, BOOL),
    "Greater": elementwise(np.greater, lambda a, b: exact.less(b, a), BOOL),
    "LessOrEqual": elementwise(np.less_equal, exact.less_or_equal, BOOL),
    "GreaterOrEqual": elementwise(np.greater_equal, lambda a, b: exact.less_or_equal(b, a), BOOL),
    "Not": elementwise(np.logical_not), "And": elementwise(np.logical_and), "Or": elementwise(np.logical_or),
    "Xor": elementwise(np.logical_xor), "Where": elementwise(np.where, exact.choose, operands=3),
    "ReduceProd": reduction(np.prod, exact.multiply, 18), "ReduceSum": reduction(np.sum, exact.add, 13),
    "ReduceMax": reduction(np.max, exact.upper, 18), "ReduceMin": reduction(np.min, exact.lower, 18),
}  # fmt: skip
