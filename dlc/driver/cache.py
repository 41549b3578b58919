"""The cache of compiled models: a folder of shared libraries, named by what they were compiled from and with.

A file is written under another name and renamed when it is whole, so that two processes may compile the same model at
once and a failed compilation leaves nothing behind. What an entry depends on is looked at again when it is found.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache as memoize
from pathlib import Path
from typing import Any

from dlc.digest import blake2b
from dlc.errors import UserError
from dlc.kernel_files import kernel_root
from dlc.record import record

SAMPLE = 1 << 16


def default_folder() -> Path:
    """``DLC_CACHE_DIR``, or the user's cache folder."""
    chosen = os.environ.get("DLC_CACHE_DIR")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dlc"


@record
class Cache:
    """Compiled models in `folder`."""

    folder: Path

    @classmethod
    def default(cls) -> Cache:
        return cls(default_folder())

    def path_for(self, key: str) -> Path:
        """Where the library of `key` belongs. Raises UserError if the folder cannot be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise UserError(
                f"cannot make the cache folder {self.folder}: {problem.strerror}",
                hint="set DLC_CACHE_DIR, or cache=False",
            ) from None
        return self.folder / f"{key}.so"

    def find(self, key: str) -> Path | None:
        """The library of `key`, if it is there and the files that it was made from have not changed."""
        path, note = self.folder / f"{key}.so", self.folder / f"{key}.json"
        try:
            depends = json.loads(note.read_text())
            fresh = all(identity(name) == state for name, state in depends.items())
        except (OSError, ValueError):
            return None
        return path if fresh and path.is_file() else None

    def record(self, key: str, files: tuple[str, ...]) -> None:
        """Note the state of the files behind `key`."""
        note = self.folder / f"{key}.json"
        temporary = note.with_name(f".{note.name}.{os.getpid()}.tmp")
        temporary.write_text(json.dumps({name: identity(name) for name in files}))
        os.replace(temporary, note)


def identity(path: str) -> list[int]:
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns]


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
        hasher.update(f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}|{status.st_ino}".encode())
        with path.open("rb") as file:
            for part in range(16):
                file.seek(part * max(0, status.st_size - SAMPLE) // 15)
                hasher.update(file.read(SAMPLE))
    except OSError as problem:
        raise UserError(f"cannot read the model {path}: {problem.strerror}") from None


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
