"""ONNX models of a few nodes, compiled and compared with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import dlc

Shape = Sequence[int | str]
TYPES = {
    "f32": TensorProto.FLOAT, "f64": TensorProto.DOUBLE, "f16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16,
    "si64": TensorProto.INT64, "si32": TensorProto.INT32, "si8": TensorProto.INT8, "ui8": TensorProto.UINT8,
    "bool": TensorProto.BOOL,
}  # fmt: skip


def node(
    kind: str, inputs: Sequence[str], outputs: Sequence[str], name: str = "", **attributes: object
) -> onnx.NodeProto:
    return helper.make_node(kind, list(inputs), list(outputs), name or f"{kind}_{outputs[0]}", **attributes)


def model(
    nodes: Sequence[onnx.NodeProto], inputs: Mapping[str, tuple[str, Shape]], outputs: Mapping[str, str],
    weights: Mapping[str, np.ndarray] | None = None, opset: int = 17,
) -> onnx.ModelProto:  # fmt: skip
    """Inputs by name with type and shape, outputs with their type alone."""
    graph = helper.make_graph(
        list(nodes), "g",
        [helper.make_tensor_value_info(name, TYPES[kind], list(shape)) for name, (kind, shape) in inputs.items()],
        [helper.make_tensor_value_info(name, TYPES[kind], None) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def compiled(proto: onnx.ModelProto, threads: int = 2, target: str = "host") -> dlc.CompiledModel:
    return dlc.compile(proto, cache=False, threads=threads, target=target)


def expected(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """What ONNX Runtime computes."""
    return [np.asarray(a) for a in onnxruntime.InferenceSession(proto.SerializeToString()).run(None, dict(feeds))]


def assert_same(found: np.ndarray, wanted: np.ndarray, tolerance: float = 0.0) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    if tolerance == 0.0:
        np.testing.assert_array_equal(found, wanted)
        return
    np.testing.assert_allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=tolerance, atol=tolerance)


def check(
    proto: onnx.ModelProto, *cases: Mapping[str, np.ndarray], tolerance: float = 0.0, target: str = "host"
) -> dlc.CompiledModel:
    """Run each case on the compiled model and on ONNX Runtime."""
    ready = compiled(proto, target=target)
    for feeds in cases:
        found = ready.run(feeds)
        for array, wanted in zip(found.values(), expected(proto, feeds), strict=True):
            assert_same(array, wanted, tolerance)
    return ready


BF16 = np.dtype(ml_dtypes.bfloat16)
