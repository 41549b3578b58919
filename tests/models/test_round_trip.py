"""The text of whole models: what is printed parses to the same module, at both levels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dlc.driver.pipeline import Options, imported_module, passes_for
from dlc.ir.compare import compare
from dlc.ir.core import Module
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from dlc.ir.verify import verify
from dlc.passes.base import CompileOptions, Pass, PassContext
from dlc.passes.manager import Checks, PassManager
from dlc.target import Target
from tests.models.zoo import REAL_MODELS, zoo_parameters

STOPS = ("outline-remaining", "choose-layout", "lower-graph", "plan-memory")
OTHERS = ("micro_kws_m_qdq", "micro_kws_m_static_qoperator", "yunet_n_dynamic")
TARGETS = ("x86-64-v4", "x86-64-v2", "aarch64")


def stages(path: Path, target: str) -> Iterator[tuple[str, Module]]:
    """The module as imported, and after the passes where its form changes; the same object every time."""
    options = Options(Target.parse(target))
    module = imported_module(path, options)
    yield "import", module
    context = PassContext(options.target, module.pool, CompileOptions())
    waiting: list[Pass] = []
    for each in passes_for(options):
        waiting.append(each)
        if each.name in STOPS:
            PassManager(waiting, Checks(verify=False), start=waiting[0].needs).run(module, context)
            waiting.clear()
            yield each.name, module


def check_round_trips(path: Path, target: str) -> None:
    seen = []
    for stage, module in stages(path, target):
        text = print_module(module)
        again = parse_module(text, module.pool, source=f"{path.stem} after {stage}")
        assert compare(again, module) is None, stage
        assert print_module(again) == text, stage
        assert [str(problem) for problem in verify(again)] == [], stage
        seen.append(stage)
    assert seen == ["import", *STOPS]


@pytest.mark.models
@pytest.mark.parametrize("name", [*REAL_MODELS, *OTHERS])
def test_the_text_of_real_models_parses_to_the_same(name: str, shared: Path) -> None:
    check_round_trips(shared / "models" / f"{name}.onnx", "x86-64-v3")


@pytest.mark.parametrize("target", TARGETS)
def test_the_text_of_the_example_parses_to_the_same(target: str, root: Path) -> None:
    check_round_trips(root / "examples" / "digits" / "digits.onnx", target)


@pytest.mark.slow
@pytest.mark.parametrize("path", zoo_parameters())
def test_the_text_of_zoo_models_parses_to_the_same(path: Path) -> None:
    check_round_trips(path, "x86-64-v3")
