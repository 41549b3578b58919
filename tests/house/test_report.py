"""The report that writes docs/PERFORMANCE.md fits the passes and the document."""

from __future__ import annotations

import importlib
import sys
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import pytest

from dlc.passes.table import pass_named


@pytest.fixture
def report(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    for name in ("report", "turns"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("report")


def test_each_step_leaves_out_fewer_passes_and_all_exist(report: ModuleType) -> None:
    steps = [{pass_named(name) for name in without} for without in report.STEPS.values()]
    assert all(later < earlier for earlier, later in pairwise(steps)) and not steps[-1]


def test_the_document_has_a_place_for_each_table(report: ModuleType, root: Path) -> None:
    text = (root / "docs/PERFORMANCE.md").read_text()
    for name in report.TABLES:
        changed = report.put(text, name, "| a \\1 |")
        assert "| a \\1 |" in changed and report.put(changed, name, "").count("<!-- end -->") == len(report.TABLES)
    with pytest.raises(SystemExit, match="report: none"):
        report.put(text, "none", "")
