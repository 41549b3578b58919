"""Drawn programs of If, Loop and Scan against ONNX Runtime. Many of them:

DLC_PROGRAMS=500 python -m pytest tests/control/test_programs.py
"""

from __future__ import annotations

import os

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlc
from tests.control.programs import programs
from tests.support.guarded_memory import guarded
from tests.tolerances import assert_close

__all__ = ["guarded"]
EXAMPLES = int(os.environ.get("DLC_PROGRAMS", "15"))


def session(proto: onnx.ModelProto) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    # Its optimizer crashes on some of these programs.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(proto.SerializeToString(), options)


@pytest.mark.usefixtures("guarded")
@settings(
    max_examples=EXAMPLES, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip
@given(programs(), st.sampled_from([0, 3]))
def test_programs(proto: onnx.ModelProto, level: int) -> None:
    module = dlc.compile(proto, cache=False, opt_level=level, threads=1)
    theirs = session(proto)
    for count, length in ((2, 3), (1, 6), (5, 1), (3, 3)):
        rng = np.random.default_rng(count)
        feeds = {
            "x": rng.standard_normal(4).astype(np.float32), "z": rng.standard_normal(length).astype(np.float32),
            "n": np.array(count),
        }  # fmt: skip
        for (name, found), want in zip(module.run(feeds).items(), theirs.run(None, feeds), strict=True):
            assert found.shape == want.shape, name
            assert_close(found, want, "network", name=name)
