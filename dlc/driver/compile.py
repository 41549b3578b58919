"""`dlc.compile`: the whole path, with the cache in front of it."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlc.driver.build import Codegen, build_artifact
from dlc.driver.cache import Cache, model_key
from dlc.driver.pipeline import Options, lowered_module
from dlc.driver.watch import UNWATCHED, Watch
from dlc.errors import UserError
from dlc.runtime import CompiledModel, load
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
) -> CompiledModel:
    """Compile a model (path, bytes or onnx.ModelProto) and load it. The arguments are those of docs: interface.

    Raises UserError for what the caller can mend, UnsupportedOps if the model holds operators that dlc cannot take.
    """
    options = make_options(target, input_shapes, opt_level, disable, exact, overridable)
    check_runnable(options.target)
    return load(compiled_path(source, options, cache), threads)


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
) -> Options:
    """Check and normalize the arguments of a compilation."""
    if opt_level not in (0, 1, 2, 3):
        raise UserError(f"opt_level must be 0, 1, 2 or 3, got {opt_level!r}")
    if isinstance(disable, str):
        disable = (disable,)
    if isinstance(overridable, str):
        overridable = (overridable,)
    shapes = None if input_shapes is None else tuple((n, tuple(s)) for n, s in sorted(input_shapes.items()))
    chosen = target if isinstance(target, Target) else Target.parse(target)
    return Options(chosen, shapes, opt_level, tuple(sorted(set(disable))), exact, tuple(sorted(set(overridable))))


def compiled_path(source: Any, options: Options, use_cache: bool = True, watch: Watch = UNWATCHED) -> Path:
    """The shared library of a model: from the cache, or compiled now (into the cache, or a temporary folder)."""
    cache = Cache.default() if use_cache else None
    if cache is None:
        folder = tempfile.mkdtemp(prefix="dlc-")
        path = Path(folder) / "model.so"
        write_library(source, options, path, watch)
        return path
    key = model_key(source, options.key())
    found = cache.find(key)
    if found is not None:
        return found
    path = cache.path_for(key)
    depends = write_library(source, options, path, watch)
    cache.record(key, (*depends, str(path)))  # the library too: one that was cut off is made again
    return path


def write_library(
    source: Any, options: Options, path: str | os.PathLike[str], watch: Watch = UNWATCHED
) -> tuple[str, ...]:
    """Compile a model into the shared library `path`; returns the files that it was made from."""
    with rare_collections(), quick_switches(), Codegen(options.target, watch.step) as codegen:
        # LLVM works while Python lowers
        lowered = lowered_module(source, options, watch=watch, ready=codegen.kernel)
        build_artifact(lowered, options, path, watch, codegen)
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
