"""Reductions over no axes: said by an empty list, by its absence, before and after axes became an input."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper, numpy_helper

import dlc
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from tests.tolerances import assert_close

X = np.random.default_rng(3).uniform(0.5, 2, (3, 1, 5)).astype(np.float32)
SINGLE = {  # what is left of a reduction where nothing is reduced
    "ReduceSum": X, "ReduceMean": X, "ReduceMax": X, "ReduceMin": X, "ReduceProd": X, "ReduceL1": np.abs(X),
    "ReduceL2": np.abs(X), "ReduceSumSquare": X * X, "ReduceLogSum": np.log(X), "ReduceLogSumExp": X,
}  # fmt: skip
ALL = {
    "ReduceSum": X.sum(), "ReduceMean": X.mean(), "ReduceMax": X.max(), "ReduceMin": X.min(), "ReduceProd": X.prod(),
    "ReduceL1": np.abs(X).sum(), "ReduceL2": np.sqrt((X * X).sum()), "ReduceSumSquare": (X * X).sum(),
    "ReduceLogSum": np.log(X.sum()), "ReduceLogSumExp": np.log(np.exp(X).sum()),
}  # fmt: skip


def model_of(op: str, opset: int, axes: str, **attributes: int) -> onnx.ModelProto:
    """`axes`: an empty "input" or "attribute", or "absent"."""
    node = helper.make_node(op, ["x", "axes"] if axes == "input" else ["x"], ["y"], "it", **attributes)
    if axes == "attribute":
        node.attribute.append(helper.make_attribute("axes", [], attr_type=AttributeProto.INTS))
    graph = helper.make_graph(
        [node], "reduction",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", 1, "c"])],
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(np.array([], np.int64), "axes")] if axes == "input" else [],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("axes", ["input", "absent"])
@pytest.mark.parametrize("op", SINGLE)
def test_nothing_is_reduced_where_the_model_asks_for_that(op: str, axes: str, keepdims: int) -> None:
    model = model_of(op, 18, axes, noop_with_empty_axes=1, keepdims=keepdims)
    assert_close(evaluate(load_model(model), {"x": X})[0], SINGLE[op], "op", name=op)
    if keepdims:
        assert_close(dlc.compile(model, cache=False).run({"x": X})["y"], SINGLE[op], "op", name=op)


@pytest.mark.parametrize(("opset", "axes"), [(11, "attribute"), (11, "absent"), (18, "input"), (18, "absent")])
@pytest.mark.parametrize("op", ALL)
def test_all_is_reduced_otherwise(op: str, opset: int, axes: str) -> None:
    for keepdims in (0, 1):
        model = model_of(op, opset, axes, keepdims=keepdims)
        wanted = np.asarray(ALL[op], np.float32).reshape((1, 1, 1) if keepdims else ())
        assert_close(evaluate(load_model(model), {"x": X})[0], wanted, "op", name=op)
