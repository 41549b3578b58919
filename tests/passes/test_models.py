"""Real models through the whole pipeline: the same outputs, and about as many groups as there should be."""

from pathlib import Path

import numpy as np
import pytest

from dlc.frontends.load import load_model
from dlc.ir.core import Module
from dlc.ir.dialects.graph_flow import Group
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.eval.interpreter import evaluate
from dlc.passes.base import PassContext
from dlc.passes.manager import Checks, PassManager
from dlc.passes.pipelines import graph_pipeline
from dlc.target import Target
from tests.tolerances import assert_close

MOST_GROUPS = {"mnist": 4, "micro_kws_m_static_fp32": 10, "micro_kws_m_static_qoperator": 16, "yunet_n_320": 75}


@pytest.mark.models
@pytest.mark.parametrize("name", MOST_GROUPS)
def test_model_keeps_its_meaning(name: str, shared: Path) -> None:
    module = load_model(str(shared / "models" / f"{name}.onnx"))
    feeds = [feed(module, n) for n in range(len(module.main.args))]
    before = evaluate(module, feeds)
    PassManager(graph_pipeline(3), Checks(changed_flag=True)).run(
        module, PassContext(Target.parse("x86-64-v3"), module.pool)
    )
    for number, (got, wanted) in enumerate(zip(evaluate(module, feeds), before, strict=True)):
        assert_close(got, wanted, "network", name=f"{name} output {number}")
    assert sum(isinstance(op, Group) for op in module.main.block.ops) <= MOST_GROUPS[name]


def feed(module: Module, number: int) -> np.ndarray:
    kind = tensor(module.main.args[number])
    rng = np.random.default_rng(number)
    return rng.standard_normal([dim if isinstance(dim, int) else 1 for dim in kind.shape]).astype(kind.scalar.dtype)
