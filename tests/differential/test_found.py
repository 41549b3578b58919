"""Modules that random tests have once found wrong, in their shortest form."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from dlc.ir.eval.interpreter import evaluate
from dlc.ir.parser import parse_module
from tests.differential.compiling import assert_same_meaning, compile_module, run_model
from tests.tolerances import assert_close

HALO_AROUND_ONE_PIXEL = """
func @main(%x: tensor<1x1x1x1xf32>, %w: tensor<3x1x1x1xf32>, %v: tensor<4x3x3x3xf32>) -> tensor<1x4x1x1xf32>
    attrs {inputs = ["x", "w", "v"], outputs = ["y"]} {
  %c = graph.conv(%x, %w) : (tensor<1x1x1x1xf32>, tensor<3x1x1x1xf32>) -> tensor<1x3x1x1xf32>
  %r = graph.relu(%c) : (tensor<1x3x1x1xf32>) -> tensor<1x3x1x1xf32>
  %a = graph.mul(%r, %c) : (tensor<1x3x1x1xf32>, tensor<1x3x1x1xf32>) -> tensor<1x3x1x1xf32>
  %y = graph.conv(%a, %v) {pads = [1, 1, 1, 1]} : (tensor<1x3x1x1xf32>, tensor<4x3x3x3xf32>) -> tensor<1x4x1x1xf32>
  func.return(%y) : (tensor<1x4x1x1xf32>) -> ()
}
"""

ROWS_OF_UNKNOWN_LENGTH = """
func @main(%x: tensor<2x3x[length]xf32>, %w: tensor<2x3x3xf32>) -> tensor<2x2x[length - 2]xf32>
    attrs {inputs = ["x", "w"], outputs = ["y"]} {
  %y = graph.conv(%x, %w) : (tensor<2x3x[length]xf32>, tensor<2x3x3xf32>) -> tensor<2x2x[length - 2]xf32>
  func.return(%y) : (tensor<2x2x[length - 2]xf32>) -> ()
}
"""


@pytest.mark.parametrize("opt_level", [0, 3])
@pytest.mark.parametrize(
    "text", [HALO_AROUND_ONE_PIXEL, ROWS_OF_UNKNOWN_LENGTH], ids=["halo around one pixel", "rows of unknown length"]
)
def test_compiled_module_gives_what_the_evaluator_gives(text: str, opt_level: int) -> None:
    module = parse_module(f"dlc 1\nmodule @found {{{text}}}")
    rng = np.random.default_rng(0)
    shapes = [[dim if isinstance(dim, int) else 21 for dim in arg.type.shape] for arg in module.main.args]  # type: ignore[attr-defined]
    feeds = [rng.standard_normal(shape).astype(np.float32) for shape in shapes]
    model = compile_module(module, "host", opt_level)
    assert_same_meaning(run_model(model, module, feeds), evaluate(module, feeds))


SUM_OF_HALVES = """
func @main(%x: tensor<6x31xbf16>) -> tensor<1x31xbf16> attrs {inputs = ["x"], outputs = ["y"]} {
  %y = graph.reduce(%x) {kind = "sum", axes = [0]} : (tensor<6x31xbf16>) -> tensor<1x31xbf16>
  func.return(%y) : (tensor<1x31xbf16>) -> ()
}
"""


@pytest.mark.parametrize("target", [pytest.param(t, marks=pytest.mark.isa(t)) for t in ("x86-64-v3", "x86-64-v4")])
def test_a_rest_of_bf16_is_loaded_and_stored_by_mask(target: str) -> None:
    module = parse_module(f"dlc 1\nmodule @found {{{SUM_OF_HALVES}}}")
    x = np.arange(6 * 31, dtype=np.float32).reshape(6, 31).astype(ml_dtypes.bfloat16)
    (found,) = run_model(compile_module(module, target), module, [x])
    assert_close(found, evaluate(module, [x])[0], "op")
