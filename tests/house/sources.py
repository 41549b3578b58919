"""The package's source files, parsed once, for the tests that read code instead of running it."""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """One file of the repository."""

    path: str  # from the root, with forward slashes
    text: str
    tree: ast.Module  # empty where the file does not parse
    fault: str = ""  # why it does not

    @property
    def room(self) -> str:
        """dlc/passes/lower/conv.py and dlc/passes.py lie in the room `passes`; dlc/__init__.py in the room ''."""
        name = self.path.split("/")[1].removesuffix(".py")
        return "" if name == "__init__" else name


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python file under these folders of the repository, in order."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(read(path) for path in paths)


def read(path: Path) -> Source:
    text = path.read_text()
    name = path.relative_to(ROOT).as_posix()
    try:
        return Source(name, text, ast.parse(text, filename=name))
    except SyntaxError as error:
        return Source(name, text, ast.Module([], []), f"{name}:{error.lineno}: {error.msg}")
