"""Each test works in an empty folder, with a cache of compiled models of its own."""

import tempfile
from pathlib import Path

import pytest

from tests.cli.support import conv_model, invoke, relu_model


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


@pytest.fixture
def relu(folder: Path) -> Path:
    return relu_model(folder / "relu.onnx")


@pytest.fixture
def conv(folder: Path) -> Path:
    return conv_model(folder / "conv.onnx")


@pytest.fixture(scope="session")
def relu_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The relu model, compiled once."""
    place = tmp_path_factory.mktemp("compiled")
    library = place / "relu.so"
    result = invoke("compile", relu_model(place / "relu.onnx"), "-o", library)
    assert result.exit_code == 0, result.output
    return library
