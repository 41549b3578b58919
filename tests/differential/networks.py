"""Hypothesis strategies that make random networks as people build them: convolutions with all that stands around them,
and attention with its products; sizes are such that blocks of channels, panels and tiles have rests.

    @given(image_networks())
    def test_compiled_network(sample): ...
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as math
from dlc.ir.dialects import graph_nn as nn
from dlc.ir.dialects import graph_shape as shape
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, as_dim, product, sym
from dlc.ir.types import F32
from tests.differential.generators import SYMBOLS, Sample
from tests.differential.growing import Draw, Growing

CHANNELS = (1, 2, 3, 4, 8, 11, 16, 19, 24, 33)
SIZES = (1, 2, 5, 6, 8, 9, 14)
WIDTHS = (1, 3, 8, 10, 16, 24, 31, 48)
Step = Callable[[Draw, Growing, list[Value]], Value | None]


def result(op: Op | None, growing: Growing) -> Value | None:
    """What stands for the op's result: a scaled copy if that has become too large."""
    if op is None:
        return None
    made = op.results[0]
    return list(growing.contents)[-1] if made in growing.hidden else made


def one_of(draw: Draw, values: list[Value], count: int = 3) -> Value:
    return draw(st.sampled_from(values[-count:][::-1]))


def scaled_weight(growing: Growing, *sizes: int) -> Value:
    """Weights whose first axis is the result's channels: sums of `sizes[1:]` products stay about 1."""
    share = np.sqrt(max(1, int(np.prod(sizes[1:]))))
    return growing.constant((growing.rng.uniform(-1, 1, sizes) / share).astype(np.float32))


# -- images ------------------------------------------------------------------------------------------------------------


def channels(value: Value) -> int:
    count = tensor(value).shape[1]
    assert isinstance(count, int)
    return count


def window_for(
    draw: Draw, growing: Growing, x: Value, sizes: tuple[int, ...]
) -> tuple[tuple[int, ...], dict[str, object]]:
    """A window that fits x, with strides, pads (at most half of it) and dilations."""
    window, strides, dilations, before, after = [], [], [], [], []
    for dim in tensor(x).shape[2:]:
        extent = growing.size(dim)
        width = draw(st.sampled_from([n for n in sizes if n <= extent] or [1]))
        wide = width > 1 and 2 * (width - 1) < extent and draw(st.integers(0, 4)) == 0
        dilation = 2 if wide else 1
        reach = dilation * (width - 1)
        pads = draw(st.sampled_from([(0, 0), (reach // 2, reach // 2), (reach // 2, reach - reach // 2)]))
        window.append(width)
        strides.append(draw(st.sampled_from((1, 1, 2))))
        dilations.append(dilation)
        before.append(pads[0])
        after.append(pads[1])
    attrs = {"strides": tuple(strides), "pads": (*before, *after), "dilations": tuple(dilations)}
    return tuple(window), attrs


def conv(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    window, attrs = window_for(draw, growing, x, (1, 3, 3, 5))
    have = channels(x)
    kind = draw(st.sampled_from(("dense", "dense", "depthwise", "grouped")))
    if kind == "dense":
        groups, made = 1, draw(st.sampled_from(CHANNELS))
    elif kind == "depthwise":
        groups, made = have, have
    else:
        groups = next((g for g in (4, 3, 2) if have % g == 0), 1)
        made = groups * draw(st.sampled_from((1, 2, 8)))
    w = scaled_weight(growing, made, have // groups, *window)
    return result(growing.add(nn.Conv(x, w, groups=groups, **attrs)), growing)


def conv_transpose(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    have = channels(x)
    window = tuple(draw(st.sampled_from((2, 3, 4))) for _ in tensor(x).shape[2:])
    strides = tuple(draw(st.sampled_from((1, 2, 2))) for _ in window)
    pads = tuple(draw(st.sampled_from((0, 0, 1))) for _ in (*window, *window))
    if any(growing.size(d) * s + k - s - 2 < 1 for d, s, k in zip(tensor(x).shape[2:], strides, window, strict=True)):
        return None
    groups = draw(st.sampled_from((1, 1, have)))
    w = scaled_weight(growing, have, draw(st.sampled_from((1, 3, 8, 10) if groups == 1 else (1, 2))), *window)
    return result(growing.add(nn.ConvTranspose(x, w, groups=groups, strides=strides, pads=pads)), growing)


def bias(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    spatial = tensor(x).rank - 2
    kind = draw(st.sampled_from((math.Add, math.Mul)))
    return result(growing.add(kind(x, growing.weight(channels(x), *[1] * spatial))), growing)


def batch_norm(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    scale, beta, mean = (growing.weight(channels(x)) for _ in range(3))
    var = growing.constant(growing.rng.uniform(0.5, 2, channels(x)).astype(np.float32))
    return result(growing.add(nn.BatchNorm(x, scale, beta, mean, var)), growing)


def activation(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    kind = draw(st.sampled_from((math.Relu, math.Relu, math.Sigmoid, math.Tanh, math.Abs, "clip", "swish")))
    if kind == "clip":
        return result(growing.add(math.Minimum(x, growing.constant(np.asarray(0.5, np.float32)))), growing)
    if kind == "swish":
        gate = growing.add(math.Sigmoid(x))
        return None if gate is None else result(growing.add(math.Mul(x, gate.results[0])), growing)
    return result(growing.add(kind(x)), growing)  # type: ignore[operator]


def residual(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    """A sum or product of two values that have, or broadcast to, one shape."""
    x = one_of(draw, values)
    fitting = [v for v in values if tensor(v).shape == tensor(x).shape or reduced(v, x)]
    kind = draw(st.sampled_from((math.Add, math.Mul, math.Sub)))
    return result(growing.add(kind(x, one_of(draw, fitting, 9))), growing)


def reduced(v: Value, x: Value) -> bool:
    a, b = tensor(v).shape, tensor(x).shape
    return len(a) == len(b) and all(m == n or m == 1 for m, n in zip(a, b, strict=True))


def squeeze(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    axes = draw(st.sampled_from((tuple(range(2, tensor(x).rank)), (tensor(x).rank - 1,), (1,))))
    kind = draw(st.sampled_from(("mean", "max", "sum")))
    return result(growing.add(nn.Reduce(x, kind=kind, axes=axes)), growing)


def pool(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    window, attrs = window_for(draw, growing, x, (2, 3))
    kind = draw(st.sampled_from(("max", "max", "average", "lp")))
    whole, pads = draw(st.booleans()), draw(st.booleans())
    pool = nn.Pool(x, kind=kind, window=window, ceil=whole, count_include_pad=pads, **attrs)
    return result(growing.add(pool), growing)


def concat(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    shape_of = tensor(x).shape
    fitting = [v for v in values if tensor(v).shape[:1] + tensor(v).shape[2:] == shape_of[:1] + shape_of[2:]]
    parts = [x, *(one_of(draw, fitting, 9) for _ in range(draw(st.integers(0, 2))))]
    return result(growing.add(shape.Concat(*parts, axis=1)), growing)


def resize(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    dims = tensor(x).shape
    mode = draw(st.sampled_from(("nearest", "nearest", "linear")))
    rounding = {"coordinate": "asymmetric", "rounding": "floor"} if mode == "nearest" else {}
    sizes = (*dims[:2], *(as_dim(product([d, 2])) for d in dims[2:]))
    return result(growing.add(shape.Resize(x, sizes=sizes, mode=mode, **rounding)), growing)


def pad(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    count = tensor(x).rank
    sides = [(0, 0, *(draw(st.integers(0, 1)) for _ in range(count - 2))) for _ in range(2)]
    mode = draw(st.sampled_from(("constant", "edge")))
    return result(growing.add(shape.Pad(x, before=sides[0], after=sides[1], mode=mode)), growing)


def part(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    """A slice of channels, or every other pixel."""
    x = one_of(draw, values)
    dims = tensor(x).shape
    if draw(st.booleans()):
        count = draw(st.integers(1, channels(x)))
        start = draw(st.integers(0, channels(x) - count))
        starts, sizes, steps = (0, start, *[0] * (len(dims) - 2)), (dims[0], count, *dims[2:]), (1,) * len(dims)
    else:
        if not isinstance(dims[-1], int):
            return None
        starts, steps = (0,) * len(dims), (*[1] * (len(dims) - 1), 2)
        sizes = (*dims[:-1], (dims[-1] + 1) // 2)
    return result(growing.add(shape.Slice(x, starts=starts, sizes=sizes, steps=steps)), growing)


def shuffle(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    """Channels taken in another order, as by ShuffleNet; or height and width swapped."""
    x = one_of(draw, values)
    dims = tensor(x).shape
    if channels(x) % 2 == 0 and draw(st.booleans()):
        split = growing.add(shape.Reshape(x, shape=(dims[0], 2, channels(x) // 2, *dims[2:])))
        if split is None:
            return None
        swapped = growing.add(shape.Transpose(split.results[0], perm=(0, 2, 1, *range(3, len(dims) + 1))))
        return None if swapped is None else result(growing.add(shape.Reshape(swapped.results[0], shape=dims)), growing)
    perm = (0, 1, *reversed(range(2, len(dims))))
    return result(growing.add(shape.Transpose(x, perm=perm)), growing)


def normalize(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    kind = draw(st.sampled_from(("lrn", "softmax", "channels-last")))
    if kind == "lrn":
        return result(growing.add(nn.Lrn(x, size=3)), growing)
    if kind == "softmax":
        return result(growing.add(nn.Softmax(x, axis=draw(st.sampled_from((1, tensor(x).rank - 1))))), growing)
    count = tensor(x).rank
    last = growing.add(shape.Transpose(x, perm=(0, *range(2, count), 1)))
    normal = None if last is None else growing.add(nn.LayerNorm(last.results[0], axes=(count - 1,)))
    if normal is None:
        return None
    return result(growing.add(shape.Transpose(normal.results[0], perm=(0, count - 1, *range(1, count - 1)))), growing)


IMAGE_STEPS: tuple[Step, ...] = (
    conv, conv, conv, conv, conv, conv, conv, bias, batch_norm, activation, activation, residual, residual,
    pool, concat, squeeze, resize, pad, part, shuffle, normalize, conv_transpose,
)  # fmt: skip


@st.composite
def image_networks(draw: Draw, most_ops: int = 10, rank: int = 4) -> Sample:
    """Networks of images: (N, C, H, W), or of another rank."""
    growing = Growing(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), dict(SYMBOLS))
    batch: Dim = draw(st.sampled_from((1, 1, 2, sym("batch"))))
    sizes: list[Dim] = [draw(st.sampled_from(SIZES)) for _ in range(rank - 2)]
    if draw(st.integers(0, 5)) == 0:
        sizes[-1] = sym("length")
    values = [growing.argument((batch, draw(st.sampled_from(CHANNELS)), *sizes), F32)]
    grow(draw, growing, values, IMAGE_STEPS, most_ops)
    end = values[-1]
    if draw(st.integers(0, 3)) == 0:
        flat = growing.add(shape.Reshape(end, shape=(tensor(end).shape[0], as_dim(product(tensor(end).shape[1:])))))
        if flat is not None and isinstance(tensor(flat.results[0]).shape[1], int):
            w = scaled_weight(growing, tensor(flat.results[0]).shape[1], 10)  # type: ignore[arg-type]
            values.append(result(growing.add(nn.MatMul(flat.results[0], w)), growing) or end)
    return finished(draw, growing, values)


def grow(draw: Draw, growing: Growing, values: list[Value], steps: tuple[Step, ...], most_ops: int) -> None:
    for _ in range(draw(st.integers(2, most_ops))):
        made = draw(st.sampled_from(steps))(draw, growing, values)
        if made is not None:
            values.append(made)


def finished(draw: Draw, growing: Growing, values: list[Value]) -> Sample:
    others = draw(st.lists(st.sampled_from(values), max_size=2))
    module = growing.finish(list(dict.fromkeys([values[-1], *others])))
    return Sample(module, [growing.inputs[arg] for arg in module.main.args], dict(SYMBOLS))


# -- sequences ---------------------------------------------------------------------------------------------------------


def width(value: Value) -> int:
    size = tensor(value).shape[-1]
    assert isinstance(size, int)
    return size


def dense(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    made = draw(st.sampled_from(WIDTHS))
    y = dense_of(growing, x, made)
    return y if y is None or draw(st.booleans()) else result(growing.add(math.Add(y, growing.weight(made))), growing)


def product_of_two(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    """x · yᵀ, and back: attention without its heads."""
    x = one_of(draw, values)
    fitting = [v for v in values if tensor(v).shape == tensor(x).shape]
    y, z = one_of(draw, fitting, 9), one_of(draw, fitting, 9)
    count = tensor(x).rank
    turned = growing.add(shape.Transpose(y, perm=(*range(count - 2), count - 1, count - 2)))
    scores = None if turned is None else result(growing.add(nn.MatMul(x, turned.results[0])), growing)
    shares = None if scores is None else growing.add(nn.Softmax(scores, axis=count - 1))
    return None if shares is None else result(growing.add(nn.MatMul(shares.results[0], z)), growing)


def heads(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    """Attention with two heads: reshapes and transposes around the products."""
    x = one_of(draw, values)
    b, t, d = tensor(x).shape
    if width(x) % 2:
        return None
    parts = []
    for perm in ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)):
        y = dense_of(growing, x, width(x))
        split = None if y is None else growing.add(shape.Reshape(y, shape=(b, t, 2, width(x) // 2)))
        parts.append(None if split is None else growing.add(shape.Transpose(split.results[0], perm=perm)))
    if any(p is None for p in parts):
        return None
    q, k, v = (p.results[0] for p in parts)  # type: ignore[union-attr]
    scores = result(growing.add(nn.MatMul(q, k)), growing)
    shares = None if scores is None else growing.add(nn.Softmax(scores, axis=3))
    context = None if shares is None else growing.add(nn.MatMul(shares.results[0], v))
    turned = None if context is None else growing.add(shape.Transpose(context.results[0], perm=(0, 2, 1, 3)))
    return None if turned is None else result(growing.add(shape.Reshape(turned.results[0], shape=(b, t, d))), growing)


def dense_of(growing: Growing, x: Value, columns: int) -> Value | None:
    w = (growing.rng.uniform(-1, 1, (width(x), columns)) / np.sqrt(width(x))).astype(np.float32)
    return result(growing.add(nn.MatMul(x, growing.constant(w))), growing)


def normal(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    kind = draw(st.sampled_from((nn.LayerNorm, nn.RmsNorm)))
    y = result(growing.add(kind(x, axes=(tensor(x).rank - 1,))), growing)
    return None if y is None else result(growing.add(math.Mul(y, growing.weight(width(x)))), growing)


def piece(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    """The first columns, as a gate takes them."""
    x = one_of(draw, values)
    dims = tensor(x).shape
    count = draw(st.integers(1, width(x)))
    starts = (*[0] * (len(dims) - 1), draw(st.integers(0, width(x) - count)))
    return result(growing.add(shape.Slice(x, starts=starts, sizes=(*dims[:-1], count))), growing)


def sequence_activation(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    kind = draw(st.sampled_from((math.Relu, math.Tanh, math.Sigmoid, math.Erf)))
    return result(growing.add(kind(x)), growing)


def reduction(draw: Draw, growing: Growing, values: list[Value]) -> Value | None:
    x = one_of(draw, values)
    axis = draw(st.sampled_from((1, 2)))
    y = result(growing.add(nn.Reduce(x, kind=draw(st.sampled_from(("mean", "max", "l2"))), axes=(axis,))), growing)
    return y if y is None or axis == 1 else result(growing.add(math.Sub(x, y)), growing)


SEQUENCE_STEPS: tuple[Step, ...] = (
    dense, dense, dense, product_of_two, heads, normal, piece, sequence_activation, residual, residual, reduction,
)  # fmt: skip


@st.composite
def sequence_networks(draw: Draw, most_ops: int = 8) -> Sample:
    """Networks of sequences of vectors: (batch, length, width)."""
    growing = Growing(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), dict(SYMBOLS))
    batch: Dim = draw(st.sampled_from((1, 2, sym("batch"))))
    length: Dim = draw(st.sampled_from((1, 6, 13, 17, sym("length"))))
    values = [growing.argument((batch, length, draw(st.sampled_from(WIDTHS))), F32)]
    grow(draw, growing, values, SEQUENCE_STEPS, most_ops)
    return finished(draw, growing, values)
