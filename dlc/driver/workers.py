"""LLVM text to objects, on several processor cores when there is enough of it.

llvmlite holds one lock around LLVM, so one thread works on it, while Python runs; more of them would gain nothing. When
much is left in the end, helper processes take their part. They are started as this very module
(`python -m dlc.driver.workers`), never by forking the caller's program, and only for work of more than about a second.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import sys
from collections.abc import Callable
from functools import partial

from dlc.background import Background, Task
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import pool_objects, team_object
from dlc.driver.watch import ignore_step
from dlc.errors import InternalError
from dlc.target import Target

WORTH_A_HELPER = 2_500_000  # characters of LLVM text: about a second of code generation


class Objects:
    """The objects of LLVM texts: made by a thread from the first on, and by helper processes too in the end."""

    def __init__(self, target: Target, step: Callable[[], None] = ignore_step) -> None:
        self.settings = (target.triple, target.llvm_cpu, target.llvm_features)
        self.step = step
        self._arch = target.arch
        self._thread = Background()
        self._thread.submit(partial(pool_objects, target.arch))  # every library needs it, and there is nothing else yet
        self._texts: list[tuple[str, int]] = []  # and how much LLVM is to optimize
        self._made: list[Task[bytes]] = []

    def add(self, text: str, opt: int = 2) -> None:
        self._texts.append((text, opt))
        self._made.append(self._thread.submit(partial(compile_object, text, *self.settings, opt=opt)))

    def add_teams(self) -> None:
        """There are kernels with teams: have ready what they need."""
        self._thread.submit(partial(team_object, self._arch))  # which remembers what it made

    @property
    def waiting(self) -> int:
        return sum(not made.done() for made in self._made)

    def finish(self) -> list[bytes]:
        """All objects, in order; `step` is called for each that was missing."""
        left = [number for number, made in enumerate(self._made) if not made.done()]
        total = sum(len(self._texts[number][0]) for number in left)
        helpers = min(len(os.sched_getaffinity(0)) - 1, total // WORTH_A_HELPER, 7)
        shares = self._shares(left, helpers) if helpers > 0 else []
        started = [_Helper([self._texts[n] for n in share], self.settings) for share in shares]
        objects: dict[int, bytes] = {}
        for number in sorted(set(range(len(self._made))).difference(*shares)):
            objects[number] = self._made[number].result()
            if number in left:
                self.step()
        for helper, share in zip(started, shares, strict=True):
            for number, made in zip(share, helper.finish(), strict=True):
                objects[number] = made
                self.step()
        return [objects[number] for number in range(len(self._made))]

    def _shares(self, left: list[int], helpers: int) -> list[list[int]]:
        """What each helper takes over of what this process has not begun."""
        shares: list[list[int]] = [[] for _ in range(helpers + 1)]
        load = [0] * len(shares)
        for number in sorted(left, key=lambda n: -len(self._texts[n][0])):
            lightest = load.index(min(load))
            shares[lightest].append(number)
            load[lightest] += len(self._texts[number][0])
        return [[number for number in share if self._made[number].cancel()] for share in shares[1:]]

    def close(self) -> None:
        self._thread.close()


class _Helper:
    """A process of its own with its part of the work. (`subprocess` takes longer to import than all else here.)"""

    def __init__(self, texts: list[tuple[str, int]], settings: tuple[str, str, str]) -> None:
        theirs, ours = os.pipe()
        self._output, output = os.pipe()
        self._errors = open(os.memfd_create("dlc-errors"), "w+b")  # noqa: SIM115  # `finish` closes it
        try:
            self._process = os.posix_spawn(
                sys.executable, [sys.executable, "-m", "dlc.driver.workers"],
                {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, own, number)
                    for number, own in enumerate((theirs, output, self._errors.fileno()))
                ],
            )  # fmt: skip
        finally:
            os.close(theirs)
            os.close(output)
        with contextlib.suppress(BrokenPipeError), open(ours, "wb") as pipe:  # one that dies says why later
            pipe.write(pickle.dumps((texts, settings)))

    def finish(self) -> list[bytes]:
        with open(self._output, "rb") as pipe, self._errors as errors:
            output = pipe.read()
            _, status = os.waitpid(self._process, 0)
            if status:
                errors.seek(0)
                raise InternalError(f"a helper process failed: {errors.read().decode(errors='replace')[-2000:]}")
        objects: list[bytes] = pickle.loads(output)
        return objects


def main() -> None:
    work: tuple[list[tuple[str, int]], tuple[str, str, str]] = pickle.loads(sys.stdin.buffer.read())
    texts, settings = work
    sys.stdout.buffer.write(pickle.dumps([compile_object(text, *settings, opt=opt) for text, opt in texts]))


if __name__ == "__main__":
    main()
