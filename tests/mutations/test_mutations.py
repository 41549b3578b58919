"""Models with something changed at random are compiled and run, or refused with a `UserError`; nothing else happens.

A few of them run by default. All 3,000 changes of bytes, 1,500 of graphs and 6,000 of single operators take about an
hour and a half of one core:

    DLC_ALL_MUTANTS=1 python -m pytest tests/mutations

A failure names the mutants: `python -m tests.mutations structural 17` repeats one in the open, with `--save FILE` it
writes the model.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.mutations.mutants import mutant
from tests.mutations.runner import ALLOWED, Worker, run

FEW = {"bytes": 30, "structural": 18, "operator": 200}
ALL = {"bytes": 3000, "structural": 1500, "operator": 6000}
COUNTS = ALL if os.environ.get("DLC_ALL_MUTANTS") else FEW

pytestmark = pytest.mark.slow


def check(kind: str) -> None:
    results = list(run((kind, number) for number in range(COUNTS[kind])))
    faults = [f"{mutant(kind, result.number)}\n{result}" for result in results if result.is_fault]
    print(dict(Counter(result.outcome for result in results)))
    assert not faults, "\n\n".join([f"{len(faults)} of {len(results)} mutants", *faults])
    assert len(results) == COUNTS[kind]
    assert {result.outcome for result in results} <= set(ALLOWED)


@pytest.mark.models
def test_files_with_other_bytes(shared: Path) -> None:
    check("bytes")


@pytest.mark.models
def test_graphs_with_other_nodes_edges_and_values(shared: Path) -> None:
    check("structural")


def test_single_operators_with_other_attributes_and_operands() -> None:
    check("operator")


# -- the tests' own tools ----------------------------------------------------------------------------------------------


def test_a_mutant_is_the_same_each_time() -> None:
    first, second = mutant("operator", 7), mutant("operator", 7)
    assert first == second and first.changes and str(first).startswith("operator 7 (")


def test_mutants_differ() -> None:
    assert len({mutant("operator", number).data for number in range(50)}) > 45


def test_a_worker_that_dies_is_noticed_and_says_why() -> None:
    worker = Worker()
    try:
        assert worker.ask("operator", 0).outcome in ALLOWED
        result = worker.ask("nonsense", 1)
    finally:
        worker.close()
    assert result.is_fault and result.outcome == "crash"
    assert "KeyError: 'nonsense'" in result.message and "python -m tests.mutations nonsense 1" in str(result)
