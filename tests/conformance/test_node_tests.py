"""All of ONNX's own node tests on compiled code: those that do not pass are listed, and no others."""

import unittest

import numpy as np
import pytest
from onnx.backend.test import BackendTest

from dlc import backend
from dlc.ir.eval import graph_nn
from tests.conformance import node_tests
from tests.conformance.node_tests import Outcome, left_out, outcome, without_evaluator


@pytest.mark.slow
def test_every_node_test_passes_or_is_listed_with_the_cause() -> None:
    found = outcome()
    print(found.line)
    assert found.wrong == {}
    assert found.unlisted == {}, "these fail, and are not listed"
    assert found.needless == [], "these pass: take them off the list"
    if len(found.faults) >= 1_884:  # those of onnx 1.23; before there were fewer
        assert len(found.passed) >= 1_291


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_onnx_s_own_runner_drives_it() -> None:
    runner = BackendTest(backend, __name__)
    for pattern in ("test_relu_cpu$", "test_single_relu_model_cpu$", "test_operator_clip_cpu$", "test_PReLU_1d_cpu$"):
        runner.include(pattern)
    outcome = unittest.TextTestRunner(stream=None).run(runner.test_suite)
    assert outcome.wasSuccessful(), outcome.failures + outcome.errors
    assert outcome.testsRun - len(outcome.skipped) == 4


def test_failures_that_are_not_listed_and_passes_that_are_stand_out() -> None:
    found = Outcome({"a": None, "b": "refused", "c": "WRONG: 1", "d": None, "e": "refused"}, {"d": "x", "e": "x"})
    assert (found.line, found.needless) == ("2 of 5", ["d"])
    assert list(found.unlisted) == ["b", "c"]
    assert list(found.wrong) == ["c"]


def test_each_listed_test_has_a_cause() -> None:
    assert all(left_out().values())


def test_the_evaluator_raises_where_compiled_code_runs() -> None:
    with pytest.raises(AssertionError, match="the evaluator runs"), without_evaluator():
        graph_nn.total(np.ones(1), (0,))
    assert np.sum([1, 1]) == 2  # and afterwards nothing is watched


def test_differences_in_value_type_and_shape_are_found() -> None:
    one = np.ones(2, np.float16)
    node_tests.check(one, one, "test_add", "y")
    for wrong in (one * np.float16(1.002), one.astype(np.float32), one[:, None]):  # two units; one is 1.001
        with pytest.raises(AssertionError):
            node_tests.check(wrong, one, "test_add", "y")
