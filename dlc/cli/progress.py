"""How long the stages of a compilation take, and a bar of them where a person watches."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from dlc.cli.failures import reproducer_folder
from dlc.driver.watch import Watch

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SHARES = {"import": 10, "passes": 25, "code generation": 60, "link": 5}  # of the bar, about as of the time


class Stages:
    """Times the stages; draws a bar on stderr if that is a terminal."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.seconds: dict[str, float] = {}
        self.current = ""
        self.began = self.started = time.perf_counter()
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.share = 0.0  # of the bar that one step of the stage fills
        self.filled = 0.0

    @property
    def watch(self) -> Watch:
        return Watch(self.stage, self.step, reproducer_folder())

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def stage(self, name: str, steps: int) -> None:
        self.close_stage()
        self.current = name
        self.start_bar()
        self.share = SHARES.get(name, 0) / max(1, steps)
        before = list(SHARES)[: list(SHARES).index(name)] if name in SHARES else []
        self.filled = float(sum(SHARES[each] for each in before))
        self.draw()

    def step(self) -> None:
        self.filled += self.share
        self.draw()

    def close_stage(self) -> None:
        now = time.perf_counter()
        if self.current:
            self.seconds[self.current] = self.seconds.get(self.current, 0.0) + now - self.started
        self.started = now

    def draw(self) -> None:
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=self.filled, description=f"{self.title}: {self.current}")

    def start_bar(self) -> None:
        """Only when there is work: what comes from the cache needs no bar."""
        if self.bar is None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (TextColumn("{task.description:40}", markup=False), BarColumn(), TimeElapsedColumn())
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.task = self.bar.add_task(self.title, total=sum(SHARES.values()))
            self.bar.start()

    def __enter__(self) -> Stages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_stage()
        if self.bar is not None:
            self.bar.stop()


def stages_of(model: Path) -> Stages:
    return Stages(model.name)
