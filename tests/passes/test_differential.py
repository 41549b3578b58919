"""Each pass, and each whole pipeline, keeps the meaning of random modules; the manager's checks are all on."""

import numpy as np
import pytest
from hypothesis import given, settings

from dlc.ir.eval.interpreter import evaluate
from dlc.ir.levels import Level
from dlc.passes.base import Pass, PassContext
from dlc.passes.manager import Checks, PassManager
from dlc.passes.pipelines import graph_pipeline
from dlc.passes.table import ALL_PASSES
from dlc.target import Target
from tests.differential.generators import Sample, graph_samples
from tests.tolerances import assert_close

TARGET = Target.parse("x86-64-v3")
GRAPH_PASSES = [each for each in ALL_PASSES if each.needs is Level.GRAPH and each.leaves is Level.GRAPH]


def check_keeps_meaning(sample: Sample, passes: tuple[Pass, ...]) -> None:
    before = evaluate(sample.module, sample.feeds)
    manager = PassManager(passes, Checks(changed_flag=True))
    manager.run(sample.module, PassContext(TARGET, sample.module.pool))
    after = evaluate(sample.module, sample.feeds)
    for number, (got, wanted) in enumerate(zip(after, before, strict=True)):
        if np.all(np.isfinite(wanted)) if wanted.dtype.kind == "f" else True:
            assert_close(got, wanted, "network", name=f"output {number}")


@pytest.mark.parametrize("kind", GRAPH_PASSES, ids=lambda kind: kind.name)
@settings(max_examples=15)
@given(sample=graph_samples())
def test_pass_keeps_the_meaning(kind: type[Pass], sample: Sample) -> None:
    check_keeps_meaning(sample, (kind(),))


@pytest.mark.parametrize("opt_level", [0, 1, 3])
@settings(max_examples=40)
@given(sample=graph_samples(most_ops=14, found_sizes=True))
def test_pipeline_keeps_the_meaning(opt_level: int, sample: Sample) -> None:
    check_keeps_meaning(sample, graph_pipeline(opt_level))
