"""Winograd's minimal filtering: small convolutions by a product of matrices per element of a transformed tile.

Lavin and Gray, "Fast algorithms for convolutional neural networks" (2016), section 4.1: with the matrices of
dlc/ir/winograd.py, each tile of tile x tile outputs is Aᵀ [ (G w Gᵀ) · (Bᵀ d B) ] A, summed over the channels between
the transforms. A tile is computed from a patch of size x size elements, size = stride · (tile - 1) + window; axis 0 of
a transformed tensor counts the size² places of a patch in row-major order.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op
from dlc.ir.dialects.graph_nn import Ints, Placed
from dlc.ir.dialects.shape_rules import tensor, window_shape
from dlc.ir.expr import Dim, as_dim, as_expr, ceil_div
from dlc.ir.opdef import FLOAT_TENSOR, PURE, AttrDef, attr, op_def, operand, rank
from dlc.ir.requirements import Requirement, equal, equal_shapes
from dlc.ir.types import TensorType, Type
from dlc.ir.winograd import TILES, patch_size


def places(tile: int, window: int, stride: int) -> int:
    """How many elements a transformed tile has."""
    return patch_size(tile, window, stride) ** 2


def result_size(x: tuple[Dim, ...], pads: Ints, window: int, stride: int) -> tuple[Dim, ...]:
    """Rows and columns of the convolution's result."""
    return window_shape(x[2:], (window, window), (stride, stride), pads, ())


def tile_count(size: tuple[Dim, ...], tile: int) -> Dim:
    """Tiles that cover rows x columns."""
    return as_dim(ceil_div(as_expr(size[0]), tile) * ceil_div(as_expr(size[1]), tile))


def tile_problem(tile: int, window: int, stride: int, pads: Ints = ()) -> str | None:
    if (window, stride) not in TILES:
        return f"there are no matrices for a window of {window} and a stride of {stride}"
    if tile not in (known := TILES[window, stride]):
        return f"tile must be one of {', '.join(map(str, known))}"
    return None if len(pads) in (0, 4) and all(p >= 0 for p in pads) else "pads must be four numbers of at least 0"


@op_def("graph.winograd_weights", traits={PURE})
class WinogradWeights(Op):
    """The transformed weights (size²,C,O) of w (O,C,window,window); (size·window,C,O) where only along its rows"""

    w = operand(FLOAT_TENSOR, rank(4))
    tile = attr(4)
    window = attr(3)
    stride = attr(1)
    rows_only = attr(False)  # what is left is done as the weights are read: graph.winograd_products

    def infer(self) -> tuple[Type, ...]:
        w = tensor(self.w)
        size = patch_size(self.tile, self.window, self.stride)
        count = size * (self.window if self.rows_only else size)
        return (TensorType((count, w.shape[1], w.shape[0]), w.element),)

    def check(self) -> Iterator[str]:
        if problem := tile_problem(self.tile, self.window, self.stride):
            yield f"c1: {problem}"

    def requires(self) -> Iterator[Requirement]:
        for dim in tensor(self.w).shape[2:]:
            yield from equal(dim, self.window, f"c2: the window of w must be {self.window} x {self.window}")


@op_def("graph.winograd_conv", traits={PURE})
class WinogradConv(Placed):
    """The convolution of x (N,C,H,W) with the transformed weights u (size²,C,O), `part` tiles at a time"""

    x = operand(FLOAT_TENSOR, rank(4))
    u = operand(FLOAT_TENSOR, rank(3))
    tile = attr(4)
    window = attr(3)
    stride = attr(1)
    pads: AttrDef[Ints] = attr(())
    part = attr(16)

    def infer(self) -> tuple[Type, ...]:
        x, u = tensor(self.x), tensor(self.u)
        size = result_size(x.shape, self.pads, self.window, self.stride)
        return (TensorType((x.shape[0], u.shape[2], *size), x.element, self.layout),)

    def check(self) -> Iterator[str]:
        if problem := tile_problem(self.tile, self.window, self.stride, self.pads):
            yield f"c1: {problem}"
        if self.part < 1:
            yield "c4: part must be at least 1"

    def requires(self) -> Iterator[Requirement]:
        x, u = tensor(self.x).shape, tensor(self.u).shape
        count = places(self.tile, self.window, self.stride)
        yield from equal(u[0], count, f"c2: u must have {count} places")
        yield from equal(x[1], u[1], "c3: x and u must have the same channels")


@op_def("graph.winograd_input", traits={PURE})
class WinogradInput(Placed):
    """The transformed tiles (size²,N·tiles,C) of x (N,C,H,W)"""

    x = operand(FLOAT_TENSOR, rank(4))
    tile = attr(4)
    window = attr(3)
    stride = attr(1)
    pads: AttrDef[Ints] = attr(())

    def infer(self) -> tuple[Type, ...]:
        x = tensor(self.x)
        size = result_size(x.shape, self.pads, self.window, self.stride)
        tiles = as_expr(tile_count(size, self.tile)) * as_expr(x.shape[0])
        count = places(self.tile, self.window, self.stride)
        return (TensorType((count, as_dim(tiles), x.shape[1]), x.element, self.layout),)

    def check(self) -> Iterator[str]:
        if problem := tile_problem(self.tile, self.window, self.stride, self.pads):
            yield f"c1: {problem}"


@op_def("graph.winograd_products", traits={PURE})
class WinogradProducts(Op):
    """The products (size²,N·tiles,O) of transformed tiles v (size²,N·tiles,C) with weights h (size·window,C,O)

    Of h only the rows are transformed. The rest is done a panel of columns at a time, and stays in the cache.
    """

    v = operand(FLOAT_TENSOR, rank(3))
    h = operand(FLOAT_TENSOR, rank(3))
    tile = attr(4)
    window = attr(3)
    stride = attr(1)
    panel = attr(16)  # columns of h at a time

    def infer(self) -> tuple[Type, ...]:
        v, h = tensor(self.v), tensor(self.h)
        return (TensorType((*v.shape[:2], h.shape[2]), v.element),)

    def check(self) -> Iterator[str]:
        if problem := tile_problem(self.tile, self.window, self.stride):
            yield f"c1: {problem}"
        if self.panel < 1:
            yield "c4: panel must be at least 1"

    def requires(self) -> Iterator[Requirement]:
        v, h = tensor(self.v).shape, tensor(self.h).shape
        size = patch_size(self.tile, self.window, self.stride)
        yield from equal(v[0], size**2, f"c2: v must have {size**2} places")
        yield from equal(h[0], size * self.window, f"c2: h must have {size * self.window} places")
        yield from equal(v[2], h[1], "c3: v and h must have the same channels")


@op_def("graph.winograd_output", traits={PURE})
class WinogradOutput(Placed):
    """The images (N,O,*size) whose transformed tiles are m (patch²,N·tiles,O)"""

    m = operand(FLOAT_TENSOR, rank(3))
    size: AttrDef[tuple[Dim, ...]] = attr(kind=tuple)  # N, rows, columns
    tile = attr(4)
    window = attr(3)
    stride = attr(1)

    def infer(self) -> tuple[Type, ...]:
        m = tensor(self.m)
        return (TensorType((self.size[0], m.shape[2], *self.size[1:]), m.element, self.layout),)

    def check(self) -> Iterator[str]:
        if problem := tile_problem(self.tile, self.window, self.stride):
            yield f"c1: {problem}"
        if len(self.size) != 3:
            yield "c2: size must be N, rows and columns"

    def requires(self) -> Iterator[Requirement]:
        tiles = as_dim(as_expr(tile_count(self.size[1:], self.tile)) * as_expr(self.size[0]))
        count = places(self.tile, self.window, self.stride)
        wanted = f"c3: m must have {count} places of as many tiles as cover the images"
        yield from equal_shapes(tensor(self.m).shape[:2], (count, tiles), wanted)


OPS = (WinogradWeights, WinogradConv, WinogradInput, WinogradProducts, WinogradOutput)
