"""Attention in the form of PyTorch's newer exporter, with numbers and with symbols: one kernel, whatever the mask."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from dlc.driver.pipeline import Options, lowered_module
from dlc.ir.dialects import run
from dlc.target import Target
from tests.support.onnx_models import compiled, expected, model, node
from tests.tolerances import assert_close

pytestmark = pytest.mark.isa("x86-64")
RANDOM = np.random.default_rng(3)
WIDTH, HEADS, SHARED = 16, 4, 2
EACH = WIDTH // HEADS


def f32(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape).astype(np.float32)


def exported(batch: int | str, seq: int | str, shared: int) -> onnx.ModelProto:
    """Roots of the scale on both sides, keys of all heads turned at once, a guard behind the softmax."""
    nodes = [
        node("Shape", ["x"], ["sizes"], end=2),
        node("Concat", ["sizes", "query"], ["to_q"], axis=0),
        node("Concat", ["sizes", "key"], ["to_k"], axis=0),
        node("Gather", ["sizes", "zero"], ["b"]),
        node("Gather", ["sizes", "one"], ["s"]),
    ]
    for name, kind in (("q", "q"), ("k", "k"), ("v", "k")):
        nodes += [
            node("MatMul", ["x", f"w{name}"], [f"{name}0"]),
            node("Reshape", [f"{name}0", f"to_{kind}"], [f"{name}1"]),
            node("Transpose", [f"{name}1"], [f"{name}2"], perm=[0, 2, 1, 3]),
        ]
        if kind == "k" and shared != HEADS:
            nodes += [
                node("Concat", ["b", "key_heads", "times", "s", "each"], [f"{name}r"], axis=0),
                node("Concat", ["b", "heads", "s", "each"], [f"{name}a"], axis=0),
                node("Unsqueeze", [f"{name}2", "two"], [f"{name}3"]),
                node("Expand", [f"{name}3", f"{name}r"], [f"{name}4"]),
                node("Reshape", [f"{name}4", f"{name}a"], [f"{name}5"]),
            ]
        else:
            nodes.append(node("Identity", [f"{name}2"], [f"{name}5"]))
    nodes += [
        node("Concat", ["minus", "s", "each"], ["joined"], axis=0),
        node("Concat", ["b", "heads", "each", "s"], ["apart"], axis=0),
        node("Reshape", ["k5", "joined"], ["k6"]),
        node("Transpose", ["k6"], ["k7"], perm=[0, 2, 1]),
        node("Reshape", ["k7", "apart"], ["k8"]),
        node("Mul", ["q5", "root"], ["q9"]),
        node("Mul", ["k8", "root"], ["k9"]),
        node("MatMul", ["q9", "k9"], ["scores"]),
        node("Where", ["seen", "nothing", "hidden"], ["mask"]),
        node("Add", ["scores", "mask"], ["masked"]),
        node("Softmax", ["masked"], ["weights"], axis=-1),
        node("IsNaN", ["weights"], ["bad"]),
        node("Where", ["bad", "nothing", "weights"], ["sure"]),
        node("MatMul", ["sure", "v5"], ["o"]),
        node("Transpose", ["o"], ["o2"], perm=[0, 2, 1, 3]),
        node("Concat", ["sizes", "width"], ["to_y"], axis=0),
        node("Reshape", ["o2", "to_y"], ["y"]),
    ]
    weights = {
        "wq": f32(WIDTH, WIDTH), "wk": f32(WIDTH, shared * EACH), "wv": f32(WIDTH, shared * EACH),
        "root": np.float32(EACH**-0.25), "nothing": np.float32(0), "hidden": np.float32(-np.inf),
        "query": np.array([HEADS, EACH]), "key": np.array([shared, EACH]), "zero": np.array([0]), "one": np.array([1]),
        "two": np.array([2]), "key_heads": np.array([shared]), "times": np.array([HEADS // shared]),
        "heads": np.array([HEADS]), "each": np.array([EACH]), "minus": np.array([-1]), "width": np.array([WIDTH]),
    }  # fmt: skip
    inputs = {"x": ("f32", [batch, seq, WIDTH]), "seen": ("bool", [batch, 1, seq, seq])}
    return model(nodes, inputs, {"y": "f32"}, weights)


@pytest.mark.parametrize("shared", [HEADS, SHARED])
@pytest.mark.parametrize("sizes", [("batch", "seq"), (2, 7)], ids=["named", "static"])
def test_it_is_one_kernel_between_products(sizes: tuple[int | str, int | str], shared: int) -> None:
    proto = exported(*sizes, shared)
    main = lowered_module(proto, Options(Target.parse("host"))).module.main
    calls = [op.kernel.rpartition("_")[0] for op in main.block.ops if isinstance(op, run.Call)]
    assert sorted(calls) == ["attention", "elementwise", "matmul", "matmul", "matmul"]
    ready = compiled(proto)
    shapes = [(2, 7)] if sizes == (2, 7) else [(2, 7), (1, 1), (0, 3), (2, 0), (3, 40), (1, 2)]
    for batch, seq in shapes:
        feeds = {"x": f32(batch, seq, WIDTH), "seen": RANDOM.random((batch, 1, seq, seq)) > 0.3}
        feeds["seen"][:, :, seq // 2 :] &= seq < 5  # queries that are masked wholly
        (found,) = ready.run(feeds).values()
        if 0 in (batch, seq):  # ONNX Runtime refuses what its shapes have zeros for
            assert found.shape == (batch, seq, WIDTH)
        else:
            assert_close(found, expected(proto, feeds)[0], "network")
