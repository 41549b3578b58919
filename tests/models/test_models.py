"""Whole models, compiled for this machine and for older ones, give what ONNX Runtime gave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import dlc
from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from tests.models.zoo import BATCHES, REAL_MODELS, Arrays, mlp, random_feeds, recorded, small_cnn, zoo_parameters
from tests.tolerances import assert_close

OLDER = [pytest.param(name, marks=pytest.mark.isa(name)) for name in ("x86-64-v3", "x86-64-v2")]


def check(found: Arrays, expected: Arrays) -> None:
    assert list(found) == list(expected)
    for name, wanted in expected.items():
        assert np.isfinite(found[name]).all(), f"{name} holds numbers that are not finite"
        assert_close(found[name], wanted, "network", name=name)


@pytest.mark.models
@pytest.mark.parametrize("target", ["host", *OLDER])
@pytest.mark.parametrize("name", REAL_MODELS)
def test_real_models_agree_with_their_recorded_outputs(name: str, target: str, shared: Path) -> None:
    feeds, expected = recorded(shared, name)
    model = dlc.compile(shared / "models" / f"{name}.onnx", target=target)
    check(model.run(feeds), {spec.name: expected[spec.name] for spec in model.outputs})


@pytest.mark.models
@pytest.mark.parametrize("opt_level", [0, 1])
def test_a_real_model_agrees_without_the_optimizations(opt_level: int, shared: Path) -> None:
    feeds, expected = recorded(shared, "yunet_n_320")
    model = dlc.compile(shared / "models" / "yunet_n_320.onnx", opt_level=opt_level)
    check(model.run(feeds), {spec.name: expected[spec.name] for spec in model.outputs})


@pytest.mark.models
def test_threads_do_not_change_the_bits(shared: Path) -> None:
    feeds, _ = recorded(shared, "ultraface_rfb_320")
    path = shared / "models" / "ultraface_rfb_320.onnx"
    one, three = (dlc.compile(path, threads=count).run(feeds) for count in (1, 3))
    for name, array in one.items():
        np.testing.assert_array_equal(array, three[name])


@pytest.mark.parametrize("target", ["host", *OLDER])
def test_the_digits_example_reads_its_digits(target: str, root: Path) -> None:
    samples = np.load(root / "examples" / "digits" / "samples.npz")
    path = root / "examples" / "digits" / "digits.onnx"
    model = dlc.compile(path, target=target)
    scores = model.run({"image": samples["images"]})["scores"]
    (expected,) = evaluate(load_model(path), [samples["images"]])
    assert_close(scores, expected)
    assert (scores.argmax(axis=1) == samples["labels"]).mean() > 0.97


@pytest.mark.parametrize("target", ["host", *OLDER])
@pytest.mark.parametrize("make", [mlp, small_cnn])
def test_one_library_runs_every_batch(make: object, target: str) -> None:
    made = make()  # type: ignore[operator]  # one of the two functions
    model = dlc.compile(made, target=target)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    for batch in (1, 3, 64, 2):
        feeds = random_feeds(made, batch, seed=batch)
        (expected,) = session.run(None, feeds)
        check(model.run(feeds), {"y": expected})


def test_the_rows_of_a_batch_do_not_depend_on_each_other() -> None:
    """A row gives the same wherever in whatever batch it stands."""
    made = mlp()
    model = dlc.compile(made)
    feeds = random_feeds(made, 21)
    whole = model.run(feeds)["y"]
    for row in (0, 7, 20):
        alone = model.run({"x": feeds["x"][row : row + 1]})["y"]
        assert_close(alone, whole[row : row + 1])


@pytest.mark.slow
@pytest.mark.parametrize("path", zoo_parameters())
def test_zoo_models_agree_with_onnx_runtime(path: Path) -> None:
    made = onnx.load(path)
    model = dlc.compile(path)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    free = any(not dim.HasField("dim_value") for v in made.graph.input for dim in v.type.tensor_type.shape.dim)
    for batch in BATCHES if free else BATCHES[:1]:
        feeds = random_feeds(made, batch)
        names = [spec.name for spec in model.outputs]
        check(model.run(feeds), dict(zip(names, session.run(names, feeds), strict=True)))
