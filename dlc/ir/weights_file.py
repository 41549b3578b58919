"""The contents of a module's constants in a file beside its text.

A short header, an index in JSON, then the arrays, each on a 64-byte boundary. Loading maps the file and reads nothing;
an array is a view of the mapping. Arrays of strings are kept as JSON.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from dlc.errors import UserError
from dlc.ir.core import Attribute, Module
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.types import Array

MAGIC = b"dlcw0001"
ALIGN = 64
Entry = tuple[str, str, list[int], int, int]  # key, dtype, shape, offset, bytes


def weights_path(text_path: Path) -> Path:
    """``net.weights`` for ``net.dlc``."""
    return text_path.with_suffix(".weights")


def used_constants(module: Module) -> list[DenseRef]:
    """The constants that the module mentions, each once, in order."""
    found: dict[DenseRef, None] = {}
    holders = [module.attrs, *(func.attrs for func in module.funcs.values()), *(op.attrs for op in module.walk())]
    for attrs in holders:
        for value in attrs.values():
            found.update(dict.fromkeys(_refs(value)))
    return list(found)


def _refs(value: Attribute) -> Iterator[DenseRef]:
    if isinstance(value, DenseRef):
        yield value
    elif isinstance(value, tuple):
        for member in value:
            yield from _refs(member)


def save_weights(module: Module, path: Path) -> int:
    """Write what the module uses and its pool holds; the number of arrays. One array is in memory at a time."""
    refs = [ref for ref in used_constants(module) if ref in module.pool]
    index: list[Entry] = []
    offset = 0  # from the end of the index
    for ref in refs:
        array = module.pool.get(ref)
        size = len(_raw(array))
        index.append((ref.key, array.dtype.name, list(array.shape), offset, size))
        offset = _aligned(offset + size)
    text = json.dumps(index).encode()
    start = _aligned(len(MAGIC) + 8 + len(text))
    with path.open("wb") as file:
        file.write((MAGIC + len(text).to_bytes(8, "little") + text).ljust(start, b"\0"))
        for ref, entry in zip(refs, index, strict=True):
            file.seek(start + entry[3])
            file.write(_raw(module.pool.get(ref)))
        file.truncate(start + offset)
    return len(refs)


def _aligned(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _raw(array: Array) -> bytes | memoryview:
    if array.dtype == object:
        return json.dumps(array.reshape(-1).tolist()).encode()
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data if array.size else b""


def load_weights(path: Path, pool: ConstantPool) -> list[DenseRef]:
    """Add the file's arrays to `pool`, by the keys they were saved under, as views of the mapped file."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError as error:  # an empty file
        raise UserError(f"{path} is not a weights file: {error}") from None
    length = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 8], "little")
    if data[: len(MAGIC)] != MAGIC or len(MAGIC) + 8 + length > len(data):
        raise UserError(f"{path} is not a weights file")
    index: list[Entry] = json.loads(data[len(MAGIC) + 8 : len(MAGIC) + 8 + length])
    start = _aligned(len(MAGIC) + 8 + length)
    if any(start + offset + size > len(data) for _, _, _, offset, size in index):
        raise UserError(f"{path} is shorter than its index says")
    return [
        pool.add_lazy(key, partial(_view, data, dtype, shape, start + offset, size))
        for key, dtype, shape, offset, size in index
    ]


def _view(data: mmap.mmap, dtype: str, shape: list[int], offset: int, size: int) -> Array:
    if dtype == "object":
        return np.array(json.loads(data[offset : offset + size]), object).reshape(shape)
    wanted = np.dtype(dtype)
    return np.frombuffer(data, wanted, size // wanted.itemsize, offset).reshape(shape)
