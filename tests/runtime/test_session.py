"""Running a model: feeds of every kind, outputs, errors in the user's words, saving, threads and forks."""

import gc
import os
import subprocess
import sys
import threading
from collections import UserDict, defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlc
from dlc.errors import UserError
from tests.support.handmade import ADD_WEIGHTS, CHECKED, POSITIVES, copy_text, description, spec, write_model

pytestmark = pytest.mark.isa("x86-64")
WEIGHTS = np.arange(64, dtype=np.float32)
X = np.linspace(-1, 1, 64, dtype=np.float32)
Y = X * np.float32(0.1) + WEIGHTS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    return write_model(folder / "static.so", ADD_WEIGHTS, description(), WEIGHTS)


@pytest.fixture(scope="module")
def model(path: Path) -> dlc.CompiledModel:
    return dlc.load(path, threads=2)


@pytest.fixture(scope="module")
def dynamic(folder: Path) -> dlc.CompiledModel:
    shapes = description(
        symbols=["batch", "seq"], inputs=[spec("x", ("batch", "seq")), spec("mask", ("seq", "2 * batch"), "bool")],
        outputs=[spec("y", ("batch", "seq")), spec("z", ("seq - 2",))], workspace="batch * seq * 1000",
    )
    return dlc.load(write_model(folder / "dynamic.so", copy_text(2), shapes), threads=1)


@pytest.fixture(scope="module")
def counting(folder: Path) -> dlc.CompiledModel:
    shapes = description(
        symbols=["n"], derived=["k"], inputs=[spec("x", ("n",))],
        outputs=[spec("y", ("k",)), spec("w", (1, "2 * k"))],
    )
    return dlc.load(write_model(folder / "counting.so", POSITIVES, shapes, uppers={"k": "n"}), threads=1)


def mask(seq: int, batch: int) -> np.ndarray:
    return np.zeros((seq, 2 * batch), np.bool_)


def test_the_description(model: dlc.CompiledModel) -> None:
    assert model.inputs == (dlc.TensorSpec("x", np.dtype("float32"), (64,)),)
    assert model.outputs[0].name == "y"
    assert repr(model) == "CompiledModel(x: float32(64,) -> y: float32(64,); x86-64, 2 threads)"


def test_run_and_call(model: dlc.CompiledModel) -> None:
    results = model.run({"x": X})
    assert list(results) == ["y"]
    assert list(model.run(UserDict(x=X))) == ["y"]
    np.testing.assert_array_equal(results["y"], Y)
    np.testing.assert_array_equal(model(X), Y)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_the_same_bits_for_any_number_of_threads(path: Path, threads: int) -> None:
    np.testing.assert_array_equal(dlc.load(path, threads=threads)(X), Y)


def misaligned() -> np.ndarray:
    raw = np.zeros(X.nbytes + 1, np.uint8)
    raw[1:] = X.view(np.uint8)
    return raw[1:].view(np.float32)


def read_only() -> np.ndarray:
    array = X.copy()
    array.flags.writeable = False
    return array


MASKED = "input 'x' has masked elements, which compiled code knows nothing of; hint: x.filled(0)"
SCALAR = "input 'x' must have shape (64,), got (): 1 dimensions are expected, there are 0"
HUGE = f"there is no memory for a copy of input 'x' of shape ({1 << 58},), which is not contiguous: {1 << 60} bytes"


class Offering:
    """Something that is no array but can become one."""

    def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
        return X


class Exporting:
    """Something that hands out its memory by DLPack only."""

    def __dlpack__(self, **options: object) -> object:
        return X.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


@pytest.mark.parametrize(
    "value",
    [
        np.repeat(X, 2)[::2], X[::-1].copy()[::-1], misaligned(), read_only(), X.astype(">f4"), X.view(np.recarray),
        Offering(), Exporting(), memoryview(X).obj,
    ],
    ids=["strided", "reversed", "misaligned", "read-only", "big-endian", "subclass", "array", "dlpack", "plain"],
)
def test_feeds_of_every_kind(model: dlc.CompiledModel, value: object) -> None:
    np.testing.assert_array_equal(model.run({"x": value})["y"], Y)


def test_outputs_are_the_callers_and_aligned(model: dlc.CompiledModel) -> None:
    first, second = model(X), model(X + 1)
    assert first.ctypes.data % 64 == second.ctypes.data % 64 == 0
    assert not np.may_share_memory(first, second)
    np.testing.assert_array_equal(first, Y)
    first[:] = 0
    assert first.flags.writeable


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({}, "no value is given for input 'x', the model's inputs are: 'x'"),
        ({"z": X}, "the model has no input 'z', its inputs are: 'x'"),
        ({"x": X, "z": X}, "the model has no input 'z', its inputs are: 'x'"),
        ([X], "run takes a mapping of input names to arrays, got list"),
        ({"x": X.astype(np.float64)}, "input 'x' must have type float32, got float64"),
        ({"x": X.tolist()}, "input 'x' must be an array of type float32, got list"),
        ({"x": None}, "input 'x' must be an array of type float32, got NoneType"),
        ({"x": "text"}, "input 'x' must be an array of type float32, got str"),
        ({"x": b"bytes" * 50}, "input 'x' must be an array of type float32, got bytes"),
        ({"x": [[1.0], [2.0, 3.0]]}, "input 'x' must be an array of type float32, got list"),
        ({"x": 3.0}, "input 'x' must be an array of type float32, got float"),
        ({"x": float}, "input 'x' must be an array of type float32, got type"),
        ({"x": np.ndarray}, "input 'x' must have type float32, got object"),
        ({"x": np.array([None] * 64)}, "input 'x' must have type float32, got object"),
        ({"x": np.array(["1"] * 64)}, "input 'x' must have type float32, got <U1"),
        ({"x": X.astype("M8[s]")}, "input 'x' must have type float32, got datetime64[s]"),
        ({"x": np.zeros(64, [("a", "f4")])}, "input 'x' must have type float32, got [('a', '<f4')]"),
        ({"x": X.astype(np.complex64)}, "input 'x' must have type float32, got complex64"),
        ({"x": X.astype(">f8")}, "input 'x' must have type float32, got >f8"),
        ({"x": np.ma.masked_array(X, X > 0)}, MASKED),
        ({"x": np.float32(3)}, SCALAR),
        ({"x": np.array(3, np.float32)}, SCALAR),
        ({"x": np.broadcast_to(np.float32(1), 1 << 58)}, HUGE),
        ({"x": np.broadcast_to(np.array(1, ">f4"), 1 << 58)}, HUGE),
        ({0: X}, "the model has no input 0, its inputs are: 'x'"),
        ({b"x": X}, "the model has no input b'x', its inputs are: 'x'"),
        (defaultdict(list), "input 'x' must be an array of type float32, got list"),
        (None, "run takes a mapping of input names to arrays, got NoneType"),
        ("x", "run takes a mapping of input names to arrays, got str"),
        (X, "run takes a mapping of input names to arrays, got ndarray"),
        (np.zeros(2, [("x", "f4")]), "run takes a mapping of input names to arrays, got ndarray"),
        ({"x": X[:63]}, "input 'x' must have shape (64): dimension 0 is 63"),
        ({"x": X.reshape(8, 8)}, "input 'x' must have shape (64,), got (8, 8): 1 dimensions are expected, there are 2"),
    ],
)
def test_wrong_feeds(model: dlc.CompiledModel, feeds: Any, message: str) -> None:
    with pytest.raises(UserError) as caught:
        model.run(feeds)
    assert str(caught.value) == message
    np.testing.assert_array_equal(model(X), Y)


def test_a_wrong_number_of_arguments(model: dlc.CompiledModel) -> None:
    with pytest.raises(UserError, match=r"the model takes 1 inputs \('x'\), got 2"):
        model(X, X)


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, AttributeError, OSError, ZeroDivisionError, MemoryError])
@pytest.mark.parametrize("place", ["__array__", "__dlpack__", "__getattr__"])
def test_an_array_that_refuses_to_be_read(model: dlc.CompiledModel, kind: type[Exception], place: str) -> None:
    def refuse(*_: object, **__: object) -> np.ndarray:
        raise kind("it requires grad")

    if place == "__getattr__" and kind is AttributeError:
        pytest.skip("that is how something says that it is no array")
    value = type("Refusing", (), {place: refuse, "__dlpack_device__": lambda _: (1, 0)})()
    with pytest.raises(UserError, match=r"input 'x' cannot be read as an array: .*it requires grad"):
        model(value)


def test_tensors_of_torch(model: dlc.CompiledModel) -> None:
    torch = pytest.importorskip("torch")
    for tensor in (torch.from_numpy(X), torch.from_numpy(np.repeat(X, 2))[::2], torch.from_numpy(X.copy())):
        np.testing.assert_array_equal(model(tensor), Y)
    for wrong, message in {
        torch.zeros(64, requires_grad=True): "requires grad", torch.zeros(64, dtype=torch.bfloat16): "BFloat16",
        torch.zeros(64, device="meta"): "meta", torch.zeros(64).to_sparse(): "Sparse",
        torch.zeros(64, dtype=torch.float64): "must have type float32, got float64",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=f"input 'x' .*{message}"):
            model(wrong)


@pytest.mark.parametrize("place", [None, 5, "", b"m.so", "a\0b", "x" * 300, "."])
def test_places_to_save_to_or_load_from_that_are_none(model: dlc.CompiledModel, place: Any) -> None:
    with pytest.raises(UserError):
        model.save(place)
    with pytest.raises(UserError):
        dlc.load(place)


def test_outputs_that_are_too_large(dynamic: dlc.CompiledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> np.ndarray:
        raise MemoryError

    x = np.zeros((3, 4), np.float32)
    dynamic(x, mask(4, 3))
    monkeypatch.setattr(np, "empty", exhausted)
    with pytest.raises(UserError, match=r"there is no memory for output 'y' of shape \(3, 4\), 48 bytes"):
        dynamic(x, mask(4, 3))


def test_the_callers_arrays_are_filled(model: dlc.CompiledModel) -> None:
    target = np.zeros(64, np.float32)
    assert model.run({"x": X}, out={"y": target})["y"] is target
    np.testing.assert_array_equal(target, Y)
    np.testing.assert_array_equal(model.run({"x": X}, out={})["y"], Y)


def test_an_output_in_the_inputs_place(dynamic: dlc.CompiledModel) -> None:
    memory = np.arange(13, dtype=np.float32)
    x, y = memory[1:].reshape(3, 4), memory[:12].reshape(3, 4)
    expected = x.copy()
    dynamic.run({"x": x, "mask": mask(4, 3)}, out={"y": y})
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ({"z": X}, "the model has no output 'z', its outputs are: 'y'"),
        ([X], "out takes a mapping of output names to arrays, got list"),
        ({"y": [0.0] * 64}, "the array for output 'y' must be a numpy array, got list"),
        ({"y": np.zeros(64)}, "the array for output 'y' must have type float32, got float64"),
        ({"y": np.zeros(63, np.float32)}, "the array for output 'y' must have shape (64,), got (63,)"),
        ({"y": np.zeros(128, np.float32)[::2]}, "the array for output 'y' must be C-contiguous, aligned and writeable"),
        ({"y": read_only()}, "the array for output 'y' must be C-contiguous, aligned and writeable"),
    ],
)
def test_wrong_targets(model: dlc.CompiledModel, out: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(UserError) as caught:
        model.run({"x": X}, out=out)
    assert str(caught.value) == message


def test_two_outputs_in_one_place(dynamic: dlc.CompiledModel) -> None:
    memory = np.zeros(12, np.float32)
    out = {"y": memory.reshape(3, 4), "z": memory[:2]}
    with pytest.raises(UserError, match="the arrays for outputs 'y' and 'z' overlap"):
        dynamic.run({"x": np.zeros((3, 4), np.float32), "mask": mask(4, 3)}, out=out)


@pytest.mark.parametrize("batch", [0, 1, 5])
def test_symbolic_dimensions(dynamic: dlc.CompiledModel, batch: int) -> None:
    for seq in (2, 7, 300):
        x = np.arange(batch * seq, dtype=np.float32).reshape(batch, seq)
        y, z = dynamic(x, mask(seq, batch))
        np.testing.assert_array_equal(y, x)
        assert z.shape == (seq - 2,)


def test_dimensions_that_disagree(dynamic: dlc.CompiledModel) -> None:
    x = np.zeros((3, 4), np.float32)
    with pytest.raises(UserError) as caught:
        dynamic(x, np.zeros((4, 7), np.bool_))
    assert str(caught.value) == "input 'mask' must have shape (seq, batch * 2): dimension 1 is 7"
    with pytest.raises(UserError, match="dimension 0 is 5"):
        dynamic(x, np.zeros((5, 6), np.bool_))


def test_inputs_too_small_for_an_output(dynamic: dlc.CompiledModel) -> None:
    with pytest.raises(UserError, match="output 'z': a size of it, -1, is negative or too large"):
        dynamic(np.zeros((1, 1), np.float32), mask(1, 1))


def test_sizes_that_the_kernels_find_out(counting: dlc.CompiledModel) -> None:
    for x in (X, -X, np.ones(5, np.float32), -np.ones(5, np.float32), X[:0]):
        y, w = counting(x)
        np.testing.assert_array_equal(y, x[x > 0])
        assert y.base is None
        assert w.shape == (1, 2 * len(y))


def test_a_found_size_has_no_target(counting: dlc.CompiledModel) -> None:
    with pytest.raises(UserError, match="output 'y' cannot go to a given array: its size depends on the data"):
        counting.run({"x": X}, out={"y": np.zeros(32, np.float32)})


def test_errors_of_the_compiled_code(folder: Path) -> None:
    path = write_model(folder / "checked.so", CHECKED, description())
    model = dlc.load(path, threads=2)
    bad = np.ones(64, np.float32)
    model(bad)
    bad[17] = -1
    for _ in range(50):
        with pytest.raises(UserError, match=r"^index 17 is out of range, there are 64 rows$"):
            model(bad)
    bad[17] = 1
    model(bad)


def test_bfloat16_goes_through(folder: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    shapes = description(
        symbols=["n", "m"], inputs=[spec("x", ("n", "m"), "bfloat16")], outputs=[spec("y", ("n", "m"), "bfloat16")]
    )
    model = dlc.load(write_model(folder / "bf16.so", copy_text(1, item=2), shapes), threads=1)
    x = np.arange(8).reshape(4, 2).astype(ml_dtypes.bfloat16)
    y = model(x)
    assert y.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(y.astype(np.float32), x.astype(np.float32))


def test_many_threads_call_one_model(model: dlc.CompiledModel) -> None:
    def work(seed: int) -> bool:
        x = np.full(64, seed, np.float32)
        return all(np.array_equal(model(x), x * np.float32(0.1) + WEIGHTS) for _ in range(300))

    with ThreadPoolExecutor(4) as workers:
        assert all(workers.map(work, range(12)))


def test_a_forked_child_runs_the_model(model: dlc.CompiledModel) -> None:
    model(X)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(model(X), Y) and np.array_equal(model(X), Y) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(model(X), Y)


def test_threads_end_with_the_model(path: Path) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/task"))
    short_lived = dlc.load(path, threads=6)
    short_lived(X)
    assert len(os.listdir("/proc/self/task")) == before + 5
    del short_lived
    gc.collect()
    assert len(os.listdir("/proc/self/task")) <= before


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "threading.Thread(target=loop, daemon=True).start()"])
def test_the_interpreter_ends_cleanly(path: Path, ending: str) -> None:
    script = (
        "import sys, threading, dlc, numpy\n"
        "model = dlc.load(sys.argv[1], threads=4); x = numpy.zeros(64, 'float32'); model(x)\n"
        "def loop():\n    while True: model(x)\n"
        f"{ending}\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == (3 if "exit" in ending else 0), done.stderr


def test_saving_makes_a_copy_that_loads(model: dlc.CompiledModel, tmp_path: Path) -> None:
    model.save(tmp_path / "copy.so")
    assert os.listdir(tmp_path) == ["copy.so"]
    np.testing.assert_array_equal(dlc.load(tmp_path / "copy.so", threads=1)(X), Y)


def test_a_failed_save_leaves_the_old_file(path: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.so"
    dlc.load(path).save(changed)
    loaded = dlc.load(changed, threads=1)
    old = tmp_path / "old.so"
    old.write_bytes(b"old")
    with pytest.raises(UserError, match=r"cannot save the model to .*nowhere/m\.so: No such file or directory"):
        loaded.save(tmp_path / "nowhere" / "m.so")
    with open(changed, "ab") as file:
        file.write(b"something else")
    with pytest.raises(UserError, match="has changed since it was loaded"):
        loaded.save(old)
    assert old.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["changed.so", "old.so"]


@pytest.mark.parametrize("successor", [None, b"another file"])
def test_a_model_is_saved_though_its_file_has_lost_its_name(
    path: Path, tmp_path: Path, successor: bytes | None
) -> None:  # fmt: skip
    gone = tmp_path / "gone.so"
    dlc.load(path).save(gone)
    loaded = dlc.load(gone, threads=1)
    gone.unlink()
    if successor is not None:
        gone.write_bytes(successor)
    loaded.save(tmp_path / "again.so")
    assert (tmp_path / "again.so").read_bytes() == path.read_bytes()


def test_saving_over_the_loaded_file(path: Path, tmp_path: Path) -> None:
    dlc.load(path).save(tmp_path / "m.so")
    model = dlc.load(tmp_path / "m.so", threads=1)
    model.save(tmp_path / "m.so")
    np.testing.assert_array_equal(model(X), Y)


def test_other_python_threads_run_meanwhile(model: dlc.CompiledModel) -> None:
    ticks = []
    stop = threading.Event()
    ticker = threading.Thread(target=lambda: [ticks.append(1) for _ in iter(stop.is_set, True)])
    ticker.start()
    for _ in range(2000):
        model(X)
    stop.set()
    ticker.join()
    assert ticks
