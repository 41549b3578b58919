"""How the generator adds ops with a sum inside, and quantization."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Op
from dlc.ir.dialects import graph_nn as ops
from dlc.ir.dialects import graph_quant as quant
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.types import SI8, SI32, UI8, TensorType
from tests.differential.growing import Draw, Growing, is_float, of_rank
from tests.differential.steps_math import Step


def axes_of(draw: Draw, kind: TensorType) -> tuple[int, ...]:
    axes = draw(st.lists(st.integers(0, kind.rank - 1), min_size=1, max_size=2, unique=True))
    return tuple(sorted(axes))


# -- contraction -------------------------------------------------------------------------------------------------------


def matmul(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(2, 4, lambda kind: is_float(kind) and isinstance(kind.shape[-1], int)))
    if x is None:
        return None
    inner = tensor(x).shape[-1]

    def fits(kind: TensorType) -> bool:
        return is_float(kind) and kind.rank == 2 and kind.shape[0] == inner

    right = growing.pick(draw, fits) if draw(st.booleans()) else None
    if right is None:
        right = growing.weight(growing.size(inner), draw(st.sampled_from((1, 2, 7, 16))))
    return growing.add(ops.MatMul(x, right))


def integer_matmul(draw: Draw, growing: Growing) -> Op | None:
    left = growing.argument((draw(st.integers(1, 5)), 7), UI8)
    return growing.add(ops.MatMul(left, growing.weight(7, draw(st.integers(1, 5)), element=SI8), accumulator=SI32))


def is_image(kind: TensorType) -> bool:
    return is_float(kind) and 3 <= kind.rank <= 5 and isinstance(kind.shape[1], int)


def window_attrs(draw: Draw, spatial: int) -> dict[str, tuple[int, ...]]:
    def drawn(count: int, low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(count))

    return {"strides": drawn(spatial, 1, 2), "pads": drawn(2 * spatial, 0, 1), "dilations": drawn(spatial, 1, 2)}


def fits_window(growing: Growing, x: TensorType, window: tuple[int, ...]) -> bool:
    """Whether even a dilated window lies inside x."""
    return all(growing.size(size) > 2 * (width - 1) for size, width in zip(x.shape[2:], window, strict=True))


def conv(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, is_image)
    if x is None:
        return None
    kind = tensor(x)
    window = tuple(draw(st.integers(1, 3)) for _ in kind.shape[2:])
    if not fits_window(growing, kind, window):
        return None
    channels = growing.size(kind.shape[1])
    groups = draw(st.sampled_from((1, max(1, channels))))
    listed = None
    if channels and draw(st.booleans()):
        chosen = draw(st.lists(st.integers(0, channels - 1), min_size=1, max_size=4))
        listed, channels, groups = growing.constant(np.array(chosen, np.int32)), len(chosen), 1
    w = growing.weight(groups * draw(st.integers(1, 3)), channels // groups, *window)
    return growing.add(ops.Conv(x, w, listed, groups=groups, **window_attrs(draw, len(window))))


def conv_transpose(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, is_image)
    if x is None:
        return None
    kind = tensor(x)
    window = tuple(draw(st.integers(2, 3)) for _ in kind.shape[2:])
    channels = growing.size(kind.shape[1])
    groups = draw(st.sampled_from((1, max(1, channels))))
    w = growing.weight(channels, draw(st.integers(1, 3)), *window)
    attrs = window_attrs(draw, len(window)) if min(map(growing.size, kind.shape[2:])) > 1 else {}
    return growing.add(ops.ConvTranspose(x, w, groups=groups, **attrs))


def pool(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, is_image)
    if x is None:
        return None
    window = tuple(draw(st.integers(2, 3)) for _ in tensor(x).shape[2:])
    if not fits_window(growing, tensor(x), window):
        return None
    kind = draw(st.sampled_from(("max", "average", "lp")))
    attrs = window_attrs(draw, len(window))
    whole, pads = draw(st.booleans()), draw(st.booleans())
    return growing.add(ops.Pool(x, kind=kind, window=window, ceil=whole, count_include_pad=pads, **attrs))


def max_pool_indices(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, is_image, exact=True)
    if x is None:
        return None
    window = tuple(draw(st.integers(2, 3)) for _ in tensor(x).shape[2:])
    if not fits_window(growing, tensor(x), window):
        return None
    return growing.add(ops.MaxPoolIndices(x, window=window, **window_attrs(draw, len(window))))


# -- reduction and normalisation ---------------------------------------------------------------------------------------


def reduce(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 5, is_float))
    if x is None:
        return None
    smooth = [kind for kind in ops.REDUCTIONS if kind != "log_sum"]  # its sum may be negative, or almost zero
    axes = axes_of(draw, tensor(x))
    return growing.add(ops.Reduce(x, kind=draw(st.sampled_from(smooth)), axes=axes, keepdims=draw(st.booleans())))


def arg_reduce(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(1, 5, is_float), exact=True)
    if x is None:
        return None
    axis = draw(st.integers(0, tensor(x).rank - 1))
    if not growing.size(tensor(x).shape[axis]):
        return None
    return growing.add(
        ops.ArgReduce(x, kind=draw(st.sampled_from(("max", "min"))), axis=axis, keepdims=draw(st.booleans()))
    )


def along_axis(kind: type[Op], exact: bool = False) -> Step:
    def step(draw: Draw, growing: Growing) -> Op | None:
        x = growing.pick(draw, of_rank(1, 5, is_float), exact)
        return None if x is None else growing.add(kind(x, axis=draw(st.integers(0, tensor(x).rank - 1))))

    return step


def trailing(kind: type[Op]) -> Step:
    """A normalisation with a large epsilon: almost equal elements would magnify every rounding error."""

    def step(draw: Draw, growing: Growing) -> Op | None:
        x = growing.pick(draw, of_rank(1, 5, is_float))
        if x is None:
            return None
        rank = tensor(x).rank
        return growing.add(kind(x, axes=tuple(range(draw(st.integers(0, rank - 1)), rank)), epsilon=0.5))

    return step


def batch_norm(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: is_float(kind) and kind.rank >= 2 and isinstance(kind.shape[1], int))
    if x is None:
        return None
    channels = growing.size(tensor(x).shape[1])
    rest = [growing.weight(channels) for _ in range(3)]
    var = growing.constant(growing.rng.uniform(0.5, 2, channels).astype(np.float32))
    return growing.add(ops.BatchNorm(x, *rest, var, epsilon=1e-3))


def lrn(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, of_rank(3, 5, is_float))
    return None if x is None else growing.add(ops.Lrn(x, size=draw(st.sampled_from((1, 3, 5))), alpha=0.1))


# -- quantization ------------------------------------------------------------------------------------------------------


def quantize(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, is_float, exact=True)
    if x is None:
        return None
    scale, zero = growing.constant(np.asarray(0.05, np.float32)), growing.constant(np.asarray(100, np.uint8))
    return growing.add(quant.Quantize(x, scale, zero, to=UI8))


def dequantize(draw: Draw, growing: Growing) -> Op | None:
    x = growing.pick(draw, lambda kind: kind.scalar == UI8)
    if x is None:
        return None
    scale, zero = growing.constant(np.asarray(0.05, np.float32)), growing.constant(np.asarray(100, np.uint8))
    return growing.add(quant.Dequantize(x, scale, zero))


def matmul_any(draw: Draw, growing: Growing) -> Op | None:
    return integer_matmul(draw, growing) if draw(st.integers(0, 4)) == 4 else matmul(draw, growing)


STEPS: dict[type[Op], Step] = {
    ops.MatMul: matmul_any, ops.Conv: conv, ops.ConvTranspose: conv_transpose, ops.Pool: pool,
    ops.MaxPoolIndices: max_pool_indices, ops.Reduce: reduce, ops.ArgReduce: arg_reduce,
    ops.Softmax: along_axis(ops.Softmax), ops.LogSoftmax: along_axis(ops.LogSoftmax),
    ops.Hardmax: along_axis(ops.Hardmax, exact=True), ops.BatchNorm: batch_norm, ops.LayerNorm: trailing(ops.LayerNorm),
    ops.RmsNorm: trailing(ops.RmsNorm), ops.Lrn: lrn, quant.Quantize: quantize, quant.Dequantize: dequantize,
}  # fmt: skip
