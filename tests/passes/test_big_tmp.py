"""Each pass, and each whole pipeline, keeps the meaning of random modules; the manager's checks are all on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.ir.core import Op
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_math import (
    Add,
    Cast,
    Clip,
    Div,
    Erf,
    Exp,
    HardSigmoid,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Pow,
    Reciprocal,
    Relu,
    Sigmoid,
    Sub,
    Tanh,
    Where,
)
from dlc.ir.dialects.graph_nn import BatchNorm, Conv, ConvTranspose, LayerNorm, MatMul, Pool, Reduce, Softmax
from dlc.ir.dialects.graph_shape import Broadcast, Concat, Pad, Reshape, Slice, Tile, Transpose
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.levels import Level
from dlc.passes.base import Pass, PassContext
from dlc.passes.manager import Checks, PassManager
from dlc.passes.pipelines import graph_pipeline
from dlc.passes.table import ALL_PASSES
from dlc.target import Target
from tests.differential.generators import STEPS, Sample, graph_samples
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
@settings(max_examples=200)
@given(sample=graph_samples())
def test_pass_keeps_the_meaning(kind: type[Pass], sample: Sample) -> None:
    check_keeps_meaning(sample, (kind(),))


# What the patterns look for is rare among all ops: the same with few kinds of op, so that they meet.
NEIGHBOURS: dict[str, tuple[type[Op], ...]] = {
    "linear": (Conv, MatMul, ConvTranspose, BatchNorm, Mul, Add, Pad, Pool),
    "arithmetic": (Add, Sub, Mul, Div, Neg, Relu, Clip, Maximum, Minimum, Pow, Cast, Where),
    "activations": (Mul, Add, Sigmoid, Exp, Reciprocal, Div, Sub, Reduce, Clip, HardSigmoid, Erf, Tanh),
    "movements": (Reshape, Transpose, Slice, Concat, Broadcast, Pad, Tile, Gather, Relu, Add),
    "attention": (MatMul, Reshape, Transpose, Slice, Mul, Add, Softmax, LayerNorm),
}


@pytest.mark.parametrize("neighbours", NEIGHBOURS)
@settings(max_examples=1000)
@given(data=st.data())
def test_pipeline_keeps_the_meaning_among_neighbours(neighbours: str, data: st.DataObject) -> None:
    kinds = [kind for kind in NEIGHBOURS[neighbours] if kind in STEPS]
    check_keeps_meaning(data.draw(graph_samples(kinds, most_ops=12)), graph_pipeline(3))


@pytest.mark.parametrize("opt_level", [0, 1, 3])
@settings(max_examples=1000)
@given(sample=graph_samples(most_ops=14, found_sizes=True))
def test_pipeline_keeps_the_meaning(opt_level: int, sample: Sample) -> None:
    check_keeps_meaning(sample, graph_pipeline(opt_level))
