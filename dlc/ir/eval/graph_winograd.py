"""The meaning of Winograd's transforms, by matrix products with the tiles of the padded image."""

# NumPy's stubs say Any for most of what it computes:
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from dlc.ir.core import Op
from dlc.ir.dialects import graph_winograd as ops
from dlc.ir.dialects.shape_rules import spatial_pads, static
from dlc.ir.eval.frame import Array, Meaning, SymbolicMeaning, Symbols
from dlc.ir.winograd import matrices


def winograd_weights(op: ops.WinogradWeights, w: Array) -> Array:
    weights = matrices(op.tile)[1]
    taps = w.transpose(2, 3, 1, 0).reshape(ops.WINDOW**2, -1).astype(np.float64)
    both = np.kron(weights, weights)  # rows and columns at once
    return (both @ taps).reshape((op.tile + 2) ** 2, w.shape[1], w.shape[0])


def transformed(x: Array, tile: int, pads: tuple[int, ...]) -> Array:
    """((tile+2)², N·tiles, C) of x (N, C, H, W)."""
    size = static(ops.result_size(x.shape, pads))
    counts = [-(-extent // tile) for extent in size]
    widths = [(0, 0), (0, 0)]
    for n, count in enumerate(counts):
        before, _ = spatial_pads(pads, n)
        widths.append((before, max(0, count * tile + 2 - before - x.shape[2 + n])))
    padded = np.pad(x.astype(np.float64), widths)[:, :, : counts[0] * tile + 2, : counts[1] * tile + 2]
    if 0 in (*counts, x.shape[0]):
        return np.zeros(((tile + 2) ** 2, x.shape[0] * counts[0] * counts[1], x.shape[1]))
    tiles = sliding_window_view(padded, (tile + 2, tile + 2), (2, 3))[:, :, ::tile, ::tile]
    inputs = matrices(tile)[2]
    v = np.einsum("ia,ncyxab,jb->ijnyxc", inputs, tiles, inputs, optimize=True)
    return v.reshape((tile + 2) ** 2, x.shape[0] * counts[0] * counts[1], x.shape[1])


def untransformed(m: Array, tile: int, size: tuple[int, ...]) -> Array:
    """(N, O, rows, columns) of m ((tile+2)², N·tiles, O)."""
    images, rows, columns = size
    down, across = -(-rows // tile), -(-columns // tile)
    output = matrices(tile)[0]
    shaped = m.astype(np.float64).reshape(tile + 2, tile + 2, images, down, across, m.shape[2])
    y = np.einsum("ia,abnyxo,jb->noyixj", output, shaped, output, optimize=True)
    return y.reshape(images, m.shape[2], down * tile, across * tile)[:, :, :rows, :columns]


def winograd_conv(op: ops.WinogradConv, x: Array, u: Array) -> Array:
    v = transformed(x, op.tile, op.pads)
    size = static(ops.result_size(x.shape, op.pads))
    return untransformed(v @ u.astype(np.float64), op.tile, (x.shape[0], *size))


def winograd_input(op: ops.WinogradInput, x: Array) -> Array:
    return transformed(x, op.tile, op.pads)


def winograd_output(op: ops.WinogradOutput, symbols: Symbols, m: Array) -> Array:
    images, rows, columns = symbols.shape(op.size)
    return untransformed(m, op.tile, (images, rows, columns))


MEANINGS: dict[type[Op], Meaning] = {
    ops.WinogradWeights: winograd_weights, ops.WinogradConv: winograd_conv,
    ops.WinogradInput: winograd_input,
}  # fmt: skip

SYMBOLIC_MEANINGS: dict[type[Op], SymbolicMeaning] = {ops.WinogradOutput: winograd_output}
