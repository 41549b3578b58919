"""Tiny models, and the command `dlc` called in this process or in one of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from click.testing import CliRunner, Result
from onnx import TensorProto, helper, numpy_helper

from dlc.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
Shape = Sequence[int | str]


def invoke(*args: object) -> Result:
    """Call `dlc` here; the result has exit_code, stdout and stderr."""
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def succeed(*args: object) -> str:
    """What `dlc` prints when all goes well."""
    result = invoke(*args)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def refused(*args: object) -> str:
    """The one message for a mistake of the user: exit code 1, no traceback, nothing on stdout."""
    result = invoke(*args)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("dlc: error: "), result.stderr
    assert result.stderr.count("error:") == 1
    assert "Traceback" not in result.stderr
    return result.stderr


def start(*args: object, **settings: object) -> subprocess.Popen[str]:
    """`dlc` in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]  # settings are Popen's own
        [sys.executable, "-m", "dlc", *map(str, args)], text=True, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings,
    )  # fmt: skip


def save_model(
    path: Path, nodes: Sequence[onnx.NodeProto], inputs: dict[str, Shape], outputs: dict[str, Shape],
    weights: dict[str, np.ndarray] | None = None, **settings: object,
) -> Path:  # fmt: skip
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
        [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, path, **settings)
    return path


def relu_model(path: Path) -> Path:
    """y = relu(x), x of shape (batch, 4)."""
    node = helper.make_node("Relu", ["x"], ["y"], "Relu_1")
    return save_model(path, [node], {"x": ("batch", 4)}, {"y": ("batch", 4)})


def two_output_model(path: Path) -> Path:
    """sum = a + b and clipped = relu(a)."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"], "Add_1"),
        helper.make_node("Relu", ["a"], ["clipped"], "Relu_1"),
    ]
    return save_model(path, nodes, {"a": (2, 3), "b": (2, 3)}, {"sum": (2, 3), "clipped": (2, 3)})


def conv_model(path: Path, **settings: object) -> Path:
    """Two convolutions, the second added to its input and flattened."""
    generator = np.random.default_rng(0)
    weights = {
        "w": generator.standard_normal((16, 8, 3, 3)).astype(np.float32),
        "w2": generator.standard_normal((16, 16, 3, 3)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "Conv_1", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "Relu_1"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "Conv_2", pads=[1] * 4),
        helper.make_node("Add", ["c", "b"], ["d"], "Add_1"),
        helper.make_node("Flatten", ["d"], ["y"], "Flatten_1"),
    ]
    return save_model(path, nodes, {"x": (1, 8, 6, 6)}, {"y": (1, 576)}, weights, **settings)


def unsupported_model(path: Path) -> Path:
    """Two operators that nobody knows around one that everybody does."""
    nodes = [
        helper.make_node("Frobnicate", ["x"], ["a"], "Frob_1"),
        helper.make_node("Relu", ["a"], ["b"], "Relu_1"),
        helper.make_node("Twist", ["b"], ["y"], "Twist_1"),
    ]
    return save_model(path, nodes, {"x": (2, 4)}, {"y": (2, 4)})
