"""ruff and mypy have nothing to say."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


def run_tool(root: Path, *arguments: str) -> None:
    if importlib.util.find_spec(arguments[0]) is None:
        pytest.skip(f"{arguments[0]} is not installed")
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_ruff_finds_nothing(root: Path) -> None:
    run_tool(root, "ruff", "check", "--quiet", "dlc", "tests", "examples")


@pytest.mark.slow
def test_mypy_finds_nothing(root: Path) -> None:
    run_tool(root, "mypy", "--strict", "dlc")
