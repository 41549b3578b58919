"""Concatenations that are written in pieces: caches joined twice, pieces read elsewhere, and what must be copied."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.driver.pipeline import Options
from dlc.ir.dialects import run
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.parser import parse_module
from dlc.target import Target
from tests.differential.compiling import assert_same_meaning, compile_module, lowered, run_model

X = "tensor<2x[n]xf32>"

# name: body, result, and how many concatenations are left to copy
CASES = {
    "of pieces": (
        """
        %a = graph.softmax(%x) {axis = 1} : (X) -> X
        %b = graph.softmax(%a) {axis = 1} : (X) -> X
        %c = graph.softmax(%b) {axis = 1} : (X) -> X
        %d = graph.softmax(%c) {axis = 1} : (X) -> X
        %ab = graph.concat(%a, %b) : (X, X) -> tensor<4x[n]xf32>
        %p = graph.reshape(%c) {shape = [1, 2, <n>]} : (X) -> tensor<1x2x[n]xf32>
        %q = graph.reshape(%ab) {shape = [1, 4, <n>]} : (tensor<4x[n]xf32>) -> tensor<1x4x[n]xf32>
        %r = graph.reshape(%d) {shape = [1, 2, <n>]} : (X) -> tensor<1x2x[n]xf32>
        %y = graph.concat(%p, %q, %r) {axis = 1} : (tensor<1x2x[n]xf32>, tensor<1x4x[n]xf32>, tensor<1x2x[n]xf32>)
            -> tensor<1x8x[n]xf32>""",
        "tensor<1x8x[n]xf32>",
        0,
    ),
    "of an input": (
        """
        %a = graph.softmax(%x) {axis = 1} : (X) -> X
        %y = graph.concat(%a, %x) : (X, X) -> tensor<4x[n]xf32>""",
        "tensor<4x[n]xf32>",
        1,
    ),
    "of one value twice": (
        """
        %a = graph.softmax(%x) {axis = 1} : (X) -> X
        %y = graph.concat(%a, %a) : (X, X) -> tensor<4x[n]xf32>""",
        "tensor<4x[n]xf32>",
        1,
    ),
    "along an inner axis": (
        """
        %a = graph.softmax(%x) {axis = 1} : (X) -> X
        %b = graph.softmax(%a) {axis = 1} : (X) -> X
        %y = graph.concat(%a, %b) {axis = 1} : (X, X) -> tensor<2x[2 * n]xf32>""",
        "tensor<2x[2 * n]xf32>",
        1,
    ),
}


@pytest.mark.parametrize("n", [1, 17])
@pytest.mark.parametrize("name", CASES)
def test_joined_as_the_evaluator_says(name: str, n: int) -> None:
    body, result, copies = CASES[name]
    text = f"""func @main(%x: X) -> {result} attrs {{inputs = ["x"], outputs = ["y"]}} {{
        {body}
        func.return(%y) : ({result}) -> ()
    }}""".replace("X", X)
    module = parse_module(f"dlc 1\nmodule @joined {{{text}}}")
    feeds = [np.random.default_rng(0).standard_normal((2, n)).astype(np.float32)]
    expected = evaluate(module, feeds)
    low = lowered(module, Options(Target.parse("host"))).module
    calls = [op for op in low.main.block.ops if isinstance(op, run.Call)]
    assert sum(op.kernel.startswith(("concat", "relayout")) for op in calls) == copies
    assert_same_meaning(evaluate(low, feeds), expected)
    assert_same_meaning(run_model(compile_module(module), module, feeds), expected)
