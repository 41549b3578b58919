"""The process in which compiled models run: where one touches a guard, it is this process that dies.

A `Worker` starts one when it is needed and a new one after each death. It binds through `dlc_bind` and runs through
`dlc_run`, as any caller of the library would.
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from dlc.runtime.artifact import open_artifact
from dlc.runtime.state import Functions, Memory
from tests.guards.memory import Alone, opened

LONGEST = 60.0  # seconds that one call may take
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Answer:
    """What a call gave: the code, its message where it is an error, and the shapes and contents of results."""

    code: int
    message: str = ""
    shapes: tuple[Shape, ...] = ()
    workspace: int = 0
    arrays: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Died:
    """The process ended by a signal, or did not answer."""

    reason: str


@dataclass(frozen=True)
class Binding:
    """A model and the sizes of its inputs."""

    path: str
    threads: int
    sizes: tuple[int, ...]
    ranks: tuple[int, ...]  # of the results


@dataclass(frozen=True)
class Run:
    """One run: inputs and results alone in memory and flush with it, and what of the workspace there is."""

    binding: Binding
    flush: str
    inputs: tuple[np.ndarray, ...]
    dtypes: tuple[np.dtype[Any], ...]  # of the results
    regions: tuple[tuple[int, int], ...]  # of the workspace: offset, bytes


# -- in the worker -----------------------------------------------------------------------------------------------------


class Loaded:
    """A model with a context for each number of threads."""

    def __init__(self, path: str) -> None:
        self.functions = Functions(open_artifact(path).library)
        self.contexts: dict[int, Memory] = {}

    def context(self, threads: int) -> int:
        if threads not in self.contexts:
            self.contexts[threads] = Memory(self.functions.context_bytes)
            self.functions.init(self.contexts[threads].address, threads)
        return self.contexts[threads].address

    def message(self, context: int) -> str:
        text = ctypes.create_string_buffer(2048)
        self.functions.message(context, text, 2048)
        return text.value.decode("utf-8", "replace")

    def bind(self, given: Binding) -> Answer:
        context = self.context(given.threads)
        sizes = (ctypes.c_int64 * max(1, len(given.sizes)))(*given.sizes)
        results, workspace = (ctypes.c_int64 * max(1, sum(given.ranks)))(), ctypes.c_int64()
        code = self.functions.bind(context, sizes, results, ctypes.byref(workspace))
        if code:
            return Answer(code, self.message(context))
        return Answer(0, shapes=shapes_of(results, given.ranks), workspace=workspace.value)

    def run(self, given: Run) -> Answer:
        bound = self.bind(given.binding)
        if bound.code:
            return bound
        context = self.context(given.binding.threads)
        inputs = [Alone(array.nbytes, given.flush) for array in given.inputs]
        for memory, array in zip(inputs, given.inputs, strict=True):
            memory.write(array)
        bytes_ = [int(np.prod(s, dtype=np.int64)) * d.itemsize for s, d in zip(bound.shapes, given.dtypes, strict=True)]
        outputs = [Alone(size, given.flush) for size in bytes_]
        workspace = opened(bound.workspace, given.regions)
        everything = [*inputs, *outputs]
        buffers = (ctypes.c_void_p * max(1, len(everything)))(*[each.address for each in everything])
        code = self.functions.run(context, buffers, workspace.address)
        if code:
            answer = Answer(code, self.message(context))
        else:
            numbers = (ctypes.c_int64 * max(1, sum(given.binding.ranks)))()
            self.functions.shapes(context, numbers)
            shapes = shapes_of(numbers, given.binding.ranks)
            found = zip(outputs, shapes, given.dtypes, strict=True)
            answer = Answer(0, shapes=shapes, arrays=tuple(memory.read(shape, dtype) for memory, shape, dtype in found))
        for memory, array in zip(inputs, given.inputs, strict=True):
            if not np.array_equal(memory.read((array.nbytes,), np.dtype(np.uint8)), flat_bytes(array)):
                answer = Answer(-99, "an input was written")
        for each in (*everything, workspace):
            each.close()
        return answer

    def close(self) -> None:
        for memory in self.contexts.values():
            self.functions.close(memory.address)


def flat_bytes(array: np.ndarray) -> np.ndarray:
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def shapes_of(numbers: Any, ranks: tuple[int, ...]) -> tuple[Shape, ...]:
    found, at = [], 0
    for rank in ranks:
        found.append(tuple(numbers[at : at + rank]))
        at += rank
    return tuple(found)


def serve(connection: Connection) -> None:
    """Answer requests until there are no more."""
    loaded: dict[str, Loaded] = {}
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        try:
            path = (request.binding if isinstance(request, Run) else request).path
            if path not in loaded:
                for each in loaded.values():
                    each.close()
                loaded = {path: Loaded(path)}
            model = loaded[path]
            connection.send(model.run(request) if isinstance(request, Run) else model.bind(request))
        except BaseException:  # noqa: BLE001  # whatever it is, the test must show it
            connection.send(Died(traceback.format_exc()))


# -- in the test -------------------------------------------------------------------------------------------------------


class Worker:
    """A process that runs models for us."""

    def __init__(self) -> None:
        self.process: Any = None
        self.connection: Any = None
        self.deaths = 0

    def start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, there = context.Pipe()
        self.process = context.Process(target=serve, args=(there,), daemon=True)
        self.process.start()
        there.close()

    def ask(self, request: Binding | Run) -> Answer | Died:
        if self.process is None:
            self.start()
        try:
            self.connection.send(request)
            if self.connection.poll(LONGEST):
                answer = self.connection.recv()
                assert isinstance(answer, Answer | Died)
                return answer
        except (EOFError, ConnectionError):
            pass
        return self.dead()

    def dead(self) -> Died:
        self.process.join(0.5)
        code = self.process.exitcode
        reason = f"no answer after {LONGEST:g} s" if code is None else signal_name(code)
        self.deaths += 1
        self.stop()
        return Died(reason)

    def stop(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(OSError):
            self.connection.close()
        self.process.join(1)
        if self.process.exitcode is None:
            self.process.kill()
            self.process.join()
        self.process = None


def signal_name(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"the process ended with {code}"
