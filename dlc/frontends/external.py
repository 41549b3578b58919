"""Tensors whose contents lie in files beside the model.

The model file may be a link, as in the cache of a model hub, where `snapshots/<revision>/model.onnx` and its data are
links into a folder of blobs. Data beside the link is taken, else data beside the file that the link leads to. Either
may be a link in turn, but only to something in one of the two folders: a stranger's model reads nothing else.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from dlc.errors import UserError

LONGEST_NUMBER = 19  # digits of 63 bits


class ExternalFiles:
    """The files beside one model, each mapped once. Without a path (a model given as bytes) there are none."""

    def __init__(self, model: Path | None) -> None:
        self.folders: tuple[Path, ...] = ()
        if model is not None:
            self.folders = tuple(dict.fromkeys((Path(os.path.abspath(model)).parent, model.resolve().parent)))
        self._mapped: dict[Path, memoryview] = {}
        self._places: dict[str, Path] = {}  # by location: models have thousands of tensors in one file

    def paths(self) -> tuple[str, ...]:
        """The files that tensors have been read from so far, links as such: they may lead elsewhere one day."""
        return tuple(map(str, self._mapped))

    def view(self, tensor: str, entries: Mapping[str, str], wanted: int) -> memoryview:
        """The `wanted` bytes of a tensor. Raises UserError naming the tensor and the file."""
        location = entries.get("location", "")
        path = self._places.get(location) or self._path(tensor, location)
        self._places[location] = path
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
        if not self.folders:
            raise UserError(
                f"tensor '{tensor}' lies in the file '{location}' beside the model, which came without a folder",
                hint="give the path of the model file",
            )
        parts = PurePosixPath(location)
        if not location or parts.is_absolute() or ".." in parts.parts or "\0" in location:
            raise UserError(
                f"tensor '{tensor}' lies in '{location}', which is not inside the model's folder {self.folders[0]}",
                hint="the place of external data is a path from the model's folder on, without '..'",
            )
        places = [folder / location for folder in self.folders]
        path = next((place for place in places if os.path.lexists(place)), places[0])
        try:
            real = path.resolve()
        except (OSError, RuntimeError) as error:  # RuntimeError: links that lead to each other
            raise UserError(f"tensor '{tensor}' lies in the file {path}, which cannot be read: {error}") from error
        if not any(real.is_relative_to(folder.resolve()) for folder in self.folders):
            raise UserError(
                f"tensor '{tensor}' lies in the file {path}, a link to {real}, which is not inside the model's folder",
                hint=f"put the data, or a copy of it, into {self.folders[0]}",
            )
        return path

    def _map(self, tensor: str, path: Path) -> memoryview:
        if path not in self._mapped:
            try:
                if path.exists() and not path.is_file():
                    raise UserError(f"tensor '{tensor}' lies in {path}, which is no file")
                self._mapped[path] = map_file(path)
            except OSError as error:
                raise UserError(
                    f"tensor '{tensor}' lies in the file {path}, which cannot be read: {error.strerror}"
                ) from error
        return self._mapped[path]


def _count(tensor: str, path: Path, entries: Mapping[str, str], key: str, default: int) -> int:
    text = entries.get(key, "")
    if text and not (text.isdecimal() and len(text) <= LONGEST_NUMBER):
        raise UserError(f"tensor '{tensor}' in the file {path} has the {key} '{text}', expected a number of bytes")
    return int(text) if text else default


def map_file(path: Path) -> memoryview:
    """The bytes of a file, read as they are touched. Raises OSError."""
    with path.open("rb") as file:
        if not path.stat().st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
