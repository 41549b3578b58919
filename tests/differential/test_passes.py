"""Random networks keep their meaning: after each pass of the graph level, and after all of them with layouts chosen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.ir.eval.interpreter import evaluate
from dlc.ir.levels import Level
from dlc.passes.base import CompileOptions, Pass, PassContext
from dlc.passes.graph.choose_layout import ChooseLayout
from dlc.passes.graph.eliminate_dead_code import EliminateDeadCode
from dlc.passes.manager import Checks, PassManager
from dlc.passes.pipelines import graph_pipeline
from dlc.passes.table import ALL_PASSES
from dlc.target import Target
from tests.differential.compiling import assert_same_meaning
from tests.differential.generators import Sample, graph_samples
from tests.differential.networks import image_networks, sequence_networks

GRAPH_PASSES = [each for each in ALL_PASSES if each.needs is Level.GRAPH and each.leaves is Level.GRAPH]
NETWORKS = {"images": image_networks(), "volumes": image_networks(6, 5), "sequences": sequence_networks()}
TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4")


def with_layouts(opt_level: int = 3) -> tuple[Pass, ...]:
    return (*graph_pipeline(opt_level), ChooseLayout(), EliminateDeadCode())


def check_keeps_meaning(sample: Sample, passes: tuple[Pass, ...], target: str = "x86-64-v3") -> None:
    """The passes verify, say truly whether they changed something, and leave a module that means the same."""
    before = evaluate(sample.module, sample.feeds)
    module = sample.module.clone()
    context = PassContext(Target.parse(target), module.pool, CompileOptions())
    PassManager(passes, Checks(changed_flag=True)).run(module, context)
    assert_same_meaning(evaluate(module, sample.feeds), before)


@pytest.mark.parametrize("kind", GRAPH_PASSES, ids=lambda kind: kind.name)
@settings(max_examples=6)
@given(sample=st.one_of(*NETWORKS.values()))
def test_a_pass_alone_keeps_the_meaning(kind: type[Pass], sample: Sample) -> None:
    check_keeps_meaning(sample, (kind(),))


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=15)
@given(data=st.data())
def test_all_passes_and_layouts_keep_the_meaning(name: str, data: st.DataObject) -> None:
    check_keeps_meaning(data.draw(NETWORKS[name]), with_layouts(), data.draw(st.sampled_from(TARGETS)))


@pytest.mark.parametrize("opt_level", [0, 1])
@settings(max_examples=10)
@given(sample=image_networks(), target=st.sampled_from(TARGETS))
def test_layouts_keep_the_meaning_of_unfused_networks(opt_level: int, sample: Sample, target: str) -> None:
    check_keeps_meaning(sample, with_layouts(opt_level), target)


@settings(max_examples=25)
@given(sample=graph_samples(most_ops=12, found_sizes=True))
def test_layouts_keep_the_meaning_of_any_ops(sample: Sample) -> None:
    check_keeps_meaning(sample, with_layouts())


@settings(max_examples=10)
@given(sample=image_networks())
def test_layouts_are_chosen_once(sample: Sample) -> None:
    """A second run finds nothing to do."""
    module = sample.module.clone()
    context = PassContext(Target.parse("x86-64-v3"), module.pool, CompileOptions())
    PassManager(with_layouts()).run(module, context)
    before = evaluate(module, sample.feeds)
    PassManager((ChooseLayout(),), Checks(changed_flag=True)).run(module, context)
    for got, wanted in zip(evaluate(module, sample.feeds), before, strict=True):
        np.testing.assert_array_equal(got, wanted)
