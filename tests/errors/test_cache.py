"""The cache of compiled models survives failures and company."""

from pathlib import Path

import numpy as np
import pytest

import dlc
from dlc.driver import build
from dlc.errors import InternalError
from tests.cli.support import start


def entries(folder: Path) -> list[str]:
    return sorted(path.suffix for path in (folder / "cache").iterdir())


def test_two_processes_compile_the_same_model_at_once(folder: Path, relu: Path) -> None:
    processes = [start("run", relu, "--random", "--json") for _ in range(2)]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert results[0] == results[1]
    assert entries(folder) == [".json", ".so"]


def test_two_processes_write_the_same_output_at_once(folder: Path, relu: Path) -> None:
    processes = [start("compile", relu, "-o", folder / "out.so") for _ in range(2)]
    results = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], results
    assert sorted(path.name for path in folder.iterdir()) == ["out.so", "relu.onnx"]
    x = np.array([[-1, 0, 1, 2]], np.float32)
    assert dlc.load(folder / "out.so").run({"x": x})["y"].tolist() == [[0, 0, 1, 2]]


def test_a_failed_compilation_leaves_the_cache_as_it_was(
    folder: Path, relu: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    dlc.compile(relu)
    before = {path.name: path.read_bytes() for path in (folder / "cache").iterdir()}

    def broken(*_: object, **__: object) -> None:
        raise InternalError("the linker is broken")

    monkeypatch.setattr(build, "write_artifact", broken)
    with pytest.raises(InternalError):
        dlc.compile(relu, opt_level=1)
    assert {path.name: path.read_bytes() for path in (folder / "cache").iterdir()} == before
    assert dlc.compile(relu)(np.ones((1, 4), np.float32)).tolist() == [[1, 1, 1, 1]]


def test_a_damaged_entry_is_made_again(folder: Path, relu: Path) -> None:
    dlc.compile(relu)
    library = next((folder / "cache").glob("*.so"))
    data = library.read_bytes()
    library.unlink()
    library.write_bytes(data[: len(data) // 2])
    assert dlc.compile(relu)(np.ones((1, 4), np.float32)).tolist() == [[1, 1, 1, 1]]


def test_a_changed_model_is_compiled_again(folder: Path, relu: Path) -> None:
    dlc.compile(relu)
    data = relu.read_bytes()
    relu.write_bytes(data.replace(b"batch", b"count"))
    assert dlc.compile(relu).inputs[0].shape == ("count", 4)
