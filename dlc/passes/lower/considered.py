"""What was considered for a kernel, in words: for `dlc dump --stage loop`."""

from __future__ import annotations

from collections.abc import Iterable

from dlc.ir.core import Op
from dlc.ir.dialects import graph_nn
from dlc.ir.dialects.graph_winograd import WINDOW, WinogradConv, result_size
from dlc.ir.dialects.shape_rules import tensor
from dlc.passes.graph.conv_costs import ConvSize, known, predicted
from dlc.passes.lower.tiles import ImageTile, Tile
from dlc.target import Target

MOST = 4  # tiles that are listed


def algorithms(root: Op | None, target: Target) -> tuple[str, ...]:
    """The algorithms for a 3 x 3 convolution, the fastest first."""
    size = conv_size(root)
    if size is None:
        return ()
    costs = sorted(predicted(size, target).items(), key=lambda item: item[1])
    return tuple(f"{name}: {cycles / 1000:.0f}k cycles" for name, cycles in costs)


def conv_size(root: Op | None) -> ConvSize | None:
    """The size of a convolution that goes directly or by Winograd's algorithm."""
    if isinstance(root, graph_nn.Conv):
        x, w, y = tensor(root.x), tensor(root.w), tensor(root.result)
        plain = root.groups == 1 and all(n == 1 for n in (*root.strides, *root.dilations))
        if not plain or w.shape[2:] != (WINDOW, WINDOW):
            return None
        sides, inputs, outputs = y.shape[2:], w.shape[1], w.shape[0]
    elif isinstance(root, WinogradConv):
        x, sides = tensor(root.x), result_size(tensor(root.x).shape, root.pads)
        inputs, outputs = tensor(root.u).shape[1:]
    else:
        return None
    size = ConvSize(known(x.shape[0], 1), known(sides[0]), known(sides[1]), known(inputs), known(outputs))
    return size if all((size.images, size.rows, size.columns, size.inputs, size.outputs)) else None


def image_tiles_text(tiles: Iterable[ImageTile]) -> list[str]:
    return [f"tile {t.lines} x {t.columns} x {t.vectors}: {t.cost:.0f} cycles a step" for t in tiles][:MOST]


def tiles_text(tiles: Iterable[Tile]) -> list[str]:
    ordered = sorted(tiles, key=lambda tile: tile.cost)
    return [f"tile {t.rows} x {t.vectors}: {t.cost:.0f} cycles a step" for t in ordered][:MOST]
