"""`Loop` and `Scan` as regions, against ONNX Runtime: at every level, in the evaluator, and lowered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc
from dlc.errors import UnsupportedOps, UserError
from dlc.ir.eval.interpreter import evaluate
from tests.control.both_levels import both_levels
from tests.support.guarded_memory import guarded
from tests.support.onnx_models import TYPES, expected, model, node
from tests.tolerances import assert_close

__all__ = ["guarded"]
Run = Mapping[str, np.ndarray]
Declared = Sequence[tuple[str, str, Sequence[int] | None]]
W = np.random.default_rng(0).standard_normal((4, 4)).astype(np.float32)
STEP: Declared = (("i", "si64", ()), ("c", "bool", ()))
AGAIN = node("Identity", ["c"], ["c2"])


def body(
    nodes: Sequence[onnx.NodeProto], inputs: Declared, outputs: Mapping[str, str], name: str = "body"
) -> onnx.GraphProto:  # fmt: skip
    return helper.make_graph(
        list(nodes), name, [helper.make_tensor_value_info(n, TYPES[kind], shape) for n, kind, shape in inputs],
        [helper.make_tensor_value_info(n, TYPES[kind], None) for n, kind in outputs.items()],
    )  # fmt: skip


def loop(inputs: Sequence[str], outputs: Sequence[str], of: onnx.GraphProto) -> onnx.NodeProto:
    return node("Loop", inputs, outputs, f"loop_{outputs[0]}", body=of)


def scalar(number: float | bool) -> np.ndarray:
    return np.array(number, np.float32 if isinstance(number, float) else np.int64)


def fixed() -> onnx.ModelProto:
    """Carried values of one size go from buffer to buffer; rows are stacked, the trip's number among them."""
    nodes = [
        node("MatMul", ["v", "w"], ["t"]), node("Tanh", ["t"], ["v2"]), AGAIN,
        node("Identity", ["v2"], ["o"]), node("Cast", ["i"], ["f"], to=TensorProto.FLOAT),
    ]  # fmt: skip
    ends = {"c2": "bool", "v2": "f32", "o": "f32", "f": "f32"}
    step = body(nodes, (*STEP, ("v", "f32", None)), ends)
    inputs = {"n": ("si64", ()), "x": ("f32", ("b", 4))}
    return model([loop(["n", "", "x"], ["y", "z", "q"], step)], inputs, {"y": "f32", "z": "f32", "q": "f32"}, {"w": W})


def while_less() -> onnx.ModelProto:
    """No trip count; the condition may be false at once."""
    step = body(
        [node("Mul", ["v", "two"], ["v2"]), node("Less", ["v2", "m"], ["c2"])], (*STEP, ("v", "f32", ())),
        {"c2": "bool", "v2": "f32"},
    )  # fmt: skip
    nodes = [node("Less", ["x", "m"], ["go"]), loop(["", "go", "x"], ["y"], step)]
    return model(nodes, {"x": ("f32", ()), "m": ("f32", ())}, {"y": "f32"}, {"two": scalar(2.0)})


def early_exit() -> onnx.ModelProto:
    """A trip count and a condition: how many rows there are, only the loop finds out."""
    step = body(
        [node("Mul", ["v", "two"], ["v2"]), node("Less", ["v2", "m"], ["c2"]), node("Identity", ["v2"], ["o"])],
        (*STEP, ("v", "f32", ())), {"c2": "bool", "v2": "f32", "o": "f32"},
    )  # fmt: skip
    inputs = {"n": ("si64", ()), "x": ("f32", ()), "m": ("f32", ())}
    nodes = [loop(["n", "", "x"], ["y", "z"], step), node("Neg", ["z"], ["q"])]
    return model(nodes, inputs, {"y": "f32", "q": "f32"}, {"two": scalar(2.0)})


def growing() -> onnx.ModelProto:
    """A carried value that gets longer, one that gets shorter, and what is computed of both."""
    nodes = [
        node("Concat", ["v", "r"], ["v2"], axis=0), node("Slice", ["u", "one", "end"], ["u2"]),
        node("ReduceSum", ["v2"], ["s"], keepdims=0), AGAIN,
    ]  # fmt: skip
    ends = {"c2": "bool", "v2": "f32", "u2": "f32", "s": "f32"}
    step = body(nodes, (*STEP, ("v", "f32", None), ("u", "f32", None)), ends)
    inputs = {"n": ("si64", ()), "x": ("f32", ("b", 4)), "r": ("f32", (2, 4))}
    outer = [loop(["n", "", "x", "x"], ["y", "u3", "sums"], step), node("Add", ["y", "y"], ["z"])]
    weights = {"one": np.array([1]), "end": np.array([1 << 40])}
    return model(outer, inputs, {"y": "f32", "z": "f32", "u3": "f32", "sums": "f32"}, weights)


def exchanged() -> onnx.ModelProto:
    """Values that change places, one that stays, and one that is a constant after the first trip."""
    nodes = [
        node("Identity", ["a"], ["b2"]), node("Add", ["a", "b"], ["a2"]), node("Identity", ["d"], ["d2"]),
        node("Identity", ["zero"], ["e2"]), AGAIN,
    ]  # fmt: skip
    carried = [(name, "f32", None) for name in "abde"]
    step = body(nodes, (*STEP, *carried), {"c2": "bool", "a2": "f32", "b2": "f32", "d2": "f32", "e2": "f32"})
    results = ["y", "z", "d3", "e3"]
    inputs = {"n": ("si64", ()), "x": ("f32", (3,))}
    return model(
        [loop(["n", "", "x", "x", "x", "x"], results, step)],
        inputs,
        dict.fromkeys(results, "f32"),
        {"zero": np.zeros(3, np.float32)},
    )


def nested() -> onnx.ModelProto:
    """A loop in a loop whose count is the trip of the outer one, which a condition ends; captured values in both."""
    steps = [node("Add", ["u", "v"], ["u2"]), node("Identity", ["cc"], ["cc2"])]
    inside: Declared = (("j", "si64", ()), ("cc", "bool", ()), ("u", "f32", None))
    inner = body(steps, inside, {"cc2": "bool", "u2": "f32"}, "inner")
    nodes = [
        loop(["i", "", "v"], ["w2"], inner),
        node("Mul", ["w2", "half"], ["v2"]),
        node("Less", ["i", "stop"], ["c2"]),
    ]
    step = body(nodes, (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})
    inputs = {"n": ("si64", ()), "x": ("f32", ("b",))}
    return model([loop(["n", "", "x"], ["y"], step)], inputs, {"y": "f32"}, {"half": scalar(0.5), "stop": scalar(4)})


def branching() -> onnx.ModelProto:
    """Branches in a loop, with memory that trips take and give back."""
    then = body([node("Relu", ["v"], ["p"])], (), {"p": "f32"}, "then")
    otherwise = body(
        [
            node("Expand", ["half", "k"], ["h"]),
            node("ReduceSum", ["h"], ["s"], keepdims=0),
            node("Sub", ["s", "v"], ["q"]),
        ],
        (),
        {"q": "f32"},
        "otherwise",
    )
    nodes = [
        node("Mod", ["i", "two"], ["m"]), node("Equal", ["m", "zero"], ["even"]),
        node("Unsqueeze", ["i", "axis"], ["k"]), AGAIN,
        node("If", ["even"], ["v2"], then_branch=then, else_branch=otherwise),
    ]  # fmt: skip
    step = body(nodes, (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})
    weights = {"two": scalar(2), "zero": scalar(0), "half": scalar(0.5), "axis": np.array([0])}
    inputs = {"n": ("si64", ()), "x": ("f32", ("b",))}
    return model([loop(["n", "", "x"], ["y"], step)], inputs, {"y": "f32"}, weights)


def scanned() -> onnx.ModelProto:
    """Two sequences along other axes, one backwards; rows along a last axis, and the other way round."""
    nodes = [
        node("Add", ["s", "a"], ["t"]),
        node("Mul", ["t", "b"], ["s2"]),
        node("Neg", ["s2"], ["o"]),
        node("Identity", ["a"], ["p"]),
    ]
    step = body(nodes, [(name, "f32", None) for name in "sab"], {"s2": "f32", "o": "f32", "p": "f32"})
    scan = node(
        "Scan", ["h", "x", "w"], ["last", "all", "again"], body=step, num_scan_inputs=2, scan_input_axes=[0, 1],
        scan_input_directions=[0, 1], scan_output_axes=[1, 0], scan_output_directions=[0, 1],
    )  # fmt: skip
    inputs = {"h": ("f32", (4,)), "x": ("f32", ("t", 4)), "w": ("f32", (4, "t"))}
    return model([scan], inputs, {"last": "f32", "all": "f32", "again": "f32"})


def rows(*shape: int) -> np.ndarray:
    return np.random.default_rng(shape[0]).standard_normal(shape).astype(np.float32)


CASES: dict[str, tuple[Callable[[], onnx.ModelProto], list[Run]]] = {
    "fixed": (fixed, [{"n": scalar(n), "x": rows(b, 4)} for n, b in ((1, 3), (2, 1), (3, 3), (100, 2))]),
    "while": (while_less, [{"x": scalar(x), "m": scalar(m)} for x, m in ((1.0, 9.0), (1.0, 0.5), (3.0, 1e6))]),
    "early exit": (early_exit, [
        {"n": scalar(n), "x": scalar(1.0), "m": scalar(m)} for n, m in ((1, 9.0), (30, 9.0), (3, 1e6), (30, 0.5))]),
    "growing": (growing, [{"n": scalar(n), "x": rows(b, 4), "r": rows(2, 4)} for n, b in ((1, 1), (5, 3), (60, 2))]),
    "exchanged": (exchanged, [{"n": scalar(n), "x": rows(3)} for n in (0, 1, 2, 3, 20)]),
    "nested": (nested, [{"n": scalar(n), "x": rows(5)} for n in (0, 1, 3, 20)]),
    "branching": (branching, [{"n": scalar(n), "x": rows(5)} for n in (0, 1, 2, 7)]),
    "scanned": (scanned, [{"h": rows(4), "x": rows(t, 4), "w": rows(t, 4).T.copy()} for t in (1, 2, 7)]),
}  # fmt: skip


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("guarded")
def test_against_onnx_runtime(name: str, level: int) -> None:
    make, runs = CASES[name]
    proto = make()
    module = dlc.compile(proto, cache=False, opt_level=level, threads=2)
    for run in (*runs, *reversed(runs)):
        for found, want in zip(module.run(run).values(), expected(proto, dict(run)), strict=True):
            assert found.shape == want.shape
            assert_close(found, want, "network")


@pytest.mark.parametrize("name", CASES)
def test_the_ir_means_the_same_at_both_levels(name: str) -> None:
    make, runs = CASES[name]
    proto = make()
    modules = both_levels(proto)
    for run in runs[:3]:
        for each in modules:
            for found, want in zip(evaluate(each, dict(run)), expected(proto, dict(run)), strict=True):
                assert_close(found, want, "network")


def test_no_trips_stack_no_rows() -> None:
    """ONNX Runtime gives rows of its own sizes then; dlc those of the body."""
    module = dlc.compile(fixed(), cache=False)
    found = module.run({"n": scalar(0), "x": rows(3, 4)})
    np.testing.assert_array_equal(found["y"], rows(3, 4))
    assert found["z"].shape == (0, 3, 4)
    assert found["q"].shape == (0,)


def test_a_count_below_zero() -> None:
    module = dlc.compile(fixed(), cache=False)
    with pytest.raises(UserError, match="Loop 'loop_y': its trip count must be at least 0"):
        module.run({"n": scalar(-1), "x": rows(3, 4)})
    assert module.run({"n": scalar(1), "x": rows(3, 4)})["z"].shape == (1, 3, 4)


@pytest.mark.parametrize(
    ("inputs", "text"),
    [({"n": ("si64", (2,)), "x": ("f32", ("b", 4))}, "trip count must be one int64"),
     ({"n": ("f32", ()), "x": ("f32", ("b", 4))}, "trip count must be one int64")],
)  # fmt: skip
def test_counts_that_are_none(inputs: Mapping[str, tuple[str, Sequence[int | str]]], text: str) -> None:
    step = body([node("Neg", ["v"], ["v2"]), AGAIN], (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})
    with pytest.raises(UnsupportedOps, match=text):
        dlc.compile(model([loop(["n", "", "x"], ["y"], step)], inputs, {"y": "f32"}), cache=False)


def test_a_rank_that_would_be_data() -> None:
    step = body(
        [node("Unsqueeze", ["v", "axis"], ["v2"]), AGAIN], (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"}
    )
    proto = model(
        [loop(["n", "", "x"], ["y"], step)],
        {"n": ("si64", ()), "x": ("f32", (4,))},
        {"y": "f32"},
        {"axis": np.array([0])},
    )
    with pytest.raises(UnsupportedOps, match="a rank would be data"):
        dlc.compile(proto, cache=False)


def test_an_error_in_a_trip_leaves_the_module_usable() -> None:
    step = body([node("Gather", ["x", "i"], ["g"]), node("Add", ["v", "g"], ["v2"]), AGAIN],
                (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})  # fmt: skip
    proto = model(
        [loop(["n", "", "z"], ["y"], step)], {"n": ("si64", ()), "x": ("f32", (5, 3)), "z": ("f32", (3,))}, {"y": "f32"}
    )
    module = dlc.compile(proto, cache=False)
    for _ in range(3):
        with pytest.raises(UserError, match="Gather"):
            module.run({"n": scalar(6), "x": rows(5, 3), "z": rows(3)})
        found = module.run({"n": scalar(5), "x": rows(5, 3), "z": np.zeros(3, np.float32)})["y"]
        assert_close(found, rows(5, 3).sum(0), "op")


def test_memory_of_trips_is_given_back() -> None:
    """A carried value that grows and shrinks again for thousands of trips keeps what two trips need."""
    nodes = [
        node("Mod", ["i", "fifty"], ["k"]), node("Unsqueeze", ["k", "axis"], ["s"]),
        node("Concat", ["s", "wide"], ["shape"], axis=0), node("Expand", ["one", "shape"], ["v2"]), AGAIN,
    ]  # fmt: skip
    step = body(nodes, (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})
    weights = {"fifty": scalar(50), "axis": np.array([0]), "wide": np.array([4000]), "one": np.ones((1, 1), np.float32)}
    outer = [loop(["n", "", "x"], ["w"], step), node("ReduceSum", ["w"], ["y"], keepdims=0)]
    proto = model(outer, {"n": ("si64", ()), "x": ("f32", (1, 4000))}, {"y": "f32"}, weights)
    module = dlc.compile(proto, cache=False)

    def used() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    feeds = {"x": rows(1, 4000)}
    module.run({"n": scalar(100), **feeds})
    before = used()
    for trips in (51, 1051, 4051):
        assert module.run({"n": scalar(trips), **feeds})["y"] == 0.0
        assert module.run({"n": scalar(trips - 1), **feeds})["y"] == 49 * 4000
    assert used() - before < 2000, "pages"


def test_a_batch_that_opset_8_scans() -> None:
    step = body(
        [node("Add", ["s", "a"], ["s2"]), node("Identity", ["s2"], ["o"])],
        [(n, "f32", None) for n in "sa"],
        {"s2": "f32", "o": "f32"},
    )
    scan = node("Scan", ["", "h", "x"], ["last", "all"], body=step, num_scan_inputs=1)
    inputs = {"h": ("f32", (2, 4)), "x": ("f32", (2, 5, 4))}
    module = dlc.compile(model([scan], inputs, {"last": "f32", "all": "f32"}, opset=8), cache=False)
    h, x = rows(2, 4), rows(2, 5, 4)
    found = module.run({"h": h, "x": x})
    sums = h[:, None] + np.cumsum(x, 1)
    assert_close(found["all"], sums, "op")
    assert_close(found["last"], sums[:, -1], "op")


def test_weights_of_a_body() -> None:
    """Initializers of the body, and names that hide outer ones."""
    step = body([node("Add", ["v", "w"], ["v2"]), AGAIN], (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})
    step.initializer.append(numpy_helper.from_array(np.full(3, 2, np.float32), "w"))
    proto = model(
        [loop(["n", "", "x"], ["y"], step)],
        {"n": ("si64", ()), "x": ("f32", (3,))},
        {"y": "f32"},
        {"w": np.zeros(3, np.float32)},
    )
    module = dlc.compile(proto, cache=False)
    assert_close(module.run({"n": scalar(7), "x": rows(3)})["y"], rows(3) + 14, "op")
