"""How a caller follows a compilation: it is told of each stage and step, and says where failures leave a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dlc.record import record

STAGES = ("import", "passes", "code generation", "link")


def ignore_stage(name: str, steps: int) -> None:
    """Nobody watches."""


def ignore_step() -> None:
    """Nobody watches."""


@record
class Watch:
    """`stage` is called as a stage begins, with its name (one of `STAGES`) and number of steps; `step` after each step.

    `reproducers` is the folder in which a failed pass leaves the IR before it.
    """

    stage: Callable[[str, int], None] = ignore_stage
    step: Callable[[], None] = ignore_step
    reproducers: Path | None = None


UNWATCHED = Watch()
