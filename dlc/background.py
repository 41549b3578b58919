"""Work in background threads: the part of `concurrent.futures` that dlc needs, which imports in no time."""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Task(Generic[T]):
    """Something to be computed by a background thread, or given up before one begins."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._ended = Event()
        self._lock = Lock()
        self._begun = False
        self._values: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        if not self._begin():
            return
        try:
            self._values.append(self._work())
        except BaseException as error:  # noqa: BLE001  # whoever asks for the result gets it
            self._error = error
        self._end()

    def cancel(self) -> bool:
        """Give it up; whether that was possible, because nobody had begun."""
        if not self._begin():
            return False
        self._error = RuntimeError("the task was given up")
        self._end()
        return True

    def done(self) -> bool:
        return self._ended.is_set()

    def result(self) -> T:
        """The value, as soon as there is one; raises what the work raised."""
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._values[0]

    def _begin(self) -> bool:
        with self._lock:
            first, self._begun = not self._begun, True
        return first

    def _end(self) -> None:
        del self._work  # and what it holds
        self._ended.set()


class Background:
    """Threads that work off tasks in order. Close it, or use it with `with`: what has not begun by then is given up."""

    def __init__(self, threads: int = 1) -> None:
        self._tasks: SimpleQueue[Task[object] | None] = SimpleQueue()
        self._threads = [Thread(target=self._run, name="dlc", daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], T]) -> Task[T]:
        task = Task(work)
        self._tasks.put(task)  # type: ignore[arg-type]  # nobody puts a value into it
        return task

    def close(self) -> None:
        """Give up what has not begun, and wait for the rest."""
        try:
            while (task := self._tasks.get_nowait()) is not None:
                task.cancel()
        except Empty:
            pass
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Background:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            task.run()
