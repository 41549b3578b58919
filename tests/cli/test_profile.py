"""`dlc profile`: every call is timed and counted, shares come from probes, older libraries are refused."""

from __future__ import annotations

import importlib.util
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

import dlc
from dlc.errors import UserError
from dlc.runtime.profile import Profiler
from tests.cli.support import refused, succeed
from tests.models.zoo import mlp, model_of, random_feeds, small_cnn, weight


@pytest.fixture(scope="module")
def cnn() -> dlc.CompiledModel:
    return dlc.compile(small_cnn(), threads=1)


@pytest.fixture
def library(cnn: dlc.CompiledModel, tmp_path: Path) -> str:
    Path(tempfile.gettempdir()).mkdir(exist_ok=True)  # the probes are written there
    cnn.save(tmp_path / "cnn.so")
    return str(tmp_path / "cnn.so")


def test_a_library_is_profiled_kernel_by_kernel(library: str) -> None:
    found = json.loads(succeed("profile", library, "--seconds", "0.05", "--json"))
    rows = found["kernels"]
    assert found["seconds"] > 0 and abs(sum(row["share"] for row in rows) - 1) < 1e-6
    assert all(row["calls"] == len(row["nodes"]) for row in rows)
    conv = next(row for row in rows if row["kernel"].startswith("conv"))
    assert conv["operations"] > 0 and conv["fma_share"] > 0 and conv["bandwidth_share"] > 0
    assert "conv.kernel" in conv["schedule"]


def test_the_table_names_kernels_and_their_schedules(library: str) -> None:
    text = succeed("profile", library, "--seconds", "0.05")
    assert "one thread" in text and "conv.kernel" in text and "of FMA peak" in text


def test_without_the_compiler_times_remain(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    text = succeed("profile", library, "--seconds", "0.05")
    assert "conv_0" in text and "shares of the machine's peaks are missing" in text


def test_work_is_counted_from_the_ops() -> None:
    model = mlp()
    compiled = dlc.compile(model, threads=1)
    feeds = random_feeds(model, 3)
    profiler = Profiler(compiled, feeds)
    dense = [call for call in profiler.calls if call.operations]
    weights = [np.prod(each.dims) for each in model.graph.initializer if len(each.dims) == 2]
    assert sum(call.operations for call in dense) >= 2 * 3 * sum(weights)
    assert sum(call.bytes for call in dense) >= 4 * sum(weights)


def test_winograd_counts_as_the_direct_convolution_and_as_what_it_computes() -> None:
    rng = np.random.default_rng(1)
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1] * 4)
    model = model_of([conv], [weight("w", rng.standard_normal((32, 32, 3, 3)))], (1, 32, 57, 54), (1, 32, 57, 54))
    profiler = Profiler(dlc.compile(model, threads=1), random_feeds(model, 1))
    (call,) = [call for call in profiler.calls if call.kernel.startswith("winograd_conv")]
    assert call.operations == 2 * 9 * 32 * 32 * 57 * 54
    assert call.performed == 2 * 36 * 32 * 32 * 15 * 14  # tiles of 4 x 4
    assert all(call.performed == call.operations for call in profiler.calls if "winograd" not in call.kernel)


def test_peaks_are_those_of_arithmetic_and_of_each_level_of_memory(library: str) -> None:
    peaks = json.loads(succeed("profile", library, "--seconds", "0.05", "--json"))["peaks"]
    assert set(peaks) == {"operations", "memory", "l3", "l2"}
    assert peaks["operations"] > 0 and peaks["memory"] > 0
    assert "GB/s from memory" in succeed("profile", library, "--seconds", "0.05")


def test_stamps_are_in_order_probes_run_between_and_results_stay(cnn: dlc.CompiledModel) -> None:
    feeds = random_feeds(small_cnn(), 1)
    expected = cnn.run(feeds)
    profiler = Profiler(cnn, feeds)
    asked = []
    times = profiler.run(lambda: asked.append(1))
    assert len(asked) == len(profiler.calls) + 1 == len(times) + 1
    assert (times >= 0).all() and times.sum() > 0
    before = profiler.stamps.copy()
    assert all(np.array_equal(value, expected[name]) for name, value in cnn.run(feeds).items())
    assert np.array_equal(profiler.stamps, before)  # nobody writes there any more


def test_what_cannot_be_profiled_is_refused(tmp_path: Path, cnn: dlc.CompiledModel) -> None:
    assert "there is no file" in refused("profile", str(tmp_path / "none.onnx"))
    (tmp_path / "text.so").write_text("no library")
    assert "not a compiled model" in refused("profile", str(tmp_path / "text.so"))
    calls = cnn.metadata.extra.pop("calls")
    try:
        with pytest.raises(UserError, match="compiled by a dlc that could not profile yet"):
            Profiler(cnn, random_feeds(small_cnn(), 1))
    finally:
        cnn.metadata.extra["calls"] = calls
