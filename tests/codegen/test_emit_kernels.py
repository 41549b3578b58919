"""Random kernels, plain and scheduled, compute compiled what the evaluator says they do, and write nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlc.errors import InternalError
from dlc.passes.loop.vectorize import NotVectorizable
from dlc.target import Target, host_can_run
from tests.loops.nests import NESTS, Case, same, text_of
from tests.loops.steps import STEPS
from tests.support.compiled import run_compiled

QUICK = settings(
    max_examples=40, deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)  # fmt: skip


@pytest.fixture(params=("x86-64-v2", "x86-64-v3", "host"))
def target(request: pytest.FixtureRequest) -> Target:
    wanted = Target.parse(str(request.param))
    can_run, missing = host_can_run(wanted)
    if not can_run:
        pytest.skip(f"this machine lacks {', '.join(missing)}")
    return wanted


def agrees(case: Case, folder: Path, target: Target) -> None:
    expected = case.run()
    actual = case.logical(run_compiled(case.func, case.arrays, folder, target, case.symbols))
    assert same(expected, actual), text_of(case.func)


@QUICK
@given(case=NESTS)
def test_plain_nest(case: Case, target: Target, tmp_path: Path) -> None:
    agrees(case, tmp_path, target)


@QUICK
@given(case=NESTS, data=st.data(), names=st.lists(st.sampled_from(sorted(STEPS)), min_size=1, max_size=5))
def test_scheduled_nest(case: Case, names: list[str], data: st.DataObject, target: Target, tmp_path: Path) -> None:
    for name in names:
        draw_step(data, STEPS[name], case)
    agrees(case, tmp_path, target)


def draw_step(data: st.DataObject, step: Callable[..., None], case: Case) -> None:
    try:
        data.draw(st.composite(lambda draw: step(draw, case.func))())
    except (InternalError, NotVectorizable):
        return  # a step that does not fit; tests/loops says that it changes nothing
