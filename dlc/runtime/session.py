"""A compiled model in this process: checks the feeds, calls the generated code, returns the outputs."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from dlc.errors import Cancelled, InternalError, UserError
from dlc.runtime.artifact import Artifact, open_artifact
from dlc.runtime.binding import Binder, Bound, Shape
from dlc.runtime.feeds import ordered_feeds, readable_array
from dlc.runtime.library import LibraryFile
from dlc.runtime.outputs import address_of, check_targets, fresh_array, real_outputs, separate_inputs
from dlc.runtime.spec import TensorSpec
from dlc.runtime.state import Functions, State, States
from dlc.runtime.threads import thread_count

KEPT_SHAPES: Final = 256
CANCELLED: Final = -3  # codes of docs/ABI.md
NO_MEMORY: Final = -4


def load(path: str | os.PathLike[str], threads: int | None = None) -> CompiledModel:
    """Load a compiled model; `threads=None` uses what this process may use."""
    return CompiledModel(open_artifact(path), threads)


def restored(content: bytes, threads: int | None) -> CompiledModel:
    """A pickled model. Raises UserError if this machine cannot run it."""
    return CompiledModel(open_artifact(LibraryFile.holding(content)), threads)


class CompiledModel:
    """A loaded model. It may be called from several threads at once; outputs belong to the caller.

    It pickles as the bytes of its library. Copies share the library, which is unmapped with the last of them.
    """

    def __init__(self, artifact: Artifact, threads: int | None = None) -> None:
        self.artifact = artifact
        self.metadata = artifact.metadata
        self.inputs: tuple[TensorSpec, ...] = self.metadata.inputs
        self.outputs: tuple[TensorSpec, ...] = self.metadata.outputs
        self.threads = thread_count(threads)
        self._asked_threads = threads
        self._functions = Functions(artifact.library)
        self._names = [spec.name for spec in self.inputs]
        self._output_names = [spec.name for spec in self.outputs]
        self._rows = tuple((index, spec, spec.dtype) for index, spec in enumerate(self.inputs))
        self._binder = Binder(self.metadata)
        self._derived = any(self._binder.is_derived)
        self._bounds: dict[tuple[Shape, ...], Bound] = {}
        self._states = States(self._functions, self.threads, self._binder)
        weakref.finalize(self, self._states.close)

    def __repr__(self) -> str:
        inputs = ", ".join(f"{spec.name}: {spec.dtype}{spec.shape_text}" for spec in self.inputs)
        outputs = ", ".join(f"{spec.name}: {spec.dtype}{spec.shape_text}" for spec in self.outputs)
        return f"CompiledModel({inputs} -> {outputs}; {self.metadata.machine}, {self.threads} threads)"

    def run(
        self, feeds: Mapping[str, object], out: Mapping[str, np.ndarray] | None = None
    ) -> dict[str, np.ndarray]:
        """Run on named inputs; outputs named in `out` are written to the caller's arrays."""
        try:
            values = [feeds[name] for name in self._names]
            complete = len(feeds) == len(values)
        except (LookupError, TypeError, ValueError):
            complete = False
        if not complete:
            values = ordered_feeds(self.inputs, feeds)
        return dict(zip(self._output_names, self._execute(values, out), strict=True))

    def __call__(self, *values: object) -> np.ndarray | tuple[np.ndarray, ...]:
        """Run on inputs in the model's order; one output comes as an array, several as a tuple."""
        if len(values) != len(self.inputs):
            expected = ", ".join(repr(name) for name in self._names) or "none"
            raise UserError(f"the model takes {len(self.inputs)} inputs ({expected}), got {len(values)}")
        results = self._execute(values, None)
        return results[0] if len(results) == 1 else tuple(results)

    def cancel(self) -> None:
        """End all runs of this module that are on, in whatever threads: `errors.Cancelled` there.

        They end at the next kernel that has work for several threads, or the next trip of a loop. The module stays
        usable, and a run that begins later is not concerned. Safe in any thread and in signal handlers.
        """
        for state in list(self._states.busy):
            self._functions.cancel(state.memory.address)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the shared library to `path`; an existing file stays whole if that fails."""
        try:
            target = Path(path)
            temporary = target.with_name(f".{target.name}.{os.urandom(8).hex()}.tmp")
        except (TypeError, ValueError) as error:
            raise UserError(f"a model is saved under the path of a file, got {path!r}") from error
        self._check_file("save")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o777)
            try:
                self.artifact.file.copy_to(descriptor)
            finally:
                os.close(descriptor)
            os.replace(temporary, target)
        except (OSError, ValueError) as error:  # ValueError: a zero in the path
            raise UserError(f"cannot save the model to {target}: {getattr(error, 'strerror', error)}") from error
        finally:
            with contextlib.suppress(OSError, ValueError):
                temporary.unlink()

    def __reduce__(self) -> tuple[object, ...]:
        self._check_file("pickle")
        return restored, (self.artifact.file.read(), self._asked_threads)

    def __copy__(self) -> CompiledModel:
        return CompiledModel(self.artifact, self._asked_threads)

    def __deepcopy__(self, memo: dict[int, object]) -> CompiledModel:
        return self.__copy__()

    def _check_file(self, purpose: str) -> None:
        """Refuse to hand on a file that was written to since it was loaded."""
        if not self.artifact.file.unchanged:
            raise UserError(f"cannot {purpose} the model: {self.artifact.path} has changed since it was loaded")

    @contextlib.contextmanager
    def state(self) -> Iterator[State]:
        """The state that the next run of this thread takes, if no other thread runs the model meanwhile."""
        state = self._states.take()
        try:
            yield state
        finally:
            self._states.give_back(state)

    def _execute(self, values: Sequence[object], out: Mapping[str, np.ndarray] | None) -> list[np.ndarray]:
        """One run in a state of its own."""
        states = self._states
        state = states.take()
        try:
            return self._execute_in(state, values, out)
        finally:
            states.give_back(state)

    def _execute_in(
        self, state: State, values: Sequence[object], out: Mapping[str, np.ndarray] | None
    ) -> list[np.ndarray]:
        """Every call comes through here, so it does for ready arrays of known shapes no more than it must."""
        buffers = state.buffers
        arrays, shapes = [], []
        for index, spec, dtype in self._rows:
            value = values[index]
            if not (type(value) is np.ndarray and value.dtype is dtype and value.flags.carray):
                value = readable_array(spec, value)
            arrays.append(value)
            shapes.append(value.shape)
            buffers[index] = address_of(value)
        bound = self._bounds.get(tuple(shapes)) or self._bind(state, tuple(shapes))
        if state.bound is not bound:
            state.prepare(bound)
        results = []
        if out is None:
            for index, row in enumerate(bound.outputs, start=len(arrays)):
                result, buffers[index] = fresh_array(*row)
                results.append(result)
        else:
            results = self._given_outputs(state, bound, arrays, out)
        if code := self._functions.run(*state.arguments):
            state.given.clear()
            if code == CANCELLED:
                raise Cancelled("the run was cancelled")
            raise UserError(state.message()) if code > 0 or code == NO_MEMORY else InternalError(state.message())
        if not self._derived:
            return results
        return real_outputs(self._binder, state.result_sizes(), results, state.given)

    def _given_outputs(
        self, state: State, bound: Bound, arrays: list[np.ndarray], out: Mapping[str, np.ndarray]
    ) -> list[np.ndarray]:
        """The caller's arrays for the outputs, with inputs moved out of their way."""
        results = check_targets(self.outputs, self._binder.is_derived, bound, out)
        separate_inputs(arrays, results, state.buffers)
        for index, result in enumerate(results, start=len(arrays)):
            state.buffers[index] = result.ctypes.data
        return results

    def _bind(self, state: State, shapes: tuple[Shape, ...]) -> Bound:
        """Compute what follows from the shapes, and keep it for the next call."""
        bound = state.bind(shapes)
        if len(self._bounds) >= KEPT_SHAPES:
            self._bounds = {}
        self._bounds[shapes] = bound
        return bound
