"""Sizes, axes and positions that are computed in the graph, or fed: ONNX's rules as arithmetic on a few integers.

What leads to a size is made of ordinary ops on vectors of int64, one element per axis, and read at the end: then it is
a named dimension (`graph.read_sizes`), never negative and at most what the rule allows. Choosing among axes becomes
choosing among sizes. Where an operand is known none of this is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from dlc.frontends.build import broadcasted, cast, reduced, reshaped, shape_of, sliced
from dlc.frontends.context import NodeContext, Unsupported
from dlc.ir.core import Value
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.graph_index import MOST_READ, CumSum, Gather, ReadSizes
from dlc.ir.dialects.graph_shape import Concat, Dims, Iota
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, maximum, product, sym
from dlc.ir.types import F64, SI64
from dlc.record import record

Shape = tuple[Dim, ...]
NO_BOUND = -1
MOST_NUMBERS = 64  # that one operand holds


# -- reading -----------------------------------------------------------------------------------------------------------


def read(cx: NodeContext, numbers: Value, text: str, most: Sequence[Dim] = ()) -> Shape:
    """The elements of a vector of int64 as sizes, at most `most` (-1: no bound); `text` is what messages call them."""
    (count,) = shape_of(numbers)
    if not isinstance(count, int) or count > MOST_NUMBERS:
        raise Unsupported(f"{text} is computed from data, {count} numbers of it; dlc needs at most {MOST_NUMBERS}")
    if not count:
        return ()
    stem = next(filter(None, cx.node.outputs), cx.node.op_type)
    names = tuple(cx.scope.unique(f"{stem}_{text.split()[-1]}{n if count > 1 else ''}") for n in range(count))
    bounds = tuple(most) or (NO_BOUND,) * count
    cx.put_op(ReadSizes(numbers, sizes=names, most=bounds, what=cx.node.op_type, text=text))
    return tuple(sym(name) for name in names)


def is_data(cx: NodeContext, *positions: int) -> bool:
    """Whether one of some inputs is there, has elements, and is not known when the model is compiled."""
    items = [cx.item(n) for n in positions if cx.has(n)]
    return any(item.contents is None and item.tensor.shape != (0,) for item in items)


def vector(cx: NodeContext, position: int) -> Value:
    """An input of numbers as a vector of int64."""
    x = cx.x(position)
    return reshaped(cx, cast(cx, x, SI64), (tensor(x).elements,))


def sizes(cx: NodeContext, position: int, what: str, most: Sequence[Dim] = ()) -> Shape:
    """An input that holds sizes: numbers and expressions where they are known, else read when the model runs."""
    if not is_data(cx, position):
        return cx.dims(position, what)
    return read(cx, vector(cx, position), f"its {what}", most)


def positions(cx: NodeContext, position: int, what: str) -> Shape:
    """An input that holds numbers that may be negative, as expressions; beyond ±2⁴⁶ all count as that."""
    if not is_data(cx, position):
        return cx.dims(position, what)
    return signed(cx, vector(cx, position), f"its {what}")


def signed(cx: NodeContext, numbers: Value, text: str) -> Shape:
    held = cx.put(m.Clip(numbers, low=-MOST_READ, high=MOST_READ))
    above, below = cx.put(m.Clip(held, low=0)), cx.put(m.Clip(cx.put(m.Neg(held)), low=0))
    found = read(cx, cx.put(Concat(above, below, axis=0)), text)
    half = len(found) // 2
    return tuple(as_dim(as_expr(up) - down) for up, down in zip(found[:half], found[half:], strict=True))


# -- arithmetic on a number per axis -----------------------------------------------------------------------------------


def of_dims(cx: NodeContext, dims: Sequence[Dim]) -> Value:
    """Sizes as a vector of int64."""
    if all(isinstance(dim, int) for dim in dims):
        return cx.constant(np.array(dims, np.int64))
    return cx.put(Dims(values=tuple(dims)))


def number(cx: NodeContext, value: int) -> Value:
    return cx.constant(np.array([value], np.int64))


def either(cx: NodeContext, condition: Value, then: Value, otherwise: Value) -> Value:
    return cx.put(m.Where(condition, then, otherwise))


def counted(cx: NodeContext, count: int) -> Value:
    return cx.constant(np.arange(count, dtype=np.int64))


def from_the_end(cx: NodeContext, numbers: Value, extent: Value) -> Value:
    """Negative ones count from the end."""
    return either(cx, cx.put(m.Less(numbers, number(cx, 0))), cx.put(m.Add(numbers, extent)), numbers)


@record
class ChosenAxes:
    """Axes of a tensor that come as data: `matches` (rank, axes) says where each is, `mask` (rank) whether one is."""

    matches: Value
    mask: Value
    count: Dim


def chosen_axes(cx: NodeContext, position: int, rank: int, what: str = "axes") -> ChosenAxes:
    """Axes from an input of integers; a run fails where one is out of range, or named twice."""
    given = vector(cx, position)
    (count,) = shape_of(given)
    if rank == 0:
        raise Unsupported(f"its {what} are computed from data, but its input has no axes")
    axes = from_the_end(cx, given, number(cx, rank))
    if isinstance(count, int):
        read(cx, axes, f"each of its {what}", (rank - 1,) * count)
    places = reshaped(cx, counted(cx, rank), (rank, 1))
    matches = cast(cx, cx.put(m.Equal(places, reshaped(cx, axes, (1, count)))), SI64)
    often = reduced(cx, matches, "sum", (1,), keepdims=False)
    read(cx, often, f"how often one is among its {what}", (1,) * rank)
    return ChosenAxes(matches, cx.put(m.Greater(often, number(cx, 0))), count)


def rest_of(cx: NodeContext, chosen: ChosenAxes, shape: Shape) -> Shape:
    """The sizes of the axes that are not chosen, in order."""
    rank = len(shape)
    if not isinstance(chosen.count, int):
        raise Unsupported("the number of its axes is known only at run time, and with it the rank of its result")
    left = rank - chosen.count
    if left < 0:
        raise Unsupported(f"it names {chosen.count} axes of {rank}")
    if not left:
        return ()
    kept = cast(cx, cx.put(m.Not(chosen.mask)), SI64)
    place = cx.put(m.Sub(cx.put(CumSum(kept, axis=0)), number(cx, 1)))
    here = cast(cx, cx.put(m.Equal(reshaped(cx, counted(cx, left), (left, 1)), reshaped(cx, place, (1, rank)))), SI64)
    amounts = cx.put(m.Mul(of_dims(cx, shape), kept))
    found = reduced(cx, cx.put(m.Mul(here, reshaped(cx, amounts, (1, rank)))), "sum", (1,), keepdims=False)
    return read(cx, found, "a size", (largest(shape),) * left)


def largest(shape: Shape) -> Dim:
    """A bound of all sizes."""
    most: Expr = as_expr(0)
    for dim in shape:
        most = maximum(most, as_expr(dim))
    return as_dim(most)


def all_elements(shape: Shape) -> Dim:
    """A bound of every product of some of the sizes, also where others are 0."""
    return product(as_dim(maximum(as_expr(dim), as_expr(1))) for dim in shape)


Reduction = Callable[[Value, tuple[int, ...]], Value]


def reduced_by(
    cx: NodeContext, x: Value, position: int, keepdims: bool, noop: bool, reduce: Reduction
) -> Value:
    """A reduction over axes that come as data: each axis as two, of which one is 1, and the second ones reduced."""
    shape = shape_of(x)
    rank = len(shape)
    chosen = chosen_axes(cx, position, rank)
    mask = chosen.mask
    if not isinstance(chosen.count, int) and not noop:  # no axes at all: all of them
        none = cx.put(m.Equal(of_dims(cx, (chosen.count,)), number(cx, 0)))
        mask = cx.put(m.Or(mask, none))
    own, one = of_dims(cx, shape), number(cx, 1)
    pairs = [reshaped(cx, each, (rank, 1)) for each in (either(cx, mask, one, own), either(cx, mask, own, one))]
    flat = reshaped(cx, cx.put(Concat(*pairs, axis=1)), (2 * rank,))
    bounds = [as_dim(maximum(as_expr(dim), as_expr(1))) for dim in shape for _ in (0, 1)]
    split = read(cx, flat, "a size", bounds)
    y = reduce(reshaped(cx, x, split), tuple(range(1, 2 * rank, 2)))
    return y if keepdims else reshaped(cx, y, rest_of(cx, chosen, shape))


def around_axis(cx: NodeContext, x: Value, position: int) -> Value:
    """x as (what is before an axis, the axis, what is behind it), where the axis comes as data."""
    shape = shape_of(x)
    rank = len(shape)
    if not rank:
        raise Unsupported("its axis is computed from data, but its input has no axes")
    axis = from_the_end(cx, vector(cx, position), number(cx, rank))
    read(cx, axis, "its axis", (rank - 1,))
    places, own, one = counted(cx, rank), of_dims(cx, shape), number(cx, 1)
    parts = [
        reduced(cx, either(cx, cx.put(compare(places, axis)), own, one), "prod", (0,))
        for compare in (m.Less, m.Equal, m.Greater)
    ]
    return reshaped(cx, x, read(cx, cx.put(Concat(*parts, axis=0)), "a size", (all_elements(shape),) * 3))


# -- operators ---------------------------------------------------------------------------------------------------------


def reshape_target(cx: NodeContext, shape: Shape, position: int, allow_zero: bool) -> Shape:
    """The shape that Reshape makes: 0 copies a size, -1 takes what is left."""
    wanted = vector(cx, position)
    (count,) = shape_of(wanted)
    if not isinstance(count, int):
        raise Unsupported("the length of its shape is known only at run time, and with it the rank of its result")
    zero, one = number(cx, 0), number(cx, 1)
    if not allow_zero:
        own = (*shape, *(0,) * count)[:count]
        wanted = either(cx, cx.put(m.Equal(wanted, zero)), of_dims(cx, own), wanted)
    open_ = cx.put(m.Equal(wanted, number(cx, -1)))
    others = reduced(cx, either(cx, open_, one, wanted), "prod", (0,))
    total = of_dims(cx, (product(shape),))
    left = cx.put(m.Div(total, cx.put(m.Maximum(others, one))))
    most = product(shape)
    bound = most if isinstance(most, int) and most else NO_BOUND
    return read(cx, either(cx, open_, left, wanted), "its shape", (bound,) * count)


def squeezed_shape(cx: NodeContext, position: int) -> Shape:
    """The shape without chosen axes; Reshape asks that these have one element."""
    shape = cx.shape()
    return rest_of(cx, chosen_axes(cx, position, len(shape)), shape)


def unsqueezed_shape(cx: NodeContext, position: int) -> Shape:
    """The shape with axes of one element where the chosen ones are, counted in the result."""
    shape = cx.shape()
    rank = len(shape) + length(cx, position, "axes")
    chosen = chosen_axes(cx, position, rank)
    kept = cast(cx, cx.put(m.Not(chosen.mask)), SI64)
    place = cx.put(m.Sub(cx.put(CumSum(kept, axis=0)), number(cx, 1)))
    own = of_dims(cx, (*shape, 1))
    found = cx.put(Gather(own, cx.put(m.Clip(place, low=0)), axis=0))
    bound = as_dim(maximum(as_expr(largest(shape)), as_expr(1)))
    return read(cx, either(cx, chosen.mask, number(cx, 1), found), "a size", (bound,) * rank)


def length(cx: NodeContext, position: int, what: str) -> int:
    """How many numbers an input holds, where that decides a rank."""
    count = tensor(cx.x(position)).elements
    if not isinstance(count, int):
        raise Unsupported(f"the number of its {what} is known only at run time, and with it the rank of its result")
    return count


def pads_by(cx: NodeContext, rank: int) -> Shape:
    """The pads of all axes, first those in front, where the axes that have some come as data."""
    chosen = chosen_axes(cx, 3, rank)
    given = vector(cx, 1)
    sides = reshaped(cx, given, (2, 1, chosen.count))
    taken = cx.put(m.Mul(reshaped(cx, chosen.matches, (1, rank, chosen.count)), sides))
    full = reduced(cx, taken, "sum", (2,), keepdims=False)
    return signed(cx, reshaped(cx, full, (2 * rank,)), "its pads")


def cut_by(cx: NodeContext, dims: Value, starts: Value, ends: Value, steps: Value) -> tuple[Value, Value]:
    """Where slices of axes begin and how many elements they take, as ONNX Slice says; all are vectors of a length."""
    zero, one = number(cx, 0), number(cx, 1)
    backwards = cx.put(m.Less(steps, zero))
    last = cx.put(m.Sub(dims, one))
    low = either(cx, backwards, number(cx, -1), zero)
    top = either(cx, backwards, last, dims)
    first = held(cx, from_the_end(cx, starts, dims), zero, top)
    end = held(cx, from_the_end(cx, ends, dims), low, top)
    distance = either(cx, backwards, cx.put(m.Sub(first, end)), cx.put(m.Sub(end, first)))
    size = cx.put(m.Abs(cx.put(m.Clip(steps, low=-MOST_READ, high=MOST_READ))))
    rounded = cx.put(m.Add(distance, cx.put(m.Sub(size, one))))
    count = cx.put(m.Maximum(cx.put(m.Div(rounded, size)), zero))
    count = either(cx, cx.put(m.Greater(distance, zero)), count, zero)
    return cx.put(m.Maximum(first, zero)), count


def held(cx: NodeContext, x: Value, low: Value, high: Value) -> Value:
    return cx.put(m.Maximum(cx.put(m.Minimum(x, high)), low))


def slice_by(cx: NodeContext, axes: tuple[int, ...] | None, steps: tuple[int, ...] | None) -> Value:
    """Slice where starts and ends come as data, and perhaps (None) also its axes and steps."""
    x = cx.x()
    shape = shape_of(x)
    rank = len(shape)
    starts, ends = vector(cx, 1), vector(cx, 2)
    if axes is not None:
        dims = of_dims(cx, [shape[axis] for axis in axes])
        step = of_dims(cx, steps) if steps is not None else vector(cx, 4)
        where: tuple[int, ...] = axes
    else:  # each axis has a start, an end and a step: its own, or those that take all of it
        chosen = chosen_axes(cx, 3, rank)
        dims, where = of_dims(cx, shape), tuple(range(rank))
        given = vector(cx, 4) if cx.has(4) else None

        def spread(numbers: Value, otherwise: Value) -> Value:
            taken = cx.put(m.Mul(chosen.matches, reshaped(cx, numbers, (1, chosen.count))))
            return either(cx, chosen.mask, reduced(cx, taken, "sum", (1,), keepdims=False), otherwise)

        starts, ends = spread(starts, number(cx, 0)), spread(ends, dims)
        step = number(cx, 1) if given is None else spread(given, number(cx, 1))
        steps = (1,) * rank if given is None else None
    if steps is None:
        size = cx.put(m.Abs(cx.put(m.Clip(step, low=-1, high=1))))
        read(cx, cx.put(m.Sub(number(cx, 1), size)), "whether a step is 0", (0,) * len(where))
    first, count = cut_by(cx, dims, starts, ends, step)
    bounds = [shape[axis] for axis in where]
    counts = read(cx, count, "a size", bounds)
    if steps is not None:
        firsts = read(cx, first, "a start", bounds)
        for axis, start, taken, each in zip(where, firsts, counts, steps, strict=True):
            x = sliced(cx, x, axis, start, taken, each)
        return x
    for n, (axis, taken) in enumerate(zip(where, counts, strict=True)):
        begin, stride = (sliced(cx, broadcasted(cx, each, (len(where),)), 0, n, 1) for each in (first, step))
        places = cx.put(m.Add(cx.put(m.Mul(cx.put(Iota(shape=(taken,), axis=0)), stride)), begin))
        x = cx.put(Gather(x, places, axis=axis))
    return x


def range_by(cx: NodeContext) -> Value:
    """Range where a number comes as data: max(0, ceil((limit - start) / delta)) elements."""
    start, limit, delta = (reshaped(cx, cx.x(n), (1,)) for n in range(3))
    zero = cx.number(0, start)
    nothing = cast(cx, cx.put(m.Equal(delta, zero)), SI64)
    read(cx, nothing, "whether its delta is 0", (0,))
    if tensor(start).scalar.is_float:
        distance = cast(cx, cx.put(m.Sub(limit, start)), F64)
        count = cast(cx, cx.put(m.Ceil(cx.put(m.Div(distance, cast(cx, delta, F64))))), SI64)
    else:
        distance, step = cast(cx, cx.put(m.Sub(limit, start)), SI64), cast(cx, delta, SI64)
        far, size = cx.put(m.Abs(distance)), cx.put(m.Abs(step))
        rounded = cx.put(m.Div(cx.put(m.Add(far, cx.put(m.Sub(size, number(cx, 1))))), size))
        same = cx.put(m.Greater(cx.put(m.Mul(cx.put(m.Sign(distance)), cx.put(m.Sign(step)))), number(cx, 0)))
        count = either(cx, same, rounded, number(cx, 0))
    (elements,) = read(cx, cx.put(m.Clip(count, low=0)), "its number of elements")
    places = cx.put(Iota(shape=(elements,), axis=0, type=tensor(start).scalar))
    return cx.put(m.Add(cx.put(m.Mul(places, delta)), start))
