"""What only shows while a model runs: an index outside of its axis, and shapes that the model was not made for."""

import re

import numpy as np
import pytest

import dlc
from dlc.errors import UserError
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import check, compiled, model, node

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]
rng = np.random.default_rng(3)


def gather(
    shape: tuple[int | str, ...], indices: tuple[int | str, ...], axis: int = 0, kind: str = "si64"
) -> dlc.CompiledModel:
    proto = model(
        [node("Gather", ["x", "i"], ["y"], "Gather_7", axis=axis)],
        {"x": ("f32", shape), "i": (kind, indices)},
        {"y": "f32"},
    )
    return compiled(proto)


def refuses(ready: dlc.CompiledModel, feeds: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        ready.run(feeds)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("count", [1, 7, 40, 1000])
def test_an_index_out_of_range_is_named(axis: int, count: int) -> None:
    shape = (5, 6, 33)
    ready = gather(shape, (count,), axis)
    x = rng.standard_normal(shape).astype(np.float32)
    size = shape[axis]
    good = rng.integers(-size, size, count)
    np.testing.assert_array_equal(ready.run({"x": x, "i": good})["y"], np.take(x, good, axis))
    for wrong in (size, -size - 1, 2**40):
        indices = good.copy()
        indices[count // 2] = wrong
        refuses(
            ready,
            {"x": x, "i": indices},
            f"gather 'Gather_7': index {wrong} is out of range for an axis of size {size}",
        )
    np.testing.assert_array_equal(ready.run({"x": x, "i": good})["y"], np.take(x, good, axis))


def test_an_axis_of_no_elements_has_no_index() -> None:
    ready = gather(("n", 4), (2,))
    refuses(
        ready,
        {"x": np.zeros((0, 4), np.float32), "i": np.zeros(2, np.int64)},
        "index 0 is out of range for an axis of size 0",
    )


def test_indices_along_elements_and_in_vectors() -> None:
    elements = compiled(
        model(
            [node("GatherElements", ["x", "i"], ["y"], "Pick", axis=1)],
            {"x": ("f32", (3, 8)), "i": ("si32", (3, "m"))},
            {"y": "f32"},
        )
    )
    x = rng.standard_normal((3, 8)).astype(np.float32)
    good = rng.integers(-8, 8, (3, 21)).astype(np.int32)
    np.testing.assert_array_equal(elements.run({"x": x, "i": good})["y"], np.take_along_axis(x, good % 8, 1))
    good[1, 20] = -9
    refuses(elements, {"x": x, "i": good}, "gather_elements 'Pick': index -9 is out of range for an axis of size 8")
    points = compiled(
        model(
            [node("GatherND", ["x", "i"], ["y"], "At")], {"x": ("f32", (3, 8)), "i": ("si64", ("m", 2))}, {"y": "f32"}
        )
    )
    refuses(
        points,
        {"x": x, "i": np.array([[0, 0], [2, 8]])},
        "gather_nd 'At': index 8 is out of range for an axis of size 8",
    )


@pytest.mark.parametrize("kind", ["ScatterElements", "ScatterND"])
def test_places_to_write(kind: str) -> None:
    shape = (2,) if kind == "ScatterElements" else (2, 1)
    ready = compiled(
        model(
            [node(kind, ["x", "i", "u"], ["y"], "Put")],
            {"x": ("f32", (4,)), "i": ("si64", shape), "u": ("f32", (2,))},
            {"y": "f32"},
        )
    )
    x, updates = np.zeros(4, np.float32), np.ones(2, np.float32)
    assert ready.run({"x": x, "i": np.array([1, -1]).reshape(shape), "u": updates})["y"].tolist() == [0, 1, 0, 1]
    refuses(
        ready,
        {"x": x, "i": np.array([1, 4]).reshape(shape), "u": updates},
        "'Put': index 4 is out of range for an axis of size 4",
    )


def test_two_nodes_that_share_a_kernel_are_told_apart() -> None:
    nodes = [node("Gather", ["x", "i"], ["y"], "first"), node("Gather", ["x", "j"], ["z"], "second {}")]
    inputs = {"x": ("f32", (9, 4)), "i": ("si64", (3,)), "j": ("si64", (3,))}
    ready = compiled(model(nodes, inputs, {"y": "f32", "z": "f32"}))
    assert len(ready.metadata.kernels) == 1
    x, good, bad = np.zeros((9, 4), np.float32), np.array([0, 1, 2]), np.array([0, 1, 9])
    refuses(ready, {"x": x, "i": bad, "j": good}, "gather 'first': index 9")
    refuses(ready, {"x": x, "i": good, "j": bad}, "gather 'second {}': index 9")


def test_one_bad_index_among_many_threads() -> None:
    ready = gather((1000, 64), ("n",))
    x = rng.standard_normal((1000, 64)).astype(np.float32)
    indices = rng.integers(0, 1000, 20000)
    np.testing.assert_array_equal(ready.run({"x": x, "i": indices})["y"], x[indices])
    indices[13579] = 1000
    refuses(ready, {"x": x, "i": indices}, "index 1000 is out of range for an axis of size 1000")


# -- what the shapes of the inputs must fulfil -------------------------------------------------------------------------


def test_a_slice_that_finds_fewer_elements() -> None:
    weights = {"a": np.array([2]), "b": np.array([5])}
    proto = model([node("Slice", ["x", "a", "b"], ["y"])], {"x": ("f32", ("n", 4))}, {"y": "f32"}, weights)
    check(proto, *({"x": rng.standard_normal((n, 4)).astype(np.float32)} for n in (7, 3, 1)))


def test_a_reshape_that_needs_a_certain_size() -> None:
    proto = model([node("Reshape", ["x", "s"], ["y"])], {"x": ("f32", ("n", 4))}, {"y": "f32"}, {"s": np.array([3, 8])})
    ready = check(proto, {"x": rng.standard_normal((6, 4)).astype(np.float32)})
    for n in (5, 7):
        refuses(
            ready,
            {"x": np.zeros((n, 4), np.float32)},
            f"Reshape 'Reshape_y': the number of elements must stay, got n * 4 = {n * 4} and 24; "
            f"n = {n} (dimension 0 of input 'x')",
        )


def test_a_reshape_that_needs_a_certain_number_found() -> None:
    proto = model(
        [node("NonZero", ["x"], ["i"]), node("Reshape", ["i", "s"], ["y"])],
        {"x": ("f32", (2, 4))},
        {"y": "si64"},
        {"s": np.array([2, 3])},
    )
    x = np.zeros((2, 4), np.float32)
    x[0, :3] = 1
    ready = check(proto, {"x": x})
    refuses(
        ready,
        {"x": np.ones((2, 4), np.float32)},
        "Reshape 'Reshape_y': the number of elements must stay, got i_count * 2 = 16 and 6; "
        "i_count = 8 (found at run time)",
    )
    np.testing.assert_array_equal(ready.run({"x": x})["y"], np.array(np.nonzero(x)))
