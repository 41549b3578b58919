"""What was considered for a kernel, in words: for `dlc dump --stage loop`."""

from __future__ import annotations

from collections.abc import Iterable

from dlc.ir.core import Op
from dlc.ir.dialects import graph_nn
from dlc.ir.dialects.graph_strassen import StrassenMatMul
from dlc.ir.dialects.graph_winograd import WinogradConv, result_size
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import as_dim, as_expr, product
from dlc.ir.typical import IMAGES
from dlc.passes.graph.conv_costs import ConvSize, dense_size, known, predicted
from dlc.passes.graph.strassen_costs import predicted_products
from dlc.passes.lower.tiles import ImageTile, Tile
from dlc.target import Target

MOST = 4  # tiles that are listed


def algorithms(root: Op | None, target: Target) -> tuple[str, ...]:
    """The algorithms for a small convolution or a product of known size, the fastest first."""
    size, flat = conv_size(root), product_size(root)
    if size is not None:
        found = predicted(size, target)
    elif flat is not None:
        found = predicted_products(*flat, target)
    else:
        return ()
    costs = sorted(found.items(), key=lambda item: item[1])
    return tuple(f"{name}: {cycles / 1000:.0f}k cycles" for name, cycles in costs)


def product_size(root: Op | None) -> tuple[int, int, int] | None:
    """Rows, depth and columns of a product that goes plainly or by Strassen's algorithm."""
    if isinstance(root, graph_nn.MatMul) and tensor(root.b).rank == 2:
        depth, columns = tensor(root.b).shape
    elif isinstance(root, StrassenMatMul):
        depth, columns = (as_dim(2 * as_expr(dim)) for dim in tensor(root.u).shape[1:])
    else:
        return None
    rows = as_dim(product(tensor(root.result).shape[:-1]))
    if isinstance(rows, int) and isinstance(depth, int) and isinstance(columns, int):
        return (rows, depth, columns) if rows and depth and columns else None
    return None


def conv_size(root: Op | None) -> ConvSize | None:
    """The size of a convolution that goes directly or by Winograd's algorithm."""
    if isinstance(root, graph_nn.Conv):
        return dense_size(root)
    if not isinstance(root, WinogradConv):
        return None
    x, window, stride = tensor(root.x), root.window, root.stride
    sides = result_size(x.shape, root.pads, window, stride)
    inputs, outputs = tensor(root.u).shape[1:]
    sizes = known(x.shape[0], IMAGES), known(sides[0]), known(sides[1]), known(inputs), known(outputs)
    size = ConvSize(*sizes, window, stride)
    return size if all((size.images, size.rows, size.columns, size.inputs, size.outputs)) else None


def image_tiles_text(tiles: Iterable[ImageTile]) -> list[str]:
    return [f"tile {t.lines} x {t.columns} x {t.vectors}: {t.cost:.0f} cycles a step" for t in tiles][:MOST]


def tiles_text(tiles: Iterable[Tile]) -> list[str]:
    ordered = sorted(tiles, key=lambda tile: tile.cost)
    return [f"tile {t.rows} x {t.vectors}: {t.cost:.0f} cycles a step" for t in ordered][:MOST]
