"""Cases of ops that make and move elements."""

from __future__ import annotations

import numpy as np

from dlc.ir.dialects import graph_shape as ops
from dlc.ir.types import F32, SI32, Layout
from tests.eval.cases import Array, Case, Onnx, f32, ints, vector

X = f32(2, 3, 5)


def pad(mode: str, x: Array = X, value: float | None = None) -> Case:
    before, after = (0, 1, 2)[-x.ndim :], (1, 0, 3)[-x.ndim :]
    extra = (vector(*before, *after), *((np.array(value, np.float32),) if value is not None else ()))
    return Case(
        f"pad-{mode}-{value}",
        lambda value_: ops.Pad(value_, before=before, after=after, mode=mode, value=value),
        [x],
        Onnx("Pad", {"mode": mode}, extra),
        "exact",
    )


def slices(starts: tuple[int, ...], sizes: tuple[int, ...], steps: tuple[int, ...], right: Array) -> Case:
    return Case(
        f"slice-{starts}-{steps}",
        lambda x: ops.Slice(x, starts=starts, sizes=sizes, steps=steps),
        [X],
        lambda _: right,
        "exact",
    )


MOVES = [
    Case("reshape", lambda x: ops.Reshape(x, shape=(5, 6)), [X], Onnx("Reshape", extra=(vector(5, 6),)), "exact"),
    Case("reshape-scalar", lambda x: ops.Reshape(x, shape=()), [f32(1, 1)], lambda x: x[0, 0], "exact"),
    Case("transpose", lambda x: ops.Transpose(x, perm=(2, 0, 1)), [X], Onnx("Transpose", {"perm": [2, 0, 1]}), "exact"),
    Case(
        "broadcast",
        lambda x: ops.Broadcast(x, shape=(4, 3, 5)),
        [f32(3, 1)],
        Onnx("Expand", extra=(vector(4, 3, 5),)),
        "exact",
    ),
    Case(
        "concat",
        lambda *x: ops.Concat(*x, axis=1),
        [X, f32(2, 1, 5), f32(2, 0, 5)],
        Onnx("Concat", {"axis": 1}),
        "exact",
    ),
    slices((1, 0, 0), (1, 3, 3), (1, 1, 2), X[1:, :, ::2]),
    slices((1, 2, 4), (2, 3, 2), (-1, -1, -3), X[::-1, ::-1, [4, 1]]),
    slices((2, 0, 0), (0, 2, 5), (), X[2:, :2]),
    Case(
        "dynamic_slice",
        lambda x, s: ops.DynamicSlice(x, s, sizes=(1, 2, 3)),
        [X, vector(-4, 1, 9)],
        lambda x, s: x[0:1, 1:3, 2:5],
        "exact",
    ),
    pad("constant"),
    pad("constant", value=1.5),
    pad("edge"),
    pad("reflect"),
    pad("wrap"),
    pad("constant", f32(0, 5)),
    Case("tile", lambda x: ops.Tile(x, repeats=(2, 1, 3)), [X], Onnx("Tile", extra=(vector(2, 1, 3),)), "exact"),
    Case("trilu", lambda x: ops.Trilu(x, k=1), [X], Onnx("Trilu", {"upper": 1}, (np.array(1),)), "exact"),
    Case("tril", lambda x: ops.Trilu(x, upper=False, k=-1), [X], Onnx("Trilu", {"upper": 0}, (np.array(-1),)), "exact"),
    Case(
        "reverse_sequence",
        lambda x, n: ops.ReverseSequence(x, n, batch_axis=1, time_axis=0),
        [f32(4, 3, 2), vector(1, 4, 2)],
        Onnx("ReverseSequence", {"batch_axis": 1, "time_axis": 0}),
        "exact",
    ),
    Case(
        "reverse_sequence-batch-first",
        lambda x, n: ops.ReverseSequence(x, n, batch_axis=0, time_axis=1),
        [f32(3, 4), vector(0, 4, 2)],
        lambda x, n: np.stack([x[0], x[1][::-1], x[2][[1, 0, 2, 3]]]),
        "exact",
    ),
    Case(
        "one_hot",
        lambda i, v: ops.OneHot(i, v, axis=1, depth=4),
        [vector(0, -1, 3, 7), vector(2, 5, dtype=np.float32)],
        Onnx("OneHot", {"axis": 1}, inputs=(0, np.array(4), 1)),
        "exact",
    ),
    Case("relayout", lambda x: ops.Relayout(x, layout=Layout((0, 2, 1), ((1, 16),))), [X], lambda x: x, "exact"),
]

SOURCES = [
    Case("dims", lambda: ops.Dims(values=(3, 4)), [], lambda: vector(3, 4), "exact"),
    Case("dims-scalar", lambda: ops.Dims(values=(3,), scalar=True), [], lambda: np.array(3), "exact"),
    Case("iota", lambda: ops.Iota(shape=(2, 3), axis=1, type=SI32), [], lambda: np.int32([[0, 1, 2]] * 2), "exact"),
    Case("iota-float", lambda: ops.Iota(shape=(3,), type=F32), [], lambda: np.float32([0, 1, 2]), "exact"),
]

IMAGE = f32(1, 2, 5, 7)


def resize(name: str, sizes: tuple[int, int] = (8, 4), x: Array = IMAGE, **attrs: object) -> Case:
    """A resize of the last two axes, with the attributes named as ours are."""
    whole = (*x.shape[:2], *sizes)
    onnx_names = {"coordinate": "coordinate_transformation_mode", "rounding": "nearest_mode"}
    onnx_attrs = {
        onnx_names.get(key, key): int(v) if isinstance(v, bool) else v for key, v in attrs.items() if key != "roi"
    }
    roi = attrs.get("roi", ())
    inputs = (0, np.array(roi, np.float32) if roi else None, None, vector(*whole))
    return Case(
        f"resize-{name}",
        lambda value: ops.Resize(value, sizes=whole, **attrs),  # type: ignore[arg-type]
        [x],
        Onnx("Resize", onnx_attrs, inputs=inputs),
    )


COORDINATES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")
RESIZES = [
    *(resize(f"{mode}-{c}", mode=mode, coordinate=c) for mode in ("nearest", "linear", "cubic") for c in COORDINATES),
    *(resize(f"nearest-{r}", coordinate="asymmetric", rounding=r) for r in ops.ROUNDINGS),
    resize("to-one", (1, 14), mode="linear", coordinate="pytorch_half_pixel"),
    resize("up", (10, 14), mode="linear"),
    resize("one-axis", (5, 9), mode="linear"),
    resize("symmetric", (3, 14), mode="linear", coordinate="half_pixel_symmetric"),
    resize("exclude", mode="cubic", exclude_outside=True, cubic_coeff_a=-0.5),
    resize(
        "crop",
        mode="linear",
        coordinate="tf_crop_and_resize",
        roi=(0.0, 0.0, 0.2, -0.1, 1.0, 1.0, 0.9, 1.1),
        extrapolation_value=10.0,
    ),
    resize("antialias", (3, 4), mode="linear", antialias=True),
    resize("antialias-cubic", (3, 4), mode="cubic", antialias=True, exclude_outside=True),
    resize("antialias-up", (7, 9), mode="cubic", antialias=True, exclude_outside=True),
    Case(
        "resize-scales",
        lambda x: ops.Resize(x, sizes=(1, 2, 7, 4), scales=(1.0, 1.0, 1.5, 0.6), mode="linear"),
        [IMAGE],
        Onnx("Resize", {"mode": "linear"}, inputs=(0, None, vector(1, 1, 1.5, 0.6, dtype=np.float32))),
    ),
    Case(
        "resize-int",
        lambda x: ops.Resize(x, sizes=(4, 6)),
        [ints(2, 3)],
        Onnx("Resize", inputs=(0, None, None, vector(4, 6))),
        "exact",
    ),
]

CASES = [*MOVES, *SOURCES, *RESIZES]
