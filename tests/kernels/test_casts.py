"""An explicit cast rounds at every level, also inside a fused kernel and of what is computed wider than its type."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import dlc
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from dlc.target import Target, host_can_run
from tests.support.cast_chains import CHAINS, FEEDS, assert_rounded, model_of_chains

HALVES = {"float16": TensorProto.FLOAT16, "bfloat16": TensorProto.BFLOAT16}


@pytest.mark.parametrize(
    ("level", "target"), [(0, "host"), (1, "host"), (2, "host"), (3, "host"), (3, "x86-64"), (3, "x86-64-v4")]
)
def test_casts_round(level: int, target: str) -> None:
    can_run, missing = host_can_run(Target.parse(target))
    if not can_run:
        pytest.skip(f"this machine lacks {', '.join(missing)}")
    assert_rounded(dlc.compile(model_of_chains(), target=target, opt_level=level, cache=False).run(FEEDS))


def test_casts_round_in_the_evaluator() -> None:
    found = evaluate(load_model(model_of_chains()), FEEDS)
    assert_rounded({f"y{n}": found[n] for n in range(len(CHAINS))})


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("root", ["Add", "MatMul"])
def test_what_is_computed_wider_does_not_cross_a_cast(root: str, half: str) -> None:
    """cast(f(x, y)) is a number of the half's type, whether f is fused with the cast or not."""
    nodes = [
        helper.make_node("Cast", ["x"], ["a"], to=HALVES[half]),
        helper.make_node("Cast", ["y"], ["b"], to=HALVES[half]),
        helper.make_node(root, ["a", "b"], ["c"]),
        helper.make_node("Mul", ["c", "c"], ["d"]),
        helper.make_node("Cast", ["d"], ["e"], to=TensorProto.FLOAT),
        helper.make_node("Neg", ["e"], ["z"]),
    ]
    shape = [5, 5]
    graph = helper.make_graph(
        nodes, "wide",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, shape)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x, y = np.random.default_rng(5).uniform(1, 2, (2, *shape)).astype(np.float32)
    kind = np.dtype(half) if half == "float16" else helper.tensor_dtype_to_np_dtype(TensorProto.BFLOAT16)
    for level in range(4):
        z = dlc.compile(model, opt_level=level, cache=False).run({"x": x, "y": y})["z"]
        assert np.array_equal(z, z.astype(kind).astype(np.float32)), level
