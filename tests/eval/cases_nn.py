"""Cases of ops with a sum inside, and of quantization."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np

from dlc.ir.dialects import graph_nn as ops
from dlc.ir.dialects import graph_quant as quant
from dlc.ir.types import SI8, SI32, UI8
from tests.eval.cases import Array, Case, Onnx, bools, f32, ints, run_onnx, vector

U8, S8 = ints(3, 7, low=0, high=256, dtype=np.uint8), ints(7, 5, low=-128, high=128, dtype=np.int8)
F16, BF16 = f32(7, 5).astype(np.float16), f32(7, 5).astype(ml_dtypes.bfloat16)
MATMUL = [
    Case("matmul", ops.MatMul, [f32(3, 7), f32(7, 5)], Onnx("MatMul")),
    Case("matmul-batched", ops.MatMul, [f32(2, 1, 3, 7), f32(4, 7, 5)], Onnx("MatMul")),
    Case("matmul-of-f16-weights", ops.MatMul, [f32(3, 7), F16], lambda a, b: a @ b.astype(np.float32)),
    Case("matmul-of-bf16-weights", ops.MatMul, [f32(1, 7), BF16], lambda a, b: a @ b.astype(np.float32)),
    Case("matmul-empty", ops.MatMul, [f32(3, 0), f32(0, 5)], Onnx("MatMul")),
    Case("matmul-integer", lambda a, b: ops.MatMul(a, b, accumulator=SI32), [U8, S8], Onnx("MatMulInteger"), "exact"),
    Case("matmul-si32", ops.MatMul, [ints(3, 7), ints(7, 5)], Onnx("MatMul"), "exact"),
]


def onnx_window(attrs: dict[str, object], window: tuple[int, ...] = ()) -> dict[str, object]:
    names = {"groups": "group", "ceil": "ceil_mode"}
    shared = {
        names.get(k, k): int(v) if isinstance(v, bool) else v
        for k, v in attrs.items()
        if k not in ("kind", "column_major")
    }
    return {**shared, "kernel_shape": window} if window else shared


def conv(x: Array, w: Array, **attrs: object) -> Case:
    name = f"conv-{x.shape}-{attrs}"
    return Case(name, lambda a, b: ops.Conv(a, b, **attrs), [x, w], Onnx("Conv", onnx_window(attrs)))  # type: ignore[arg-type]


def listed(right: Onnx) -> Callable[[Array, Array, Array], Array]:
    """A convolution of the channels listed."""
    return lambda x, w, channels: run_onnx(right, [x[:, channels], w], 1)[0]


def transposed(x: Array, w: Array, **attrs: object) -> Case:
    make = lambda a, b: ops.ConvTranspose(a, b, **attrs)  # type: ignore[arg-type] # noqa: E731
    return Case(f"conv_transpose-{attrs}", make, [x, w], Onnx("ConvTranspose", onnx_window(attrs)))


IMAGE = f32(2, 4, 7, 11)
CONV = [
    conv(IMAGE, f32(6, 4, 3, 3)),
    conv(IMAGE, f32(6, 4, 3, 3), strides=(2, 3), pads=(1, 0, 2, 1)),
    conv(IMAGE, f32(6, 2, 3, 2), groups=2, dilations=(2, 3), pads=(1, 1, 1, 1)),
    conv(IMAGE, f32(4, 1, 3, 3), groups=4, pads=(1, 1, 1, 1)),
    conv(IMAGE, f32(5, 4, 1, 1), strides=(2, 2)),
    conv(f32(1, 3, 13), f32(2, 3, 5), strides=(2,), pads=(2, 2)),
    conv(f32(1, 2, 5, 4, 6), f32(3, 2, 2, 3, 1), pads=(1, 0, 0, 0, 1, 2)),
    conv(f32(0, 4, 7, 11), f32(6, 4, 3, 3)),
    Case("conv-channels", lambda x, w, c: ops.Conv(x, w, c, pads=(1, 1, 1, 1)),
         [IMAGE, f32(6, 3, 3, 3), np.array([3, 0, 3], np.int64)], listed(Onnx("Conv", {"pads": (1, 1, 1, 1)}))),
    Case("conv-channels-groups", lambda x, w, c: ops.Conv(x, w, c, groups=2, strides=(2, 1)),
         [f32(1, 40, 7, 11), f32(6, 2, 1, 3), np.array([39, 0, 17, 1], np.int32)],
         listed(Onnx("Conv", {"group": 2, "strides": (2, 1)}))),
    Case(
        "conv-integer",
        lambda a, b: ops.Conv(a, b, accumulator=SI32),
        [ints(1, 3, 5, 5, low=0, high=256, dtype=np.uint8), ints(2, 3, 3, 3, low=0, high=256, dtype=np.uint8)],
        Onnx("ConvInteger"),
        "exact",
    ),
    transposed(IMAGE, f32(4, 3, 3, 3)),
    transposed(f32(0, 4, 7, 11), f32(4, 3, 3, 3), strides=(2, 1)),
    transposed(IMAGE, f32(4, 3, 3, 2), strides=(2, 3), pads=(1, 0, 1, 1), output_padding=(1, 2)),
    transposed(IMAGE, f32(4, 2, 3, 3), groups=2, dilations=(2, 1)),
    transposed(f32(1, 2, 6), f32(2, 3, 4), strides=(2,), pads=(1, 1)),
]


POOLS = {"max": "MaxPool", "average": "AveragePool", "lp": "LpPool"}


def pool(kind: str, window: tuple[int, ...], x: Array = IMAGE, **attrs: object) -> Case:
    make = lambda value: ops.Pool(value, kind=kind, window=window, **attrs)  # type: ignore[arg-type] # noqa: E731
    opset = 22 if "ceil" in attrs else 21
    return Case(f"pool-{kind}-{window}-{attrs}", make, [x], Onnx(POOLS[kind], onnx_window(attrs, window), opset=opset))


POOL = [
    *(pool(kind, (3, 2)) for kind in POOLS),
    *(pool(kind, (3, 2), strides=(2, 3), pads=(1, 0, 1, 1)) for kind in POOLS),
    *(pool(kind, (2, 2), strides=(2, 2), ceil=True) for kind in ("max", "average")),
    *(pool(kind, (3, 3), strides=(2, 4), pads=(1, 1, 1, 1), ceil=True) for kind in ("max", "average")),
    pool("average", (3, 3), strides=(2, 2), pads=(1, 1, 1, 1), count_include_pad=True),
    pool("average", (3, 3), strides=(2, 3), pads=(1, 0, 0, 1), count_include_pad=True, ceil=True),
    pool("max", (2, 3), dilations=(2, 3)),
    pool("average", (2, 3), dilations=(2, 3), pads=(1, 1, 1, 1)),
    pool("lp", (3, 3), p=1),
    pool("max", (3,), f32(1, 2, 9)),
    pool("average", (2, 2, 2), f32(1, 2, 4, 3, 5)),
    pool("max", (2, 2), ints(1, 2, 4, 5, dtype=np.int8)),
    Case(
        "max_pool_indices",
        lambda x: ops.MaxPoolIndices(x, window=(3, 2), strides=(2, 2), pads=(1, 0, 1, 1)),
        [IMAGE],
        Onnx("MaxPool", {"kernel_shape": (3, 2), "strides": (2, 2), "pads": (1, 0, 1, 1)}),
        "exact",
    ),
    Case(
        "max_pool_indices-columns",
        lambda x: ops.MaxPoolIndices(x, window=(2, 2), column_major=True),
        [IMAGE],
        Onnx("MaxPool", {"kernel_shape": (2, 2), "storage_order": 1}),
        "exact",
    ),
]

REDUCE_NAMES = {
    "sum": "ReduceSum", "mean": "ReduceMean", "max": "ReduceMax", "min": "ReduceMin", "prod": "ReduceProd",
    "l1": "ReduceL1", "l2": "ReduceL2", "log_sum": "ReduceLogSum", "log_sum_exp": "ReduceLogSumExp",
    "sum_square": "ReduceSumSquare",
}  # fmt: skip


def reduce(kind: str, x: Array, axes: tuple[int, ...], keepdims: bool) -> Case:
    return Case(
        f"reduce-{kind}-{x.dtype}-{axes}-{keepdims}",
        lambda v: ops.Reduce(v, kind=kind, axes=axes, keepdims=keepdims),
        [x],
        Onnx(REDUCE_NAMES[kind], {"keepdims": int(keepdims)}, (vector(*axes),)),
    )


def arg_reduce(kind: str, keepdims: bool, last: bool) -> Case:
    ties = ints(3, 7, 2, low=0, high=3).astype(np.float32)
    attrs = {"axis": 1, "keepdims": int(keepdims), "select_last_index": int(last)}
    return Case(
        f"arg_reduce-{kind}-{keepdims}-{last}",
        lambda v: ops.ArgReduce(v, kind=kind, axis=1, keepdims=keepdims, last=last),
        [ties],
        Onnx({"max": "ArgMax", "min": "ArgMin"}[kind], attrs),
        "exact",
    )


POSITIVE = f32(2, 3, 5, low=0.1, high=2)
REDUCE = [
    *(reduce(kind, POSITIVE, axes, keep) for kind in REDUCE_NAMES for axes, keep in (((1,), True), ((0, 2), False))),
    *(reduce(kind, f32(3, 4), (0, 1), False) for kind in ("sum", "l1", "l2", "log_sum_exp", "sum_square")),
    reduce("sum", ints(3, 4), (1,), True),
    reduce("mean", ints(3, 4), (1,), True),
    reduce("max", ints(3, 4, dtype=np.int8), (0,), False),
    reduce("prod", ints(3, 4, dtype=np.int64), (0,), False),
    Case("reduce-max-bool", lambda v: ops.Reduce(v, kind="max", axes=(0,)), [bools(1, 5)], lambda x: x, "exact"),
    reduce("sum", f32(0, 4), (0,), True),
    *(arg_reduce(kind, keep, last) for kind in ("max", "min") for keep, last in ((True, False), (False, True))),
]

WIDE = f32(2, 3, 7, low=-60, high=60)


def normalised(x: Array, epsilon: float) -> Array:
    wide = x.astype(np.float64)
    return ((wide - wide.mean((1, 2), keepdims=True)) / np.sqrt(wide.var((1, 2), keepdims=True) + epsilon)).astype(
        x.dtype
    )


def unit(n: int) -> Array:
    return np.ones(n, np.float32)


NORMALISE = [
    Case("softmax", lambda x: ops.Softmax(x, axis=1), [WIDE], Onnx("Softmax", {"axis": 1})),
    Case("log_softmax", lambda x: ops.LogSoftmax(x, axis=2), [WIDE], Onnx("LogSoftmax", {"axis": 2})),
    Case(
        "hardmax",
        lambda x: ops.Hardmax(x, axis=1),
        [ints(2, 5, 3, low=0, high=3).astype(np.float32)],
        Onnx("Hardmax", {"axis": 1}),
        "exact",
    ),
    Case(
        "batch_norm",
        lambda *v: ops.BatchNorm(*v, epsilon=1e-3),
        [f32(2, 3, 5), f32(3), f32(3), f32(3), np.abs(f32(3))],
        Onnx("BatchNormalization", {"epsilon": 1e-3}),
    ),
    Case(
        "layer_norm",
        lambda x: ops.LayerNorm(x, axes=(2,), epsilon=1e-3),
        [WIDE],
        Onnx("LayerNormalization", {"axis": 2, "epsilon": 1e-3}, (unit(7),)),
    ),
    Case("layer_norm-two", lambda x: ops.LayerNorm(x, axes=(1, 2)), [WIDE], lambda x: normalised(x, 1e-5)),
    Case(
        "rms_norm",
        lambda x: ops.RmsNorm(x, axes=(2,), epsilon=1e-3),
        [WIDE],
        lambda x: x / np.sqrt(np.mean(x * x, 2, keepdims=True) + np.float32(1e-3)),
    ),
    *(
        Case(
            f"lrn-{size}",
            lambda x, size=size: ops.Lrn(x, size=size, alpha=0.5, beta=0.6, bias=2.0),
            [f32(1, 7, 2, 3)],
            Onnx("LRN", {"size": size, "alpha": 0.5, "beta": 0.6, "bias": 2.0}),
        )
        for size in (1, 3, 5)
    ),
]

SCALE, ZERO = np.array(0.1, np.float32), np.array(128, np.uint8)
SCALES, ZEROS = vector(0.1, 0.2, 0.3, dtype=np.float32), vector(0, -3, 5, dtype=np.int8)
QUANTIZED = [
    Case(
        "quantize",
        lambda x, s, z: quant.Quantize(x, s, z, to=UI8),
        [f32(2, 3, 5, low=-20, high=20), SCALE, ZERO],
        Onnx("QuantizeLinear"),
        "exact",
    ),
    Case(
        "quantize-axis",
        lambda x, s, z: quant.Quantize(x, s, z, to=SI8, axis=1),
        [f32(2, 3, 5), SCALES, ZEROS],
        Onnx("QuantizeLinear", {"axis": 1}),
        "exact",
    ),
    Case(
        "quantize-ties",
        lambda x, s, z: quant.Quantize(x, s, z, to=SI8),
        [vector(0.5, 1.5, -2.5, 1e9, dtype=np.float32), np.array(1, np.float32), np.array(1, np.int8)],
        Onnx("QuantizeLinear"),
        "exact",
    ),
    Case("dequantize", quant.Dequantize, [U8, SCALE, ZERO], Onnx("DequantizeLinear"), "rounded"),
    Case(
        "dequantize-axis",
        lambda x, s, z: quant.Dequantize(x, s, z, axis=0),
        [ints(3, 5, dtype=np.int8), SCALES, ZEROS],
        Onnx("DequantizeLinear", {"axis": 0}),
        "rounded",
    ),
]

CASES = [*MATMUL, *CONV, *POOL, *REDUCE, *NORMALISE, *QUANTIZED]
