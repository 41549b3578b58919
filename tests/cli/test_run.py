"""`dlc run` and `dlc bench`: inputs from files or at random, outputs as a table, as JSON and as a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.support import invoke, refused, succeed, two_output_model
from tests.tolerances import assert_close


@pytest.fixture
def x(folder: Path) -> np.ndarray:
    array = np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)
    np.save(folder / "x.npy", array)
    np.savez(folder / "x.npz", x=array)
    return array


@pytest.mark.parametrize("given", [("--input", "x=x.npy"), ("--inputs", "x.npz")])
def test_outputs_are_the_model_s(given: tuple[str, str], folder: Path, relu: Path, x: np.ndarray) -> None:
    text = succeed("run", relu, *given, "--output", "out.npz")
    assert "y" in text and "float32" in text and "(3, 4)" in text
    with np.load(folder / "out.npz") as archive:
        assert_close(archive["y"], np.maximum(x, 0), "exact")


def test_a_library_runs_as_the_model_does(folder: Path, relu: Path, relu_library: Path, x: np.ndarray) -> None:
    assert succeed("run", relu_library, "-i", "x=x.npy", "--threads", 1) == succeed("run", relu, "-i", "x=x.npy")


def test_the_second_run_comes_from_the_cache(folder: Path, relu: Path) -> None:
    first = succeed("run", relu, "--random")
    library = next((folder / "cache").glob("*.so"))
    made = library.stat().st_mtime_ns
    assert succeed("run", relu, "--random") == first
    assert library.stat().st_mtime_ns == made


def test_several_inputs_and_outputs(folder: Path) -> None:
    model = two_output_model(folder / "two.onnx")
    np.save(folder / "a.npy", np.full((2, 3), -1, np.float32))
    np.save(folder / "b.npy", np.full((2, 3), 3, np.float32))
    record = json.loads(succeed("run", model, "-i", "a=a.npy", "-i", "b=b.npy", "--json"))
    assert list(record) == ["sum", "clipped"]
    assert record["sum"] == {"dtype": "float32", "shape": [2, 3], "min": 2, "max": 2, "mean": 2, "values": [2.0] * 6}
    assert record["clipped"]["values"] == [0.0] * 6
    assert "clipped" in succeed("run", model, "-i", "a=a.npy", "--random")


def test_named_dimensions_of_random_inputs(relu: Path) -> None:
    assert json.loads(succeed("run", relu, "--random", "--json"))["y"]["shape"] == [1, 4]
    assert json.loads(succeed("run", relu, "--random", "--json", "--dim", "batch=8"))["y"]["shape"] == [8, 4]
    assert "no dimension 'bach', its named dimensions are: batch" in refused("run", relu, "--random", "--dim", "bach=8")


def test_random_inputs_repeat_with_their_seed(relu: Path) -> None:
    texts = [succeed("run", relu, "--random", "--seed", seed) for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_not_a_number_is_counted(folder: Path, relu: Path) -> None:
    np.save(folder / "bad.npy", np.array([[np.inf, 1, 2, 3]], np.float32))
    record = json.loads(succeed("run", relu, "-i", "x=bad.npy", "--json"))["y"]
    assert record["not_finite"] == 1
    assert record["max"] == 3
    assert "1 not finite" in succeed("run", relu, "-i", "x=bad.npy")


def test_missing_input_says_how_to_give_it(relu: Path) -> None:
    message = refused("run", relu)
    assert "no value is given for input 'x'" in message
    assert "--input x=file.npy" in message


def test_options_of_a_compilation_do_not_fit_a_library(relu_library: Path) -> None:
    assert "is compiled already, -O has no effect" in refused("run", relu_library, "--random", "-O", 1)


def test_latency(relu_library: Path) -> None:
    record = json.loads(succeed("bench", relu_library, "--seconds", "0.05", "--threads", 1, "--json"))
    (ours,) = record["runtimes"]
    assert record["threads"] == 1
    assert ours["name"] == "dlc"
    assert 0 < ours["min"] <= ours["median"] <= ours["p90"]
    assert "median" in succeed("bench", relu_library, "--seconds", "0.05", "--dim", "batch=4")


def test_latency_against_another_runtime(relu: Path) -> None:
    pytest.importorskip("onnxruntime")
    result = invoke("bench", relu, "--seconds", "0.05", "--against", "onnxruntime", "--json")
    assert result.exit_code == 0, result.output
    ours, other = json.loads(result.stdout)["runtimes"]
    assert (ours["name"], other["name"]) == ("dlc", "onnxruntime")
    assert other["ratio"] == pytest.approx(other["median"] / ours["median"])


def test_other_runtimes_need_the_model_file(relu: Path, relu_library: Path) -> None:
    assert "cannot run the library" in refused("bench", relu_library, "--against", "onnxruntime")
    assert "'tvm' is not known, expected onnxruntime or openvino" in refused("bench", relu, "--against", "tvm")
