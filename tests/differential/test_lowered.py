"""The loop level means what the graph level means: kernels, calls, and buffers placed in one arena."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.driver.pipeline import Options
from dlc.ir.compare import compare
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from dlc.target import Target
from tests.differential.compiling import assert_same_meaning, lowered
from tests.differential.generators import Sample, graph_samples
from tests.differential.networks import image_networks, sequence_networks

SMALL = st.one_of(image_networks(5), sequence_networks(4), graph_samples(most_ops=10, found_sizes=True))
TARGETS = ("x86-64-v2", "x86-64-v3", "x86-64-v4", "aarch64")


def is_small(sample: Sample) -> bool:
    return sum(feed.size for feed in sample.feeds) < 400


@settings(max_examples=12)
@given(sample=SMALL.filter(is_small), target=st.sampled_from(TARGETS))
def test_lowered_modules_mean_the_same(sample: Sample, target: str) -> None:
    """What a kernel reads must have been written: the arena is full of NaN, and shared as it will be."""
    module = lowered(sample.module, Options(Target.parse(target))).module
    assert_same_meaning(evaluate(module, sample.feeds), evaluate(sample.module, sample.feeds))


@settings(max_examples=20)
@given(sample=SMALL, target=st.sampled_from(TARGETS))
def test_lowered_modules_survive_their_text(sample: Sample, target: str) -> None:
    module = lowered(sample.module, Options(Target.parse(target))).module
    text = print_module(module)
    again = parse_module(text, module.pool)
    assert compare(again, module, locations=False) is None
    assert print_module(again) == text
