"""Resize and its predecessor Upsample: sizes from scales, scales from sizes, and the defaults of each version."""

from __future__ import annotations

from collections.abc import Iterable
from math import floor
from typing import Any

import numpy as np

from dlc.frontends import from_data
from dlc.frontends.contents import FINEST
from dlc.frontends.context import Handler, NodeContext, Unsupported
from dlc.frontends.shapes import canonical_axes
from dlc.ir.core import Value
from dlc.ir.dialects.graph_shape import Resize
from dlc.ir.expr import Dim, as_dim, as_expr

Shape = tuple[Dim, ...]


def upsample(cx: NodeContext) -> Value:
    """Before opset 10: asymmetric coordinates, rounded down; `scales` became an input with opset 9."""
    scales = _floats(cx, 1, "scales") if cx.version >= 9 else _float_attribute(cx, "scales")
    return _resized(cx, scales, coordinate="asymmetric", rounding="floor")


def resize(cx: NodeContext) -> Value:
    if cx.version < 11:
        return _resized(cx, _floats(cx, 1, "scales"), coordinate="asymmetric", rounding="floor")
    coordinate = cx.text("coordinate_transformation_mode", "half_pixel")
    attrs: dict[str, Any] = {
        "coordinate": coordinate,
        "rounding": cx.text("nearest_mode", "round_prefer_floor"),
        "cubic_coeff_a": cx.decimal("cubic_coeff_a", -0.75),
        "exclude_outside": cx.flag("exclude_outside"),
        "extrapolation_value": cx.decimal("extrapolation_value", 0.0),
        "antialias": cx.flag("antialias"),
    }
    rank = cx.type().rank
    axes = canonical_axes(cx.integers("axes", tuple(range(rank))), rank)
    if coordinate == "tf_crop_and_resize":
        attrs["roi"] = _roi(_floats(cx, 1, "roi"), axes, rank)
    if cx.has(2) and cx.type(2).elements != 0:
        return _resized(cx, _spread(_floats(cx, 2, "scales"), axes, rank, 1.0), **attrs)
    policy = cx.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        return _resized_alike(cx, policy, axes, **attrs)
    sizes = replaced_all(cx.shape(), axes, from_data.sizes(cx, 3, "sizes"))
    if sizes == cx.shape() and coordinate != "tf_crop_and_resize":
        return cx.x()
    return cx.put(Resize(cx.x(), sizes=sizes, mode=_mode(cx), **attrs))


def _resized(cx: NodeContext, scales: tuple[float, ...], **attrs: Any) -> Value:
    shape = cx.shape()
    if not all(0 < scale < float("inf") for scale in scales):
        raise Unsupported(f"its scales must be numbers above 0, got {scales}")
    if all(scale == 1 for scale in scales) and attrs["coordinate"] != "tf_crop_and_resize":
        return cx.x()
    sizes = tuple(_scaled(dim, scale) for dim, scale in zip(shape, scales, strict=True))
    return cx.put(Resize(cx.x(), sizes=sizes, scales=scales, mode=_mode(cx), **attrs))


def _mode(cx: NodeContext) -> str:
    mode = cx.text("mode", "nearest")
    return "linear" if mode in ("bilinear", "trilinear") else mode


def _scaled(dim: Dim, scale: float) -> Dim:
    if isinstance(dim, int):
        return floor(np.float32(dim) * np.float32(scale))
    over, under = scale.as_integer_ratio()
    if under > FINEST:
        raise Unsupported(f"its scale {scale} is no simple fraction, so {dim} times it is not followed")
    return as_dim(as_expr(dim) * over // under)


def _floats(cx: NodeContext, position: int, what: str) -> tuple[float, ...]:
    contents = cx.known(position, what).reshape(-1)
    if contents.dtype == object:
        raise Unsupported(f"its {what} depend on the dimensions of the input")
    return tuple(float(value) for value in contents)


def _float_attribute(cx: NodeContext, name: str) -> tuple[float, ...]:
    value = cx.attribute(name)
    if isinstance(value, tuple):
        return tuple(float(each) for each in value if isinstance(each, float | int))
    return (1.0, 1.0, cx.decimal("height_scale"), cx.decimal("width_scale"))


def _spread(values: tuple[float, ...], axes: tuple[int, ...], rank: int, default: float) -> tuple[float, ...]:
    given = dict(zip(axes, values, strict=True))
    return tuple(given.get(axis, default) for axis in range(rank))


def _roi(values: tuple[float, ...], axes: tuple[int, ...], rank: int) -> tuple[float, ...]:
    half = len(values) // 2
    return (*_spread(values[:half], axes, rank, 0.0), *_spread(values[half:], axes, rank, 1.0))


def _resized_alike(cx: NodeContext, policy: str, axes: tuple[int, ...], **attrs: Any) -> Value:
    """One scale for all axes that are named, the least or the largest that the sizes ask for; halves are rounded up."""
    shape, wanted = cx.shape(), cx.dims(3, "sizes")
    pairs = [(shape[axis], size) for axis, size in zip(axes, wanted, strict=True)]
    known = [(dim, size) for dim, size in pairs if isinstance(dim, int) and isinstance(size, int)]
    if len(known) != len(pairs):
        raise Unsupported(f"its keep_aspect_ratio_policy {policy} needs static dimensions")
    if policy not in ("not_larger", "not_smaller"):
        raise Unsupported(f"its keep_aspect_ratio_policy is {policy}, expected stretch, not_larger or not_smaller")
    choose = min if policy == "not_larger" else max
    under, over = choose((pair for pair in known if pair[0]), key=lambda pair: pair[1] / pair[0], default=(1, 1))
    sizes = replaced_all(shape, axes, [(2 * dim * over + under) // (2 * under) for dim, _ in known])
    scales = _spread((over / under,) * len(axes), axes, len(shape), 1.0)
    if sizes == shape and (over == under or 0 in sizes) and attrs["coordinate"] != "tf_crop_and_resize":
        return cx.x()
    return cx.put(Resize(cx.x(), sizes=sizes, scales=() if 0 in sizes else scales, mode=_mode(cx), **attrs))


def replaced_all(shape: Shape, axes: Iterable[int], sizes: Iterable[Dim]) -> Shape:
    """The shape with other sizes for some axes."""
    changed = dict(zip(axes, sizes, strict=True))
    return tuple(changed.get(axis, dim) for axis, dim in enumerate(shape))


HANDLERS: dict[str, Handler] = {"Resize": resize, "Upsample": upsample}
