"""Random modules compiled, through the driver's own passes and linker, give what the evaluator gives."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.ir.eval.interpreter import evaluate
from tests.differential.compiling import assert_same_meaning, compile_module, run_model
from tests.differential.generators import Sample, graph_samples
from tests.differential.networks import image_networks, sequence_networks

SAMPLES = {
    "any ops": graph_samples(most_ops=14, found_sizes=True),
    "images": image_networks(),
    "rows": image_networks(8, 3),
    "volumes": image_networks(8, 5),
    "sequences": sequence_networks(),
}
MORE = int(os.environ.get("DLC_EXAMPLES", "20"))  # of each kind and target, in the slow run
TARGETS = [pytest.param(name, marks=pytest.mark.isa(name)) for name in ("x86-64-v2", "x86-64-v3", "x86-64-v4")]


def check_compiled(sample: Sample, target: str, opt_level: int = 3) -> None:
    expected = evaluate(sample.module, sample.feeds)
    model = compile_module(sample.module, target, opt_level)
    assert_same_meaning(run_model(model, sample.module, sample.feeds), expected)


@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=20)
@given(data=st.data())
def test_compiled_modules_give_what_the_evaluator_gives(name: str, data: st.DataObject) -> None:
    check_compiled(data.draw(SAMPLES[name]), "host")


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=10)
@given(sample=st.one_of(*SAMPLES.values()))
def test_other_targets_give_the_same(target: str, sample: Sample) -> None:
    check_compiled(sample, target)


@pytest.mark.parametrize("opt_level", [0, 1])
@settings(max_examples=10)
@given(sample=st.one_of(*SAMPLES.values()))
def test_other_optimization_levels_give_the_same(opt_level: int, sample: Sample) -> None:
    check_compiled(sample, "host", opt_level)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", SAMPLES)
@settings(max_examples=MORE)
@given(data=st.data())
def test_many_compiled_modules(name: str, target: str, data: st.DataObject) -> None:
    check_compiled(data.draw(SAMPLES[name]), target)
