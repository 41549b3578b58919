"""Errors are neither swallowed nor mistaken for one another."""

import ast

import pytest

from tests.house.sources import Source, sources

MAY_CATCH_ALL = ("dlc/passes/manager.py", "dlc/background.py", "dlc/cli/")
BROAD = ("Exception", "BaseException")


@pytest.mark.parametrize("source", sources("dlc"), ids=lambda source: source.path)
def test_no_handler_catches_everything(source: Source) -> None:
    if source.path.startswith(MAY_CATCH_ALL):
        return
    broad = [
        f"{source.path}:{node.lineno}: catches everything"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert broad == []


def test_the_check_sees_every_spelling() -> None:
    spellings = ("except:", "except Exception:", "except (ValueError, Exception) as error:", "except BaseException:")
    for spelling in (*spellings, "except ValueError:"):
        tree = ast.parse(f"try:\n    pass\n{spelling}\n    pass\n")
        handlers = [node for node in ast.walk(tree) if isinstance(node, ast.ExceptHandler)]
        assert catches_everything(handlers[0]) == (spelling in spellings), spelling


def catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(kind, ast.Name) and kind.id in BROAD for kind in kinds)
