"""What becomes of numbers below the normal ones (docs/OPERATORS.md)."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

import dlc
from tests.support.denormal_cases import FEEDS, TINY32, assert_kept, model


@pytest.mark.parametrize("threads", [1, 2])
def test_f64_and_comparisons_keep_them(threads: int) -> None:
    assert_kept(dlc.compile(model(), threads=threads, cache=False).run(FEEDS))


def test_arithmetic_in_f32_flushes_them_and_the_caller_does_not() -> None:
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "x"], ["y"])], "flush",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
    )  # fmt: skip
    module = dlc.compile(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), cache=False)
    x = np.array([1e-20, 1e-19, 1, 0.5], np.float32)
    assert np.array_equal(module(x), np.array([0, 0, 1, 0.25], np.float32))
    assert np.array_equal(TINY32 * np.float32(0.5) != 0, [True, True, False, False, True, False, True])
