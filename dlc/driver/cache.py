"""The cache of compiled models: a folder of shared libraries, named by what they were compiled from and with.

Any number of processes use one folder without locks. A library is written under another name and renamed when it is
whole; its note, which says what the model was made from, follows. An entry counts only with a note that fits the
library and files that have not changed since, so half an entry is none, whoever removes or replaces it meanwhile. A
library that was found or made is held open and can be loaded even if another process has removed its name.

The note's time of change is the time of the last use: entries that were used longest ago go first.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator
from functools import cache as memoize
from pathlib import Path
from typing import Any

from dlc.digest import blake2b
from dlc.errors import CannotWrite, UserError
from dlc.kernel_files import kernel_root
from dlc.record import record
from dlc.runtime.library import LibraryFile

SAMPLE = 1 << 16
FOLDER, SIZE = "DLC_CACHE_DIR", "DLC_CACHE_SIZE"
DEFAULT_SIZE = "10G"
UNITS = {"": 1, **{letter: 1000**power for power, letter in enumerate("KMGT", 1)},
         **{f"{letter}I": 1024**power for power, letter in enumerate("KMGT", 1)}}  # fmt: skip
AMOUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?", re.IGNORECASE | re.ASCII)
OURS = re.compile(r"([0-9a-f]{32})\.(so|json)")
UNFINISHED = re.compile(r"\.[0-9a-f]{32}\.[0-9a-f]+\.tmp")
ABANDONED = 24 * 3600  # seconds after which nobody is going to finish a file


def default_folder() -> Path:
    """``DLC_CACHE_DIR``, or the user's cache folder. Raises CannotWrite where there is none."""
    chosen = os.environ.get(FOLDER) or os.environ.get("XDG_CACHE_HOME")
    if chosen:
        return Path(chosen) if os.environ.get(FOLDER) else Path(chosen) / "dlc"
    try:
        return Path.home() / ".cache" / "dlc"
    except RuntimeError:
        raise CannotWrite("this user has no home folder", hint=f"set {FOLDER}") from None


def allowed_bytes() -> int:
    """``DLC_CACHE_SIZE``, as bytes. Raises UserError."""
    text = os.environ.get(SIZE, "").strip() or DEFAULT_SIZE
    found = AMOUNT.fullmatch(text)
    if found is None or found[2].upper() not in UNITS:
        raise UserError(f"{SIZE} must be a number of bytes such as 500M or 10G, got {text!r}")
    return int(float(found[1]) * UNITS[found[2].upper()])


@record
class Kept:
    """A model in the cache: its key, the bytes of its files, and when it was last used."""

    key: str
    bytes: int
    used: int  # nanoseconds


@record
class Cache:
    """Compiled models in `folder`, of `limit` bytes or less together, the newest aside."""

    folder: Path
    limit: int

    @classmethod
    def default(cls) -> Cache:
        """The cache that the environment asks for. Raises UserError, CannotWrite if there is no place for one."""
        limit = allowed_bytes()
        return cls(default_folder(), limit)

    def find(self, key: str) -> LibraryFile | None:
        """The library of `key`, if it is there and whole and the files that it was made from have not changed."""
        note = self.folder / f"{key}.json"
        try:
            found = noted(note.read_bytes())
            if found is None or any(identity(name) != state for name, state in found[1].items()):
                return None
            file = LibraryFile.opened(self.folder / f"{key}.so")
        except (OSError, ValueError):  # ValueError: a name that no file can have
            return None
        if file.identity[2] != found[0]:
            return None
        with contextlib.suppress(OSError):  # in a folder that we may only read nobody counts
            mark_used(note)
        return file

    def begin(self, key: str) -> NewEntry:
        """A file to write the library of `key` to. Raises CannotWrite."""
        self.shrink()  # the limit may be another one than before, and the disk be full
        return NewEntry(self, key)

    def entries(self) -> list[Kept]:
        """What is there, the longest unused first."""
        sizes: dict[str, int] = {}
        used: dict[str, int] = {}
        for name, status in self._files(OURS):
            key = name.partition(".")[0]
            sizes[key] = sizes.get(key, 0) + status.st_size
            used[key] = max(used.get(key, 0), status.st_mtime_ns)
        return sorted((Kept(key, size, used[key]) for key, size in sizes.items()), key=lambda each: each.used)

    def shrink(self, keep: str | None = None) -> None:
        """Remove what was used longest ago until the rest is small enough; `keep` stays anyway."""
        entries = self.entries()
        total = sum(each.bytes for each in entries)
        for each in entries:
            if total <= self.limit:
                break
            if each.key != keep:
                self.remove(each.key)
                total -= each.bytes
        for name, status in self._files(UNFINISHED):
            if time.time() - status.st_mtime > ABANDONED:
                self._unlink(name)

    def clear(self) -> list[Kept]:
        """Remove everything; returns what was there. Raises UserError where that is not allowed."""
        entries = self.entries()
        for each in entries:
            self.remove(each.key)
        for name, _ in self._files(UNFINISHED):
            self._unlink(name)
        if left := {each.key for each in self.entries()} & {each.key for each in entries}:
            raise UserError(f"cannot remove {len(left)} of {len(entries)} entries of the cache folder {self.folder}")
        return entries

    def remove(self, key: str) -> None:
        """Remove an entry, the note first: nobody takes the library without it."""
        self._unlink(f"{key}.json")
        self._unlink(f"{key}.so")

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(OSError):  # another process was first, or the file is another user's
            (self.folder / name).unlink()

    def _files(self, names: re.Pattern[str]) -> list[tuple[str, os.stat_result]]:
        """The files of a kind. Others in the folder are not ours, and stay."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
            for entry in entries:
                if names.fullmatch(entry.name):
                    with contextlib.suppress(OSError):  # another process removed it
                        found.append((entry.name, entry.stat(follow_symlinks=False)))
        return found


class NewEntry:
    """An entry in the making: a library that is written to `descriptor`, and then kept, or dropped at the end."""

    def __init__(self, cache: Cache, key: str) -> None:
        self.cache = cache
        self.key = key
        self.path = cache.folder / f"{key}.so"
        self._temporary = cache.folder / f".{key}.{os.urandom(8).hex()}.tmp"
        try:
            cache.folder.mkdir(parents=True, exist_ok=True)
            self.descriptor = os.open(self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o777)
        except OSError as problem:
            raise CannotWrite(f"cannot write to the cache folder {cache.folder}: {problem.strerror}") from None

    def keep(self, files: tuple[str, ...]) -> None:
        """Give the library its name, and note the state of the files behind it. Raises CannotWrite."""
        note = self.path.with_suffix(".json")
        written = self.cache.folder / f".{self.key}.{os.urandom(8).hex()}.tmp"
        states = {name: identity(name) for name in map(os.path.abspath, files)}
        try:
            written.write_text(json.dumps({"size": os.fstat(self.descriptor).st_size, "files": states}))
            os.replace(self._temporary, self.path)
            os.replace(written, note)
            mark_used(note)
        except OSError as problem:
            raise CannotWrite(f"cannot write to the cache folder {self.cache.folder}: {problem.strerror}") from None
        finally:
            with contextlib.suppress(OSError):
                written.unlink()
        self.cache.shrink(self.key)

    def __enter__(self) -> NewEntry:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove what has not been kept."""
        with contextlib.suppress(OSError):
            self._temporary.unlink()


def noted(text: bytes) -> tuple[int, dict[str, Any]] | None:
    """What a note says: the size of the library, and the state of each file behind it. None if it is no note."""
    try:
        note = json.loads(text)
    except (ValueError, RecursionError):
        return None
    match note:
        case {"size": int(size), "files": dict(files)}:
            return size, files
    return None


def mark_used(note: Path) -> None:
    now = time.time_ns()  # the system's own idea of the time has gaps of milliseconds
    os.utime(note, ns=(now, now))


def identity(path: str) -> list[int]:
    """Size, time of change and number of a file; of what a link leads to."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ino]


def model_key(source: Any, options: str) -> str:
    """The name of a compilation: hashes of the model, of the options and of dlc itself.

    A file is known by its place, size, time of change and samples of its contents; reading all of a large model would
    take longer than loading the compiled one.
    """
    hasher = blake2b(digest_size=16)
    hasher.update(options.encode())
    hasher.update(own_key().encode())
    if isinstance(source, str | os.PathLike):
        _hash_file(hasher, Path(source))
    elif isinstance(source, bytes | bytearray | memoryview):
        hasher.update(source)
    elif hasattr(source, "SerializeToString"):
        hasher.update(source.SerializeToString(deterministic=True))
    else:
        raise UserError(f"a model is a path, bytes or an onnx.ModelProto, got {type(source).__name__}")
    return hasher.hexdigest()


def _hash_file(hasher: Any, path: Path) -> None:
    try:
        status = path.stat()
        # Both places: links to one file may stand beside different weights.
        places = f"{os.path.abspath(path)}|{path.resolve()}"
        hasher.update(f"{places}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}".encode(errors="surrogateescape"))
        with path.open("rb") as file:
            for part in range(16):
                file.seek(part * max(0, status.st_size - SAMPLE) // 15)
                hasher.update(file.read(SAMPLE))
    except (OSError, ValueError) as problem:  # ValueError: a zero in the path
        raise UserError(f"cannot read the model {path}: {getattr(problem, 'strerror', problem)}") from None


@memoize
def own_key() -> str:
    """What of dlc decides the code it makes: its sources and its kernels."""
    hasher = blake2b(digest_size=16)
    package = Path(__file__).resolve().parent.parent
    for file in sorted([*_files(str(package), (".py", ".lark")), *_files(str(kernel_root()), (".kernel",))]):
        hasher.update(file.encode())
    return hasher.hexdigest()


def _files(folder: str, endings: tuple[str, ...]) -> Iterator[str]:
    """Place and state of each file in a folder whose name ends so. (`Path.rglob` takes five times as long.)"""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(endings):
                status = entry.stat()
                yield f"{entry.path}|{status.st_size}|{status.st_mtime_ns}"
            elif "." not in entry.name and not entry.name.startswith("__") and entry.is_dir():
                yield from _files(entry.path, endings)
