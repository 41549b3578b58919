"""Attention, recognised in a model and compiled for AArch64, gives what ONNX Runtime gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlc.driver.compile import write_library
from tests.arm.test_aarch64 import ARM
from tests.support.onnx_models import expected, model, node
from tests.support.qemu_runner import run_under_qemu
from tests.tolerances import assert_close

SHAPES = {"q": (2, 3, 21, 16), "k": (2, 3, 16, 19), "v": (2, 3, 19, 20), "m": (21, 19)}


def test_attention(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    feeds = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    nodes = [
        node("MatMul", ["q", "k"], ["products"]),
        node("Mul", ["products", "s"], ["scaled"]),
        node("Add", ["scaled", "m"], ["scores"]),
        node("Softmax", ["scores"], ["weights"], axis=-1),
        node("MatMul", ["weights", "v"], ["y"]),
    ]
    inputs = {name: ("f32", shape) for name, shape in SHAPES.items()}
    proto = model(nodes, inputs, {"y": "f32"}, {"s": np.array(0.25, np.float32)})
    path = tmp_path / "attention.so"
    write_library(proto.SerializeToString(), ARM, path)
    assert b"attention" in path.read_bytes()
    assert_close(run_under_qemu(path, feeds, threads=2)["y"], expected(proto, feeds)[0], "network")
