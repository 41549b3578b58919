"""The cache looks again at every file that a model was compiled from."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc


def save(path: Path, value: float) -> None:
    """y = x + w, with w in a file beside the model."""
    weights = numpy_helper.from_array(np.full((64,), value, np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [64]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)


def test_changed_external_data_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "m.onnx"
    x = np.zeros(64, np.float32)
    save(path, 1.0)
    assert dlc.compile(path)(x)[0] == 1.0
    (tmp_path / "w.bin").write_bytes(np.full((64,), 2.0, np.float32).tobytes())  # the model's own file stays as it is
    assert dlc.compile(path)(x)[0] == 2.0
