"""Sizes, axes and positions that are inputs of the model: every operator that takes some, against ONNX's reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlc
from dlc.errors import UnsupportedOps, UserError
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from tests.tolerances import assert_close

Feeds = Mapping[str, object]
X = np.arange(60, dtype=np.float32).reshape(3, 4, 5) - 7
FLAT = np.arange(7, dtype=np.float32)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def scalar(number: int) -> np.ndarray:
    return np.array(number, np.int64)


# operator, attributes, names of its inputs, inputs of each run
CASES: list[tuple[str, Mapping[str, object], str, Sequence[Feeds]]] = [
    ("ConstantOfShape", {}, "s", [{"s": ints(2, 3)}, {"s": ints(0, 3)}, {"s": ints(40, 50)}, {"s": ints(1, 1)}]),
    ("Expand", {}, "x s", [{"x": X, "s": ints(2, 3, 1, 5)}, {"x": X, "s": ints(1, 1, 1, 1)},
                           {"x": X[:, :1], "s": ints(1, 3, 6, 1)}, {"x": X[:, :1], "s": ints(2, 1, 0, 5)}]),
    ("Reshape", {}, "x s", [{"x": X, "s": ints(5, -1)}, {"x": X, "s": ints(0, 20)}, {"x": X, "s": ints(60, 1)}]),
    ("Reshape", {"allowzero": 1}, "x s", [{"x": X[:0], "s": ints(3, 0)}, {"x": X, "s": ints(3, 20)}]),
    ("Tile", {}, "x r", [{"x": X, "r": ints(1, 2, 3)}, {"x": X, "r": ints(1, 1, 1)}, {"x": X, "r": ints(2, 0, 1)}]),
    ("Range", {}, "a b c", [
        {"a": scalar(a), "b": scalar(b), "c": scalar(c)}
        for a, b, c in ((1, 9, 3), (9, 1, -3), (3, 3, 1), (3, 9, -1), (0, 1000, 1), (-5, 5, 4), (5, -5, -4))]),
    ("Slice", {}, "x s e", [{"x": X, "s": ints(1, 0), "e": ints(2, 3)}, {"x": X, "s": ints(-2, -99), "e": ints(99, -1)},
                            {"x": X, "s": ints(2, 3), "e": ints(1, 3)},
                            {"x": X, "s": ints(-(2**63), 0), "e": ints(2**63 - 1, 2**63 - 1)}]),
    ("Slice", {}, "x s e a", [
        {"x": X, "s": ints(s), "e": ints(e), "a": ints(a)} for s, e, a in ((1, 3, 1), (-2, 9, -1))]),
    ("Slice", {}, "x s e a t", [
        {"x": X, "s": ints(1, 4), "e": ints(3, -9), "a": ints(1, 2), "t": ints(1, -2)},
        {"x": X, "s": ints(-1, 0), "e": ints(-(2**63), 9), "a": ints(-2, 0), "t": ints(-1, 2)},
        {"x": X, "s": ints(0, 0), "e": ints(9, 9), "a": ints(0, 1), "t": ints(7, 3)}]),
    ("Pad", {}, "x p", [{"x": X, "p": ints(0, 1, 2, 3, 0, 1)}, {"x": X, "p": ints(0, 0, 0, 0, 0, 0)}]),
    ("Pad", {"mode": "edge"}, "x p", [{"x": X, "p": ints(0, 1, 2, 3, 0, 1)}, {"x": X, "p": ints(0, 0, 1, 0, 0, 0)}]),
    ("Pad", {"mode": "reflect"}, "x p", [{"x": X, "p": ints(0, 1, 2, 2, 0, 1)}]),
    ("Pad", {}, "x p v a", [{"x": X, "p": ints(1, 2, 0, 3), "v": np.array(9, np.float32), "a": ints(2, 0)}]),
    ("ReduceSum", {}, "x a", [{"x": X, "a": ints(1)}, {"x": X, "a": ints(-1)}, {"x": X[:, :0], "a": ints(1)}]),
    ("ReduceSum", {"keepdims": 0}, "x a", [{"x": X, "a": ints(1, 0)}, {"x": X, "a": ints(-1, 1)}]),
    ("ReduceMax", {"keepdims": 0}, "x a", [{"x": X, "a": ints(0)}, {"x": X, "a": ints(2)}]),
    ("ReduceLogSumExp", {}, "x a", [{"x": X, "a": ints(0)}, {"x": X, "a": ints(-2)}]),
    ("Squeeze", {}, "x a", [{"x": X[:1], "a": ints(0)}, {"x": X[:, :, :1], "a": ints(-1)}]),
    ("Unsqueeze", {}, "x a", [{"x": X, "a": ints(0, 2)}, {"x": X, "a": ints(-1, 1)}, {"x": X, "a": ints(4, 3)}]),
    ("CumSum", {}, "x a", [{"x": X, "a": scalar(n)} for n in (0, 1, 2, -1)]),
    ("CumSum", {"reverse": 1, "exclusive": 1}, "x a", [{"x": X, "a": scalar(n)} for n in (0, -2)]),
    ("OneHot", {}, "i d v", [{"i": ints(0, 2, -1), "d": scalar(d), "v": FLAT[2:4]} for d in (3, 7, 1)]),
    ("TopK", {}, "x k", [{"x": X, "k": ints(k)} for k in (1, 5, 0)]),
    ("CenterCropPad", {"axes": [0, 2]}, "x s", [{"x": X, "s": ints(*s)} for s in ((2, 9), (8, 1), (3, 5))]),
    ("Trilu", {}, "x k", [{"x": X, "k": scalar(k)} for k in (-1, 0, 2)]),
    ("Resize", {}, "x roi sc s", [{"x": X[None], "roi": FLAT[:0], "sc": FLAT[:0], "s": ints(1, 3, *s)}
                                  for s in ((8, 10), (2, 3), (4, 5))]),
]  # fmt: skip


def model_for(
    operator: str, attributes: Mapping[str, object], names: str, feeds: Feeds, open_sizes: bool
) -> onnx.ModelProto:
    outputs = 2 if operator == "TopK" else 1
    inputs = []
    for name in names.split():
        array = np.asarray(feeds[name])
        numbers = array.dtype == np.int64 or name in ("roi", "sc")
        shape = [f"{name}{n}" if open_sizes and not numbers else size for n, size in enumerate(array.shape)]
        inputs.append(helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), shape))
    made = [f"y{n}" for n in range(outputs)]
    types = [TensorProto.FLOAT, TensorProto.INT64]
    element = TensorProto.INT64 if operator == "Range" else TensorProto.FLOAT
    results = [helper.make_tensor_value_info(y, element if n == 0 else types[n], None) for n, y in enumerate(made)]
    node = helper.make_node(operator, names.split(), made, **attributes)
    graph = helper.make_graph([node], "from_data", inputs, results)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def named(case: tuple[str, Mapping[str, object], str, Sequence[Feeds]]) -> str:
    return f"{case[0]}-{'-'.join(map(str, case[1].values()))}-{case[2].replace(' ', '')}"


@pytest.mark.parametrize("open_sizes", [False, True], ids=["fixed", "open"])
@pytest.mark.parametrize("case", CASES, ids=named)
def test_against_the_reference(case: tuple[str, Mapping[str, object], str, Sequence[Feeds]], open_sizes: bool) -> None:
    """One module takes all runs whose inputs have the sizes that it was compiled for."""
    operator, attributes, names, runs = case
    modules: dict[object, dlc.CompiledModel] = {}
    for feeds in runs:
        arrays = {name: np.asarray(array) for name, array in feeds.items()}
        key = None if open_sizes else tuple(array.shape for array in arrays.values())
        model = model_for(operator, attributes, names, feeds, open_sizes)
        if key not in modules:
            modules[key] = dlc.compile(model, cache=False, threads=1)
        wanted = ReferenceEvaluator(model).run(None, arrays)
        found = modules[key].run(arrays)
        for number, want in enumerate(wanted):
            assert found[f"y{number}"].shape == want.shape
            assert_close(found[f"y{number}"], want, "op")
        again = evaluate(load_model(model), arrays)
        for got, want in zip(again, wanted, strict=True):
            assert_close(got, want, "op")


BAD: list[tuple[str, Mapping[str, object], Feeds, str]] = [
    ("ConstantOfShape", {}, {"s": ints(2, -1)}, "its shape must be at least 0 and at most 70368744177664, got -1"),
    ("ConstantOfShape", {}, {"s": ints(2**45, 2**45)}, "more than 63 bits"),
    ("ConstantOfShape", {}, {"s": ints(2**45, 2**6)}, "no memory"),
    ("Tile", {}, {"x": X, "r": ints(1, -2, 1)}, "its repeats must be at least 0"),
    ("Reshape", {}, {"x": X, "s": ints(7, 9)}, "Reshape"),
    ("Reshape", {}, {"x": X, "s": ints(-1, -1)}, "Reshape"),
    ("ReduceSum", {}, {"x": X, "a": ints(3)}, "each of its axes must be at least 0 and at most 2, got 3"),
    ("ReduceSum", {}, {"x": X, "a": ints(1, -2)}, "how often one is among its axes"),
    ("TopK", {}, {"x": X, "k": ints(6)}, "its k must be at least 0 and at most 5, got 6"),
    ("Squeeze", {}, {"x": X, "a": ints(1)}, "Squeeze"),
    ("Slice", {}, {"x": X, "s": ints(0), "e": ints(1), "a": ints(0), "t": ints(0)}, "whether a step is 0"),
    ("Range", {}, {"a": scalar(0), "b": scalar(5), "c": scalar(0)}, "whether its delta is 0"),
    ("Range", {}, {"a": scalar(0), "b": scalar(2**62), "c": scalar(1)}, "its number of elements"),
    ("CumSum", {}, {"x": X, "a": scalar(-4)}, "its axis must be at least 0"),
]  # fmt: skip


@pytest.mark.parametrize(("operator", "attributes", "feeds", "text"), BAD, ids=[f"{b[0]}-{b[3][:20]}" for b in BAD])
def test_what_no_run_can_take(operator: str, attributes: Mapping[str, object], feeds: Feeds, text: str) -> None:
    """An error that names the node; the module is usable afterwards."""
    model = model_for(operator, attributes, " ".join(feeds), feeds, False)
    module = dlc.compile(model, cache=False, threads=1)
    fitting = (runs for name, _, _, cases in CASES for runs in cases if name == operator and runs.keys() == feeds.keys()
               and all(np.shape(runs[n]) == np.shape(feeds[n]) for n in feeds))  # fmt: skip
    good = next(fitting, None)
    for _ in range(3):
        with pytest.raises(UserError, match=text):
            module.run(dict(feeds))
        if good is not None:
            assert_close(module.run(dict(good))["y0"], ReferenceEvaluator(model).run(None, dict(good))[0], "op")


def test_memory_is_given_back() -> None:
    """What no size of an input bounds is taken and given back by each run, also by one that fails."""
    feeds = {"s": ints(500, 500)}
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    s = helper.make_tensor_value_info("s", TensorProto.INT64, [2])
    nodes = [
        helper.make_node("ConstantOfShape", ["s"], ["z"]), helper.make_node("Softmax", ["z"], ["p"]),
        helper.make_node("MatMul", ["p", "p"], ["q"]), helper.make_node("ReduceSum", ["q"], ["y"], keepdims=0),
    ]  # fmt: skip
    graph = helper.make_graph(nodes, "late", [s], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    module = dlc.compile(model, cache=False, threads=1)

    def used() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def rounds(count: int) -> None:
        for number in range(count):
            side = 500 - number % 7
            assert module.run({"s": ints(side, side)})["y"] == pytest.approx(side, rel=1e-3)
            with pytest.raises(UserError, match="last axis"):
                module.run({"s": ints(side, side + 1)})

    rounds(20)
    before = used()
    rounds(150)
    assert used() - before < 2000, "pages"
    assert module.run(feeds)["y"] == pytest.approx(500, rel=1e-3)


def test_a_negative_pad_cuts() -> None:
    feeds = {"x": X, "p": ints(1, -1, -2, 0, 0, 3)}
    module = dlc.compile(model_for("Pad", {}, "x p", feeds, True), cache=False, threads=1)
    wanted = np.pad(X[:, 1:, 2:], ((1, 0), (0, 0), (0, 3)))
    np.testing.assert_array_equal(module.run(feeds)["y0"], wanted)


def test_a_rank_is_never_data() -> None:
    shape = helper.make_tensor_value_info("s", TensorProto.INT64, ["n"])
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([helper.make_node("Reshape", ["x", "s"], ["y"], "bad")], "g", [x, shape], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    with pytest.raises(UnsupportedOps, match=r"Reshape 'bad': the length of its shape is known only at run time"):
        dlc.compile(model, cache=False)
