"""The kernel library: definitions by name, read from the files of `kernels/` when they are first asked for.

A file `NAME.kernel` holds a family. `INDEX` of the library is found by scanning the files for the words that open a
definition, which costs microseconds; a file is parsed only when one of its definitions is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from dlc.errors import UserError
from dlc.kernel_files import kernel_root
from dlc.kernel_language.parser import parse_kernels
from dlc.kernel_language.syntax import Definition, Function, Kernel, Schedule

_OPENING = re.compile(r"^(fn|kernel|schedule)\s+([A-Za-z_]\w*)", re.MULTILINE)


class Library:
    """Definitions from a set of kernel files; a user's own files come after ours and win."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._texts: dict[str, str] = {}
        self._files: dict[tuple[str, str], list[str]] = {}
        self._parsed: dict[str, tuple[Definition, ...]] = {}
        for path in paths:
            self.add_file(path)

    def add_file(self, path: Path) -> None:
        try:
            text = path.read_text()
        except OSError as problem:
            raise UserError(f"cannot read the kernel file {path}: {problem.strerror}") from None
        self._texts[str(path)] = text
        for word, name in _OPENING.findall(text):
            files = self._files.setdefault((word, name), [])
            if str(path) not in files:
                files.insert(0, str(path))

    def _definitions(self, word: str, name: str) -> list[Definition]:
        found: list[Definition] = []
        for file in self._files.get((word, name), []):
            if file not in self._parsed:
                self._parsed[file] = parse_kernels(self._texts[file], Path(file).name)
            kind = {"fn": Function, "kernel": Kernel, "schedule": Schedule}[word]
            found += [d for d in self._parsed[file] if isinstance(d, kind) and d.name == name]
        return found

    def functions(self, name: str) -> list[Function]:
        """The variants of a scalar function, in the order in which their conditions are tried."""
        return [d for d in self._definitions("fn", name) if isinstance(d, Function)]

    def kernels(self, name: str) -> list[Kernel]:
        return [d for d in self._definitions("kernel", name) if isinstance(d, Kernel)]

    def schedules(self, name: str) -> list[Schedule]:
        return [d for d in self._definitions("schedule", name) if isinstance(d, Schedule)]

    def names(self, word: str) -> list[str]:
        return sorted(name for kind, name in self._files if kind == word)

    def texts(self) -> dict[str, str]:
        """All files' texts: part of the key of what was compiled with them."""
        return dict(self._texts)


@cache
def standard_library() -> Library:
    """The library that comes with dlc."""
    return Library(sorted(kernel_root().glob("*.kernel")))
