"""One rule for what ONNX leaves open: at run time for any vectors, in constants of any size, in the evaluator."""

from __future__ import annotations

import numpy as np
import pytest

import dlc
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from dlc.target import Target, host_can_run
from tests.support.open_cases import EXAMPLES, assert_as_expected, model_of_all, repeated


@pytest.mark.parametrize("name", ["x86-64", "x86-64-v3", "x86-64-v4", "host"])
def test_at_run_time(name: str) -> None:
    can_run, missing = host_can_run(Target.parse(name))
    if not can_run:
        pytest.skip(f"this machine lacks {', '.join(missing)}")
    model, feeds = model_of_all(EXAMPLES, constant=False)
    assert_as_expected(dlc.compile(model, target=name, cache=False).run(feeds), EXAMPLES)


@pytest.mark.parametrize("times", [1, 60], ids=["few", "more than 1,024"])
def test_in_constants(times: int) -> None:
    examples = tuple(repeated(example, times) for example in EXAMPLES)
    model, _ = model_of_all(examples, constant=True)
    assert_as_expected(dlc.compile(model, opt_level=1, cache=False).run({}), examples)


def test_in_the_evaluator() -> None:
    model, feeds = model_of_all(EXAMPLES, constant=False)
    found = evaluate(load_model(model), {name: np.asarray(array) for name, array in feeds.items()})
    assert_as_expected({f"y{n}": array for n, array in enumerate(found)}, EXAMPLES)
