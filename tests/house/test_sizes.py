"""Files parse under every Python we support, and they and their functions stay small enough to be read in one go."""

import ast

import pytest

from tests.house.sources import Source, sources

FILE_LINES = 500
FUNCTION_LINES = 60


@pytest.mark.parametrize("source", sources("dlc", "tests", "examples"), ids=lambda source: source.path)
def test_file_parses_and_is_short(source: Source) -> None:
    assert not source.fault
    lines = len(source.text.splitlines())
    assert lines <= FILE_LINES, f"{source.path} has {lines} lines: split it by meaning"


@pytest.mark.parametrize("source", sources("dlc"), ids=lambda source: source.path)
def test_functions_are_short(source: Source) -> None:
    long = [
        f"{source.path}:{node.lineno}: {node.name} has {lines} lines"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    ]
    assert long == []
