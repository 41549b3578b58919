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
from dlc.ir.winograd import matrices, patch_size


def winograd_weights(op: ops.WinogradWeights, w: Array) -> Array:
    weights = matrices(op.tile, op.window, op.stride)[1]
    taps = w.transpose(2, 3, 1, 0).reshape(op.window**2, -1).astype(np.float64)
    columns = np.eye(op.window) if op.rows_only else weights
    both = np.kron(weights, columns)  # rows and columns at once
    return (both @ taps).reshape(len(both), w.shape[1], w.shape[0])


def transformed(op: ops.WinogradConv | ops.WinogradInput, x: Array) -> Array:
    """(size², N·tiles, C) of x (N, C, H, W)."""
    counts = [-(-extent // op.tile) for extent in result_size(op, x)]
    size, step = patch_size(op.tile, op.window, op.stride), op.stride * op.tile
    ends = [max(0, count - 1) * step + size for count in counts]
    widths = [(0, 0), (0, 0)]
    for n, end in enumerate(ends):
        before, _ = spatial_pads(op.pads, n)
        widths.append((before, max(0, end - before - x.shape[2 + n])))
    padded = np.pad(x.astype(np.float64), widths)[:, :, : ends[0], : ends[1]]
    if 0 in (*counts, x.shape[0]):
        return np.zeros((size**2, x.shape[0] * counts[0] * counts[1], x.shape[1]))
    tiles = sliding_window_view(padded, (size, size), (2, 3))[:, :, ::step, ::step]
    inputs = matrices(op.tile, op.window, op.stride)[2]
    v = np.einsum("ia,ncyxab,jb->ijnyxc", inputs, tiles, inputs, optimize=True)
    return v.reshape(size**2, x.shape[0] * counts[0] * counts[1], x.shape[1])


def untransformed(op: ops.WinogradConv | ops.WinogradOutput, m: Array, size: tuple[int, ...]) -> Array:
    """(N, O, rows, columns) of m (size², N·tiles, O)."""
    images, rows, columns = size
    down, across = -(-rows // op.tile), -(-columns // op.tile)
    output = matrices(op.tile, op.window, op.stride)[0]
    shaped = m.astype(np.float64).reshape(*[output.shape[1]] * 2, images, down, across, m.shape[2])
    y = np.einsum("ia,abnyxo,jb->noyixj", output, shaped, output, optimize=True)
    return y.reshape(images, m.shape[2], down * op.tile, across * op.tile)[:, :, :rows, :columns]


def result_size(op: ops.WinogradConv | ops.WinogradInput, x: Array) -> tuple[int, ...]:
    return static(ops.result_size(x.shape, op.pads, op.window, op.stride))


def winograd_conv(op: ops.WinogradConv, x: Array, u: Array) -> Array:
    return untransformed(op, transformed(op, x) @ u.astype(np.float64), (x.shape[0], *result_size(op, x)))


def winograd_input(op: ops.WinogradInput, x: Array) -> Array:
    return transformed(op, x)


def winograd_products(op: ops.WinogradProducts, v: Array, h: Array) -> Array:
    columns = matrices(op.tile, op.window, op.stride)[1]
    rows = h.astype(np.float64).reshape(len(columns), op.window, *h.shape[1:])
    u = np.einsum("jw,iwco->ijco", columns, rows, optimize=True)
    return v.astype(np.float64) @ u.reshape(len(columns) ** 2, *h.shape[1:])


def winograd_output(op: ops.WinogradOutput, symbols: Symbols, m: Array) -> Array:
    images, rows, columns = symbols.shape(op.size)
    return untransformed(op, m, (images, rows, columns))


MEANINGS: dict[type[Op], Meaning] = {
    ops.WinogradWeights: winograd_weights, ops.WinogradConv: winograd_conv,
    ops.WinogradInput: winograd_input, ops.WinogradProducts: winograd_products,
}  # fmt: skip

SYMBOLIC_MEANINGS: dict[type[Op], SymbolicMeaning] = {ops.WinogradOutput: winograd_output}
