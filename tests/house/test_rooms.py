"""Who may import whom. A failure here means that code is in the wrong room, not that the table wants another entry."""

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.house.sources import Source, sources

ALL = None  # the rooms that tie the others together

ROOMS: dict[str, frozenset[str] | None] = {
    "": ALL,  # dlc/__init__.py, lazily: tests/house/test_lazy.py
    "errors": frozenset(),
    "record": frozenset(),
    "background": frozenset(),
    "digest": frozenset(),
    "kernel_files": frozenset({"errors"}),
    "target": frozenset({"errors", "record"}),
    "ir": frozenset({"errors", "record", "digest"}),
    "frontends": frozenset({"errors", "ir", "record", "background"}),
    "kernel_language": frozenset({"errors", "kernel_files", "record"}),
    "passes": frozenset({"errors", "ir", "target", "kernel_files", "kernel_language", "record", "digest"}),
    "codegen": frozenset({"errors", "ir", "target", "record"}),
    "runtime": frozenset({"errors", "record"}),
    "driver": ALL,
    "cli": ALL,
    "backend": ALL,
    "__main__": ALL,
}

# Packages that only some rooms may import; those not named here are free.
PACKAGE_ROOMS: dict[str, frozenset[str]] = {
    "llvmlite": frozenset({"codegen", "driver", "cli"}),
    "onnx": frozenset({"frontends", "driver", "cli", "backend"}),
    "torch": frozenset({"frontends", "driver", "cli"}),
    "lark": frozenset({"ir"}),
    "click": frozenset({"cli", "__main__"}),
    "rich": frozenset({"cli"}),
    "onnxruntime": frozenset({"cli"}),
    "openvino": frozenset({"cli"}),
}

LOCAL_IMPORTS_ALLOWED = ("dlc/cli/*.py", "dlc/frontends/load.py", "dlc/frontends/later.py", "dlc/__init__.py")

FILES = sources("dlc")


@pytest.mark.parametrize("source", FILES, ids=lambda source: source.path)
def test_imports_stay_within_the_rooms_of_the_table(source: Source) -> None:
    assert source.room in ROOMS, f"{source.path}: room '{source.room}' has no row in the table"
    assert list(forbidden_rooms(source)) == []


@pytest.mark.parametrize("source", FILES, ids=lambda source: source.path)
def test_packages_are_imported_only_where_they_belong(source: Source) -> None:
    found = [
        f"{source.path}:{line}: room '{source.room}' must not import {package}"
        for line, module in imports(source.tree)
        if (package := module.partition(".")[0]) in PACKAGE_ROOMS and source.room not in PACKAGE_ROOMS[package]
    ]
    assert found == []


@pytest.mark.parametrize("source", sources("dlc", "tests", "examples"), ids=lambda source: source.path)
def test_imports_are_absolute_and_named(source: Source) -> None:
    found = [
        f"{source.path}:{node.lineno}: {'relative' if node.level else 'star'} import"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom) and (node.level or any(alias.name == "*" for alias in node.names))
    ]
    assert found == []


@pytest.mark.parametrize("source", FILES, ids=lambda source: source.path)
def test_imports_stand_at_the_top(source: Source) -> None:
    if any(PurePosixPath(source.path).match(pattern) for pattern in LOCAL_IMPORTS_ALLOWED):
        return
    found = [
        f"{source.path}:{node.lineno}: import inside {function.name}"
        for function in ast.walk(source.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert found == []


def test_the_check_sees_a_wrong_import() -> None:
    tree = ast.parse("from dlc import passes\nimport dlc.codegen.elf\nfrom dlc.errors import UserError\nimport dlc\n")
    found = list(forbidden_rooms(Source("dlc/runtime/model.py", "", tree)))
    assert [line.partition(": ")[0] for line in found] == [f"dlc/runtime/model.py:{line}" for line in (1, 2, 4)]


def forbidden_rooms(source: Source) -> Iterator[str]:
    allowed = ROOMS[source.room]
    if allowed is ALL:
        return
    for line, module in imports(source.tree):
        package, _, rest = module.partition(".")
        room = rest.partition(".")[0]
        if package == "dlc" and room not in allowed | {source.room}:
            yield f"{source.path}:{line}: room '{source.room}' must not import {module}"


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and module of every import; `from dlc import x` counts as dlc.x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "dlc":
            yield from ((node.lineno, f"dlc.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module
