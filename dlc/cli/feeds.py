"""The inputs of a run: from files, or random."""

from __future__ import annotations

import signal
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING

import numpy as np

from dlc.cli.options import check_dims
from dlc.errors import UserError
from dlc.runtime.dims import compile_dim
from dlc.runtime.spec import TensorSpec

if TYPE_CHECKING:
    from dlc.runtime import CompiledModel

Array = np.ndarray
SMALL_INTEGERS = 2  # 0 and 1 are good indices, token ids, lengths and masks for almost every model


def read_array(path: Path) -> Array:
    """The array of a .npy file. Raises UserError."""
    try:
        with path.open("rb") as file:
            found: Array = np.lib.format.read_array(file, allow_pickle=False)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError) as error:
        if zipfile.is_zipfile(path):
            raise UserError(f"{path} holds several arrays, expected one", hint=f"--inputs {path}") from error
        raise UserError(f"{path} is not a whole .npy file: {error}", hint="numpy.save writes them") from error
    return found


def read_arrays(path: Path) -> dict[str, Array]:
    """The arrays of a .npz file by name. Raises UserError."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a whole .npz file", hint="numpy.savez writes them") from error


def read_inputs(inputs: Iterable[str], archive: Path | None) -> dict[str, Array]:
    """What `--inputs` and the `--input NAME=FILE.npy` give, the latter last."""
    given = read_arrays(archive) if archive is not None else {}
    for text in inputs:
        name, equals, file = text.rpartition("=")
        if not equals or not name or not file:
            raise UserError(f"--input must be NAME=FILE.npy, got {text!r}")
        given[name] = read_array(Path(file))
    return given


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Let an interrupt wait until the end: modules that Cython makes swallow it while they are imported."""
    if current_thread() is not main_thread():  # only the main thread gets one
        yield
        return
    held: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: held.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held:
        signal.raise_signal(signal.SIGINT)


def gather_feeds(
    model: CompiledModel, given: Mapping[str, Array], random: bool, dims: Mapping[str, int], seed: int
) -> dict[str, Array]:
    """The value of every input: given, or random if that is wanted. Raises UserError for those that are missing."""
    check_dims(dims, model)
    names = [spec.name for spec in model.inputs]
    if unknown := [name for name in given if name not in names]:
        expected = ", ".join(map(repr, names)) or "none"
        raise UserError(f"the model has no input {unknown[0]!r}, its inputs are: {expected}")
    missing = [name for name in names if name not in given]
    if missing and not random:
        raise UserError(
            f"no value is given for input {', '.join(map(repr, missing))}",
            hint=f"--input {missing[0]}=file.npy, --inputs file.npz, or --random",
        )
    with interrupts_held_back():  # numpy.random is imported here
        generator = np.random.default_rng(seed)
    feeds = {}
    for spec in model.inputs:
        made = random_array(spec, input_shape(model, spec, dims), generator)
        feeds[spec.name] = as_type(given[spec.name], spec) if spec.name in given else made
    return feeds


def as_type(array: Array, spec: TensorSpec) -> Array:
    """.npy files hold bfloat16 and its like as plain bytes."""
    raw = array.dtype.kind == "V" and array.dtype.names is None and array.dtype != spec.dtype
    return array.view(spec.dtype) if raw and array.dtype.itemsize == spec.dtype.itemsize else array


def input_shape(model: CompiledModel, spec: TensorSpec, dims: Mapping[str, int]) -> tuple[int, ...]:
    """The shape of an input when named dimensions are as `dims` says, else 1."""
    slots = model.metadata.slots
    values = [dims.get(name, 1) for name in slots]
    return tuple(dim if isinstance(dim, int) else compile_dim(dim, slots)(values) for dim in spec.shape)


def random_array(spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Normal numbers; for integers small ones, as most are indices, except bytes, which are pixels."""
    kind = spec.dtype.kind
    if kind == "b":
        return generator.integers(0, 2, shape).astype(spec.dtype)
    if kind in "iu":
        limits = np.iinfo(spec.dtype)
        low, high = (int(limits.min), int(limits.max) + 1) if spec.dtype.itemsize == 1 else (0, SMALL_INTEGERS)
        return generator.integers(low, high, shape).astype(spec.dtype)
    if kind == "c":
        return (generator.standard_normal(shape) + 1j * generator.standard_normal(shape)).astype(spec.dtype)
    if kind == "V" and "int" in spec.dtype.name:
        return generator.integers(0, SMALL_INTEGERS, shape).astype(spec.dtype)
    return np.asarray(generator.standard_normal(shape), np.float32).astype(spec.dtype)
