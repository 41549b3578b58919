"""Threads share the units of a recurrence: the same bits for any number of them, whatever the sizes."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

import dlc
from dlc.driver.compile import write_library
from dlc.driver.pipeline import Options
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.teams import has_teams
from dlc.passes.lower import schedule
from dlc.passes.lower.tiles import best_team
from dlc.target import Target
from tests.differential.compiling import lowered
from tests.support.onnx_models import expected, model, node
from tests.support.qemu_runner import emulator, run_under_qemu
from tests.tolerances import assert_close

Array = np.ndarray
WIDTH = 6
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
VARIANTS = [("RNN", {}), ("GRU", {}), ("GRU", {"linear_before_reset": 1}), ("LSTM", {})]
KINDS = pytest.mark.parametrize(("op", "attrs"), VARIANTS, ids=["rnn", "gru", "gru-linear", "lstm"])


@pytest.fixture
def five(monkeypatch: pytest.MonkeyPatch) -> None:
    """Teams of up to five, however little there is to do."""
    monkeypatch.setattr(schedule, "best_team", lambda *_: 5)


def network(op: str, hidden: int, directions: int, attrs: Mapping[str, object]) -> onnx.ModelProto:
    """One recurrence over any number of steps and sequences of different lengths."""
    rng = np.random.default_rng(hidden)
    rows = GATES[op] * hidden
    shapes = {"w": (directions, rows, WIDTH), "r": (directions, rows, hidden), "b": (directions, 2 * rows)}
    weights = {name: (rng.uniform(-1, 1, shape) / hidden**0.5).astype(np.float32) for name, shape in shapes.items()}
    ways = "bidirectional" if directions == 2 else "reverse"
    made = node(op, ["x", "w", "r", "b", "ends"], ["y", "last"], hidden_size=hidden, direction=ways, **attrs)
    inputs = {"x": ("f32", ("steps", "batch", WIDTH)), "ends": ("si32", ("batch",))}
    return model([made], inputs, {"y": "f32", "last": "f32"}, weights)


def feeds(steps: int, batch: int) -> dict[str, Array]:
    rng = np.random.default_rng(steps)
    x = rng.uniform(-1, 1, (steps, batch, WIDTH)).astype(np.float32)
    return {"x": x, "ends": np.maximum(1, steps - np.arange(batch) * 2).astype(np.int32)}


def check(proto: onnx.ModelProto, folder: Path, sizes: list[tuple[int, int]], target: str = "host") -> None:
    write_library(proto.SerializeToString(), Options(Target.parse(target)), folder / "model.so")
    models = [dlc.load(folder / "model.so", threads=threads) for threads in (1, 2, 3, 8)]
    for steps, batch in sizes:
        given = feeds(steps, batch)
        wanted = expected(proto, given)
        one, *others = [list(m.run(given).values()) for m in models]
        for found, want in zip(one, wanted, strict=True):
            assert_close(found, want, "network", name=f"{steps} steps of {batch}")
        for other in others:
            for found, same in zip(other, one, strict=True):
                np.testing.assert_array_equal(found, same)


@KINDS
@pytest.mark.parametrize(("hidden", "directions"), [(1, 1), (37, 2), (64, 1), (149, 1)])
def test_the_same_bits_for_any_number_of_threads(
    five: None, op: str, attrs: dict[str, object], hidden: int, directions: int, tmp_path: Path
) -> None:
    check(network(op, hidden, directions, attrs), tmp_path, [(1, 1), (9, 1), (6, 7)])


@KINDS
@pytest.mark.parametrize("target", ["x86-64-v2", pytest.param("x86-64-v3", marks=pytest.mark.isa("x86-64-v3"))])
def test_other_instruction_sets(
    five: None, op: str, attrs: dict[str, object], target: str, tmp_path: Path
) -> None:
    check(network(op, 37, 2, attrs), tmp_path, [(5, 1), (4, 3)], target)


@KINDS
def test_on_arm(five: None, op: str, attrs: dict[str, object], tmp_path: Path) -> None:
    emulator("aarch64")
    proto, given = network(op, 37, 2, attrs), feeds(6, 1)
    write_library(proto.SerializeToString(), Options(Target.parse("aarch64")), tmp_path / "arm.so")
    one, three = (run_under_qemu(tmp_path / "arm.so", given, threads=threads) for threads in (1, 3))
    for name, want in zip(("y", "last"), expected(proto, given), strict=True):
        assert_close(one[name], want, "network", name=name)
        np.testing.assert_array_equal(one[name], three[name])


@KINDS
def test_the_evaluator_agrees(five: None, op: str, attrs: dict[str, object]) -> None:
    """On the lowered module, whose arena is full of NaN, as the memory of the teams is."""
    module = load_model(network(op, 37, 2, attrs))
    given = list(feeds(4, 6).values())
    low = lowered(module, Options(Target.parse("x86-64-v3"))).module
    assert any(map(has_teams, low.funcs.values()))
    for found, want in zip(evaluate(low, given), evaluate(module, given), strict=True):
        assert_close(np.asarray(found), np.asarray(want), "network")


def test_no_steps_and_no_sequences(five: None) -> None:
    compiled = dlc.compile(network("LSTM", 64, 1, {}), cache=False, threads=3)
    assert not compiled.run({**feeds(1, 2), "x": np.zeros((0, 2, WIDTH), np.float32)})["last"].any()
    assert compiled.run(feeds(3, 0))["y"].shape == (3, 1, 0, 64)


def test_a_model_may_be_run_by_several_threads_at_once(five: None) -> None:
    compiled = dlc.compile(network("LSTM", 64, 1, {}), cache=False, threads=2)
    given = feeds(50, 1)
    wanted = compiled.run(given)["y"]
    with ThreadPoolExecutor(4) as threads:
        for found in threads.map(lambda _: compiled.run(given)["y"], range(40)):
            np.testing.assert_array_equal(found, wanted)


def test_only_steps_with_enough_to_do_are_shared() -> None:
    target = Target.parse("x86-64-v3")
    assert best_team(4 * 16 * 16, 1, 1, target) == 1
    assert best_team(4 * 256 * 256, 1, 1, target) > 2
    assert best_team(4 * 256 * 256, 1, 2, target) < best_team(4 * 256 * 256, 1, 1, target)
    assert best_team(4 * 256 * 256, 1, 1, target) < best_team(4 * 1024 * 1024, 4, 1, target)
