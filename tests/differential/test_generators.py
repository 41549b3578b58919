"""What the generator makes is well formed, survives its text, and runs; and it knows every op."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from dlc.ir.compare import compare
from dlc.ir.dialects import (
    graph_attention,
    graph_flow,
    graph_index,
    graph_math,
    graph_nn,
    graph_quant,
    graph_recurrent,
    graph_shape,
    graph_strassen,
    graph_winograd,
)
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from dlc.ir.verify import verify
from tests.differential.generators import STEPS, Sample, graph_samples

DIALECTS = (
    graph_math, graph_shape, graph_index, graph_nn, graph_quant, graph_recurrent, graph_winograd, graph_strassen,
    graph_attention, graph_flow,
)  # fmt: skip
MADE_BY_PASSES = (graph_shape.Relayout, graph_flow.Group, graph_flow.Yield, *graph_winograd.OPS, *graph_strassen.OPS)
# compiling puts guards in where the others need them; sizes from data and branches: tests/sizes, tests/control
MADE_WITH_OTHERS = (
    graph_shape.Constant, graph_flow.Require, graph_index.ReadSizes, graph_flow.If, graph_flow.Loop, graph_flow.Fail,
)  # fmt: skip


@settings(max_examples=60)
@given(graph_samples(found_sizes=True))
def test_random_modules_are_well_formed_and_run(sample: Sample) -> None:
    assert [str(problem) for problem in verify(sample.module)] == []
    outputs = evaluate(sample.module, sample.feeds)
    names = sample.module.main.attrs["inputs"]
    assert isinstance(names, tuple)
    by_name = evaluate(sample.module, dict(zip(map(str, names), sample.feeds, strict=True)))
    for one, other in zip(outputs, by_name, strict=True):
        np.testing.assert_array_equal(one, other)


@settings(max_examples=60)
@given(graph_samples(found_sizes=True))
def test_random_modules_survive_their_text(sample: Sample) -> None:
    text = print_module(sample.module)
    again = parse_module(text, pool=sample.module.pool)
    assert compare(sample.module, again, locations=False) is None
    assert print_module(again) == text


def test_completeness() -> None:
    """Every op of the graph level has a step, or is named here with the reason."""
    known = {*STEPS, *MADE_BY_PASSES, *MADE_WITH_OTHERS}
    assert [kind.spec.name for dialect in DIALECTS for kind in dialect.OPS if kind not in known] == []
