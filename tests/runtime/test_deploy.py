"""A compiled model is one file that needs numpy and the runtime: no compiler, no linker, none of the other packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dlc
from dlc.driver.compile import compiled_artifact, make_options, write_library
from tests.models.zoo import mlp, random_feeds, recorded

# Runs with `python -S`: only what the test puts on the path can be found, and of that only some may be imported.
PROGRAM = """
import sys

ALLOWED = {allowed!r}

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in ALLOWED and name.split(".")[0] not in sys.stdlib_module_names:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)
        for room in ("frontends", "passes", "codegen", "driver", "ir", "cli", "kernel_language"):
            if name == f"dlc.{{room}}" or name.startswith(f"dlc.{{room}}."):
                raise ModuleNotFoundError(f"{{name}} is part of the compiler", name=name)

sys.meta_path.insert(0, Refuse())
sys.path[:0] = {path!r}
import numpy as np
import dlc

model = dlc.load({library!r}, threads={threads})
feeds = dict(np.load({feeds!r}))
np.savez({results!r}, **model.run(feeds))
loaded = sorted({{name.split(".")[0] for name in sys.modules}} & set({unwanted!r}))
assert loaded == [], loaded
"""
UNWANTED = ("onnx", "llvmlite", "lark", "click", "rich", "google")


def run_alone(library: Path, feeds: dict[str, np.ndarray], folder: Path, threads: int = 1) -> dict[str, np.ndarray]:
    """The outputs of a library in a process that has numpy and nothing else, and no program to compile with."""
    np.savez(folder / "feeds.npz", **feeds)
    root = Path(dlc.__file__).resolve().parents[1]
    packages = Path(np.__file__).resolve().parents[1]
    program = PROGRAM.format(
        allowed=("numpy", "dlc"), path=[str(root), str(packages)], library=str(library), threads=threads,
        feeds=str(folder / "feeds.npz"), results=str(folder / "results.npz"), unwanted=UNWANTED,
    )  # fmt: skip
    empty = folder / "bin"
    empty.mkdir(exist_ok=True)
    environment = {"PATH": str(empty), "HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-s", "-c", program], env=environment, cwd=folder, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "results.npz"))


def assert_same_bits(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes(), name


@pytest.mark.models
@pytest.mark.parametrize("name", ["mnist", "yunet_n_320"])
def test_a_library_runs_where_only_numpy_is_installed(name: str, shared: Path, tmp_path: Path) -> None:
    feeds, _ = recorded(shared, name)
    library = tmp_path / "model.so"
    write_library(shared / "models" / f"{name}.onnx", make_options("host", None, 3, (), False), library)
    assert_same_bits(run_alone(library, feeds, tmp_path, threads=2), dlc.load(library).run(feeds))


def test_a_library_may_be_moved_and_its_source_deleted(tmp_path: Path) -> None:
    made = mlp()
    source = tmp_path / "model.onnx"
    source.write_bytes(made.SerializeToString())
    library = tmp_path / "model.so"
    write_library(source, make_options("host", None, 3, (), False), library)
    feeds = random_feeds(made, 7)
    expected = dlc.load(library).run(feeds)
    source.unlink()
    moved = library.rename(tmp_path / "renamed")
    assert_same_bits(run_alone(moved, feeds, tmp_path), expected)


def test_a_library_is_the_same_bytes_every_time(tmp_path: Path) -> None:
    options = make_options("x86-64-v3", None, 3, (), False)
    for name in ("first", "second"):
        write_library(mlp(), options, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


# -- the cache ---------------------------------------------------------------------------------------------------------

COMPILE = """
import sys
import numpy as np
import dlc
feeds = dict(np.load(sys.argv[2]))
np.savez(sys.argv[3], **dlc.compile(sys.argv[1]).run(feeds))
"""


@pytest.fixture
def saved_mlp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The MLP as a file, and a cache of its own."""
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "model.onnx"
    path.write_bytes(mlp().SerializeToString())
    return path


def test_two_processes_may_compile_the_same_model_at_once(saved_mlp: Path, tmp_path: Path, root: Path) -> None:
    feeds = random_feeds(mlp(), 3)
    np.savez(tmp_path / "feeds.npz", **feeds)
    environment = {**os.environ, "PYTHONPATH": str(root)}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", COMPILE, str(saved_mlp), str(tmp_path / "feeds.npz"), str(tmp_path / f"{n}.npz")],
            env=environment, stderr=subprocess.PIPE, text=True,
        )
        for n in range(2)
    ]  # fmt: skip
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    expected = dlc.compile(saved_mlp).run(feeds)
    for n in range(2):
        assert_same_bits(dict(np.load(tmp_path / f"{n}.npz")), expected)
    left = sorted(path.suffix for path in (tmp_path / "cache").iterdir())
    assert left == [".json", ".so"], "one entry, and nothing half written"


@pytest.mark.parametrize("damage", ["cut off", "emptied", "overwritten", "deleted", "note damaged"])
def test_a_damaged_entry_of_the_cache_is_made_again(damage: str, saved_mlp: Path) -> None:
    feeds = random_feeds(mlp(), 3)
    options = make_options("host", None, 3, (), False)
    expected = dlc.compile(saved_mlp).run(feeds)
    library = compiled_artifact(saved_mlp, options).path
    whole = library.read_bytes()
    damage_entry(damage, library, whole)
    assert_same_bits(dlc.compile(saved_mlp).run(feeds), expected)
    assert library.read_bytes() == whole


def damage_entry(damage: str, library: Path, whole: bytes) -> None:
    """A new file in place of the old: a loaded library must not change under those who use it."""
    note = library.with_suffix(".json")
    changed = {"cut off": whole[: len(whole) // 2], "emptied": b"", "overwritten": b"no library" * 99}
    if damage == "note damaged":
        note.write_text(json.dumps({"/nowhere": [1, 2]}))
        return
    library.unlink()
    if damage in changed:
        library.write_bytes(changed[damage])


def test_a_found_entry_is_not_compiled_again(saved_mlp: Path) -> None:
    options = make_options("host", None, 3, (), False)
    first = compiled_artifact(saved_mlp, options).path
    before = first.stat()
    second = compiled_artifact(saved_mlp, options).path
    assert (second, second.stat().st_ino, second.stat().st_mtime_ns) == (first, before.st_ino, before.st_mtime_ns)


def test_a_changed_model_is_compiled_again(saved_mlp: Path) -> None:
    options = make_options("host", None, 3, (), False)
    first = compiled_artifact(saved_mlp, options).path
    changed = mlp()
    changed.graph.node[-1].op_type = "LogSoftmax"
    saved_mlp.write_bytes(changed.SerializeToString())
    assert compiled_artifact(saved_mlp, options).path != first
    assert (dlc.compile(saved_mlp).run(random_feeds(changed, 2))["y"] < 0).all()
