"""Whole modules: what a random graph computes, its lowered form computes in the evaluator, memory planned and all."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from dlc.driver.pipeline import Options, passes_for, run_passes
from dlc.ir.eval.interpreter import evaluate
from dlc.target import Target
from tests.differential.generators import Sample, graph_samples
from tests.tolerances import assert_close


@pytest.mark.parametrize("name", ["x86-64-v3", "aarch64"])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(sample=graph_samples())
def test_lowered_module_computes_the_same(sample: Sample, name: str) -> None:
    expected = evaluate(sample.module, sample.feeds)
    options = Options(Target.parse(name))
    lowered = sample.module.clone()
    run_passes(lowered, passes_for(options), options)
    found = evaluate(lowered, sample.feeds)
    for number, (got, want) in enumerate(zip(found, expected, strict=True)):
        assert_close(got, np.asarray(want), "network", name=f"output {number}")
