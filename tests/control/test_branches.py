"""`If` whose condition only the run knows, against ONNX Runtime: at every level, in the evaluator, and lowered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlc
from dlc.driver.pipeline import Options, lowered_module
from dlc.errors import UnsupportedOps, UserError
from dlc.frontends.load import load_model
from dlc.ir.core import Module
from dlc.ir.dialects.graph_flow import If
from dlc.ir.eval.interpreter import evaluate
from dlc.target import Target
from tests.control.both_levels import both_levels
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import expected, model, node
from tests.tolerances import assert_close

__all__ = ["guarded"]
Feeds = dict[str, np.ndarray]


def branch(nodes: Sequence[onnx.NodeProto], *results: str, kind: int = TensorProto.FLOAT) -> onnx.GraphProto:
    outputs = [helper.make_tensor_value_info(name, kind, None) for name in results]
    return helper.make_graph(list(nodes), "branch", [], outputs)


def choice(condition: str, results: Sequence[str], then: onnx.GraphProto, otherwise: onnx.GraphProto) -> onnx.NodeProto:
    return node("If", [condition], results, f"choose_{results[0]}", then_branch=then, else_branch=otherwise)


def wanted(proto: onnx.ModelProto, feeds: Feeds) -> list[np.ndarray]:
    """What ONNX Runtime computes, or the reference: the former has no branches that give a value from outside."""
    try:
        return expected(proto, feeds)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail:
        return [np.asarray(each) for each in ReferenceEvaluator(proto).run(None, feeds)]


W = np.arange(12, dtype=np.float32).reshape(4, 3) / 7 - 0.5
X: dict[str, tuple[str, Sequence[int | str]]] = {"c": ("bool", ()), "x": ("f32", ("n", 4))}


def known_types() -> onnx.ModelProto:
    """Products and sums of captured values and weights; one result in both branches, one from outside."""
    then = branch([node("MatMul", ["x", "w"], ["a"]), node("Relu", ["a"], ["b"])], "b", "x")
    otherwise = branch([node("MatMul", ["x", "v"], ["d"]), node("Neg", ["x"], ["e"])], "d", "e")
    nodes = [choice("c", ["p", "q"], then, otherwise), node("Exp", ["p"], ["y"]), node("Add", ["q", "q"], ["z"])]
    return model(nodes, X, {"y": "f32", "z": "f32"}, {"w": W, "v": -W})


def other_sizes() -> onnx.ModelProto:
    """Rows of one branch, two rows of the other, and what is computed of them."""
    then = branch([node("Identity", ["x"], ["a"])], "a")
    otherwise = branch([node("Slice", ["x", "zero", "two"], ["b"])], "b")
    nodes = [choice("c", ["p"], then, otherwise), node("MatMul", ["p", "w"], ["y"])]
    return model(nodes, X, {"y": "f32"}, {"w": W, "zero": np.array([0]), "two": np.array([2])})


def sizes_without_bound() -> onnx.ModelProto:
    then = branch([node("ConstantOfShape", ["s"], ["a"])], "a")
    otherwise = branch([node("ReduceSum", ["x"], ["b"], keepdims=1)], "b")
    nodes = [choice("c", ["p"], then, otherwise), node("Add", ["p", "one"], ["q"]), node("Tile", ["q", "s"], ["y"])]
    inputs = {**X, "s": ("si64", (2,))}
    return model(nodes, inputs, {"y": "f32", "p": "f32"}, {"one": np.ones((), np.float32)})


def nested() -> onnx.ModelProto:
    """Three levels; the inner names hide the outer ones."""
    inmost = choice("c", ["t"], branch([node("Neg", ["x"], ["h"])], "h"), branch([node("Abs", ["x"], ["h"])], "h"))
    inner = [inmost, node("Add", ["t", "h"], ["r"])]
    middle = choice(
        "m", ["k"], branch([node("Mul", ["x", "x"], ["h"]), *inner], "r"), branch([node("Sub", ["h", "x"], ["r"])], "r")
    )
    outer = choice(
        "c", ["y"], branch([node("Sqrt", ["h"], ["g"]), middle, node("Add", ["k", "g"], ["o"])], "o"), branch([], "h")
    )
    mean = [node("ReduceMean", ["x"], ["a"], keepdims=0), node("Less", ["a", "zero"], ["m"])]
    return model([node("Exp", ["x"], ["h"]), *mean, outer], X, {"y": "f32"}, {"zero": np.zeros((), np.float32)})


def constants_only() -> onnx.ModelProto:
    then = branch([node("Identity", ["two"], ["a"])], "a", kind=TensorProto.INT64)
    otherwise = branch([node("Identity", ["zero"], ["b"])], "b", kind=TensorProto.INT64)
    nodes = [choice("c", ["p"], then, otherwise), node("Slice", ["x", "zero", "p"], ["y"])]
    return model(nodes, X, {"y": "f32"}, {"zero": np.array([0]), "two": np.array([2])})


def sizes_found_inside() -> onnx.ModelProto:
    then = branch([node("NonZero", ["x"], ["a"]), node("Cast", ["a"], ["b"], to=1)], "b")
    otherwise = branch([node("Transpose", ["x"], ["d"])], "d")
    return model(
        [choice("c", ["p"], then, otherwise), node("Neg", ["p"], ["y"])],
        {"c": ("bool", ()), "x": ("f32", ("n", 2))},
        {"y": "f32"},
    )


def images() -> onnx.ModelProto:
    """Convolutions on both sides of a branch, and in it: layouts must meet at its border."""
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal((16, 16, 3, 3)).astype(np.float32) / 12 for name in "wvut"}
    same = {"pads": [1, 1, 1, 1]}
    then = branch([node("Conv", ["p", "v"], ["a"], **same)], "a")
    otherwise = branch([node("Conv", ["p", "u"], ["b"], **same), node("Relu", ["b"], ["d"])], "d")
    nodes = [
        node("Conv", ["x", "w"], ["p"], **same), choice("c", ["q"], then, otherwise),
        node("Conv", ["q", "t"], ["y"], **same),
    ]  # fmt: skip
    return model(nodes, {"c": ("bool", ()), "x": ("f32", ("n", 16, 9, 7))}, {"y": "f32"}, weights)


def rows(count: int) -> np.ndarray:
    return np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)


SMALL = [{"x": rows(n)} for n in (3, 1, 8)]
CASES: dict[str, tuple[Callable[[], onnx.ModelProto], list[Mapping[str, np.ndarray]]]] = {
    "known types": (known_types, [*SMALL, {"x": rows(0)}]),
    "other sizes": (other_sizes, [*SMALL]),
    "sizes without bound": (sizes_without_bound, [
        {"x": rows(3), "s": np.array(s)} for s in ((2, 3), (1, 1), (40, 30), (0, 2))]),
    "nested": (nested, [*SMALL, {"x": -rows(5)}]),
    "constants only": (constants_only, [*SMALL]),
    "sizes found inside": (sizes_found_inside, [{"x": np.maximum(rows(n)[:, :2], 0)} for n in (4, 1, 2)]),
    "images": (images, [{"x": rows(n * 4 * 63).reshape(n, 16, 9, 7)} for n in (1, 3)]),
}  # fmt: skip


@pytest.mark.parametrize("level", [0, 1, 3])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("guarded")
def test_against_onnx_runtime(name: str, level: int) -> None:
    make, runs = CASES[name]
    proto = make()
    module = dlc.compile(proto, cache=False, opt_level=level, threads=2)
    for run in runs:
        for condition in (True, False, True):
            feeds: Feeds = {"c": np.array(condition), **run}
            for found, want in zip(module.run(feeds).values(), wanted(proto, feeds), strict=True):
                assert found.shape == want.shape
                assert_close(found, want, "op")


@pytest.mark.parametrize("name", CASES)
def test_the_ir_means_the_same_at_both_levels(name: str) -> None:
    make, runs = CASES[name]
    proto = make()
    modules = both_levels(proto)
    for run in runs[:2]:
        for condition in (True, False):
            feeds: Feeds = {"c": np.array(condition), **run}
            for module in modules:
                for found, want in zip(evaluate(module, feeds), wanted(proto, feeds), strict=True):
                    assert_close(found, want, "op")


def branches_of(module: Module) -> list[If]:
    return [op for op in module.walk() if isinstance(op, If)]


def test_a_known_condition_disappears() -> None:
    proto = known_types()
    assert len(branches_of(load_model(proto))) == 1
    for value in (True, False):
        module = load_model(proto, input_values={"c": np.array(value)})
        assert branches_of(module) == []
        compiled = dlc.compile(proto, cache=False, input_values={"c": value})
        assert [spec.name for spec in compiled.inputs] == ["x"]
        right = wanted(proto, {"c": np.array(value), "x": rows(3)})
        for found, want in zip(compiled.run({"x": rows(3)}).values(), right, strict=True):
            assert_close(found, want, "op")


def test_a_branch_that_nobody_reads_is_gone() -> None:
    then, otherwise = branch([node("Exp", ["x"], ["a"])], "a"), branch([node("Neg", ["x"], ["b"])], "b")
    proto = model([choice("c", ["p"], then, otherwise), node("Abs", ["x"], ["y"])], X, {"y": "f32"})
    assert branches_of(load_model(proto)) == []


def test_branches_share_memory() -> None:
    """The arena holds what the larger branch needs, not the sum."""

    def arena(*sizes: int) -> object:
        def side(rows: int) -> onnx.GraphProto:
            wide = [node("Expand", ["x", f"s{rows}"], ["a"]), node("Softmax", ["a"], ["b"], axis=0)]
            return branch(
                [
                    *wide,
                    node("Transpose", ["b"], ["d"]),
                    node("MatMul", ["b", "d"], ["e"]),
                    node("ReduceMax", ["e"], ["f"], keepdims=0),
                ],
                "f",
            )

        weights = {f"s{rows}": np.array([rows, 4]) for rows in sizes}
        nodes = [choice("c", ["y"], side(sizes[0]), side(sizes[-1]))]
        proto = model(nodes, {"c": ("bool", ()), "x": ("f32", (1, 4))}, {"y": "f32"}, weights)
        return lowered_module(proto, Options(Target.parse("x86-64-v3"))).module.main.attrs["workspace"]

    alone = arena(512)
    assert str(arena(512, 256)) == str(alone)


def test_a_guard_asks_only_where_its_branch_is_taken() -> None:
    then = branch([node("Add", ["x", "z"], ["a"])], "a")
    otherwise = branch([node("Neg", ["x"], ["b"])], "b")
    inputs = {**X, "z": ("f32", ("m", 4))}
    module = dlc.compile(model([choice("c", ["y"], then, otherwise)], inputs, {"y": "f32"}), cache=False)
    feeds = {"x": rows(3), "z": rows(5)}
    np.testing.assert_array_equal(module.run({"c": np.array(False), **feeds})["y"], -rows(3))
    with pytest.raises(UserError, match="Add_a"):
        module.run({"c": np.array(True), **feeds})
    feeds["z"] = rows(1)
    np.testing.assert_array_equal(module.run({"c": np.array(True), **feeds})["y"], rows(3) + rows(1))


def test_a_branch_that_cannot_be_compiled_fails_where_it_is_taken() -> None:
    then = branch([node("MatMul", ["x", "x"], ["a"])], "a")
    otherwise = branch([node("Neg", ["x"], ["b"])], "b")
    inputs = {"c": ("bool", ()), "x": ("f32", (3, 4))}
    module = dlc.compile(model([choice("c", ["y"], then, otherwise)], inputs, {"y": "f32"}), cache=False)
    np.testing.assert_array_equal(module.run({"c": np.array(False), "x": rows(3)})["y"], -rows(3))
    with pytest.raises(UserError, match=r"If 'choose_y': this branch cannot run .*MatMul 'choose_y/MatMul_a'"):
        module.run({"c": np.array(True), "x": rows(3)})
    np.testing.assert_array_equal(module.run({"c": np.array(False), "x": rows(3)})["y"], -rows(3))


def test_neither_branch_can_be_compiled() -> None:
    sides = [branch([node("Frobnicate", ["x"], ["a"])], "a") for _ in range(2)]
    with pytest.raises(UnsupportedOps, match="Frobnicate"):
        dlc.compile(model([choice("c", ["y"], *sides)], X, {"y": "f32"}), cache=False)


@pytest.mark.parametrize(
    ("inputs", "sides", "text"),
    [
        ({"c": ("bool", (2,)), "x": X["x"]}, ("Neg", "Abs"), "its condition must be one bool"),
        ({"c": ("f32", ()), "x": X["x"]}, ("Neg", "Abs"), "its condition must be one bool"),
        (X, ("Flatten", "Unsqueeze"), "would decide a rank"),
        (X, ("Neg", "Cast"), "is f32 in its first branch and si64 in the other"),
    ],
    ids=["two bools", "a float", "ranks", "types"],
)  # fmt: skip
def test_wrong_branches(
    inputs: Mapping[str, tuple[str, Sequence[int | str]]], sides: tuple[str, str], text: str
) -> None:
    extra: dict[str, dict[str, object]] = {"Cast": {"to": TensorProto.INT64}}
    weights = {"zero": np.array([0])}
    made = [
        branch([node(kind, ["x", "zero"] if kind == "Unsqueeze" else ["x"], ["a"], **extra.get(kind, {}))], "a")
        for kind in sides
    ]
    with pytest.raises(UserError, match=text):
        dlc.compile(model([choice("c", ["y"], *made)], inputs, {"y": "f32"}, weights), cache=False)


def test_sizes_that_decide_a_rank_are_asked_for() -> None:
    """What exporters write for squeeze(): the model is compiled for the sizes with which its condition holds."""
    then = branch([node("Squeeze", ["x", "one"], ["a"])], "a")
    otherwise = branch([node("Identity", ["x"], ["b"])], "b")
    nodes = [
        node("Shape", ["x"], ["s"]), node("Gather", ["s", "place"], ["n"]), node("Equal", ["n", "one_"], ["c"]),
        choice("c", ["y"], then, otherwise),
    ]  # fmt: skip
    weights = {"one": np.array([1]), "place": np.array(1), "one_": np.array(1)}
    module = dlc.compile(model(nodes, {"x": ("f32", ("n", "m"))}, {"y": "f32"}, weights), cache=False)
    np.testing.assert_array_equal(module.run({"x": rows(3)[:, :1]})["y"], rows(3)[:, 0])
    with pytest.raises(UserError, match="sizes decide the rank of its result"):
        module.run({"x": rows(3)})
