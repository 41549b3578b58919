"""Wrong names, types, shapes, targets, passes and places: the message says what would be right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlc
from tests.cli.support import invoke, refused, succeed

FEEDS = {
    "wrong name": ({"z": np.zeros((2, 4), np.float32)}, "no input 'z'", "'x'"),
    "wrong type": ({"x": np.zeros((2, 4), np.float64)}, "float32", "float64"),
    "wrong rank": ({"x": np.zeros((2, 4, 1), np.float32)}, "(batch, 4)", "(2, 4, 1)"),
    "wrong size": ({"x": np.zeros((2, 5), np.float32)}, "(batch, 4)", "dimension 1 is 5"),
}

COMPILE = {
    "target": (("--target", "z80"), "target 'z80' is unknown", "'x86-64-v3'"),
    "feature": (("--target", "x86-64-v3+avx9"), "unknown feature 'avx9'", "expected"),
    "pass": (("--without", "fold-batchnorm"), "there is no pass 'fold-batchnorm'", "did you mean fold-batch-norm"),
    "level": (("-O", "7"), "'-O'", "0<=x<=3"),
    "level text": (("-O", "fast"), "'-O'", "'fast'"),
    "form": (("--emit", "elf"), "'--emit'", "'so', 'obj', 'llvm', 'asm'"),
    "option": (("--frob",), "no such option '--frob'", "dlc compile --help"),
    "shape text": (("--input-shape", "x"), "NAME=1x3x224x224", "got 'x'"),
    "shape size": (("--input-shape", "x=2x-4"), "'-4' is neither a size nor a name", "NAME=batch,3"),
    "shape name": (("--input-shape", "z=2x4"), "'z'", "'x'"),
    "shape rank": (("--input-shape", "x=2x4x4"), "3 dimensions", "(batch, 4)"),
}

PLACES = {
    "no folder": ("nowhere/out.so", "there is no folder nowhere"),
    "a folder": (".", "it is a folder"),
    "not writable": ("/proc/out.so", "cannot write /proc/out.so"),
    "the model": ("relu.onnx", "is the model itself"),
}


@pytest.mark.parametrize("case", FEEDS)
def test_wrong_feeds(case: str, folder: Path, relu_library: Path) -> None:
    feeds, wrong, right = FEEDS[case]
    np.savez(folder / "feeds.npz", **feeds)
    message = refused("run", relu_library, "--inputs", "feeds.npz", "-o", "out.npz")
    assert wrong in message and right in message
    assert [path.name for path in folder.iterdir()] == ["feeds.npz"]
    with pytest.raises(dlc.UserError):
        dlc.load(relu_library).run(feeds)


@pytest.mark.parametrize("case", COMPILE)
def test_wrong_options(case: str, folder: Path, relu: Path) -> None:
    options, wrong, right = COMPILE[case]
    message = refused("compile", relu, *options, "-o", "out.so")
    assert wrong in message and right in message
    assert [path.name for path in folder.iterdir()] == ["relu.onnx"]


@pytest.mark.parametrize("case", PLACES)
def test_outputs_that_cannot_be_written(case: str, folder: Path, relu: Path) -> None:
    place, wrong = PLACES[case]
    contents = relu.read_bytes()
    assert wrong in refused("compile", relu, "-o", place)
    assert wrong in refused("compile", relu, "-o", place, "--emit", "asm")
    assert wrong in refused("dump", relu, "-o", place)
    assert wrong in refused("run", relu, "--random", "-o", place)
    assert relu.read_bytes() == contents
    assert {path.name for path in folder.iterdir()} <= {"relu.onnx", "cache"}


def test_a_missing_model_argument_is_named() -> None:
    assert "missing argument 'MODEL'" in refused("compile")


@pytest.mark.parametrize(
    ("contents", "wrong"),
    [(b"", "is not a compiled model"), (b"hello" * 100, "is not a compiled model"), (b"\x7fELF\x02\x01", "is not")],
)
def test_files_that_are_no_library(contents: bytes, wrong: str, folder: Path) -> None:
    (folder / "net.so").write_bytes(contents)
    assert wrong in refused("run", "net.so", "--random")
    assert "net.so" in refused("inspect", "net.so")


def test_libraries_that_are_cut_off_or_foreign(folder: Path, relu_library: Path) -> None:
    data = relu_library.read_bytes()
    (folder / "cut.so").write_bytes(data[: len(data) // 2])
    assert "cut.so is cut off" in refused("run", "cut.so", "--random")
    assert "cut.so" in refused("inspect", "cut.so")
    (folder / "other.so").write_bytes(data.replace(b"dlc_metadata", b"xlc_metadata"))
    assert "without dlc's symbols" in refused("inspect", "other.so")
    assert "compiled already" in refused("compile", relu_library)


def test_a_library_for_another_machine(folder: Path, relu: Path) -> None:
    arch = "aarch64" if dlc.Target.host().arch == "x86-64" else "x86-64"
    assert "this machine cannot run code for" in refused("run", relu, "--random", "--target", arch)
    succeed("compile", relu, "--target", arch, "-o", folder / "other.so")
    assert f"was compiled for {arch}" in refused("run", "other.so", "--random")


@pytest.mark.parametrize("contents", [b"", b"no array", b"\x93NUMPY\x01\x00"])
def test_files_that_are_no_arrays(contents: bytes, folder: Path, relu_library: Path) -> None:
    (folder / "x.npy").write_bytes(contents)
    assert "x.npy is not a whole .npy file" in refused("run", relu_library, "--input", "x=x.npy")
    assert "x.npy is not a whole .npz file" in refused("run", relu_library, "--inputs", "x.npy")
    assert "cannot read none.npy" in refused("run", relu_library, "--input", "x=none.npy")
    assert "--input must be NAME=FILE.npy, got 'x'" in refused("run", relu_library, "--input", "x")


def test_the_environment_is_checked_too(relu_library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_NUM_THREADS", "many")
    assert "DLC_NUM_THREADS must be a whole number" in refused("run", relu_library, "--random")


def test_a_cache_folder_that_cannot_be_made_is_a_warning(relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_CACHE_DIR", "/proc/cache")
    result = invoke("run", relu, "--random")
    assert result.exit_code == 0 and "y" in result.stdout
    assert result.stderr.startswith("dlc: warning: cannot write to the cache folder /proc/cache: ")
    assert result.stderr.count("warning") == 1


@pytest.mark.parametrize("size", ["-1", "ten", "10X", "1e9", "5 5", "G", "0x10"])
def test_a_cache_size_that_is_none(size: str, relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_CACHE_SIZE", size)
    wanted = f"DLC_CACHE_SIZE must be a number of bytes such as 500M or 10G, got {size!r}"
    assert wanted in refused("cache")
    assert wanted in refused("run", relu, "--random")


ARGUMENTS: dict[str, tuple[dict[str, Any], str]] = {
    "shapes": ({"input_shapes": [1]}, "input_shapes takes a mapping of input names to shapes, got list"),
    "shape number": ({"input_shapes": {"x": 5}}, "input_shapes gives 'x' as 5, expected its sizes"),
    "shape text": ({"input_shapes": {"x": "ab"}}, "input_shapes gives 'x' as 'ab', expected its sizes"),
    "shape none": ({"input_shapes": {"x": None}}, "input_shapes gives 'x' as None, expected its sizes"),
    "shape set": ({"input_shapes": {"x": {1, 2}}}, "input_shapes gives 'x' as {1, 2}, expected its sizes"),
    "size none": ({"input_shapes": {"x": (2.5, 4)}}, "input_shapes gives dimension 0 of 'x' as 2.5"),
    "size negative": ({"input_shapes": {"x": (-1, 4)}}, "input_shapes gives dimension 0 of 'x' as -1"),
    "size huge": ({"input_shapes": {"x": (1 << 70, 4)}}, "input 'x': a tensor must have at most 2**46 bytes"),
    "names mixed": ({"input_shapes": {5: (2, 4), "x": (2, 4)}}, "'5', which is no input of the model"),
    "target": ({"target": None}, "target must be a target's name or a dlc.Target, got NoneType"),
    "disable": ({"disable": None}, "disable takes names of passes, got None"),
    "disable mixed": ({"disable": ["x", 5]}, "disable takes names of passes, got ['x', 5]"),
    "level": ({"opt_level": "3"}, "opt_level must be 0, 1, 2 or 3, got '3'"),
    "level of truth": ({"opt_level": True}, "opt_level must be 0, 1, 2 or 3, got True"),
    "threads": ({"threads": 2.0}, "threads must be a whole number of at least 1, got 2.0"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_wrong_arguments_in_python(case: str, relu: Path) -> None:
    arguments, message = ARGUMENTS[case]
    with pytest.raises(dlc.UserError) as caught:
        dlc.compile(relu, **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("source", [None, 5, [], "", "a\0b", "x" * 300, b"", Path("/nowhere"), np.zeros(3, np.uint8)])
def test_models_that_are_none(source: Any, cache: bool) -> None:
    with pytest.raises(dlc.UserError):
        dlc.compile(source, cache=cache)


@pytest.mark.parametrize("cache", [True, False])
def test_bytes_of_every_kind(relu: Path, cache: bool) -> None:
    content = relu.read_bytes()
    apart = memoryview(bytes(each for letter in content for each in (letter, 0)))[::2]
    for source in (content, bytearray(content), memoryview(content), apart):
        assert dlc.compile(source, cache=cache)(np.ones((1, 4), np.float32)).tolist() == [[1, 1, 1, 1]]


def test_the_pass_that_gives_images_their_halos_cannot_be_left_out() -> None:
    with pytest.raises(dlc.UserError, match="choose-layout cannot be left out"):
        dlc.compile(b"x", disable=("choose-layout",))
