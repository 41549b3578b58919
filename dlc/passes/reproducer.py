"""What a failed pass leaves: the text of the module before it, the command that shows the failure, the weights."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from dlc.digest import blake2b
from dlc.ir.core import Attribute, Module
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.printer import print_module
from dlc.ir.types import Array
from dlc.passes.base import Pass


def write_reproducer(folder: Path, module: Module, passes: Sequence[Pass], message: str) -> Path:
    """Write ``dlc-repro-<hash>.dlc`` and its weights to a folder; the path of the text."""
    text = print_module(module)
    name = f"dlc-repro-{blake2b((text + message).encode(), digest_size=6).hexdigest()}.dlc"
    pipeline = ",".join(map(str, passes))
    comment = "".join(f"// {line}\n" for line in message.splitlines())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"{comment}// dlc opt {name} --passes {shlex.quote(pipeline)}\n{text}", encoding="utf-8")
    write_weights(module, path.with_suffix(".weights"))
    return path


# -- weights beside a text ---------------------------------------------------------------------------------------------


def write_weights(module: Module, path: Path) -> None:
    """The contents of all constants of a module, by key, as an npz archive whatever the file is called."""
    arrays: dict[str, Array] = {}
    for ref in sorted(set(constants(module)), key=str):
        array = module.pool.get(ref)
        if array.dtype.kind == "V":  # NumPy's format does not know ml_dtypes: keep the bits and say which type
            arrays[f"{ref.key}.{array.dtype.name}"] = array.view(f"u{array.dtype.itemsize}")
        elif array.dtype != object:
            arrays[ref.key] = array
    with zipfile.ZipFile(path, "w") as archive:  # as np.savez does, whose keywords could clash with keys
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)


def read_weights(path: Path, pool: ConstantPool) -> None:
    """Put what `write_weights` wrote into a pool, under the same keys."""
    with np.load(path) as archive:
        for name in archive.files:
            key, _, dtype = name.partition(".")
            array = archive[name].view(dtype) if dtype else archive[name]
            pool.add_lazy(key, partial(identity, array))


def identity(array: Array) -> Array:
    return array


def constants(module: Module) -> Iterator[DenseRef]:
    for op in module.walk():
        for value in op.attrs.values():
            yield from references(value)


def references(value: Attribute) -> Iterator[DenseRef]:
    if isinstance(value, DenseRef):
        yield value
    elif isinstance(value, tuple):
        for member in value:
            yield from references(member)
