"""Operators on known contents: what they give is known too, and no op is built.

A rule returns the contents of the result (or of each), or None where it does not apply. It may raise `Undecided`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import ceil, prod
from typing import Any, TypeAlias

import numpy as np

from dlc.frontends import contents as exact
from dlc.frontends.contents import Undecided, dims_array, each, is_symbolic, settled
from dlc.frontends.context import NodeContext, Unsupported
from dlc.frontends.records import ELEMENTS, TensorRecord
from dlc.frontends.shapes import (
    axes_of,
    canonical_axes,
    canonical_axis,
    flattened,
    reduced_axes,
    reshape_target,
)
from dlc.frontends.slices import cut
from dlc.ir.core import Op
from dlc.ir.dialects import graph_math as m
from dlc.ir.eval.conversion import converted
from dlc.ir.eval.frame import widened
from dlc.ir.eval.graph_math import PLAIN
from dlc.ir.eval.graph_nn import REDUCTIONS
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
    kind: type[Op], symbolic: Callable[..., Any] = exact.undecided, result: ScalarType | None = None
) -> Rule:  # fmt: skip
    """A rule for an elementwise operator: on numbers what the evaluator says of its op, on expressions `symbolic`."""
    return computing(PLAIN[kind], len(kind.spec.operands), symbolic, result)


def computing(
    numeric: Callable[..., Any], count: int, symbolic: Callable[..., Any] = exact.undecided,
    result: ScalarType | None = None,
) -> Rule:  # fmt: skip
    """A rule for an elementwise operator of `count` operands, from its meaning on numbers and on expressions."""

    def rule(cx: NodeContext) -> Known:
        arrays = all_contents(cx)
        if arrays is None or len(arrays) != count:
            return None
        if prod(np.broadcast_shapes(*(array.shape for array in arrays))) > MOST_ELEMENTS:
            return None
        element = result or cx.type(len(arrays) - 1).scalar
        if any(map(is_symbolic, arrays)):
            return settled(each(symbolic, *arrays), element)
        return computed(numeric, arrays, element)

    return rule


def computed(numeric: Callable[..., Any], arrays: Iterable[Array], element: ScalarType) -> Array:
    """What a meaning gives for numbers, as the evaluator computes it: halves are widened, the result is rounded."""
    with np.errstate(all="ignore"):
        return converted(np.asarray(numeric(*map(widened, arrays))), element)


def divide(cx: NodeContext) -> Known:
    return elementwise(m.Div, exact.divide if cx.type(0).scalar.is_float else exact.divide_integers)(cx)


def modulo(cx: NodeContext) -> Known:
    if cx.flag("fmod"):
        return computing(np.fmod, 2)(cx)
    return computing(np.mod, 2, exact.remainder)(cx)


def power(cx: NodeContext) -> Known:
    """In the type of the base, but an integer to a power that is a float in the power's."""
    base, exponent = cx.type(0).scalar, cx.type(1).scalar
    kind = base if base.is_float or exponent.is_integer else exponent

    def raised(a: Array, b: Array) -> Array:
        narrow = PLAIN[m.Pow](widened(converted(a, kind)), widened(converted(b, kind)))
        return widened(converted(np.asarray(narrow), kind))

    return computing(raised, 2, result=base)(cx)


def folded(kind: type[Op], symbolic: Callable[..., Any]) -> Rule:
    """A rule for an operator of any number of operands."""

    def rule(cx: NodeContext) -> Known:
        arrays = all_contents(cx)
        if not arrays or prod(np.broadcast_shapes(*(array.shape for array in arrays))) > MOST_ELEMENTS:
            return None
        element, total = cx.type(0).scalar, arrays[0]
        for array in arrays[1:]:
            mixed = is_symbolic(total) or is_symbolic(array)
            total = each(symbolic, total, array) if mixed else computed(PLAIN[kind], (total, array), element)
        return settled(total, element)

    return rule


def cast(cx: NodeContext) -> Known:
    element = cx.type(1).scalar if cx.node.op_type == "CastLike" else ELEMENTS.get(cx.integer("to"))
    x = cx.contents(0)
    if x is None or x.size > MOST_ELEMENTS or element is None or STRING in (element, cx.type(0).scalar):
        return None
    if is_symbolic(x):
        if element == BOOL:
            return settled(each(lambda value: not exact.equal(value, 0), x), element)
        if element.bits < 32:
            return None  # it does not hold all sizes: a number that wraps or is rounded is no expression
        return settled(x if element.is_float else each(exact.truncate, x), element)
    return computed(np.asarray, (x,), element)


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
    x = cx.contents(0)
    axes = None if x is None else axes_of(cx, 1, 13)
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
    count = max(0, -((start - limit) // delta) if isinstance(delta, int) else ceil((limit - start) / delta))
    if count > MOST_ELEMENTS:
        return None
    dtype = arrays[0].dtype
    steps = np.arange(count, dtype=np.float64 if dtype.kind == "f" else np.int64)
    return np.asarray(steps * delta + start).astype(dtype)


def reduction(kind: str, symbolic: Callable[..., Any], since: int) -> Rule:
    """A rule for a reduction of a vector to one element. `since`: the opset that made the axes an input."""

    def rule(cx: NodeContext) -> Known:
        x = cx.contents(0)
        if x is None or x.ndim > 1 or not 0 < x.size <= MOST_ELEMENTS or (cx.has(1) and cx.contents(1) is None):
            return None
        axes = reduced_axes(cx, x.ndim, since)
        if x.ndim and not axes:
            return x
        element = cx.type(0).scalar
        keep = (1,) if cx.flag("keepdims", True) and x.ndim else ()
        if not is_symbolic(x):
            return computed(lambda array: REDUCTIONS[kind](array, axes), (x,), element).reshape(keep)
        total = x.reshape(-1)[0]
        for value in x.reshape(-1)[1:]:
            total = symbolic(total, value)
        return settled(np.array([total], object).reshape(keep), element)

    return rule


def round_(cx: NodeContext) -> Known:
    def kept(value: exact.Element) -> exact.Element:
        return value if isinstance(value, int | Expr) else exact.undecided()

    return elementwise(m.Round, kept)(cx)


RULES: dict[str, Rule] = {
    "Identity": identity, "Shape": shape_of, "Size": size_of, "Reshape": reshape, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Flatten": flatten, "Transpose": transpose, "Concat": concat, "Gather": gather,
    "Slice": slice_, "Split": split, "Expand": expand, "Tile": tile, "ConstantOfShape": constant_of_shape,
    "Range": range_, "Cast": cast, "CastLike": cast,
    "Add": elementwise(m.Add, exact.add), "Sub": elementwise(m.Sub, exact.subtract),
    "Mul": elementwise(m.Mul, exact.multiply), "Div": divide, "Mod": modulo, "Pow": power,
    "Neg": elementwise(m.Neg, exact.negate), "Abs": elementwise(m.Abs, exact.magnitude),
    "Floor": elementwise(m.Floor, exact.floor), "Ceil": elementwise(m.Ceil, exact.ceil), "Round": round_,
    "Sqrt": elementwise(m.Sqrt), "Exp": elementwise(m.Exp), "Log": elementwise(m.Log),
    "Reciprocal": elementwise(m.Reciprocal), "Sign": elementwise(m.Sign),
    "Min": folded(m.Minimum, exact.lower), "Max": folded(m.Maximum, exact.upper), "Sum": folded(m.Add, exact.add),
    "Equal": elementwise(m.Equal, exact.equal, BOOL),
    "Less": elementwise(m.Less, exact.less, BOOL),
    "Greater": elementwise(m.Greater, lambda a, b: exact.less(b, a), BOOL),
    "LessOrEqual": elementwise(m.LessEqual, exact.less_or_equal, BOOL),
    "GreaterOrEqual": elementwise(m.GreaterEqual, lambda a, b: exact.less_or_equal(b, a), BOOL),
    "Not": elementwise(m.Not), "And": elementwise(m.And), "Or": elementwise(m.Or),
    "Xor": elementwise(m.Xor), "Where": elementwise(m.Where, exact.choose),
    "ReduceProd": reduction("prod", exact.multiply, 18), "ReduceSum": reduction("sum", exact.add, 13),
    "ReduceMax": reduction("max", exact.upper, 18), "ReduceMin": reduction("min", exact.lower, 18),
}  # fmt: skip
