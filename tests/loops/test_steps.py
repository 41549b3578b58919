"""Schedule steps drawn at random leave the meaning of drawn kernels as it was, and the IR well formed."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from dlc.errors import InternalError
from dlc.passes.loop.vectorize import NotVectorizable
from tests.loops.nests import NESTS, Case, problems_of, same, text_of
from tests.loops.steps import STEPS

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def step(data: st.DataObject, name: str, case: Case) -> None:
    """Take a step; one that refuses must change nothing. (Those of two parts may have done the first.)"""
    before = text_of(case.func)
    try:
        data.draw(st.composite(lambda draw: STEPS[name](draw, case.func))())
    except (InternalError, NotVectorizable):
        if name not in ("automatic", "vectorize in a split"):
            assert text_of(case.func) == before, f"{name} refused, but changed the kernel"
    assert problems_of(case.func) == [], f"{name} made:\n{text_of(case.func)}"


@pytest.mark.parametrize("name", sorted(STEPS))
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(data=st.data(), case=NESTS)
def test_step_keeps_the_meaning(name: str, case: Case, data: st.DataObject) -> None:
    expected = case.run()
    original = text_of(case.func)
    step(data, name, case)
    note(f"{name}:\n{original}\nbecame\n{text_of(case.func)}")
    assert same(expected, case.run())


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(data=st.data(), case=NESTS, names=st.lists(st.sampled_from(sorted(STEPS)), min_size=2, max_size=6))
def test_steps_in_a_row_keep_the_meaning(case: Case, names: list[str], data: st.DataObject) -> None:
    expected = case.run()
    original = text_of(case.func)
    for name in names:
        step(data, name, case)
    note(f"{names}:\n{original}\nbecame\n{text_of(case.func)}")
    assert same(expected, case.run())
