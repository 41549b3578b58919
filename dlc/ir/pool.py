"""The constant pool: contents of constants, addressed by what they contain.

The IR holds a `DenseRef`, a content hash with shape and type; the numbers stay here. A model's own weights are added
lazily: their key is made from where they lie in the model's file and they are hashed and read only when needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from dlc.digest import blake2b
from dlc.ir.types import Array
from dlc.record import record


@record
class DenseRef:
    """The key of a constant in the pool."""

    key: str

    def __str__(self) -> str:
        return f"dense<@{self.key}>"


def content_key(array: Array) -> str:
    """A hash over type, shape and contents."""
    hasher = blake2b(digest_size=10)
    hasher.update(f"{array.dtype.str if array.dtype.kind != 'V' else array.dtype.name}{array.shape}".encode())
    if array.dtype == object:
        hasher.update(repr(array.tolist()).encode())
    else:
        hasher.update(np.ascontiguousarray(array).view(np.uint8).reshape(-1).data if array.size else b"")
    return hasher.hexdigest()


class ConstantPool:
    """Arrays by content hash. Entries are read-only and never change."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}
        self._lazy: dict[str, Callable[[], Array]] = {}

    def add(self, array: Array) -> DenseRef:
        """Keep `array` (no copy if it is contiguous) and return its key."""
        kept = array if array.flags.c_contiguous else np.ascontiguousarray(array).reshape(array.shape)
        if kept.flags.writeable:
            kept = kept.view()
            kept.flags.writeable = False
        key = content_key(kept)
        self._arrays.setdefault(key, kept)
        return DenseRef(key)

    def add_lazy(self, key: str, load: Callable[[], Array]) -> DenseRef:
        """Keep a constant that `load` reads when it is needed; `key` must identify the contents."""
        self._lazy.setdefault(key, load)
        return DenseRef(key)

    def get(self, ref: DenseRef) -> Array:
        """The array of a key. Raises KeyError if the pool does not hold it."""
        found = self._arrays.get(ref.key)
        if found is None:
            found = self._lazy[ref.key]()
            if found.flags.writeable:
                found.flags.writeable = False
            self._arrays[ref.key] = found
        return found

    def read(self, ref: DenseRef) -> Array:
        """Like `get`, for the last time: what is computed or read for this call is not kept."""
        found = self._arrays.get(ref.key)
        return self._lazy[ref.key]() if found is None else found

    def __contains__(self, ref: DenseRef) -> bool:
        return ref.key in self._arrays or ref.key in self._lazy

    def keys(self) -> Iterator[str]:
        return iter({**self._arrays, **self._lazy})
