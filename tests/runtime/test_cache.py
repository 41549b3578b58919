"""The cache: it looks again at every file that a model was compiled from, is never the reason that a model does not
compile, keeps within its limit, and survives whatever stands in its folder.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc
from dlc.codegen.elf import writer
from dlc.driver.cache import ABANDONED, Cache, allowed_bytes
from dlc.errors import CacheWarning
from dlc.runtime import library
from tests.runtime.test_lifetime import X, Y, relu

driver = importlib.import_module("dlc.driver.compile")  # dlc.driver has a function of that name
KEY = "0123456789abcdef" * 2


def save(path: Path, value: float) -> None:
    """y = x + w, with w in a file beside the model."""
    weights = numpy_helper.from_array(np.full((64,), value, np.float32), "w")
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [64]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)


def test_changed_external_data_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "m.onnx"
    x = np.zeros(64, np.float32)
    save(path, 1.0)
    assert dlc.compile(path)(x)[0] == 1.0
    (tmp_path / "w.bin").write_bytes(np.full((64,), 2.0, np.float32).tobytes())  # the model's own file stays as it is
    assert dlc.compile(path)(x)[0] == 2.0


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("DLC_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with each model that is compiled and not found."""
    counted: list[int] = []
    write = driver.write_library

    def counting(*arguments: object) -> tuple[str, ...]:
        counted.append(1)
        return write(*arguments)  # type: ignore[arg-type]  # handed on as they came

    monkeypatch.setattr(driver, "write_library", counting)
    return counted


@pytest.fixture
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", CacheWarning)
        yield


def names(folder: Path) -> list[str]:
    return sorted(path.suffix for path in folder.iterdir())


# -- a cache that cannot be written ------------------------------------------------------------------------------------


def check_uncached(reason: str) -> None:
    """It compiles, with one warning that says why it is not kept, and only one in a process by default."""
    with pytest.warns(CacheWarning, match=reason) as caught:
        model = dlc.compile(relu(5))
    assert len(caught) == 1
    np.testing.assert_array_equal(model(X), Y)


@pytest.mark.parametrize("place", ["/proc/cache", "file", "file/below", "dangling", "x" * 300])
def test_a_folder_that_cannot_be_made(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in its place")
    (tmp_path / "dangling").symlink_to("/proc/nowhere/at/all")
    monkeypatch.setenv("DLC_CACHE_DIR", str(tmp_path / place))
    check_uncached("cannot write to the cache folder .*; models are compiled without a cache: set DLC_CACHE_DIR")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dangling", "file"]


def test_no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DLC_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    check_uncached("this user has no home folder")


@pytest.mark.parametrize("function", ["write_sections", "write_pieces"])
def test_a_disk_that_is_full_while_the_library_is_written(
    function: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, calls = getattr(writer, function), []

    def full_once(*arguments: object) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(writer, function, full_once)
    check_uncached("No space left on device")
    assert names(folder) == []


def test_a_full_disk_holds_no_more_than_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for columns in (6, 7):
        dlc.compile(relu(columns))
    monkeypatch.setenv("DLC_CACHE_SIZE", "1K")
    monkeypatch.setattr(os, "replace", full)
    check_uncached("No space left on device")
    assert names(folder) == []


@pytest.mark.parametrize("failing", ["replace", "utime"])
def test_a_disk_that_is_full_afterwards(failing: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    check_uncached("cannot write to the cache folder .*No space left on device")
    assert not [name for name in folder.iterdir() if name.suffix == ".tmp"]


def test_a_full_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "write_sections", full)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(dlc.UserError, match="cannot hold the compiled model: No space left on device"):
        dlc.compile(relu(5), cache=False)
    assert len(os.listdir("/proc/self/fd")) == before


LOCKED_UP = """
import os, sys
import numpy as np
def refuse(event, arguments):
    \"\"\"A system in which nothing can be written, but what has no name.\"\"\"
    writes = event == "open" and isinstance(arguments[0], (str, bytes)) and (arguments[2] or 0) & (
        os.O_WRONLY | os.O_RDWR | os.O_CREAT) and arguments[0] != "/dev/null"
    if writes or event in ("os.mkdir", "os.rename", "os.remove", "os.utime", "os.symlink", "os.link"):
        raise OSError(30, "Read-only file system")
sys.addaudithook(refuse)
import dlc
model = dlc.compile(sys.stdin.buffer.read())
print(model(np.full((2, 5), -1, np.float32)).sum(), model.artifact.path)
"""


@pytest.mark.usefixtures("quiet")
def test_a_container_in_which_nothing_can_be_written(folder: Path) -> None:
    """No home, no temporary folder, no cache: a model compiles and runs; a hit counts, although nobody can note it."""
    bare = {"PATH": os.defpath, "PYTHONPATH": os.environ.get("PYTHONPATH", "") or str(Path(dlc.__file__).parents[1]),
            "TMPDIR": "/nonexistent"}  # fmt: skip

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", LOCKED_UP]
        return subprocess.run(
            command, input=relu(5), env={**bare, **environment}, cwd="/", capture_output=True, check=False, timeout=120
        )  # type: ignore[return-value]  # bytes are as good

    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"0.0 /proc/self/fd/")
    assert done.stderr.count(b"CacheWarning") == 1
    assert b"Read-only file system; models are compiled without a cache: set DLC_CACHE_DIR" in done.stderr
    dlc.compile(relu(5))
    done = run(DLC_CACHE_DIR=str(folder))
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(f"0.0 {folder}".encode())


def test_a_folder_that_may_only_be_read(folder: Path, compilations: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    dlc.compile(relu(5))
    folder.chmod(0o555)
    if os.geteuid() == 0:  # who may write everywhere

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(os, "utime", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(dlc.compile(relu(5))(X), Y)
    assert len(compilations) == 1
    folder.chmod(0o755)


def test_a_folder_in_which_nothing_may_be_executed(
    folder: Path, compilations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """A mount with noexec, as far as a test can have one."""
    load = library.loaded

    def refuse(name: str, file: library.LibraryFile) -> int:
        if name.startswith(str(folder)):
            raise OSError(f"{name}: failed to map segment from shared object")
        return load(name, file)

    ask = os.fstatvfs
    noexec = SimpleNamespace(f_flag=ask(0).f_flag | os.ST_NOEXEC)
    monkeypatch.setattr(library, "loaded", refuse)
    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: noexec)
    for _ in range(2):
        np.testing.assert_array_equal(dlc.compile(relu(5))(X), Y)
    assert len(compilations) == 1
    assert len(kept(folder)) == 1


# -- notes and libraries that are damaged ------------------------------------------------------------------------------

NOTES: dict[str, bytes] = {
    "null": b"null", "true": b"true", "number": b"7", "text": b'"size"', "list": b"[]", "empty object": b"{}",
    "list of lists": b'[["size", 1]]', "no JSON": b"{size: 1}", "nothing": b"", "no text": b"\xff\xfe\x00",
    "deep": b"[" * 100_000, "cut off": b'{"size": SIZE, "fil',
    "no files": b'{"size": SIZE}',
    "no size": b'{"files": {}}',
    "size is text": b'{"size": "SIZE", "files": {}}',
    "size is null": b'{"size": null, "files": {}}',
    "size is a fraction": b'{"size": SIZE.5, "files": {}}',
    "another size": b'{"size": 17, "files": {}}',
    "infinite": b'{"size": Infinity, "files": {}}',
    "long": b'{"size": ' + b"9" * 5000 + b', "files": {}}',
    "files is a list": b'{"size": SIZE, "files": []}',
    "files is null": b'{"size": SIZE, "files": null}',
    "state is null": b'{"size": SIZE, "files": {"/etc/passwd": null}}',
    "state is text": b'{"size": SIZE, "files": {"/etc/passwd": "old"}}',
    "state is short": b'{"size": SIZE, "files": {"/": [1]}}',
    "no such file": b'{"size": SIZE, "files": {"/nowhere": [1, 2, 3]}}',
    "a name with a zero": b'{"size": SIZE, "files": {"a\\u0000b": [1, 2, 3]}}',
    "a name of half a letter": b'{"size": SIZE, "files": {"\\ud800": [1, 2, 3]}}',
    "the format before": b'{"LIBRARY": [SIZE, 0]}',
}  # fmt: skip


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("damage", NOTES)
def test_a_damaged_note_is_made_again(damage: str, folder: Path, compilations: list[int]) -> None:
    dlc.compile(relu(5))
    (note,) = folder.glob("*.json")
    good = note.read_bytes()
    size = str(note.with_suffix(".so").stat().st_size).encode()
    note.write_bytes(NOTES[damage].replace(b"SIZE", size).replace(b"LIBRARY", str(note.with_suffix(".so")).encode()))
    np.testing.assert_array_equal(dlc.compile(relu(5))(X), Y)
    assert len(compilations) == 2
    assert note.read_bytes() == good
    dlc.compile(relu(5))
    assert len(compilations) == 2
    assert names(folder) == [".json", ".so"]


def other_version(content: bytes) -> bytes:
    """The same size and headers, but not what this dlc calls."""
    return content.replace(b"dlc_abi_version", b"dlc_abi_vorsion")


LIBRARIES = {
    "cut off": lambda content: content[:-1], "emptied": lambda content: b"", "longer": lambda content: content + b"x",
    "zeros": lambda content: bytes(len(content)), "foreign": lambda content: b"text" * (len(content) // 4) + b"...",
    "another version": other_version, "no description": lambda content: content.replace(b'{"format"', b'{"firmat"'),
}  # fmt: skip


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("damage", LIBRARIES)
def test_a_damaged_library_is_made_again(damage: str, folder: Path, compilations: list[int]) -> None:
    dlc.compile(relu(5))
    (path,) = folder.glob("*.so")
    good = path.read_bytes()
    path.unlink()
    path.write_bytes(LIBRARIES[damage](good))
    np.testing.assert_array_equal(dlc.compile(relu(5))(X), Y)
    assert len(compilations) == 2
    assert path.read_bytes() == good


@pytest.mark.parametrize("suffix", [".so", ".json"])
def test_a_folder_in_the_place_of_a_file(suffix: str, folder: Path) -> None:
    dlc.compile(relu(5))
    (path,) = folder.glob("*.so")
    place = path.with_suffix(suffix)
    place.unlink()
    (place / "full").mkdir(parents=True)
    check_uncached("cannot write to the cache folder .*: Is a directory")


# -- the limit ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("", 10**10), ("0", 0), ("123", 123), ("500M", 500 * 10**6), ("500MB", 500 * 10**6), ("10 G", 10**10),
        ("1.5g", 1_500_000_000), ("2KiB", 2048), ("1Gi", 1 << 30), ("1tb", 10**12), (" 7k ", 7000), ("5B", 5),
    ],
)  # fmt: skip
def test_sizes(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_CACHE_SIZE", text)
    assert allowed_bytes() == size


def kept(folder: Path) -> set[str]:
    return {path.stem for path in folder.glob("*.so")}


def compiled(columns: int) -> str:
    return dlc.compile(relu(columns)).artifact.path.stem


def test_what_was_used_longest_ago_goes_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = (compiled(columns) for columns in (5, 6, 7))
    each = max(entry.bytes for entry in Cache(folder, 0).entries())
    monkeypatch.setenv("DLC_CACHE_SIZE", str(3 * each + 100))
    compiled(5)  # used again
    fourth = compiled(8)
    assert kept(folder) == {first, third, fourth}
    compiled(7)
    monkeypatch.setenv("DLC_CACHE_SIZE", str(2 * each + 100))
    fifth = compiled(9)
    assert kept(folder) == {third, fifth}
    assert second not in kept(folder)
    assert names(folder) == [".json"] * 2 + [".so"] * 2


def test_a_model_that_is_larger_than_the_cache_is_kept_until_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setenv("DLC_CACHE_SIZE", "1")
    first = compiled(5)
    assert kept(folder) == {first}
    second = compiled(6)
    assert kept(folder) == {second}


@pytest.mark.usefixtures("quiet")
def test_a_cache_of_no_size_keeps_nothing_and_finds_what_there_is(
    folder: Path, compilations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    dlc.compile(relu(5))
    monkeypatch.setenv("DLC_CACHE_SIZE", "0")
    for _ in range(2):
        np.testing.assert_array_equal(dlc.compile(relu(5))(X), Y)
    dlc.compile(relu(6))
    assert len(compilations) == 2
    assert len(kept(folder)) == 1


def test_other_files_stay_and_abandoned_ones_go(folder: Path) -> None:
    folder.mkdir()
    abandoned, fresh = folder / f".{KEY}.00ff.tmp", folder / f".{KEY}.00fe.tmp"
    others = [folder / name for name in ("notes.json", "model.so", f"{KEY}.txt", "README", f"{KEY}x.so")]
    for path in (abandoned, fresh, *others):
        path.write_bytes(b"x" * 1000)
    long_ago = time.time() - ABANDONED - 60
    for path in (abandoned, *others):
        os.utime(path, (long_ago, long_ago))
    cache = Cache(folder, 1)
    cache.shrink(KEY)
    assert not abandoned.exists()
    assert fresh.exists() and all(path.exists() for path in others)
    cache.clear()
    assert not fresh.exists() and all(path.exists() for path in others)


def test_a_model_in_use_survives_its_entry(folder: Path, tmp_path: Path) -> None:
    model = dlc.compile(relu(5))
    Cache(folder, 0).clear()
    assert names(folder) == []
    np.testing.assert_array_equal(model(X), Y)
    model.save(tmp_path / "saved.so")
    np.testing.assert_array_equal(dlc.load(tmp_path / "saved.so")(X), Y)


def test_an_entry_that_goes_between_its_search_and_its_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dlc.compile(relu(5))
    find = Cache.find

    def found_and_removed(cache: Cache, key: str) -> object:
        found = find(cache, key)
        cache.clear()
        return found

    monkeypatch.setattr(Cache, "find", found_and_removed)
    np.testing.assert_array_equal(dlc.compile(relu(5))(X), Y)


FILL = """
import sys
import numpy as np
import dlc
from tests.runtime.test_lifetime import relu
for columns in range(int(sys.argv[1]), int(sys.argv[2])):
    for again in (columns, max(columns - 2, int(sys.argv[1]))):
        x = np.full((2, again), -1, np.float32)
        assert (dlc.compile(relu(again))(x) == 0).all()
"""


def test_processes_that_fill_a_cache_over_its_limit_at_once(folder: Path, root: Path) -> None:
    """Two with models of their own, and two with the same."""
    dlc.compile(relu(5))
    each = Cache(folder, 0).entries()[0].bytes
    limit = 4 * each
    environment = {**os.environ, "PYTHONPATH": str(root), "DLC_CACHE_SIZE": str(limit), "PYTHONWARNINGS": "error"}
    shares = [(10, 20), (20, 30), (20, 30)]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", FILL, *map(str, share)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for share in shares
    ]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    entries = Cache(folder, 0).entries()
    assert sum(entry.bytes for entry in entries) <= limit + each
    assert names(folder) == [".json"] * len(entries) + [".so"] * len(entries)
    for note in folder.glob("*.json"):
        assert json.loads(note.read_bytes())["size"] == note.with_suffix(".so").stat().st_size
