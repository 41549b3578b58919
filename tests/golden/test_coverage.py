"""Every op has a round-trip case, every numbered check of an op a case that meets it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlc.ir.dialects import all_ops, op_table
from tests.golden.golden import FOLDER, all_cases, messages_of, parse_case

DIALECTS = FOLDER.parent.parent / "dlc" / "ir" / "dialects"


def test_every_op_has_a_round_trip_case() -> None:
    found = {op.name for case in all_cases(FOLDER / "dialects") for op in parse_case(case).walk()}
    assert [kind.spec.name for kind in all_ops() if kind.spec.name not in found] == []


def numbered_checks(path: Path) -> Iterator[tuple[str, str]]:
    """(op or "", pattern of the message) for each message that a file of ops yields; a base's may come from any op."""
    for node in ast.parse(path.read_text("utf-8")).body:
        name = declared_name(node) if isinstance(node, ast.ClassDef) else ""
        for inner in ast.walk(node):
            if isinstance(inner, ast.Yield) and inner.value is not None:
                pattern = message_pattern(inner.value)
                if pattern is not None:
                    yield name, pattern


def declared_name(node: ast.ClassDef) -> str:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.args[0], ast.Constant):
            return str(decorator.args[0].value)
    return ""


def message_pattern(value: ast.expr) -> str | None:
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    texts = [re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in parts]
    if not isinstance(value, ast.JoinedStr | ast.Constant):
        return None
    return "".join(texts)


CHECKS = [(path.stem, *check) for path in sorted(DIALECTS.glob("*.py")) for check in numbered_checks(path)]


@pytest.fixture(scope="module")
def messages() -> list[str]:
    return [message for case in all_cases(FOLDER / "invalid") for message in messages_of(case)]


def test_there_are_checks() -> None:
    assert len(CHECKS) > 80
    assert {name for _, name, _ in CHECKS} - {""} <= op_table().keys()


@pytest.mark.parametrize(("dialect", "name", "pattern"), CHECKS)
def test_every_numbered_check_has_an_invalid_case(dialect: str, name: str, pattern: str, messages: list[str]) -> None:
    wanted = re.compile(rf"{re.escape(name) if name else '[a-z_.]+'}: {pattern}")
    assert any(wanted.match(message) for message in messages), (
        f"no case in tests/golden/invalid meets {name}: {pattern}"
    )
