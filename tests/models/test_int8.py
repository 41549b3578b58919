"""u8 x s8 -> s32 products with a requantizing epilogue: the kernel text of matmul, exact on every target."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlc.codegen.llvm_backend import emit_assembly
from dlc.driver.pipeline import Options, lowered_module
from dlc.driver.single import model_text
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from dlc.target import Target, host_can_run
from tests.differential.compiling import compile_module, run_model

TARGETS = ("host", "x86-64-v4+avx512vnni", "x86-64-v4", "x86-64-v3+avxvnni", "x86-64-v3", "x86-64-v2")
SIZES = ((16, 64, 48), (5, 67, 33), (1, 4, 16), (14, 128, 10), (3, 1, 7), (2, 9, 1), (3, 3, 20), (2, 5, 17), (4, 8, 16))


def requantized_product(rows: int, inner: int, columns: int) -> bytes:
    """MatMulInteger, a scale, QuantizeLinear: the weights reach both ends of their range."""
    weights = np.random.default_rng(inner).integers(-128, 128, (inner, columns)).astype(np.int8)
    nodes = [
        helper.make_node("MatMulInteger", ["a", "w"], ["sums"], name="product"),
        helper.make_node("Cast", ["sums"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "factor"], ["scaled"]),
        helper.make_node("QuantizeLinear", ["scaled", "scale", "zero"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(weights, "w"),
        numpy_helper.from_array(np.float32(0.001), "factor"),
        numpy_helper.from_array(np.float32(0.05), "scale"),
        numpy_helper.from_array(np.uint8(128), "zero"),
    ]
    graph = helper.make_graph(
        nodes,
        "int8",
        [helper.make_tensor_value_info("a", TensorProto.UINT8, [rows, inner])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [rows, columns])],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_requantized_product_is_exact(size: tuple[int, int, int], target: str) -> None:
    if not host_can_run(Target.parse(target))[0]:
        pytest.skip(f"this machine cannot run {target}")
    module = load_model(requantized_product(*size))
    a = np.random.default_rng(0).integers(0, 256, size[:2]).astype(np.uint8)
    (found,) = run_model(compile_module(module, target), module, [a])
    np.testing.assert_array_equal(found, evaluate(module, [a])[0])


@pytest.mark.parametrize(("name", "expected"), [("x86-64-v4+avx512vnni", True), ("x86-64-v4", False)])
def test_vnni_targets_use_vpdpbusd(name: str, expected: bool) -> None:
    target = Target.parse(name)
    module = lowered_module(requantized_product(64, 256, 96), Options(target)).module
    text = emit_assembly(model_text(module, target), target.triple, target.llvm_cpu, target.llvm_features)
    assert ("vpdpbusd" in text) == expected
