"""Models that tests run as a whole, with feeds and expected outputs.

`DLC_ZOO` may name a folder of more ONNX models; the tests that want them are skipped without it.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

Arrays = dict[str, np.ndarray]
REAL_MODELS = ("ultraface_rfb_320", "yunet_n_320", "mnist", "micro_kws_m_static_fp32")
BATCHES = (1, 8)


def zoo_models() -> list[Path]:
    """The models of the folder `DLC_ZOO`, smallest first; none without it."""
    folder = os.environ.get("DLC_ZOO")
    return sorted(Path(folder).glob("*.onnx"), key=lambda p: (p.stat().st_size, p.name)) if folder else []


def zoo_parameters() -> list[object]:
    """A pytest parameter for each model of the zoo, or one that is skipped with the reason."""
    found = [pytest.param(path, id=path.stem) for path in zoo_models()]
    return found or [pytest.param(None, id="none", marks=pytest.mark.skip("DLC_ZOO names no folder of models"))]


def recorded(shared: Path, name: str) -> tuple[Arrays, Arrays]:
    """Inputs and outputs of a real model as ONNX Runtime computed them."""
    arrays = np.load(shared / "models" / "data" / f"{name}.npz")
    inputs = {key[3:]: arrays[key] for key in arrays.files if key.startswith("in:")}
    return inputs, {key[4:]: arrays[key] for key in arrays.files if key.startswith("out:")}


def random_feeds(model: onnx.ModelProto, batch: int, seed: int = 0) -> Arrays:
    """Feeds for a model; all that is named stands for `batch`. Integers are small: they may be indices."""
    rng = np.random.default_rng(seed)
    given = {initializer.name for initializer in model.graph.initializer}
    feeds: Arrays = {}
    for value in model.graph.input:
        if value.name in given:
            continue
        kind = value.type.tensor_type
        shape = [dim.dim_value if dim.HasField("dim_value") else batch for dim in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if np.issubdtype(dtype, np.floating):
            feeds[value.name] = rng.standard_normal(shape).astype(dtype)
        else:
            feeds[value.name] = rng.integers(0, 2, shape).astype(dtype)
    return feeds


def mlp() -> onnx.ModelProto:
    """784 - 512 - 256 - 10 with ReLU and softmax, the batch not known."""
    rng = np.random.default_rng(1)
    sizes = (784, 512, 256, 10)
    nodes, weights, last = [], [], "x"
    for layer, (wide, narrow) in enumerate(pairwise(sizes)):
        weights.append(weight(f"w{layer}", rng.standard_normal((wide, narrow)) / np.sqrt(wide)))
        weights.append(weight(f"b{layer}", rng.standard_normal(narrow)))
        nodes.append(helper.make_node("Gemm", [last, f"w{layer}", f"b{layer}"], [f"g{layer}"]))
        last = f"g{layer}"
        if layer < 2:
            nodes.append(helper.make_node("Relu", [last], [f"r{layer}"]))
            last = f"r{layer}"
    nodes.append(helper.make_node("Softmax", [last], ["y"], axis=1))
    return model_of(nodes, weights, ("batch", 784), ("batch", 10))


def small_cnn() -> onnx.ModelProto:
    """Convolutions, a residual, a depthwise one, pools and a dense layer, the batch not known."""
    rng = np.random.default_rng(2)

    def conv(name: str, source: str, shape: tuple[int, ...], **settings: object) -> onnx.NodeProto:
        weights.append(weight(f"{name}.w", rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))))
        weights.append(weight(f"{name}.b", rng.standard_normal(shape[0])))
        return helper.make_node("Conv", [source, f"{name}.w", f"{name}.b"], [name], **settings)

    weights: list[onnx.TensorProto] = []
    nodes = [
        conv("c1", "x", (20, 3, 3, 3), pads=[1] * 4, strides=[2, 2]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        conv("c2", "r1", (20, 20, 3, 3), pads=[1] * 4),
        helper.make_node("Add", ["c2", "r1"], ["a2"]),
        helper.make_node("Relu", ["a2"], ["r2"]),
        conv("c3", "r2", (20, 1, 3, 3), pads=[1] * 4, group=20),
        helper.make_node("MaxPool", ["c3"], ["p3"], kernel_shape=[2, 2], strides=[2, 2]),
        conv("c4", "p3", (33, 20, 1, 1)),
        helper.make_node("GlobalAveragePool", ["c4"], ["p4"]),
        helper.make_node("Flatten", ["p4"], ["f4"]),
        helper.make_node("Gemm", ["f4", "d.w"], ["y"]),
    ]
    weights.append(weight("d.w", rng.standard_normal((33, 10))))
    return model_of(nodes, weights, ("batch", 3, 30, 30), ("batch", 10))


def weight(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array.astype(np.float32), name)


def model_of(
    nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto], x: tuple[int | str, ...], y: tuple[int | str, ...]
) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes, "tests",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y)],
        weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
