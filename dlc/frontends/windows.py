"""The sliding windows of convolutions and pools: explicit pads from every form of auto_pad."""

from __future__ import annotations

from dataclasses import replace

from dlc.frontends.build import padded, rank_of, shape_of
from dlc.frontends.contents import greatest
from dlc.frontends.context import NodeContext, Unsupported
from dlc.ir.core import Value
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, ceil_div
from dlc.record import record

Ints = tuple[int, ...]
Pair = tuple[Dim, Dim]


@record
class Window:
    """`pads` are (before, after) per axis, flat as ONNX lists them; `symbolic` ones must be a pad op of their own."""

    sizes: Ints
    strides: Ints
    dilations: Ints
    pads: Ints
    symbolic: tuple[Pair, ...] = ()


def window_of(cx: NodeContext, x: Value, sizes: Ints, transposed: bool = False) -> Window:
    """The window that a node slides over x. Attributes that say nothing are left empty."""
    spatial = rank_of(x) - 2
    if len(sizes) != spatial:
        raise Unsupported(f"its kernel has {len(sizes)} axes, its input {spatial} spatial ones")
    strides = _unless_all(cx.integers("strides", ()), 1)
    dilations = _unless_all(cx.integers("dilations", ()), 1)
    plain = Window(sizes, strides, dilations, _unless_all(cx.integers("pads", ()), 0))
    mode = cx.text("auto_pad", "NOTSET")
    if mode in ("NOTSET", "") or transposed:
        return plain
    if mode == "VALID":
        return replace(plain, pads=())
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"its auto_pad is {mode}")
    pairs = [_same(shape_of(x)[n + 2], plain, n, mode == "SAME_UPPER") for n in range(spatial)]
    if any(isinstance(each, Expr) for pair in pairs for each in pair):
        return replace(plain, pads=(), symbolic=tuple(pairs))
    flat = [pair[side] for side in (0, 1) for pair in pairs]
    return replace(plain, pads=_unless_all(tuple(each for each in flat if isinstance(each, int)), 0))


def _unless_all(values: Ints, default: int) -> Ints:
    return () if all(value == default for value in values) else values


def _at(values: Ints, axis: int) -> int:
    return values[axis] if values else 1


def _same(dim: Dim, window: Window, axis: int, upper: bool) -> Pair:
    """The pads that make the result ceil(dim / stride) long; an odd one goes after with `upper`."""
    stride, reach = _at(window.strides, axis), (window.sizes[axis] - 1) * _at(window.dilations, axis) + 1
    if stride == 1:
        total: Dim = reach - 1
    else:
        total = greatest(as_dim((ceil_div(dim, stride) - 1) * stride + reach - as_expr(dim)), 0)
    less = as_dim(as_expr(total) // 2)
    more = as_dim(as_expr(total) - less)
    return (less, more) if upper else (more, less)


def explicitly_padded(cx: NodeContext, x: Value, window: Window, value: float = 0) -> tuple[Value, Window]:
    """Pads that depend on dimensions as an op before the window."""
    if not window.symbolic:
        return x, window
    before = (0, 0, *(pair[0] for pair in window.symbolic))
    after = (0, 0, *(pair[1] for pair in window.symbolic))
    return padded(cx, x, before, after, "constant", value), replace(window, symbolic=())


def output_padding(cx: NodeContext, x: Value, window: Window) -> tuple[Ints, Ints]:
    """(output_padding, pads) of a transposed convolution, from `output_shape` or `auto_pad` where these are given."""
    spatial = len(window.sizes)
    extra = _unless_all(cx.integers("output_padding", ()), 0)
    mode, wanted = cx.text("auto_pad", "NOTSET"), cx.integers("output_shape", ())
    if wanted:
        totals = [_total_pad(cx, x, window, n, wanted[n - spatial], extra) for n in range(spatial)]
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        reaches = [(window.sizes[n] - 1) * _at(window.dilations, n) + 1 for n in range(spatial)]
        totals = [reaches[n] + _at_zero(extra, n) - _at(window.strides, n) for n in range(spatial)]
    else:
        return extra, () if mode == "VALID" else window.pads
    grown = tuple(max(0, -total) + _at_zero(extra, n) for n, total in enumerate(totals))
    halves = [max(0, total) // 2 for total in totals]
    others = [max(0, total) - half for total, half in zip(totals, halves, strict=True)]
    before, after = (halves, others) if mode == "SAME_UPPER" else (others, halves)
    return _unless_all(grown, 0), _unless_all((*before, *after), 0)


def _at_zero(values: Ints, axis: int) -> int:
    return values[axis] if values else 0


def _total_pad(cx: NodeContext, x: Value, window: Window, axis: int, wanted: int, extra: Ints) -> int:
    dim = shape_of(x)[axis + 2]
    if not isinstance(dim, int):
        raise Unsupported(f"its output_shape fixes a size that depends on the dimension {dim}")
    reach = (window.sizes[axis] - 1) * _at(window.dilations, axis) + 1
    return (dim - 1) * _at(window.strides, axis) + _at_zero(extra, axis) + reach - wanted
