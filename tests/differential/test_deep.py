"""Deep products, which are cut into sums of shallower ones, give what the evaluator gives."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.driver.pipeline import Options
from dlc.ir import typical
from dlc.ir.core import Module
from dlc.ir.dialects import run
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.target import Target
from tests.differential.compiling import assert_same_meaning, compile_module, lowered, run_model

DEPTH, COLUMNS = 3001, 33
TARGET = "x86-64-v3@l1=32K,l2=1M"


def deep_product(rows: str) -> Module:
    """A product with bias and activation."""
    rng, pool = np.random.default_rng(0), ConstantPool()
    weight = pool.add((rng.standard_normal((DEPTH, COLUMNS)) * DEPTH**-0.5).astype(np.float32))
    bias = pool.add(rng.standard_normal(COLUMNS).astype(np.float32))
    x, w, b = f"tensor<{rows}x{DEPTH}xf32>", f"tensor<{DEPTH}x{COLUMNS}xf32>", f"tensor<{COLUMNS}xf32>"
    y = f"tensor<{rows}x{COLUMNS}xf32>"
    module = parse_module(f"""dlc 1
    module @deep {{
      func @main(%x: {x}) -> {y} attrs {{inputs = ["x"], outputs = ["y"]}} {{
        %w = graph.constant() {{value = {weight}, type = {w}}} : () -> {w}
        %b = graph.constant() {{value = {bias}, type = {b}}} : () -> {b}
        %p = graph.matmul(%x, %w) : ({x}, {w}) -> {y}
        %s = graph.add(%p, %b) : ({y}, {b}) -> {y}
        %y = graph.relu(%s) : ({y}) -> {y}
        func.return(%y) : ({y}) -> ()
      }}
    }}""")
    module.pool = pool
    return module


@pytest.mark.isa("x86-64-v3")
@pytest.mark.parametrize("rows", ["150", "[n]"])
def test_a_deep_product_is_what_the_evaluator_says(rows: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typical, "BATCH", 150)
    module = deep_product(rows)
    low = lowered(module, Options(Target.parse(TARGET))).module
    calls = [op for op in low.main.block.ops if isinstance(op, run.Call)]
    assert sum(op.kernel.startswith("matmul") for op in calls) > 1
    feeds = [np.random.default_rng(1).standard_normal((150, DEPTH)).astype(np.float32)]
    assert_same_meaning(run_model(compile_module(module, TARGET), module, feeds), evaluate(module, feeds))
