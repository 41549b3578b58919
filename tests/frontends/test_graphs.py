"""Graphs as files may have them: in any order, without names, with outputs that nothing computes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import dlc
from dlc.driver.cache import model_key
from dlc.driver.compile import make_options
from dlc.frontends.load import load_model
from tests.cli.support import succeed
from tests.support.onnx_models import assert_same, check, compiled, model, node

X = np.array([1, -2, 3], np.float32)
W = np.array([10, 20, 30], np.float32)
ONE = {"x": ("f32", [3])}


def graph_of(
    nodes: Sequence[onnx.NodeProto], name: str, outputs: Sequence[str], **weights: np.ndarray
) -> onnx.GraphProto:
    """A branch."""
    declared = [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, None) for each in outputs]
    return helper.make_graph(nodes, name, [], declared, [numpy_helper.from_array(a, n) for n, a in weights.items()])


# -- order -------------------------------------------------------------------------------------------------------------


def test_nodes_run_after_those_whose_results_they_use() -> None:
    nodes = [node("Add", ["b", "c"], ["y"]), node("Neg", ["c"], ["b"]), node("Mul", ["x", "x"], ["c"])]
    check(model(nodes, ONE, {"y": "f32"}), {"x": X})


def test_nodes_in_order_stay_as_they_are() -> None:
    nodes = [node("Neg", ["x"], ["b"], "second"), node("Relu", ["x"], ["a"], "first"), node("Add", ["a", "b"], ["y"])]
    ops = load_model(model(nodes, ONE, {"y": "f32"})).main.block.ops
    assert [op.name for op in ops] == ["graph.neg", "graph.relu", "graph.add", "func.return"]


def test_a_long_chain_backwards() -> None:
    chain = [node("Neg", [f"v{n}"], [f"v{n + 1}"]) for n in range(2_000)][::-1]
    module = load_model(model(chain, {"v0": ("f32", [3])}, {"v2000": "f32"}))
    assert len(module.main.block.ops) == 2_001


def test_what_a_branch_takes_from_outside_comes_first_and_its_own_names_win() -> None:
    then = graph_of([node("Add", ["t", "w"], ["r"]), node("Relu", ["b"], ["t"])], "then", ["r"], w=W)
    otherwise = graph_of([node("Neg", ["x"], ["r"])], "else", ["r"])
    nodes = [
        node("If", ["c"], ["y"], then_branch=then, else_branch=otherwise),
        node("Neg", ["x"], ["b"]),
        node("Add", ["y", "w"], ["z"]),
    ]
    proto = model(nodes, ONE, {"z": "f32"}, {"c": np.array(True), "w": X})
    assert_same(compiled(proto).run({"x": X})["z"], np.maximum(-X, 0) + W + X)


def test_the_body_of_a_function_in_another_order() -> None:
    body = [node("Neg", ["k"], ["q"]), node("Relu", ["p"], ["k"])]
    own = helper.make_function("me", "F", ["p"], ["q"], body, [helper.make_opsetid("", 17)])
    proto = model([helper.make_node("F", ["x"], ["y"], domain="me")], ONE, {"y": "f32"})
    proto.functions.append(own)
    proto.opset_import.append(helper.make_opsetid("me", 1))
    assert_same(compiled(proto).run({"x": X})["y"], -np.maximum(X, 0))


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (
            [node("Add", ["x", "b"], ["a"], "one"), node("Relu", ["x"], ["y"]), node("Neg", ["a"], ["b"], "two")],
            "the nodes Add 'one', Neg 'two' use one another's results in a circle, so none of them can run",
        ),
        ([node("Add", ["x", "y"], ["y"], "own")], "Add 'own' uses its own result, so it can never run"),
        (
            [node("Relu", ["x"], ["y"], "one"), node("Neg", ["x"], ["y"], "two")],
            "'y' is a result of two nodes, Relu 'one' and Neg 'two'",
        ),
        ([node("Relu", ["x"], ["x"], "one")], "'x' is a result of Relu 'one', and an input or initializer too"),
        ([node("Relu", ["gone"], ["y"], "one")], "Relu 'one' uses 'gone', which nothing before it computes"),
    ],
)
def test_graphs_that_cannot_run_name_their_nodes(nodes: list[onnx.NodeProto], message: str) -> None:
    with pytest.raises(dlc.UserError, match=re.escape(message)):
        load_model(model(nodes, ONE, {"y": "f32"}))


def test_a_cycle_through_a_branch_is_found() -> None:
    then = graph_of([node("Relu", ["z"], ["r"])], "then", ["r"])
    nodes = [node("If", ["c"], ["y"], "if", then_branch=then, else_branch=then), node("Neg", ["y"], ["z"], "neg")]
    with pytest.raises(dlc.UserError, match="the nodes If 'if', Neg 'neg' use one another's results"):
        load_model(model(nodes, {"c": ("bool", [])}, {"y": "f32"}))


# -- names, inputs, outputs --------------------------------------------------------------------------------------------


def test_a_model_and_nodes_without_names_or_with_one_name_for_all() -> None:
    for name in ("", "same"):
        nodes = [helper.make_node("Relu", ["x"], ["a"], name), helper.make_node("Neg", ["a"], ["y"], name)]
        proto = model(nodes, ONE, {"y": "f32"})
        proto.graph.name = name
        assert_same(compiled(proto).run({"x": X})["y"], -np.maximum(X, 0))


def test_inputs_that_nothing_uses_are_fed_all_the_same() -> None:
    proto = model([node("Relu", ["x"], ["y"])], {**ONE, "unused": ("si64", ["n", 2])}, {"y": "f32"})
    ready = check(proto, {"x": X, "unused": np.zeros((5, 2), np.int64)})
    assert [spec.name for spec in ready.inputs] == ["x", "unused"]


def test_outputs_that_are_inputs_or_initializers() -> None:
    proto = model([node("Relu", ["x"], ["y"])], ONE, {"x": "f32", "y": "f32", "w": "f32"}, {"w": W})
    found = check(proto, {"x": X}).run({"x": X})
    found["w"][:] = 0  # the caller's own
    found["x"][:] = 0
    check(proto, {"x": X})
    check(model([], ONE, {"x": "f32"}), {"x": X})


def test_an_output_that_is_listed_twice_comes_twice_by_position() -> None:
    proto = model([node("Relu", ["x"], ["y"])], ONE, {"y": "f32"})
    proto.graph.output.append(proto.graph.output[0])
    ready = compiled(proto)
    one, two = ready(X)
    assert_same(one, np.maximum(X, 0))
    assert_same(two, np.maximum(X, 0))
    assert list(ready.run({"x": X})) == ["y"]


def test_an_input_that_is_listed_twice_is_refused() -> None:
    proto = model([node("Relu", ["x"], ["y"])], ONE, {"y": "f32"})
    proto.graph.input.append(proto.graph.input[0])
    with pytest.raises(dlc.UserError, match="the model has two inputs with the name 'x'"):
        load_model(proto)


def test_results_that_nothing_uses_and_operands_that_are_absent() -> None:
    nodes = [
        node("Neg", ["x"], ["unused"]),
        node("TopK", ["x", "k"], ["values", "i"]),
        node("Clip", ["x", "", "high"], ["a"]),
        node("Clip", ["a", "", ""], ["y"]),
    ]
    weights = {"k": np.array([2]), "high": np.array(2, np.float32)}
    check(model(nodes, ONE, {"y": "f32", "i": "si64"}, weights), {"x": X})


# -- sparse tensors ----------------------------------------------------------------------------------------------------


def sparse(values: np.ndarray, indices: object, shape: Sequence[int], name: str = "w") -> onnx.SparseTensorProto:
    places = numpy_helper.from_array(np.array(indices, np.int64), "places")
    return helper.make_sparse_tensor(numpy_helper.from_array(values, name), places, list(shape))


@pytest.mark.parametrize("indices", [[1, 5], [[0, 1], [1, 2]]], ids=["counted", "positions"])
@pytest.mark.parametrize("kind", ["initializer", "constant"])
@pytest.mark.parametrize("as_file", [False, True])
def test_sparse_tensors_stand_for_dense_ones(tmp_path: Path, indices: object, kind: str, as_file: bool) -> None:
    w = sparse(np.array([5, -7], np.float32), indices, (2, 3))
    nodes = [node("Add", ["x", "w"], ["y"])]
    if kind == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=w))
    proto = model(nodes, {"x": ("f32", ["n", 2, 3])}, {"y": "f32"})
    if kind == "initializer":
        proto.graph.sparse_initializer.append(w)
    feeds = {"x": np.ones((4, 2, 3), np.float32)}
    if not as_file:
        check(proto, feeds)
        return
    onnx.save(proto, tmp_path / "m.onnx")
    found = dlc.compile(tmp_path / "m.onnx", cache=False).run(feeds)["y"]
    assert_same(found, feeds["x"] + np.array([[0, 5, 0], [0, 0, -7]], np.float32))


def test_a_sparse_tensor_of_no_values_is_all_zeros() -> None:
    proto = model([node("Add", ["x", "w"], ["y"])], ONE, {"y": "f32"})
    proto.graph.sparse_initializer.append(sparse(np.zeros(0, np.float32), [], (3,)))
    assert_same(compiled(proto).run({"x": X})["y"], X)


@pytest.mark.parametrize(
    ("indices", "shape", "message"),
    [
        ([1, 6], (2, 3), "has a value at an index outside of it"),
        ([-1, 2], (2, 3), "has a value at an index outside of it"),
        ([[0, 0], [0, 3]], (2, 3), "has a value at an index outside of it"),
        ([1], (2, 3), "has 2 values, so its indices must be int64 of shape (2,) or (2, 2), got int64 of shape (1,)"),
        ([1, 2], (-1, 3), "must have at least one axis, sizes of 0 or more, and 2**36 bytes at most"),
        ([1, 2], (1 << 40, 3), "must have at least one axis, sizes of 0 or more, and 2**36 bytes at most"),
    ],
)
def test_broken_sparse_tensors_are_named(indices: object, shape: Sequence[int], message: str) -> None:
    proto = model([node("Add", ["x", "w"], ["y"])], ONE, {"y": "f32"})
    proto.graph.sparse_initializer.append(sparse(np.ones(2, np.float32), indices, shape))
    with pytest.raises(dlc.UserError, match=re.escape(f"sparse tensor 'w' of shape {tuple(shape)} {message}")):
        load_model(proto)


# -- initializers that are inputs too ----------------------------------------------------------------------------------

BOTH = model([node("Add", ["x", "w"], ["y"])], {**ONE, "w": ("f32", ["n"])}, {"y": "f32"}, {"w": W, "v": W})


def test_an_initializer_that_is_an_input_is_a_constant_unless_it_is_overridable() -> None:
    usual = check(BOTH, {"x": X})
    assert [spec.name for spec in usual.inputs] == ["x"]
    for names in (("w",), ["w"], "w"):
        ready = dlc.compile(BOTH, cache=False, overridable=names)
        assert [spec.name for spec in ready.inputs] == ["x", "w"]
        assert_same(ready.run({"x": X, "w": X})["y"], X + X)
    fixed = dlc.compile(BOTH, cache=False, overridable=("w",), input_shapes={"w": (1,)})
    assert_same(fixed.run({"x": X, "w": X[:1]})["y"], X + X[0])


@pytest.mark.parametrize(
    ("name", "what"), [("q", "no initializer"), ("x", "no initializer"), ("v", "an initializer, but no input")]
)
def test_names_that_are_not_overridable_are_refused_with_those_that_are(name: str, what: str) -> None:
    wanted = f"overridable names '{name}', which is {what} of the model; initializers that are also inputs: 'w'"
    with pytest.raises(dlc.UserError, match=re.escape(wanted)):
        dlc.compile(BOTH, cache=False, overridable=(name,))


def test_overridable_is_part_of_the_cache_key() -> None:
    keys = {model_key(BOTH, make_options("x86-64-v3", None, 3, (), False, names).key()) for names in ((), ("w",))}
    assert len(keys) == 2


def test_the_command_line_takes_overridable(tmp_path: Path) -> None:
    onnx.save(BOTH, tmp_path / "m.onnx")
    succeed("compile", tmp_path / "m.onnx", "-o", tmp_path / "m.so", "--overridable", "w")
    assert [spec.name for spec in dlc.load(tmp_path / "m.so").inputs] == ["x", "w"]
