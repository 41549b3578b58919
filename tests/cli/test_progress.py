"""The bar of the stages: only where a person watches, and gone when the work is done."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from dlc.cli.progress import SHARES, Stages
from dlc.driver.watch import STAGES
from tests.cli.support import ROOT


def test_every_stage_has_its_share() -> None:
    assert tuple(SHARES) == STAGES
    assert sum(SHARES.values()) == 100


def test_stages_are_timed_and_fill_the_bar() -> None:
    with Stages("model") as stages:
        for name in STAGES:
            stages.stage(name, 4)
            for _ in range(4):
                stages.step()
    assert list(stages.seconds) == list(STAGES)
    assert stages.filled == 100
    assert stages.total == sum(stages.seconds.values()) > 0


def test_a_terminal_gets_a_bar(folder: Path, relu: Path) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-m", "dlc", "compile", str(relu)], stdout=subprocess.PIPE, stderr=follower, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    shown = os.read(leader, 1 << 16).decode()
    os.close(leader)
    assert "relu.onnx" in shown
    assert done.stdout.startswith(b"relu.so: 1 kernel")
