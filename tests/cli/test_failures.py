"""A defect of ours: traceback, reproducer, exit code 70."""

import re
from pathlib import Path

import pytest

from dlc.driver import build
from dlc.errors import InternalError
from dlc.ir.core import Module
from dlc.passes.base import PassContext
from dlc.passes.graph.outline_remaining import OutlineRemaining
from tests.cli.support import invoke


def defect(*args: object) -> tuple[str, Path]:
    """What stderr says, and the reproducer that it names."""
    result = invoke(*args)
    assert result.exit_code == 70, result.output
    assert result.stdout == ""
    assert "Traceback (most recent call last)" in result.stderr
    found = re.search(r"dlc: internal error: this is a defect of dlc; reproducer: (\S+)", result.stderr)
    assert found is not None, result.stderr
    return result.stderr, Path(found[1])


def fail(each: OutlineRemaining, module: Module, cx: PassContext) -> bool:
    raise ValueError("the pass is broken")


def test_failed_pass_leaves_what_shows_the_failure(conv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutlineRemaining, "run", fail)
    for command in (("compile", conv), ("run", conv, "--random"), ("dump", conv), ("inspect", conv)):
        errors, reproducer = defect(*command)
        assert "pass outline-remaining failed" in errors
    text = reproducer.read_text()
    found = re.search(r"dlc opt (\S+) --passes '?([^'\n]+)", text)
    assert found is not None
    again, _ = defect("opt", reproducer, "--passes", found[2])
    assert "the pass is broken" in again
    monkeypatch.undo()
    assert invoke("opt", reproducer, "--passes", found[2]).exit_code == 0


def test_failure_elsewhere_leaves_a_report(folder: Path, relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise InternalError("the emitter is broken")

    monkeypatch.setattr(build, "emit_kernel", broken)
    errors, report = defect("compile", relu, "-o", "out.so")
    assert "the emitter is broken" in errors
    text = report.read_text()
    assert text.startswith("dlc compile ")
    assert "the emitter is broken" in text
    assert not (folder / "out.so").exists()
