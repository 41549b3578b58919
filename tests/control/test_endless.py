"""Loops that do not end by themselves: a most of trips, and runs that another thread cancels."""

from __future__ import annotations

import threading
import time

import numpy as np
import onnx
import pytest

import dlc
from dlc.errors import Cancelled, UserError
from tests.control.test_loops import AGAIN, STEP, body, loop, scalar
from tests.support.onnx_models import model, node


def endless(wide: int) -> onnx.ModelProto:
    """v + 1 as long as it is not m."""
    nodes = [
        node("Add", ["v", "one"], ["v2"]),
        node("ReduceMax", ["v2"], ["t"], keepdims=0),
        node("Less", ["t", "m"], ["c2"]),
    ]
    step = body(nodes, (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})
    inputs = {"x": ("f32", (wide,)), "m": ("f32", ())}
    return model([loop(["", "", "x"], ["y"], step)], inputs, {"y": "f32"}, {"one": scalar(1.0)})


@pytest.mark.parametrize("threads", [1, 2])
def test_a_run_ends_soon_after_it_is_cancelled(threads: int) -> None:
    module = dlc.compile(endless(64), cache=False, threads=threads)
    never = {"x": np.zeros(64, np.float32), "m": np.array(np.inf, np.float32)}
    late = []
    for _ in range(10):
        asked: list[float] = []
        other = threading.Timer(0.02, lambda times: (times.append(time.perf_counter()), module.cancel()), (asked,))
        other.start()
        with pytest.raises(Cancelled, match="cancelled"):
            module.run(never)
        late.append(time.perf_counter() - asked[0])
        other.join()
        found = module.run({"x": np.zeros(64, np.float32), "m": np.array(5, np.float32)})["y"]
        np.testing.assert_array_equal(found, np.full(64, 5, np.float32))
    assert sorted(late)[len(late) // 2] < 0.05, late


def test_to_cancel_when_nothing_runs_is_nothing() -> None:
    module = dlc.compile(endless(4), cache=False)
    module.cancel()
    assert module.run({"x": np.zeros(4, np.float32), "m": np.array(3, np.float32)})["y"][0] == 3
    module.cancel()
    assert module.run({"x": np.zeros(4, np.float32), "m": np.array(3, np.float32)})["y"][0] == 3


def test_a_most_of_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("argument", "variable"):
        if given == "variable":
            monkeypatch.setenv("DLC_MAX_TRIPS", "100")
        module = dlc.compile(endless(4), cache=False, max_trips=100 if given == "argument" else None)
        feeds = {"x": np.zeros(4, np.float32), "m": np.array(100, np.float32)}
        assert module.run(feeds)["y"][0] == 100
        with pytest.raises(UserError, match="Loop 'loop_y': it makes more trips than max_trips allows, 100"):
            module.run({**feeds, "m": np.array(101, np.float32)})
        assert module.run(feeds)["y"][0] == 100


@pytest.mark.parametrize("value", [0, -1, "many", True])
def test_what_is_no_number_of_trips(value: object) -> None:
    with pytest.raises(UserError, match="max_trips must be a number of at least 1"):
        dlc.compile(endless(4), max_trips=value)  # type: ignore[arg-type]


def test_an_unused_condition_is_no_loop_of_its_own() -> None:
    """The condition that the body is given may be what it gives back."""
    step = body([node("Mul", ["v", "v"], ["v2"]), AGAIN], (*STEP, ("v", "f32", None)), {"c2": "bool", "v2": "f32"})
    proto = model(
        [loop(["n", "go", "x"], ["y"], step)], {"n": ("si64", ()), "go": ("bool", ()), "x": ("f32", (3,))}, {"y": "f32"}
    )
    module = dlc.compile(proto, cache=False)
    x = np.array([1, 2, 3], np.float32)
    np.testing.assert_array_equal(module.run({"n": scalar(2), "go": np.array(True), "x": x})["y"], x**4)
    np.testing.assert_array_equal(module.run({"n": scalar(2), "go": np.array(False), "x": x})["y"], x)
