"""Tensors whose contents lie in files beside the model."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from pathlib import Path

from dlc.errors import UserError


class ExternalFiles:
    """The files beside one model, each mapped once. Without a folder (a model given as bytes) there are none."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._mapped: dict[Path, memoryview] = {}

    def paths(self) -> tuple[str, ...]:
        """The files that tensors have been read from so far."""
        return tuple(map(str, self._mapped))

    def view(self, tensor: str, entries: Mapping[str, str], wanted: int) -> memoryview:
        """The `wanted` bytes of a tensor. Raises UserError naming the tensor and the file."""
        path = self._path(tensor, entries.get("location", ""))
        offset = _count(tensor, path, entries, "offset", 0)
        length = _count(tensor, path, entries, "length", wanted)
        if length != wanted:
            raise UserError(f"tensor '{tensor}' needs {wanted} bytes but declares {length} of the file {path}")
        data = self._map(tensor, path)
        if offset + wanted > len(data):
            raise UserError(
                f"tensor '{tensor}' needs bytes {offset} to {offset + wanted} of the file {path}, which has {len(data)}"
            )
        return data[offset : offset + wanted]

    def _path(self, tensor: str, location: str) -> Path:
        if self.folder is None:
            raise UserError(
                f"tensor '{tensor}' lies in the file '{location}' beside the model, which came without a folder",
                hint="give the path of the model file",
            )
        folder = self.folder.resolve()
        path = (folder / location).resolve()
        if not location or not path.is_relative_to(folder):
            raise UserError(f"tensor '{tensor}' lies in '{location}', which is not inside the model's folder {folder}")
        return path

    def _map(self, tensor: str, path: Path) -> memoryview:
        if path not in self._mapped:
            try:
                self._mapped[path] = map_file(path)
            except OSError as error:
                raise UserError(
                    f"tensor '{tensor}' lies in the file {path}, which cannot be read: {error.strerror}"
                ) from error
        return self._mapped[path]


def _count(tensor: str, path: Path, entries: Mapping[str, str], key: str, default: int) -> int:
    text = entries.get(key, "")
    if text and not text.isdecimal():
        raise UserError(f"tensor '{tensor}' in the file {path} has the {key} '{text}', expected a number of bytes")
    return int(text) if text else default


def map_file(path: Path) -> memoryview:
    """The bytes of a file, read as they are touched. Raises OSError."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
