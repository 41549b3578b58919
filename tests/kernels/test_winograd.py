"""Winograd convolutions, compiled, against the direct convolution: tails of tiles, parts, channels and lanes."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.ir.core import Block, Builder, Value
from dlc.ir.dialects import graph_nn, graph_winograd
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.expr import sym
from dlc.ir.types import F32, Array, Layout, TensorType
from dlc.ir.winograd import matrices
from dlc.kernel_language.library import standard_library
from dlc.passes.graph.layouts import panel_layout, winograd_halo, winograd_layout
from dlc.passes.lower.elaborate import Elaborator
from dlc.passes.lower.frame import Binding
from tests.eval.cases import f32
from tests.eval.cases_winograd import VARIANTS
from tests.support.kernel_run import compiled
from tests.tolerances import assert_close

LANES = 16
ORDER = (0, 1, 2, 3)
# channels, rows, columns, results, pads, tiles at a time
SIZES = [
    (16, 8, 8, 16, (1, 1, 1, 1), 4), (16, 7, 9, 32, (1, 1, 1, 1), 3), (33, 5, 5, 17, (0, 1, 1, 0), 1),
    (20, 3, 3, 16, (), 7), (16, 3, 13, 48, (2, 2, 2, 2), 5), (5, 1, 1, 3, (1, 1, 1, 1), 1),
]  # fmt: skip


def blocked(halo: tuple[tuple[int, int], ...] = ()) -> Layout:
    return Layout(ORDER, ((1, LANES),), halo)


def direct(x: Array, w: Array, stride: int, pads: tuple[int, ...]) -> Array:
    types = [TensorType(a.shape, F32) for a in (x, w)]
    return evaluate_op(graph_nn.Conv(*Block(types).args, strides=(stride, stride), pads=pads), [x, w])[0]


def transformed(w: Array, how: dict[str, int]) -> Array:
    op = graph_winograd.WinogradWeights(*Block([TensorType(w.shape, F32)]).args, **how)  # type: ignore[arg-type]
    return evaluate_op(op, [w])[0]


def halo_of(x: TensorType, u: TensorType, how: dict[str, int], pads: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return winograd_halo(graph_winograd.WinogradConv(*Block([x, u]).args, pads=pads, **how))  # type: ignore[arg-type]


def attributes(variant: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("tile", "window", "stride"), variant, strict=True))


def window_fits(size: tuple[int, int, int, int, tuple[int, ...], int], window: int) -> None:
    """Images that are smaller than a window have no results."""
    pads = size[4] or (0,) * 4
    if min(size[1] + pads[0] + pads[2], size[2] + pads[1] + pads[3]) < window:
        pytest.skip("the window is larger than the image")


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("named", [False, True], ids=["static", "named"])
def test_parts_of_an_image(
    size: tuple[int, int, int, int, tuple[int, ...], int], variant: tuple[int, int, int], named: bool
) -> None:
    channels, rows, columns, results, pads, part = size
    how, window = attributes(variant), variant[1]
    window_fits(size, window)
    x, w = f32(2, channels, rows, columns), f32(results, channels, window, window)
    u = transformed(w, how)
    shape = (sym("n"), channels, sym("h"), sym("w")) if named else x.shape
    plain = TensorType(shape, F32), TensorType(u.shape, F32)
    image = TensorType(shape, F32, blocked(halo_of(*plain, how, pads)))
    weights = TensorType(u.shape, F32, panel_layout(3, 2 * LANES))

    def make(a: Value, b: Value) -> graph_winograd.WinogradConv:
        layout = blocked(((0, 0), (0, 0), (1, 1), (0, 2)))
        return graph_winograd.WinogradConv(a, b, pads=pads, part=part, layout=layout, **how)  # type: ignore[arg-type]

    kernel = compiled([image, weights], make, ["h", "n", "w"] if named else [])
    known = {"n": 2, "h": rows, "w": columns} if named else {}
    assert_close(kernel([x, u], known)[0], direct(x, w, variant[2], pads), "op")


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_three_steps(
    size: tuple[int, int, int, int, tuple[int, ...], int], variant: tuple[int, int, int]
) -> None:
    channels, rows, columns, results, pads, _ = size
    how, window = attributes(variant), variant[1]
    window_fits(size, window)
    x, w = f32(2, channels, rows, columns), f32(results, channels, window, window)
    u = transformed(w, how)
    wanted = direct(x, w, variant[2], pads)
    types = TensorType(x.shape, F32), TensorType(u.shape, F32)
    image = TensorType(x.shape, F32, blocked(halo_of(*types, how, pads)))
    taken = compiled([image], lambda a: graph_winograd.WinogradInput(a, pads=pads, **how))([x])[0]
    products = (taken.astype(np.float64) @ u).astype(np.float32)
    outer = (wanted.shape[0], *wanted.shape[2:])

    def make(m: Value) -> graph_winograd.WinogradOutput:
        return graph_winograd.WinogradOutput(m, size=outer, layout=blocked(), **how)  # type: ignore[arg-type]

    given = compiled([TensorType(products.shape, F32)], make)([products])[0]
    assert_close(given, wanted, "op")


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("tiles", [0, 1, 4, 7, 32, "n"])
def test_weights_half_transformed(tiles: int | str, variant: tuple[int, int, int]) -> None:
    how, window = attributes(variant), variant[1]
    w = f32(4 * LANES, 19, window, window)
    count, rows = (9, sym("n") * 3) if isinstance(tiles, str) else (tiles, tiles)
    h = transformed(w, {**how, "rows_only": True})
    u = transformed(w, how)
    v = f32(len(u), count, 19)
    image = TensorType((len(u), rows, 19), F32)
    weights = TensorType(h.shape, F32, winograd_layout(window, 2 * LANES))
    named = isinstance(tiles, str)

    def make(a: Value, b: Value) -> graph_winograd.WinogradProducts:
        return graph_winograd.WinogradProducts(a, b, panel=2 * LANES, **how)

    kernel = compiled([image, weights], make, ["n"] if named else [])
    assert_close(kernel([v, h], {"n": 3} if named else {})[0], (v.astype(np.float64) @ u).astype(np.float32), "op")


def test_an_empty_batch() -> None:
    u = transformed(f32(16, 16, 3, 3), attributes((4, 3, 1)))
    image = TensorType((0, 16, 4, 4), F32, blocked(((0, 0), (0, 0), (1, 1), (1, 1))))
    weights = TensorType(u.shape, F32, panel_layout(3, LANES))
    attrs = {"pads": (1, 1, 1, 1), "layout": blocked()}
    kernel = compiled([image, weights], lambda a, b: graph_winograd.WinogradConv(a, b, **attrs))
    assert kernel([np.zeros((0, 16, 4, 4), np.float32), u])[0].shape == (0, 16, 4, 4)


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_the_transforms_of_the_kernels_are_the_matrices(variant: tuple[int, int, int]) -> None:
    """Each column of a matrix is what the kernel's formula makes of a unit vector."""
    output, _, inputs = matrices(*variant)
    for name, matrix in (("tile_input", inputs), ("tile_output", output)):
        size = matrix.shape[1]
        for column in range(size):
            unit = [float(n == column) for n in range(size)]
            np.testing.assert_allclose(formula(name, unit, variant), matrix[:, column], atol=1e-15)


def formula(name: str, elements: list[float], variant: tuple[int, int, int]) -> list[object]:
    """A function of the kernel library on numbers that are known."""
    library = standard_library()
    elaborator = Elaborator(library, Binding(refuse, refuse), Builder(Block()).loc)
    found = elaborator.function(name, [elements], dict(attributes(variant)))
    assert isinstance(found, list)
    return found


def refuse(*arguments: object) -> None:
    raise AssertionError("a formula reads no tensor")
