"""What is known while a model is imported is what the evaluator says of the same operator at run time."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlc.frontends.known import RULES
from dlc.frontends.load import load_model
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.eval.interpreter import evaluate
from tests.frontends.cases_known import CASES, ON_SIZES, Known
from tests.frontends.models import code_of
from tests.support.open_cases import tensor_of


def test_each_rule_has_an_example() -> None:
    assert {case.op for case in CASES} == set(RULES)


def model_of(case: Known, known: bool) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    names = [f"x{n}" for n in range(len(case.operands))]
    given = {n: array for n, array in enumerate(case.operands) if not known and n not in case.fixed}
    graph = helper.make_graph(
        [node_of(case, names)],
        "known",
        [helper.make_tensor_value_info(names[n], code_of(array), array.shape) for n, array in given.items()],
        [helper.make_empty_tensor_value_info(f"y{n}") for n in range(case.outputs)],
        [tensor_of(np.asarray(a), names[n]) for n, a in enumerate(case.operands) if n not in given],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", case.opset)], ir_version=10)
    return model, {names[n]: np.asarray(array) for n, array in given.items()}


def node_of(case: Known, names: list[str]) -> onnx.NodeProto:
    node = helper.make_node(case.op, names, [f"y{n}" for n in range(case.outputs)], "it")
    ints = onnx.AttributeProto.INTS
    node.attribute.extend(
        helper.make_attribute(name, value, attr_type=ints if isinstance(value, list) else None)
        for name, value in case.attributes.items()
    )
    return node


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_known_numbers_are_what_the_evaluator_says(case: Known) -> None:
    model, _ = model_of(case, known=True)
    module = load_model(model)
    assert all(isinstance(op, Constant) for op in module.main.block.ops[:-1]), "no rule applied"
    found = evaluate(module, {})
    model, feeds = model_of(case, known=False)
    for got, want in zip(found, evaluate(load_model(model), feeds), strict=True):
        assert got.dtype == want.dtype and got.shape == want.shape
        assert got.tobytes() == want.tobytes() or np.array_equal(got, want, equal_nan=True), (got, want)


@pytest.mark.parametrize(("op", "operands", "attributes"), ON_SIZES)
def test_known_sizes_are_what_the_evaluator_says(
    op: str, operands: tuple[str, ...], attributes: dict[str, object]
) -> None:
    vectors = {"c": np.array([7, 2], np.int64), "none": np.array([], np.int64), "one": np.array([1], np.int64)}
    node = helper.make_node(op, operands, ["y"], **attributes)
    symbolic = model_on(node, operands, vectors, [helper.make_node("Shape", [f"{n}_x"], [n]) for n in "ab"])
    plain = model_on(node, operands, vectors, [])
    for sizes in ((3, 5, 2, 7), (1, 1, 1, 1), (2049, 300, 1, 7), (12, 4, 6, 2), (0, 5, 3, 0), (4, 0, 0, 0)):
        images = {"a_x": np.zeros(sizes[:2], np.float32), "b_x": np.zeros(sizes[2:], np.float32)}
        (found,) = evaluate(load_model(symbolic), {k: v for k, v in images.items() if k[0] in operands})
        numbers = {"a": np.array(sizes[:2], np.int64), "b": np.array(sizes[2:], np.int64)}
        (want,) = evaluate(load_model(plain), {k: v for k, v in numbers.items() if k in operands})
        assert found.dtype == want.dtype and np.array_equal(found, want), (sizes, found, want)


def model_on(
    node: onnx.NodeProto, operands: tuple[str, ...], vectors: dict[str, np.ndarray], shapes: list[onnx.NodeProto]
) -> onnx.ModelProto:
    """The node on sizes of images, found by `shapes`, or on vectors that are inputs."""
    used = [name for name in "ab" if name in operands]
    inputs = [
        helper.make_tensor_value_info(f"{name}_x", TensorProto.FLOAT, [f"{name}0", f"{name}1"]) if shapes
        else helper.make_tensor_value_info(name, TensorProto.INT64, [2])
        for name in used
    ]  # fmt: skip
    graph = helper.make_graph(
        [*(shape for shape in shapes if shape.output[0] in used), node], "sizes", inputs,
        [helper.make_empty_tensor_value_info("y")],
        [numpy_helper.from_array(array, name) for name, array in vectors.items() if name in operands],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
