"""The kernel library: definitions by name, read from the files of `kernels/` when they are first asked for.

A file `NAME.kernel` holds a family. The library scans the files for the words that open a definition at the start of
a line, which costs microseconds; a definition is parsed when it is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path

from dlc.errors import UserError
from dlc.kernel_files import kernel_root
from dlc.kernel_language.parser import parse_kernels
from dlc.kernel_language.syntax import Definition, Function, Kernel, Schedule

_OPENING = re.compile(r"^(fn|kernel|schedule)\s+([A-Za-z_]\w*)", re.MULTILINE)
_KINDS = {"fn": Function, "kernel": Kernel, "schedule": Schedule}


class Passage:
    """The text of one definition, from the word that opens it to the next one, and what it parses to."""

    def __init__(self, text: str, file: str, first_line: int) -> None:
        self.text = text
        self.file = file
        self.first_line = first_line

    @cached_property
    def definitions(self) -> tuple[Definition, ...]:
        return parse_kernels(self.text, self.file, self.first_line)


class Library:
    """Definitions from a set of kernel files; a user's own files come after ours and win."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._texts: dict[str, str] = {}
        self._passages: dict[tuple[str, str], list[Passage]] = {}
        self._known: dict[tuple[str, str], list[Definition]] = {}  # what has been asked for so far
        for path in paths:
            self.add_file(path)

    def add_file(self, path: Path) -> None:
        try:
            text = path.read_text()
        except OSError as problem:
            raise UserError(f"cannot read the kernel file {path}: {problem.strerror}") from None
        self._texts[str(path)] = text
        self._known.clear()
        own: dict[tuple[str, str], list[Passage]] = {}
        for key, passage in passages(text, path.name):
            own.setdefault(key, []).append(passage)
        for key, found in own.items():
            self._passages[key] = [*found, *self._passages.get(key, ())]

    def _definitions(self, word: str, name: str) -> list[Definition]:
        if (word, name) not in self._known:
            found = [d for passage in self._passages.get((word, name), ()) for d in passage.definitions]
            self._known[word, name] = [d for d in found if isinstance(d, _KINDS[word]) and d.name == name]
        return self._known[word, name]

    def functions(self, name: str) -> list[Function]:
        """The variants of a scalar function, in the order in which their conditions are tried."""
        return [d for d in self._definitions("fn", name) if isinstance(d, Function)]

    def kernels(self, name: str) -> list[Kernel]:
        return [d for d in self._definitions("kernel", name) if isinstance(d, Kernel)]

    def schedules(self, name: str) -> list[Schedule]:
        return [d for d in self._definitions("schedule", name) if isinstance(d, Schedule)]

    def names(self, word: str) -> list[str]:
        return sorted(name for kind, name in self._passages if kind == word)

    def texts(self) -> dict[str, str]:
        """All files' texts: part of the key of what was compiled with them."""
        return dict(self._texts)


def passages(text: str, file: str) -> Iterator[tuple[tuple[str, str], Passage]]:
    """The definitions of a file by word and name, unparsed. What stands before the first one belongs to it."""
    openings = list(_OPENING.finditer(text))
    starts = [0, *(opening.start() for opening in openings[1:]), len(text)]
    line = 1
    for number, opening in enumerate(openings):
        passage = text[starts[number] : starts[number + 1]]
        yield (opening[1], opening[2]), Passage(passage, file, line)
        line += passage.count("\n")


@cache
def standard_library() -> Library:
    """The library that comes with dlc."""
    return Library(sorted(kernel_root().glob("*.kernel")))
