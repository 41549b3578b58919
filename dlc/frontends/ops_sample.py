"""Images read at positions between their elements: the taps around each position, weighted and added up.

    y[n, c, p] = sum over the taps t of all axes:  x[n, c, place(p, t)] · weight(p, t)

All taps are read by one gather: its index counts through an image as a whole, with an axis of taps for each axis.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlc.frontends.build import assume_equal, broadcasted, cast, rank_of, reduced, reshaped, shape_of, sliced
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as m
from dlc.ir.dialects.graph_index import GatherElements
from dlc.ir.dialects.graph_shape import Dims
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, product
from dlc.ir.types import F32, F64, SI64, ScalarType
from dlc.record import record

MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic", "bicubic": "cubic"}
PADDINGS = ("zeros", "border", "reflection")
CUBIC = -0.75  # the coefficient of Keys' kernel that ONNX and PyTorch take


@record
class Taps:
    """Along one axis: positions (N, P, taps) inside it, weights of the same shape or None for 1, and where they are
    outside of an image that zeros surround (or None).
    """

    places: Value
    weights: Value | None
    inside: Value | None


@record
class Axis:
    """One axis of the images, and arithmetic on positions along it."""

    cx: NodeContext
    size: Dim
    corners: bool  # -1 and 1 are the centres of the outer elements, not their outer edges
    element: ScalarType

    def number(self, value: Dim | float) -> Value:
        """A number, or a size that only the run knows."""
        if isinstance(value, int | float):
            return self.cx.constant(np.array(value, self.element.dtype))
        return cast(self.cx, self.cx.put(Dims(values=(value,), scalar=True)), self.element)

    def apply(self, kind: type[Op], left: Value, right: Value | float) -> Value:
        return self.cx.put(kind(left, self.number(right) if isinstance(right, int | float) else right))

    def extent(self, offset: float) -> Value:
        return self.apply(m.Add, self.number(self.size), offset)

    def borders(self) -> tuple[Value, Value]:
        return (self.number(0.0), self.extent(-1)) if self.corners else (self.number(-0.5), self.extent(-0.5))

    def position(self, grid: Value) -> Value:
        """-1 to 1 as a position among the elements."""
        ahead = self.apply(m.Add, grid, 1.0)
        if self.corners:
            return self.apply(m.Mul, self.apply(m.Mul, ahead, 0.5), self.extent(-1))
        return self.apply(m.Mul, self.apply(m.Add, self.apply(m.Mul, ahead, self.number(self.size)), -1.0), 0.5)

    def clamped(self, x: Value) -> Value:
        return self.apply(m.Minimum, self.apply(m.Maximum, x, 0.0), self.extent(-1))

    def beyond(self, x: Value) -> Value:
        low, high = self.borders()
        return self.cx.put(m.Or(self.cx.put(m.Less(x, low)), self.cx.put(m.Greater(x, high))))

    def reflected(self, x: Value) -> Value:
        """What lies beyond the borders folded back between them, as often as it takes."""
        low, high = self.borders()
        span = self.apply(m.Maximum, self.apply(m.Sub, high, low), 0.5)  # 0 for one element between corners
        below = self.cx.put(m.Less(x, low))
        far = self.cx.put(m.Where(below, self.apply(m.Sub, low, x), self.apply(m.Sub, x, high)))
        turns = self.cx.put(m.Floor(self.apply(m.Div, far, span)))
        rest = self.apply(m.Sub, far, self.apply(m.Mul, turns, span))
        half = self.apply(m.Mul, turns, 0.5)
        odd = self.cx.put(m.Greater(half, self.cx.put(m.Floor(half))))
        from_low = self.cx.put(m.Not(self.cx.put(m.Xor(below, self.cx.put(m.Not(odd))))))
        back = self.cx.put(m.Where(from_low, self.apply(m.Add, low, rest), self.apply(m.Sub, high, rest)))
        return self.cx.put(m.Where(self.beyond(x), back, x))

    def moved_inside(self, x: Value, padding: str) -> Value:
        if padding == "border":
            return self.cx.put(m.Where(self.beyond(x), self.clamped(x), x))
        return self.reflected(x) if padding == "reflection" else x

    def taps(self, x: Value, mode: str, padding: str) -> Taps:
        """The elements around positions x (N, P)."""
        cx = self.cx
        x = reshaped(cx, x, (*shape_of(x), 1))
        if mode == "nearest":
            at, weights = self.moved_inside(cx.put(m.Round(x)), padding), None
        else:
            if mode == "linear":  # a cubic position stays, as in ONNX Runtime and PyTorch: only its taps are moved
                x = self.moved_inside(x, padding)
            first = cx.put(m.Floor(x))
            offsets = np.array([0, 1] if mode == "linear" else [-1, 0, 1, 2], self.element.dtype)
            weights = self.weights(self.apply(m.Sub, x, first), offsets, mode)
            at = cx.put(m.Add(first, cx.constant(offsets)))
        inside = None
        if padding == "zeros":
            last = cx.put(m.LessEqual(at, self.extent(-1)))
            inside = cx.put(m.And(cx.put(m.GreaterEqual(at, self.number(0.0))), last))
        elif padding == "reflection":
            at = self.reflected(at)
        return Taps(cast(cx, self.clamped(at), SI64), weights, inside)

    def weights(self, fraction: Value, offsets: np.ndarray, mode: str) -> Value:
        """Of each tap, from how far behind the first one a position lies."""
        cx = self.cx
        distance = cx.put(m.Abs(cx.put(m.Sub(fraction, cx.constant(offsets)))))
        if mode == "linear":
            return self.apply(m.Add, cx.put(m.Neg(distance)), 1.0)
        near = self.polynomial(distance, (CUBIC + 2, -(CUBIC + 3), 0, 1))
        far = self.polynomial(distance, (CUBIC, -5 * CUBIC, 8 * CUBIC, -4 * CUBIC))
        return cx.put(m.Where(cx.put(m.LessEqual(distance, self.number(1.0))), near, far))

    def polynomial(self, x: Value, factors: Sequence[float]) -> Value:
        total = self.number(factors[0])
        for factor in factors[1:]:
            total = self.apply(m.Add, self.apply(m.Mul, total, x), factor)
        return total


def grid_sample(cx: NodeContext) -> Value:
    x, grid = cx.x(0), cx.x(1)
    mode, padding = cx.text("mode", "linear"), cx.text("padding_mode", "zeros")
    if mode not in MODES or padding not in PADDINGS:
        raise Unsupported(f"its mode is {mode} and its padding_mode {padding}, expected one of {(*MODES, *PADDINGS)}")
    if MODES[mode] != "nearest" and not tensor(x).scalar.is_float:
        raise Unsupported(f"it interpolates between elements of type {tensor(x).scalar}")
    (batch, channels, *sizes), (grids, *outer, axes) = shape_of(x), shape_of(grid)
    if rank_of(grid) != rank_of(x) or axes != len(sizes):
        raise Unsupported(f"its grid must have {rank_of(x)} axes, the last of size {len(sizes)}, got {tensor(grid)}")
    assume_equal(cx, batch, grids, "the grid must have a part for each image")
    element = F64 if F64 in (tensor(x).scalar, tensor(grid).scalar) else F32
    flat = cast(cx, reshaped(cx, grid, (batch, product(outer), len(sizes))), element)
    taps = []
    for number, size in enumerate(sizes):  # a grid names the last axis first
        axis = Axis(cx, size, cx.flag("align_corners"), element)
        at = reshaped(cx, sliced(cx, flat, 2, len(sizes) - 1 - number, 1), (batch, product(outer)))
        taps.append(axis.taps(axis.position(at), MODES[mode], padding))
    return reshaped(cx, gathered(cx, x, sizes, taps), (batch, channels, *outer))


def gathered(cx: NodeContext, x: Value, sizes: Sequence[Dim], taps: Sequence[Taps]) -> Value:
    """(N, C, P): the sums over the taps of all axes of x (N, C, *sizes)."""
    batch, channels = shape_of(x)[:2]
    steps = [product(sizes[number + 1 :]) for number in range(len(sizes))]
    spread = [[_spread(cx, each, number, len(taps)) for each in (tap.places, tap.weights, tap.inside)]
              for number, tap in enumerate(taps)]  # fmt: skip
    place = None
    for step, (places, _, _) in zip(steps, spread, strict=True):
        assert places is not None
        counted = places if step == 1 else cx.put(m.Mul(places, _integer(cx, step)))
        place = counted if place is None else cx.put(m.Add(place, counted))
    assert place is not None
    points, many = shape_of(place)[1], shape_of(place)[2:]
    total = product((points, *many))
    indices = broadcasted(cx, reshaped(cx, place, (batch, 1, total)), (batch, channels, total))
    found = cx.put(GatherElements(reshaped(cx, x, (batch, channels, product(sizes))), indices, axis=2))
    if (inside := _joined(cx, m.And, [row[2] for row in spread])) is not None:
        inside = reshaped(cx, inside, (batch, 1, total))
        found = cx.put(m.Where(inside, found, cx.number(0, found)))
    weights = _joined(cx, m.Mul, [row[1] for row in spread])
    if weights is None:
        return found
    element = tensor(weights).scalar
    weighted = cx.put(m.Mul(cast(cx, found, element), reshaped(cx, weights, (batch, 1, total))))
    rows = reshaped(cx, weighted, (batch, channels, points, product(many)))
    return cast(cx, reduced(cx, rows, "sum", (3,), keepdims=False), tensor(x).scalar)


def _spread(cx: NodeContext, value: Value | None, number: int, axes: int) -> Value | None:
    """Taps (N, P, t) of one axis among those of all: (N, P, 1, …, t, …, 1)."""
    if value is None:
        return None
    batch, points, count = shape_of(value)
    return reshaped(cx, value, (batch, points, *(count if n == number else 1 for n in range(axes))))


def _joined(cx: NodeContext, kind: type[Op], values: Sequence[Value | None]) -> Value | None:
    total = values[0]
    for value in values[1:]:
        total = None if total is None or value is None else cx.put(kind(total, value))
    return total


def _integer(cx: NodeContext, value: Dim) -> Value:
    return cx.constant(np.array(value)) if isinstance(value, int) else cx.put(Dims(values=(value,), scalar=True))


HANDLERS: dict[str, Handler] = {"GridSample": grid_sample}
