"""A library is mapped as long as somebody uses it, and a model without a cache leaves nothing behind.

`DLC_LIFETIMES=200` compiles and drops 200 models in the test that takes 20 by default.
"""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

import dlc
from dlc.errors import UserError
from dlc.runtime.library import LibraryFile, close_descriptor, memory_descriptor

LIFETIMES = int(os.environ.get("DLC_LIFETIMES", "20"))
X = np.linspace(-1, 1, 10, dtype=np.float32).reshape(2, 5)
Y = np.maximum(X, 0)


def relu(columns: int) -> bytes:
    """y = relu(x), x of shape (batch, columns)."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", columns]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    content: bytes = made.SerializeToString()
    return content


def maps(*kinds: str) -> int:
    """How many pieces of compiled models are mapped."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    return sum(any(kind in line for kind in kinds) for line in lines)


def resident() -> int:
    """Bytes of this process in memory that are its own."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "model.so"
    dlc.compile(relu(5), cache=False).save(path)
    return path


def test_loads_and_drops_leave_no_maps_files_or_threads(saved: Path) -> None:
    gc.collect()
    gc.disable()  # the last user's end is the library's: nobody waits for a search for garbage
    try:
        files, tasks = len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))
        for _ in range(50):
            model = dlc.load(saved, threads=3)
            np.testing.assert_array_equal(model(X), Y)
            assert maps(str(saved)) > 0
        del model
        assert maps(str(saved)) == 0
        assert len(os.listdir("/proc/self/fd")) == files
        assert len(os.listdir("/proc/self/task")) == tasks
    finally:
        gc.enable()


def test_compilations_without_a_cache_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = maps("dlc-model")
    sizes, files = [], []
    for number in range(LIFETIMES):
        model = dlc.compile(relu(5 + number), cache=False, threads=2)
        x = np.full((3, 5 + number), -number, np.float32)
        np.testing.assert_array_equal(model(x), np.maximum(x, 0))
        del model
        assert maps("dlc-model") == before
        sizes.append(resident())
        files.append(len(os.listdir("/proc/self/fd")))
    assert list(tmp_path.iterdir()) == []
    assert len(set(files)) == 1
    settled = sizes[LIFETIMES // 4]  # the first ones fill what a process needs once
    assert max(sizes[LIFETIMES // 4 :]) - settled < 16 << 20, sizes


def test_a_killed_process_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, dlc\n"
        "model = dlc.compile(sys.stdin.buffer.read(), cache=False)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path), "DLC_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([sys.executable, "-c", script], input=relu(5), env=environment, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


def test_a_model_in_use_keeps_its_library(saved: Path) -> None:
    """One thread runs a model while another loads and drops the same file and others."""
    stop, wrong = threading.Event(), []
    model = dlc.load(saved, threads=2)

    def run(own: dlc.CompiledModel) -> None:
        while not stop.is_set():
            if not np.array_equal(own(X), Y):
                wrong.append(1)

    threads = [threading.Thread(target=run, args=(each,)) for each in (model, dlc.compile(relu(5), cache=False))]
    del model
    for thread in threads:
        thread.start()
    for _ in range(100):
        np.testing.assert_array_equal(dlc.load(saved, threads=2)(X), Y)
    stop.set()
    for thread in threads:
        thread.join()
    del threads
    gc.collect()
    assert not wrong
    assert maps(str(saved)) == 0


def test_the_end_of_a_model_during_its_run(saved: Path) -> None:
    """The last name of a model goes while a thread is inside."""
    models = [dlc.load(saved, threads=2) for _ in range(8)]
    large = np.ones((200_000, 5), np.float32)
    results: list[np.ndarray] = []
    threads = [threading.Thread(target=lambda: results.append(models.pop()(large))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8 and all((each == 1).all() for each in results)
    assert maps(str(saved)) == 0
    assert all((each == 1).all() for each in results), "outputs outlive the library"


def test_a_forked_child_drops_a_model_of_its_parent(saved: Path) -> None:
    model = dlc.load(saved, threads=3)
    model(X)
    child = os.fork()
    if child == 0:
        model = dlc.load(saved, threads=3)  # the parent's ends here, and its threads are no business of ours
        os._exit(0 if np.array_equal(model(X), Y) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(model(X), Y)


def test_an_exception_keeps_the_model_and_lets_it_go(saved: Path) -> None:
    with pytest.raises(UserError) as caught:
        dlc.load(saved)(np.zeros((2, 6), np.float32))
    assert maps(str(saved)) > 0  # the traceback holds the frame in which it ran
    del caught
    gc.collect()
    assert maps(str(saved)) == 0


# -- pickles and copies ------------------------------------------------------------------------------------------------


def run_model(model: dlc.CompiledModel) -> tuple[np.ndarray, int, str]:
    return model(X), model.threads, model.inputs[0].shape_text


@pytest.mark.parametrize("cache", [False, True])
def test_a_pickled_model_runs_in_a_spawned_process(
    cache: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    model = dlc.compile(relu(5), cache=cache, threads=3)
    for entry in tmp_path.glob("cache/*"):
        entry.unlink()  # what the file's name leads to does not matter
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as workers:
        result, threads, shape = workers.submit(run_model, model).result(timeout=120)
    np.testing.assert_array_equal(result, Y)
    assert (threads, shape) == (3, "(batch, 5)")


def test_a_pickle_is_the_file(saved: Path, tmp_path: Path) -> None:
    model = pickle.loads(pickle.dumps(dlc.load(saved)))
    model.save(tmp_path / "again.so")
    assert (tmp_path / "again.so").read_bytes() == saved.read_bytes()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model))(X), Y)


def test_a_pickle_of_a_file_that_was_written_to(saved: Path) -> None:
    model = dlc.load(saved)
    with open(saved, "ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=r"cannot pickle the model: .*model\.so has changed since it was loaded"):
        pickle.dumps(model)


def test_a_pickle_for_another_machine_or_of_nonsense() -> None:
    restore, (content, threads) = dlc.compile(relu(5), cache=False).__reduce__()
    with pytest.raises(UserError, match="is cut off"):
        restore(content[: len(content) // 2], threads)
    with pytest.raises(UserError, match="not a 64-bit ELF library"):
        restore(b"", threads)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_share_the_library_and_nothing_else(saved: Path, copied: object) -> None:
    model = dlc.load(saved, threads=2)
    np.testing.assert_array_equal(model(X), Y)
    mapped = maps(str(saved))
    twin = copied(model)  # type: ignore[operator]  # one of two functions
    assert maps(str(saved)) == mapped
    del model
    np.testing.assert_array_equal(twin(X), Y)
    del twin
    assert maps(str(saved)) == 0


# -- files in memory ---------------------------------------------------------------------------------------------------


def test_a_number_that_the_program_has_taken_is_not_closed(tmp_path: Path) -> None:
    descriptor = memory_descriptor()
    file = LibraryFile.in_memory_of(descriptor)
    os.close(descriptor)  # as a daemon does, with all numbers
    other = os.open(tmp_path / "other", os.O_CREAT | os.O_RDWR)
    assert other == descriptor
    assert not file.unchanged
    close_descriptor(descriptor, file.identity)
    assert os.write(other, b"still open") == 10
    os.close(other)


def test_a_model_whose_descriptor_was_closed_runs_and_is_not_mistaken_for_another() -> None:
    model = dlc.compile(relu(5), cache=False)
    os.close(model.artifact.file.descriptor)
    other = dlc.compile(relu(7), cache=False)  # gets the number, hence the name
    assert other.artifact.path == model.artifact.path
    np.testing.assert_array_equal(model(X), Y)
    assert other.inputs[0].shape == ("batch", 7)
    with pytest.raises(UserError, match="has changed since it was loaded"):
        model.save("nowhere.so")


def test_the_system_gives_no_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "memfd_create", refuse)
    with pytest.raises(UserError, match="gives no file in memory for the compiled model: Permission denied; hint: "):
        dlc.compile(relu(5), cache=False)
