"""GridSample, compiled, against ONNX Runtime: each mode and padding, positions far outside, symbols, no positions."""

import itertools

import numpy as np
import onnx
import pytest

import dlc
from tests.support.onnx_models import compiled, expected, model, node
from tests.tolerances import assert_close

MODES, PADDINGS = ("nearest", "linear", "cubic"), ("zeros", "border", "reflection")


def sample(rank: int, opset: int = 20, kind: str = "f32", **attributes: object) -> onnx.ModelProto:
    """All sizes are symbols but the number of coordinates."""
    x, grid = [f"x{n}" for n in range(rank)], [*(f"g{n}" for n in range(rank - 1)), rank - 2]
    operands = {"x": (kind, x), "grid": ("f32", grid)}
    return model([node("GridSample", ["x", "grid"], ["y"], **attributes)], operands, {"y": kind}, opset=opset)


def positions(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Inside, on the borders and up to a few images away."""
    grid = generator.uniform(-1.2, 1.2, shape)
    far = generator.uniform(-7, 7, shape)
    return np.where(generator.random(shape) < 0.3, far, grid).astype(np.float32)


@pytest.mark.parametrize(("mode", "padding", "corners"), list(itertools.product(MODES, PADDINGS, (0, 1))))
def test_images(mode: str, padding: str, corners: int) -> None:
    generator = np.random.default_rng(3)
    attributes = {"mode": mode, "padding_mode": padding, "align_corners": corners}
    proto = sample(4, **attributes)
    ready = compiled(proto)
    for n, c, h, w, oh, ow in ((2, 3, 5, 7, 3, 4), (1, 2, 1, 3, 1, 11), (2, 1, 4, 4, 0, 3)):
        x, grid = generator.standard_normal((n, c, h, w)).astype(np.float32), positions(generator, n, oh, ow, 2)
        grid.reshape(-1)[:2] = (-1, 1)[: grid.size]
        found = ready.run({"x": x, "grid": grid})["y"]
        if grid.size:
            (wanted,) = expected(proto, {"x": x, "grid": grid})
        else:
            wanted = np.zeros((n, c, oh, ow), np.float32)
        assert_close(found, wanted, "op")


@pytest.mark.parametrize(("mode", "padding"), list(itertools.product(MODES[:2], PADDINGS)))
def test_volumes(mode: str, padding: str) -> None:
    generator = np.random.default_rng(4)
    proto = sample(5, mode=mode, padding_mode=padding)
    x = generator.standard_normal((2, 3, 4, 3, 5)).astype(np.float32)
    feeds = {"x": x, "grid": positions(generator, 2, 2, 3, 1, 3)}
    assert_close(compiled(proto).run(feeds)["y"], expected(proto, feeds)[0], "op")


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_the_names_of_modes_before_opset_20(mode: str) -> None:
    generator = np.random.default_rng(5)
    proto = sample(4, opset=16, mode=mode)
    x = generator.standard_normal((1, 2, 5, 6)).astype(np.float32)
    feeds = {"x": x, "grid": positions(generator, 1, 3, 3, 2)}
    assert_close(compiled(proto).run(feeds)["y"], expected(proto, feeds)[0], "op")


def test_elements_that_are_no_floats_are_taken_but_not_mixed() -> None:
    x = np.arange(6, dtype=np.int32).reshape(1, 1, 2, 3)
    grid = np.array([[[[-0.9, -0.9], [0, 0.9], [5, 0]]]], np.float32)
    found = compiled(sample(4, kind="si32", mode="nearest")).run({"x": x, "grid": grid})["y"]
    assert_close(found, np.array([[[[0, 4, 0]]]], np.int32), "exact")
    with pytest.raises(dlc.UnsupportedOps, match="it interpolates between elements of type si32"):
        compiled(sample(4, kind="si32"))


def test_values_that_are_not_numbers_outside_of_the_image_do_not_reach_it() -> None:
    x = np.full((1, 1, 2, 2), np.inf, np.float32)
    grid = np.full((1, 1, 1, 2), 4, np.float32)
    assert_close(compiled(sample(4)).run({"x": x, "grid": grid})["y"], np.zeros((1, 1, 1, 1), np.float32), "exact")


def test_a_grid_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(dlc.UnsupportedOps, match="its grid must have 4 axes, the last of size 2"):
        operands = {"x": ("f32", [1, 1, 2, 2]), "g": ("f32", [1, 1, 1, 3])}
        compiled(model([node("GridSample", ["x", "g"], ["y"])], operands, {"y": "f32"}, opset=20))
    with pytest.raises(dlc.UserError, match="GridSample"):
        compiled(sample(4)).run({"x": np.zeros((2, 1, 2, 2), np.float32), "grid": np.zeros((1, 1, 1, 2), np.float32)})
