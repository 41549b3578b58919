"""Sizes that a model cannot take: the message names node, input and dimension, and says what would do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc

Row = tuple[str, dict[str, Any], dict[str, np.ndarray], list[tuple[int | str, ...]], list[tuple[int, ...]], str]
F = np.float32

ROWS: dict[str, Row] = {
    "cropped away": ("Pad", {}, {"p": np.array([0, -100])}, [("n",)], [(3,)],
        "Pad 'node': its result must have no negative size, got n - 100 = -97; n = 3 (dimension 0 of input 'x0') "
        "must be at least 100"),
    "one name for two axes": ("Pad", {}, {"p": np.array([0, -100, 0, -2])}, [("n", "n")], [(3, 3)],
        "Pad 'node': its result must have no negative size, got n - 102 = -99; n = 3 (dimension 0 of input 'x0') "
        "must be at least 102"),
    "window": ("Conv", {"strides": [2, 2], "pads": [1] * 4}, {"w": np.ones((4, 3, 7, 7), F)}, [("b", 3, "h", 9)],
        [(1, 3, 3, 9)],
        "Conv 'node': the window must fit into the padded image, got ((h + 1) // 2) - 2 = 0, at least 1 is needed; "
        "h = 3 (dimension 2 of input 'x0') must be at least 5"),
    "parts": ("Split", {}, {"s": np.array([2, 4])}, [("n",)], [(5,)],
        "Split 'node': the sizes of the parts must add up to the axis, got 5 and 6; n = 5 (dimension 0 of input 'x0') "
        "must be 6"),
    "top": ("TopK", {}, {"k": np.array([7])}, [("n",)], [(2,)],
        "TopK 'node': k must not exceed the size of the axis, got 2, at least 7 is needed; n = 2 (dimension 0 of "
        "input 'x0') must be at least 7"),
    "two inputs": ("MatMul", {}, {}, [("b", "n"), ("c", "m")], [(2, 3), (2, 4)],
        "MatMul 'node': the last axis of a must equal the last but one of b, got 3 and 2; c = 2 (dimension 0 of input "
        "'x1'), n = 3 (dimension 1 of input 'x0')"),
    "a product of two": ("Reshape", {}, {"s": np.array([-1, 7])}, [("b", "n")], [(2, 3)],
        "Reshape 'node': the number of elements must stay, got b * n = 6 and ((b * n) // 7) * 7 = 0; b = 2 (dimension "
        "0 of input 'x0'), n = 3 (dimension 1 of input 'x0')"),
}  # fmt: skip


def model(kind: str, attributes: dict[str, Any], constants: dict[str, np.ndarray], shapes: list[Any]) -> bytes:
    inputs = [helper.make_tensor_value_info(f"x{n}", TensorProto.FLOAT, shape) for n, shape in enumerate(shapes)]
    outputs = ["y", "z"] if kind in ("Split", "TopK") else ["y"]
    node = helper.make_node(kind, [each.name for each in inputs] + [*constants], outputs, "node", **attributes)
    types = {"z": TensorProto.INT64 if kind == "TopK" else TensorProto.FLOAT}
    results = [helper.make_tensor_value_info(name, types.get(name, TensorProto.FLOAT), None) for name in outputs]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph([node], "g", inputs, results, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


@pytest.mark.parametrize("case", ROWS)
def test_sizes_that_do_not_fit(case: str) -> None:
    kind, attributes, constants, shapes, given, message = ROWS[case]
    ready = dlc.compile(model(kind, attributes, constants, shapes), cache=False)
    with pytest.raises(dlc.UserError) as caught:
        ready(*[np.ones(shape, F) for shape in given])
    assert str(caught.value) == message


def test_sizes_that_are_fixed_at_compile_time() -> None:
    with pytest.raises(dlc.UserError) as caught:
        dlc.compile(model("Pad", {}, {"p": np.array([0, -100])}, [(3,)]), cache=False)
    assert "Pad 'node': its result must have no negative size, got -97, where 'x0' has shape (3)" in str(caught.value)


@pytest.mark.parametrize(("rows", "message"), [
    (1 << 40, "the memory of output 'y' is more than 63 bits can say; b = 1099511627776 (dimension 0 of input 'x0')"),
    (1 << 30, "there is no memory for output 'y' of shape (1073741824, 1073741824), 4611686018427387904 bytes"),
])  # fmt: skip
def test_results_that_no_memory_holds(rows: int, message: str) -> None:
    ready = dlc.compile(model("MatMul", {}, {}, [("b", "n"), ("n", "b")]), cache=False)
    with pytest.raises(dlc.UserError) as caught:
        ready(np.ones((rows, 0), F), np.ones((0, rows), F))
    assert str(caught.value) == message
