"""Sizes that kernels find at run time: what has them, what follows from them, and what is assumed of them."""

from collections.abc import Sequence

import numpy as np
import onnx
import pytest

import dlc
from dlc.errors import UserError
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import check, compiled, model, node

__all__ = ["guarded"]
pytestmark = [pytest.mark.isa("x86-64"), pytest.mark.usefixtures("guarded")]
rng = np.random.default_rng(7)


def sparse(*shape: int, keep: float = 0.4) -> np.ndarray:
    return (rng.standard_normal(shape) * (rng.random(shape) < keep)).astype(np.float32)


def nonzero_of(shape: Sequence[int | str], *nodes: onnx.NodeProto, outputs: dict[str, str]) -> onnx.ModelProto:
    return model([node("NonZero", ["x"], ["i"]), *nodes], {"x": ("f32", shape)}, outputs)


@pytest.mark.parametrize("shape", [(7,), (5, 4), (2, 3, 4), (1, 1), (0, 3)])
def test_nonzero(shape: tuple[int, ...]) -> None:
    named = [f"n{axis}" for axis in range(len(shape))]
    cases = [{"x": sparse(*shape)}, {"x": np.zeros(shape, np.float32)}, {"x": np.ones(shape, np.float32)}]
    check(nonzero_of(shape, outputs={"i": "si64"}), *cases)
    check(nonzero_of(named, outputs={"i": "si64"}), *cases)


def test_nonzero_of_bools_and_integers() -> None:
    for kind, dtype in (("bool", np.bool_), ("si64", np.int64), ("si32", np.int32)):
        proto = model([node("NonZero", ["x"], ["i"])], {"x": (kind, (3, 5))}, {"i": "si64"})
        check(proto, {"x": (sparse(3, 5) != 0).astype(dtype)})


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("length", [2, 4])
def test_compress(axis: int | None, length: int) -> None:
    options = {} if axis is None else {"axis": axis}
    nodes = [node("Compress", ["x", "c"], ["y"], **options)]
    inputs = {"x": ("f32", ("n", 4)), "c": ("bool", ("k",))}
    proto = model(nodes, inputs, {"y": "f32"})
    feeds = [{"x": sparse(n, 4), "c": rng.random(length) < 0.6} for n in (4, 6)]
    check(proto, *feeds, {"x": sparse(4, 4), "c": np.zeros(length, np.bool_)})


@pytest.mark.parametrize("ordered", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique(axis: int | None, ordered: int) -> None:
    options = {"sorted": ordered} | ({} if axis is None else {"axis": axis})
    nodes = [node("Unique", ["x"], ["y", "first", "inverse", "counts"], **options)]
    outputs = {"y": "f32", "first": "si64", "inverse": "si64", "counts": "si64"}
    proto = model(nodes, {"x": ("f32", ("n", "m"))}, outputs)
    x = rng.integers(0, 3, (6, 2)).astype(np.float32)
    check(proto, {"x": x}, {"x": x[:1]}, {"x": np.ones((4, 3), np.float32)})


def test_what_is_computed_from_a_found_size() -> None:
    nodes = [
        node("Cast", ["i"], ["f"], to=1), node("Mul", ["f", "f"], ["squares"]), node("Transpose", ["i"], ["places"]),
        node("GatherND", ["x", "places"], ["values"]), node("Exp", ["values"], ["y"]),
        node("ReduceSum", ["values"], ["sum"], keepdims=0),
    ]  # fmt: skip
    outputs = {"squares": "f32", "places": "si64", "y": "f32", "sum": "f32"}
    proto = nonzero_of(("n", 6), *nodes, outputs=outputs)
    check(proto, *({"x": sparse(n, 6)} for n in (5, 1, 40)), {"x": np.zeros((3, 6), np.float32)}, tolerance=1e-5)


def test_reshape_slice_and_concatenation() -> None:
    weights = {"flat": np.array([-1]), "one": np.array([1]), "two": np.array([2]), "zero": np.array([0])}
    nodes = [
        node("NonZero", ["x"], ["i"]), node("Reshape", ["i", "flat"], ["r"]),
        node("Slice", ["i", "zero", "one", "zero"], ["s"]),
        node("Concat", ["i", "i"], ["c"], axis=1), node("Squeeze", ["s", "zero"], ["rows"]),
        node("Gather", ["x", "rows"], ["g"], axis=0), node("Relu", ["g"], ["y"]),
    ]  # fmt: skip
    outputs = {"r": "si64", "s": "si64", "c": "si64", "y": "f32"}
    proto = model(nodes, {"x": ("f32", ("n", 5))}, outputs, weights)
    check(proto, {"x": sparse(4, 5)}, {"x": sparse(9, 5)}, {"x": np.zeros((2, 5), np.float32)})


def test_only_the_size_is_used() -> None:
    nodes = [node("Shape", ["i"], ["s"])]
    proto = nonzero_of(("n",), *nodes, outputs={"s": "si64"})
    check(proto, {"x": sparse(20)}, {"x": np.zeros(3, np.float32)})


def test_a_size_found_in_something_of_a_found_size() -> None:
    nodes = [
        node("Compress", ["x", "c"], ["some"], axis=0), node("NonZero", ["some"], ["i"]), node("Neg", ["some"], ["y"]),
    ]  # fmt: skip
    proto = model(nodes, {"x": ("f32", ("n", 3)), "c": ("bool", ("n",))}, {"i": "si64", "y": "f32"})
    check(proto, *({"x": sparse(n, 3), "c": rng.random(n) < 0.5} for n in (4, 17)))


def test_a_product_over_a_found_size() -> None:
    nodes = [
        node("Compress", ["x", "c"], ["some"], axis=0),
        node("MatMul", ["some", "w"], ["p"]),
        node("Relu", ["p"], ["y"]),
    ]
    weights = {"w": rng.standard_normal((32, 48)).astype(np.float32)}
    proto = model(nodes, {"x": ("f32", ("n", 32)), "c": ("bool", ("n",))}, {"y": "f32"}, weights)
    check(proto, *({"x": sparse(n, 32), "c": rng.random(n) < 0.5} for n in (4, 33)), tolerance=1e-4)


def test_the_workspace_holds_the_most() -> None:
    proto = nonzero_of(("n", 4), node("Cast", ["i"], ["f"], to=1), node("Softmax", ["f"], ["y"]), outputs={"y": "f32"})
    ready = compiled(proto)
    for n in (1, 50, 3):
        x = np.ones((n, 4), np.float32)
        assert ready.run({"x": x})["y"].shape == (2, 4 * n)


def test_equal_sizes_are_taken_for_equal_only_where_they_are() -> None:
    nodes = [node("NonZero", ["x"], ["i"]), node("NonZero", ["z"], ["j"])]
    proto = model(nodes, {"x": ("f32", (8,)), "z": ("f32", (8,))}, {"i": "si64", "j": "si64"})
    check(proto, {"x": sparse(8, keep=0.2), "z": sparse(8, keep=0.9)})


def test_too_few_found_for_what_the_model_assumes() -> None:
    weights = {"shape": np.array([2, 3])}
    nodes = [node("NonZero", ["x"], ["i"]), node("Reshape", ["i", "shape"], ["y"])]
    proto = model(nodes, {"x": ("f32", (2, 4))}, {"y": "si64"}, weights)
    try:
        ready = compiled(proto)
    except UserError as refused:
        pytest.skip(f"the importer refuses it: {refused}")
    x = np.zeros((2, 4), np.float32)
    x[0, :3] = 1
    assert ready.run({"x": x})["y"].shape == (2, 3)


def test_some_results_of_unique_only() -> None:
    for wanted in ("y", "first", "inverse", "counts"):
        nodes = [node("Unique", ["x"], ["y", "first", "inverse", "counts"])]
        proto = model(nodes, {"x": ("f32", ("n",))}, {wanted: "f32" if wanted == "y" else "si64"})
        check(proto, {"x": rng.integers(0, 4, 9).astype(np.float32)})


def test_what_reads_a_size_stays_behind_what_finds_it() -> None:
    nodes = [
        node("Abs", ["x"], ["a"]), node("NonZero", ["a"], ["i"]), node("Shape", ["i"], ["s"]),
        node("Cast", ["s"], ["f"], to=1), node("ReduceMax", ["f"], ["count"], keepdims=0),
        node("Mul", ["a", "count"], ["y"]), node("Exp", ["a"], ["e"]),
    ]  # fmt: skip
    proto = model(nodes, {"x": ("f32", (6,))}, {"y": "f32", "e": "f32"})
    check(proto, {"x": sparse(6)}, tolerance=1e-6)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_every_optimization_level(level: int) -> None:
    nodes = [
        node("NonZero", ["x"], ["i"]),
        node("Transpose", ["i"], ["t"]),
        node("GatherND", ["x", "t"], ["v"]),
        node("Neg", ["v"], ["y"]),
    ]
    proto = model(nodes, {"x": ("f32", ("n", 5))}, {"y": "f32"})
    x = sparse(6, 5)
    ready = dlc.compile(proto, cache=False, opt_level=level)
    np.testing.assert_array_equal(ready.run({"x": x})["y"], -x[x != 0])
