"""Numbers below the normal ones: f64 and comparisons keep them, other arithmetic in f32 takes and gives 0 for them."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

TINY32 = np.array([1e-39, -1e-39, 0, 1e-45, 2e-39, -0.0, 1], np.float32)
OTHER32 = np.array([0, 0, 1e-45, 1e-45, 1e-39, 0, 1e-39], np.float32)
TINY64 = np.array([1e-310, -1e-310, 0, 5e-324, 3e-308, 1e-200, 1])
OTHER64 = np.array([0.5, 3, 1e-310, 2, 0.25, 1e-120, 1e-310])

F, D, B, I = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.BOOL, TensorProto.INT64  # noqa: E741
COMPARISONS = {"Equal": np.equal, "Less": np.less, "Greater": np.greater, "LessOrEqual": np.less_equal}
ARITHMETIC = {"Add": np.add, "Mul": np.multiply, "Div": np.divide, "Max": np.maximum}


def cases() -> list[tuple[onnx.NodeProto, int, list[int | str], np.ndarray]]:
    """Nodes, element types and shapes of their results, and their results."""
    found: list[tuple[onnx.NodeProto, int, list[int | str], np.ndarray]] = []

    def add(op: str, inputs: str, kind: int, result: np.ndarray, **attributes: int) -> None:
        shape: list[int | str] = [*result.shape] if op != "NonZero" else [1, "count"]
        name = f"y{len(found)}"
        found.append((helper.make_node(op, inputs.split(), [name], name, **attributes), kind, shape, result))

    for op, meaning in COMPARISONS.items():
        add(op, "a b", B, meaning(TINY32, OTHER32))
        add(op, "c d", B, meaning(TINY64, OTHER64))
    with np.errstate(all="ignore"):
        for op, meaning in ARITHMETIC.items():
            add(op, "c d", D, meaning(TINY64, OTHER64))
    add("Cast", "a", B, TINY32 != 0, to=B)
    add("Cast", "a", D, TINY32.astype(np.float64), to=D)
    add("NonZero", "a", I, np.array(np.nonzero(TINY32)))
    add("ArgMax", "a", I, np.array([6]), axis=0)
    add("ArgMin", "b", I, np.array([0]), axis=0)
    add("ReduceSum", "c", D, np.array([TINY64.sum()]))
    return found


def model() -> onnx.ModelProto:
    inputs = [helper.make_tensor_value_info(name, kind, [7]) for name, kind in zip("abcd", (F, F, D, D), strict=True)]
    rows = cases()
    graph = helper.make_graph(
        [node for node, *_ in rows], "denormals", inputs,
        [helper.make_tensor_value_info(node.output[0], kind, shape) for node, kind, shape, _ in rows],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


FEEDS = {"a": TINY32, "b": OTHER32, "c": TINY64, "d": OTHER64}


def assert_kept(found: dict[str, np.ndarray]) -> None:
    for node, _, _, wanted in cases():
        got = found[node.output[0]]
        assert got.dtype == wanted.dtype and np.array_equal(got, wanted), (node.op_type, list(node.input), got, wanted)
