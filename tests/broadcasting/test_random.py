"""Axes that may turn out to be 1: random graphs of ops that broadcast, against NumPy, at sizes 0, 1 and more.

Each graph is compiled once, with a symbol for each axis, and runs at several sets of sizes: some make all axes equal,
in some one is 1 where another is not, some do not fit. What the evaluator makes of the same graph with numbers in it
(NumPy's answer, or an error) decides. Both bodies run in the evaluator, too.

    DLC_BROADCASTS=2000 python -m pytest tests/broadcasting -n 2       # the slow run: a quarter of an hour
"""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlc.errors import UserError
from dlc.ir.core import GENERAL, Module
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.guards import insert_guards
from dlc.ir.types import Array
from dlc.ir.verify import verify
from tests.broadcasting.recipes import MOST_ELEMENTS, Numbers, Recipe, recipes, sizes
from tests.differential.compiling import assert_same_meaning, compile_module, run_model

EXAMPLES = int(os.environ.get("DLC_BROADCASTS", "15"))
RUNS = 8  # sets of sizes for each graph


def answer(recipe: Recipe, numbers: Numbers) -> list[Array] | None:
    """NumPy's, or nothing where the sizes do not fit."""
    try:
        return evaluate(recipe.module(numbers), recipe.feeds(numbers))
    except UserError:
        return None


def too_much(recipe: Recipe, numbers: Numbers) -> bool:
    try:
        module = recipe.module(numbers)
    except UserError:
        return False
    types = [value.type for op in module.main.block.ops for value in op.results]
    return any(math.prod(kind.shape) > MOST_ELEMENTS for kind in types)  # type: ignore[attr-defined]


def guarded(recipe: Recipe) -> Module | None:
    """The graph with guards; nothing if no sizes fit."""
    module = recipe.module()
    try:
        insert_guards(module)
    except UserError as refused:
        assert "no sizes of the inputs" in str(refused)
        return None
    assert [str(problem) for problem in verify(module)] == []
    return module


def check(recipe: Recipe, chosen: list[Numbers], opt_level: int) -> None:
    try:
        module = guarded(recipe)
    except UserError:
        return  # two numbers that do not fit
    chosen = [numbers for numbers in chosen if not too_much(recipe, numbers)]
    if module is None:
        assert all(answer(recipe, numbers) is None for numbers in chosen)
        return
    model = compile_module(recipe.module(), opt_level=opt_level)
    for numbers in chosen:
        feeds, expected = recipe.feeds(numbers), answer(recipe, numbers)
        for body in dict.fromkeys(("", GENERAL if GENERAL in module.funcs else "")):
            if expected is None:
                with pytest.raises(UserError):
                    evaluate(module, feeds, body)
            else:
                assert_same_meaning(evaluate(module, feeds, body), expected)
        if expected is None:
            with pytest.raises(UserError, match=r"node_\d|must have shape"):
                run_model(model, recipe.module(), feeds)
            continue
        found = run_model(model, recipe.module(), feeds)
        assert [array.shape for array in found] == [array.shape for array in expected]
        assert_same_meaning(found, expected)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), recipe=recipes(), opt_level=st.sampled_from((3, 3, 3, 1, 0)))
def test_graphs_that_broadcast_give_what_numpy_gives(data: st.DataObject, recipe: Recipe, opt_level: int) -> None:
    try:
        recipe.module()
    except UserError:
        return
    with np.errstate(all="ignore"):
        check(recipe, [data.draw(sizes(recipe)) for _ in range(RUNS)], opt_level)
