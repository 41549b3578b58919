"""A text with its name, to show where in it something is wrong."""

from __future__ import annotations

from dlc.errors import UserError
from dlc.record import record


class TextError(Exception):
    """Something wrong at an offset of the text (-1: its end); becomes a UserError that shows the line."""

    def __init__(self, message: str, at: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at
        self.hint = hint


@record
class Source:
    text: str
    name: str

    def position(self, at: int) -> tuple[int, int]:
        """Line and column, from 1, of an offset; negative offsets mean the end."""
        before = self.text[: at if at >= 0 else len(self.text.rstrip())]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1

    def error(self, message: str, at: int, hint: str | None = None) -> UserError:
        line, column = self.position(at)
        shown = (self.text.split("\n") or [""])[line - 1]
        caret = "".join("\t" if c == "\t" else " " for c in shown[: column - 1]) + "^"
        return UserError(f"{self.name}:{line}:{column}: {message}\n  {shown}\n  {caret}", hint=hint)
