"""Cases of Winograd's transforms: what is right is the direct convolution, or the definition by matrices."""

from __future__ import annotations

import numpy as np

from dlc.ir.dialects import graph_winograd as ops
from dlc.ir.winograd import matrices
from tests.eval.cases import Array, Case, Onnx, f32

W = f32(3, 4, 3, 3)


def weights(w: Array, tile: int) -> Array:
    g = matrices(tile)[1]
    return np.stack([(g @ w @ g.T)[..., i, j].T for i in range(tile + 2) for j in range(tile + 2)]).astype(w.dtype)


def tiles(x: Array, tile: int, pads: tuple[int, ...]) -> Array:
    """One tile after the other."""
    b = matrices(tile)[2]
    rows, columns = (x.shape[2 + n] + pads[n] + pads[2 + n] - 2 for n in (0, 1))
    padded = np.pad(x, [(0, 0), (0, 0), (pads[0], pads[2] + tile), (pads[1], pads[3] + tile)])
    found = [
        b @ padded[n, :, top : top + tile + 2, left : left + tile + 2] @ b.T
        for n in range(x.shape[0]) for top in range(0, rows, tile) for left in range(0, columns, tile)
    ]  # fmt: skip
    return np.array(found).transpose(2, 3, 0, 1).reshape((tile + 2) ** 2, -1, x.shape[1]).astype(x.dtype)


def outputs(m: Array, tile: int, size: tuple[int, int, int]) -> Array:
    a = matrices(tile)[0]
    images, rows, columns = size
    y = np.zeros((images, m.shape[2], rows + tile, columns + tile))
    places = [(n, top, left) for n in range(images) for top in range(0, rows, tile) for left in range(0, columns, tile)]
    for number, (n, top, left) in enumerate(places):
        square = m[:, number].reshape(tile + 2, tile + 2, -1).transpose(2, 0, 1)
        y[n, :, top : top + tile, left : left + tile] = a @ square @ a.T
    return y[:, :, :rows, :columns].astype(m.dtype)


def convolution(x: Array, tile: int, **attrs: object) -> Case:
    u = weights(W.astype(np.float64), tile).astype(np.float32)
    right = Onnx("Conv", {"pads": attrs.get("pads", (0, 0, 0, 0))}, inputs=(0, W))
    name = f"winograd_conv-{x.shape}-{tile}-{attrs}"
    return Case(name, lambda a, b: ops.WinogradConv(a, b, tile=tile, **attrs), [x, u], right)  # type: ignore[arg-type]


IMAGE = f32(2, 4, 7, 11)
CASES = [
    *(Case(f"winograd_weights-{t}", lambda w, t=t: ops.WinogradWeights(w, tile=t), [W], lambda w, t=t: weights(w, t))
      for t in (2, 4)),
    convolution(IMAGE, 4),
    convolution(IMAGE, 4, pads=(1, 1, 1, 1), part=3),
    convolution(IMAGE, 2, pads=(0, 2, 1, 1)),
    convolution(f32(0, 4, 7, 11), 4),
    Case("winograd_input", lambda x: ops.WinogradInput(x, pads=(1, 0, 2, 1)), [IMAGE],
         lambda x: tiles(x, 4, (1, 0, 2, 1))),
    Case("winograd_input-2", lambda x: ops.WinogradInput(x, tile=2), [IMAGE], lambda x: tiles(x, 2, (0, 0, 0, 0))),
    Case("winograd_output", lambda m: ops.WinogradOutput(m, size=(2, 5, 9)), [f32(36, 12, 3)],
         lambda m: outputs(m, 4, (2, 5, 9))),
    Case("winograd_output-2", lambda m: ops.WinogradOutput(m, size=(1, 3, 4), tile=2), [f32(16, 4, 3)],
         lambda m: outputs(m, 2, (1, 3, 4))),
]  # fmt: skip
