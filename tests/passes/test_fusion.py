"""What holds for every partition: one root per group, groups only at the end, no order lost, each fusion optional."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.ir.core import Module
from dlc.ir.dialects.graph_flow import Group
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.fuse_elementwise import FuseElementwise
from dlc.passes.graph.fuse_epilogue import FuseEpilogue
from dlc.passes.graph.fuse_producers import FuseProducers
from dlc.passes.graph.fusion_roles import NO_ROOT, can_be_kernel, kernel_name
from dlc.passes.graph.outline_remaining import OutlineRemaining
from dlc.passes.manager import Checks, PassManager
from dlc.target import Target
from tests.differential.generators import Sample, graph_samples
from tests.tolerances import assert_close

TARGET = Target.parse("x86-64-v3")
FUSIONS: tuple[Pass, ...] = (FuseEpilogue(), FuseProducers(), FuseElementwise())


def fuse(module: Module, *fusions: Pass) -> None:
    passes = (*fusions, OutlineRemaining())
    PassManager(passes, Checks(changed_flag=True)).run(module, PassContext(TARGET, module.pool))


def groups(module: Module) -> list[Group]:
    return [op for op in module.main.block.ops if isinstance(op, Group)]


@settings(max_examples=60)
@given(sample=graph_samples(most_ops=16), chosen=st.lists(st.sampled_from(FUSIONS), unique=True))
def test_any_choice_of_fusions_leaves_valid_groups_that_mean_the_same(sample: Sample, chosen: list[Pass]) -> None:
    before = evaluate(sample.module, sample.feeds)
    fuse(sample.module, *(each for each in FUSIONS if each in chosen))
    assert not [op.name for op in sample.module.main.block.ops if can_be_kernel(op)]
    for group in groups(sample.module):
        roots = [kernel_name(op) for op in group.body.block.ops[:-1] if not isinstance(op, Constant)]
        roots = [name for name in roots if name not in NO_ROOT]
        assert roots == ([group.kernel] if group.kernel not in NO_ROOT else [])
    for got, wanted in zip(evaluate(sample.module, sample.feeds), before, strict=True):
        assert_close(got, wanted, "exact")


@settings(max_examples=20)
@given(sample=graph_samples(most_ops=16))
def test_fusion_is_deterministic(sample: Sample) -> None:
    again = sample.module.clone()
    fuse(sample.module, *FUSIONS)
    fuse(again, *FUSIONS)
    assert print_module(sample.module) == print_module(again)


def chain(count: int, op: str = "exp") -> Module:
    kind = "tensor<4xf32>"
    lines = [f"%v{n + 1} = graph.{op}(%v{n}) : ({kind}) -> {kind}" for n in range(count)]
    body = "\n".join(lines)
    end = f"func.return(%v{count}) : ({kind}) -> ()"
    return parse_module(f"dlc 1\nmodule @m {{\nfunc @main(%v0: {kind}) -> {kind} {{\n{body}\n{end}\n}}\n}}")


@pytest.mark.parametrize(("most", "kernels"), [(32, 2), (8, 5), (100, 1)])
def test_groups_stay_within_their_size(most: int, kernels: int) -> None:
    module = chain(40)
    fuse(module, FuseElementwise(most_ops=most))
    assert len(groups(module)) == kernels


def test_fusing_a_long_network_takes_linear_time() -> None:
    """Two thousand ops in a few tenths of a second; quadratic behaviour would take minutes."""
    module = chain(2000)
    records = PassManager((*FUSIONS, OutlineRemaining()), Checks(verify=False)).run(
        module, PassContext(TARGET, module.pool)
    )
    assert sum(record.seconds for record in records) < 5
