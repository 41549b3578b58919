"""`dlc.compile`: the whole path, with the cache in front of it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from dlc.codegen.elf.writer import Output
from dlc.driver.build import Codegen, build_artifact
from dlc.driver.cache import Cache, model_key
from dlc.driver.pipeline import Options, lowered_module
from dlc.driver.watch import UNWATCHED, Watch
from dlc.errors import CacheWarning, CannotWrite, UserError
from dlc.ir.types import Array
from dlc.runtime import CompiledModel
from dlc.runtime.artifact import Artifact, open_artifact
from dlc.runtime.library import LibraryFile, memory_descriptor
from dlc.target import Target, host_can_run


def compile_model(
    source: Any,
    *,
    target: str | Target = "host",
    input_shapes: Mapping[str, Sequence[int | str]] | None = None,
    opt_level: int = 3,
    threads: int | None = None,
    disable: Iterable[str] = (),
    exact: bool = False,
    cache: bool = True,
    overridable: Iterable[str] = (),
    input_values: Mapping[str, object] | None = None,
    max_trips: int | None = None,
) -> CompiledModel:
    """Compile a model (path, bytes or onnx.ModelProto) and load it. The arguments are those of docs: interface.

    Raises UserError for what the caller can mend, UnsupportedOps if the model holds operators that dlc cannot take.
    """
    options = make_options(target, input_shapes, opt_level, disable, exact, overridable, input_values, max_trips)
    check_runnable(options.target)
    return CompiledModel(compiled_artifact(source, options, cache), threads)


def check_runnable(target: Target) -> None:
    """Refuse a target that this machine cannot run. Raises UserError."""
    runnable, missing = host_can_run(target)
    if not runnable:
        raise UserError(
            f"this machine cannot run code for {target}: it lacks {', '.join(missing)}",
            hint="use `dlc compile -o model.so` to write the library without loading it",
        )


def make_options(
    target: str | Target,
    input_shapes: Mapping[str, Sequence[int | str]] | None,
    opt_level: int,
    disable: Iterable[str],
    exact: bool,
    overridable: Iterable[str] = (),
    input_values: Mapping[str, object] | None = None,
    max_trips: int | None = None,
) -> Options:
    """Check and normalize the arguments of a compilation."""
    if isinstance(opt_level, bool) or not isinstance(opt_level, int) or opt_level not in (0, 1, 2, 3):
        raise UserError(f"opt_level must be 0, 1, 2 or 3, got {opt_level!r}")
    if not isinstance(target, str | Target):
        raise UserError(f"target must be a target's name or a dlc.Target, got {type(target).__name__}")
    chosen = target if isinstance(target, Target) else Target.parse(target)
    shapes = None if input_shapes is None else checked_shapes(input_shapes)
    left_out, given = checked_names(disable, "disable", "passes"), checked_names(overridable, "overridable", "inputs")
    values = () if input_values is None else checked_values(input_values)
    return Options(chosen, shapes, opt_level, left_out, bool(exact), given, values, checked_trips(max_trips))


def checked_trips(most: object) -> int:
    """The most trips of a loop: as given, else what DLC_MAX_TRIPS says; 0 is any number."""
    said = os.environ.get("DLC_MAX_TRIPS") if most is None else most
    if said is None or said == "":
        return 0
    try:
        number = int(str(said))
    except ValueError:
        number = 0
    if number < 1 or isinstance(said, bool):
        where = "DLC_MAX_TRIPS" if most is None else "max_trips"
        raise UserError(f"{where} must be a number of at least 1, got {said!r}")
    return number


def checked_values(values: object) -> tuple[tuple[str, Array], ...]:
    """What is given as `input_values`, by name; types and shapes are compared with the model's when it is read."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise UserError(f"input_values takes a mapping of input names to values, got {type(values).__name__}")
    found = []
    for name, value in sorted(values.items()):
        try:
            array = np.ascontiguousarray(value).reshape(np.shape(value))
        except (TypeError, ValueError) as error:
            raise UserError(f"input_values gives '{name}' as {value!r}, which is no array: {error}") from error
        if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
            raise UserError(f"input_values gives '{name}' as {value!r}, expected numbers")
        found.append((name, array))
    return tuple(found)


def checked_names(given: object, argument: str, what: str) -> tuple[str, ...]:
    """The names that are given as `argument`, one or several, in order and each once."""
    names = (given,) if isinstance(given, str) or not isinstance(given, Iterable) else tuple(given)
    if not all(isinstance(name, str) for name in names):
        raise UserError(f"{argument} takes names of {what}, got {given!r}")
    return tuple(sorted(set(names)))


def checked_shapes(shapes: object) -> tuple[tuple[str, tuple[int | str, ...]], ...]:
    """What is given as `input_shapes`, by name. The sizes themselves are compared with the model's when it is read."""
    if not isinstance(shapes, Mapping):
        raise UserError(f"input_shapes takes a mapping of input names to shapes, got {type(shapes).__name__}")
    for name, shape in shapes.items():
        if isinstance(shape, str | bytes) or not (isinstance(shape, Sequence) or hasattr(shape, "__array__")):
            raise UserError(f"input_shapes gives {name!r} as {shape!r}, expected its sizes, such as (1, 3, 224, 224)")
    return tuple((name, tuple(shape)) for name, shape in sorted(shapes.items(), key=lambda each: str(each[0])))


def compiled_artifact(
    source: Any, options: Options, use_cache: bool = True, watch: Watch = UNWATCHED
) -> Artifact:  # fmt: skip
    """A model's library, loaded: from the cache, or compiled now, into the cache or into memory.

    A cache that cannot be written is a CacheWarning.
    """
    if isinstance(source, memoryview) and not source.c_contiguous:
        source = source.tobytes()
    cache = usable_cache() if use_cache else None
    if cache is None:
        return open_artifact(compiled_in_memory(source, options, watch))
    key = model_key(source, options.key())
    if (found := cache.find(key)) is not None:
        with contextlib.suppress(UserError):  # damaged: it is made again
            return open_kept(found)
    return open_kept(compiled_into(cache, key, source, options, watch))


def open_kept(file: LibraryFile) -> Artifact:
    """Load a library of the cache; from memory, if it lies where nothing may be executed. Raises UserError."""
    if os.fstatvfs(file.descriptor).f_flag & os.ST_NOEXEC:
        file = LibraryFile.holding(file.read())
    return open_artifact(file)


def usable_cache() -> Cache | None:
    """The cache; None, and a warning, where this user has no place for one."""
    try:
        return Cache.default()
    except CannotWrite as problem:
        warn_of(problem)
        return None


def warn_of(problem: CannotWrite) -> None:
    """Say once in this process that models are not kept, and why."""
    warnings.warn(
        f"{problem.message}; models are compiled without a cache: set DLC_CACHE_DIR to a folder that can be written, "
        "or pass cache=False", CacheWarning, stacklevel=1,
    )  # fmt: skip


def compiled_in_memory(source: Any, options: Options, watch: Watch = UNWATCHED) -> LibraryFile:
    """Compile a model into a file that has no name and ends with its last user."""
    descriptor = memory_descriptor()
    with closed_on_failure(descriptor):
        write_library(source, options, descriptor, watch)
        return LibraryFile.in_memory_of(descriptor)


def compiled_into(cache: Cache, key: str, source: Any, options: Options, watch: Watch = UNWATCHED) -> LibraryFile:
    """Compile a model into the cache, or into memory and with a warning where that cannot be written."""
    if cache.limit == 0:
        return compiled_in_memory(source, options, watch)
    try:
        entry = cache.begin(key)
    except CannotWrite as problem:
        warn_of(problem)
        return compiled_in_memory(source, options, watch)
    with entry:
        try:
            with closed_on_failure(entry.descriptor):
                depends = write_library(source, options, entry.descriptor, watch)
                file = LibraryFile(entry.descriptor, entry.path)
        except CannotWrite as problem:  # the disk is full
            warn_of(CannotWrite(f"cannot write to the cache folder {cache.folder}: {problem.message}"))
            return compiled_in_memory(source, options, watch)
        try:
            entry.keep(depends)
        except CannotWrite as problem:
            warn_of(problem)
        return file


@contextlib.contextmanager
def closed_on_failure(descriptor: int) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        yield
        stack.pop_all()


def write_library(source: Any, options: Options, output: Output, watch: Watch = UNWATCHED) -> tuple[str, ...]:
    """Compile a model into a shared library, a path or an open file; returns the files that it was made from."""
    with rare_collections(), quick_switches(), Codegen(options.target, watch.step) as codegen:
        # LLVM works while Python lowers
        lowered = lowered_module(source, options, watch=watch, ready=codegen.kernel)
        build_artifact(lowered, options, output, watch, codegen)
    return lowered.files


@contextlib.contextmanager
def quick_switches() -> Iterator[None]:
    """Let threads change places more often than every 5 ms: LLVM's gives Python's lock up with each call of llvmlite,
    dozens a module, and could not have it back sooner while another one computes.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, 0.0002))
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Look for garbage less often: almost all that a compilation makes is alive until its end."""
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(before[0], 50_000), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
