"""`dlc.backend` as programs use it that are written against ONNX's backend interface."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.backend.base import Backend, BackendRep

import dlc
import dlc.backend as backend
from tests.support.onnx_models import model, node

X = np.array([[-1, 2, 3]], np.float32)
TWO = model([node("Relu", ["x"], ["y"]), node("Add", ["x", "z"], ["s"])], {"x": ("f32", [1, 3]), "z": ("f32", [1, 3])},
            {"y": "f32", "s": "f32"})  # fmt: skip


def test_it_is_a_backend_of_onnx() -> None:
    assert issubclass(backend.DlcBackend, Backend)
    assert dlc.backend is backend


def test_prepared_models_run_often_on_inputs_in_order_or_by_name() -> None:
    ready = backend.prepare(TWO, "CPU", cache=False, threads=1)
    assert isinstance(ready, BackendRep)
    for inputs in ([X, X], (X, X), {"z": X, "x": X}):
        found = ready.run(inputs)
        assert isinstance(found, tuple)
        np.testing.assert_array_equal(found[0], np.maximum(X, 0))
        np.testing.assert_array_equal(found["s"], X + X)


def test_run_model_takes_a_message_a_file_or_bytes(tmp_path: Path) -> None:
    proto = model([node("Relu", ["x"], ["y"])], {"x": ("f32", [1, 3])}, {"y": "f32"})
    onnx.save(proto, tmp_path / "m.onnx")
    for source in (proto, tmp_path / "m.onnx", str(tmp_path / "m.onnx"), proto.SerializeToString()):
        np.testing.assert_array_equal(backend.run_model(source, X, cache=False)[0], np.maximum(X, 0))


def test_run_node_runs_one_operator() -> None:
    add = helper.make_node("Add", ["a", "a"], ["y"])
    np.testing.assert_array_equal(backend.run_node(add, [X, X], cache=False)[0], X + X)
    np.testing.assert_array_equal(backend.run_node(add, {"a": X}, cache=False)[0], X + X)
    clip = helper.make_node("Clip", ["x", "", "high"], ["y"])
    for inputs in ([X, None, np.float32(2)], [X, np.float32(2)]):
        np.testing.assert_array_equal(backend.run_node(clip, inputs, cache=False)[0], np.minimum(X, 2))
    softmax = helper.make_node("Softmax", ["x"], ["y"])
    x = np.zeros((2, 3, 4), np.float32)
    old = backend.run_node(softmax, [x], cache=False, opset_version=11)[0]  # then over all axes from the second on
    np.testing.assert_allclose(old, x + 1 / 12, rtol=1e-6)
    binarizer = helper.make_node("Binarizer", ["x"], ["y"], domain="ai.onnx.ml", threshold=-0.5)
    y = backend.run_node(binarizer, [np.array([-1, 0, 1])], cache=False)[0]
    np.testing.assert_array_equal(y, np.array([0, 1, 1]))
    microsoft = helper.make_node("DequantizeLinear", ["x", "s"], ["y"], domain="com.microsoft")
    y = backend.run_node(microsoft, [np.array([3], np.uint8), np.float32(2)], cache=False, opset_version=1)[0]
    np.testing.assert_array_equal(y, np.array([6], np.float32))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [([X], r"Add takes 2 inputs \('a', 'b'\), got 1"), ({"a": X}, "Add has an input 'b', for which no value is given")],
)
def test_wrong_inputs_of_a_node_are_named(inputs: object, message: str) -> None:
    with pytest.raises(dlc.UserError, match=message):
        backend.run_node(helper.make_node("Add", ["a", "b"], ["y"]), inputs)


def test_devices() -> None:
    assert backend.supports_device("CPU") and backend.supports_device("CPU:0")
    assert not backend.supports_device("CUDA") and not backend.supports_device("CPU:1")
    with pytest.raises(dlc.UserError, match="dlc compiles for the device CPU, got 'CUDA'"):
        backend.prepare(TWO, "CUDA")


def test_compatible_models_are_those_that_compile() -> None:
    unknown = model([node("NoSuch", ["x"], ["y"])], {"x": ("f32", [1])}, {"y": "f32"})
    assert backend.is_compatible(TWO) and not backend.is_compatible(TWO, "CUDA")
    assert not backend.is_compatible(unknown)
    assert not backend.is_compatible(helper.make_model(helper.make_graph(
        [node("Relu", ["nothing"], ["y"])], "g", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])]
    )))  # fmt: skip
