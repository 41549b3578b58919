"""Cases of Winograd's transforms: what is right is the direct convolution, or the definition by matrices."""

from __future__ import annotations

import numpy as np

from dlc.ir.dialects import graph_winograd as ops
from dlc.ir.winograd import TILES, matrices
from tests.eval.cases import Array, Case, Onnx, f32

VARIANTS = [(tile, *key) for key, tiles in TILES.items() for tile in tiles]
IMAGE = f32(2, 4, 7, 11)


def window_of(size: int) -> Array:
    return f32(3, 4, size, size)


def weights(w: Array, *variant: int) -> Array:
    g = matrices(*variant)[1]
    both = g @ w.astype(np.float64) @ g.T
    return np.stack([both[..., i, j].T for i in range(len(g)) for j in range(len(g))]).astype(w.dtype)


def tiles(x: Array, pads: tuple[int, ...], tile: int, window: int = 3, stride: int = 1) -> Array:
    """One tile after the other."""
    b = matrices(tile, window, stride)[2]
    size, step = len(b), tile * stride
    rows, columns = (x.shape[2 + n] + pads[n] + pads[2 + n] - window + 1 for n in (0, 1))
    padded = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2] + size), (pads[1], pads[3] + size)])
    found = [
        b @ padded[n, :, top : top + size, left : left + size] @ b.T
        for n in range(x.shape[0]) for top in range(0, rows, step) for left in range(0, columns, step)
    ]  # fmt: skip
    return np.array(found).transpose(2, 3, 0, 1).reshape(size**2, -1, x.shape[1]).astype(x.dtype)


def outputs(m: Array, size: tuple[int, int, int], tile: int, window: int = 3, stride: int = 1) -> Array:
    a = matrices(tile, window, stride)[0]
    images, rows, columns = size
    y = np.zeros((images, m.shape[2], rows + tile, columns + tile))
    places = [(n, top, left) for n in range(images) for top in range(0, rows, tile) for left in range(0, columns, tile)]
    for number, (n, top, left) in enumerate(places):
        square = m[:, number].reshape(a.shape[1], a.shape[1], -1).transpose(2, 0, 1)
        y[n, :, top : top + tile, left : left + tile] = a @ square @ a.T
    return y[:, :, :rows, :columns].astype(m.dtype)


def convolution(x: Array, tile: int, window: int = 3, stride: int = 1, **attrs: object) -> Case:
    w = window_of(window)
    u = weights(w, tile, window, stride)
    right = Onnx("Conv", {"pads": attrs.get("pads", (0, 0, 0, 0)), "strides": (stride, stride)}, inputs=(0, w))
    how = {"tile": tile, "window": window, "stride": stride, **attrs}
    return Case(f"winograd_conv-{x.shape}-{how}", lambda a, b: ops.WinogradConv(a, b, **how), [x, u], right)  # type: ignore[arg-type]


def transform(tile: int, window: int, stride: int) -> Case:
    how = {"tile": tile, "window": window, "stride": stride}
    w = window_of(window)
    return Case(
        f"winograd_weights-{how}", lambda a: ops.WinogradWeights(a, **how), [w],
        lambda a: weights(a, tile, window, stride),
    )  # fmt: skip


def half_weights(w: Array, *variant: int) -> Array:
    g = matrices(*variant)[1]
    rows = g @ w.astype(np.float64)
    return np.stack([rows[..., i, j].T for i in range(len(g)) for j in range(w.shape[3])]).astype(w.dtype)


def products(tile: int, window: int, stride: int) -> Case:
    """By weights of which only the rows are transformed, and by those of which all is."""
    how = {"tile": tile, "window": window, "stride": stride}
    w = window_of(window)
    h, u = half_weights(w, tile, window, stride), weights(w, tile, window, stride)
    return Case(
        f"winograd_products-{how}", lambda a, b: ops.WinogradProducts(a, b, **how), [f32(len(u), 5, 4), h],
        lambda a, b: a @ u,
    )  # fmt: skip


def half_transform(tile: int, window: int, stride: int) -> Case:
    how = {"tile": tile, "window": window, "stride": stride, "rows_only": True}
    w = window_of(window)
    return Case(
        f"winograd_weights-{how}", lambda a: ops.WinogradWeights(a, **how), [w],  # type: ignore[arg-type]
        lambda a: half_weights(a, tile, window, stride),
    )  # fmt: skip


CASES = [
    *(half_transform(*variant) for variant in VARIANTS),
    *(products(*variant) for variant in VARIANTS),
    *(transform(*variant) for variant in VARIANTS),
    *(convolution(IMAGE, *variant) for variant in VARIANTS),
    *(convolution(IMAGE, *variant, pads=(1, 2, 1, 0), part=3) for variant in VARIANTS),
    convolution(IMAGE, 4, pads=(1, 1, 1, 1), part=3),
    convolution(IMAGE, 2, pads=(0, 2, 1, 1)),
    convolution(f32(0, 4, 7, 11), 4),
    Case("winograd_input", lambda x: ops.WinogradInput(x, pads=(1, 0, 2, 1)), [IMAGE],
         lambda x: tiles(x, (1, 0, 2, 1), 4)),
    Case("winograd_input-2", lambda x: ops.WinogradInput(x, tile=2), [IMAGE], lambda x: tiles(x, (0, 0, 0, 0), 2)),
    Case("winograd_input-stride", lambda x: ops.WinogradInput(x, stride=2), [IMAGE],
         lambda x: tiles(x, (0, 0, 0, 0), 4, 3, 2)),
    Case("winograd_output", lambda m: ops.WinogradOutput(m, size=(2, 5, 9)), [f32(36, 12, 3)],
         lambda m: outputs(m, (2, 5, 9), 4)),
    Case("winograd_output-2", lambda m: ops.WinogradOutput(m, size=(1, 3, 4), tile=2), [f32(16, 4, 3)],
         lambda m: outputs(m, (1, 3, 4), 2)),
    Case("winograd_output-stride", lambda m: ops.WinogradOutput(m, size=(1, 3, 4), stride=2), [f32(81, 1, 3)],
         lambda m: outputs(m, (1, 3, 4), 4, 3, 2)),
]  # fmt: skip
