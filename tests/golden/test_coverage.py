"""Every op has a round-trip case, every numbered check of an op a case that meets it."""

import ast
import re
from collections.abc import Iterator
from inspect import signature
from pathlib import Path

import pytest

from dlc.ir import requirements
from dlc.ir.dialects import all_ops, op_table
from tests.golden.golden import FOLDER, all_cases, messages_of, parse_case

DIALECTS = FOLDER.parent.parent / "dlc" / "ir" / "dialects"


def test_every_op_has_a_round_trip_case() -> None:
    found = {op.name for case in all_cases(FOLDER / "dialects") for op in parse_case(case).walk()}
    assert [kind.spec.name for kind in all_ops() if kind.spec.name not in found] == []


NUMBERED = re.compile(r"c\d+: ")
HELPERS = {"Requirement"} | {  # of dlc/ir/requirements.py: what takes a text does so last
    name for name, value in vars(requirements).items()
    if getattr(value, "__module__", "") == requirements.__name__ and [*signature(value).parameters][-1:] == ["text"]
}  # fmt: skip


def numbered_checks(path: Path) -> Iterator[tuple[str, str]]:
    """(op or "", pattern of the message) for each message of a file of ops; a base's may come from any op.

    Messages are what `check` yields, and wherever else a text begins with the number of a check: such are given to
    the functions of dlc/ir/requirements.py.
    """
    for node in ast.parse(path.read_text("utf-8")).body:
        name = declared_name(node) if isinstance(node, ast.ClassDef) else ""
        yielded = [each.value for each in ast.walk(node) if isinstance(each, ast.Yield) and each.value is not None]
        parts = {part for each in ast.walk(node) if isinstance(each, ast.JoinedStr) for part in each.values}
        whole = [each for each in ast.walk(node) if isinstance(each, ast.expr) and each not in parts]
        texts = [each for each in whole if NUMBERED.match(beginning(each))]
        for pattern in dict.fromkeys(map(message_pattern, [*yielded, *texts])):
            if pattern is not None:
                yield name, pattern


def beginning(value: ast.expr) -> str:
    """The text that a string begins with; nothing for other expressions and for parts of a formatted string."""
    first = value.values[0] if isinstance(value, ast.JoinedStr) and value.values else value
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def declared_name(node: ast.ClassDef) -> str:
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.args[0], ast.Constant):
            return str(decorator.args[0].value)
    return ""


def message_pattern(value: ast.expr) -> str | None:
    if not isinstance(value, ast.JoinedStr | ast.Constant):
        return None
    parts = value.values if isinstance(value, ast.JoinedStr) else [value]
    return "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in parts)


GIVEN_ON = ("text", "self.text")  # a parameter of a helper of the file, and what graph.require was given


def texts_given(path: Path) -> Iterator[tuple[int, ast.expr, str | None]]:
    """(line, the expression for the text, its pattern) of each call of a helper of dlc/ir/requirements.py."""
    tree = ast.parse(path.read_text("utf-8"))
    outside = literals(tree)
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
        known = {**outside, **literals(function)}
        for call in ast.walk(function):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in HELPERS:
                text = call.args[-1]
                if ast.unparse(text) not in GIVEN_ON:
                    yield call.lineno, text, known.get(ast.unparse(text), message_pattern(text))


def literals(scope: ast.Module | ast.FunctionDef) -> dict[str, str | None]:
    """The names that are given a string in the body of a file or a function."""
    return {
        target.id: message_pattern(node.value)
        for node in ast.walk(scope) if isinstance(node, ast.Assign)
        for target in node.targets if isinstance(target, ast.Name)
    }  # fmt: skip


CHECKS = [(path.stem, *check) for path in sorted(DIALECTS.glob("*.py")) for check in numbered_checks(path)]


@pytest.fixture(scope="module")
def messages() -> list[str]:
    return [message for case in all_cases(FOLDER / "invalid") for message in messages_of(case)]


def test_there_are_checks() -> None:
    assert len(CHECKS) > 140
    assert {name for _, name, _ in CHECKS} - {""} <= op_table().keys()


@pytest.mark.parametrize("path", sorted(DIALECTS.glob("*.py")), ids=lambda path: path.stem)
def test_every_requirement_has_a_numbered_text_that_is_looked_for(path: Path) -> None:
    patterns = {pattern for dialect, _, pattern in CHECKS if dialect == path.stem}
    lost = [f"line {line}: {ast.unparse(text)}" for line, text, pattern in texts_given(path) if pattern not in patterns]
    assert lost == []


def test_there_are_requirements() -> None:
    assert {"equal", "at_least", "divisible", "equal_shapes", "broadcast_alike"} <= HELPERS
    assert sum(1 for path in DIALECTS.glob("*.py") for _ in texts_given(path)) > 40


@pytest.mark.parametrize(("dialect", "name", "pattern"), CHECKS)
def test_every_numbered_check_has_an_invalid_case(dialect: str, name: str, pattern: str, messages: list[str]) -> None:
    wanted = re.compile(rf"{re.escape(name) if name else '[a-z_.]+'}: {pattern}")
    assert any(wanted.match(message) for message in messages), (
        f"no case in tests/golden/invalid meets {name}: {pattern}"
    )
