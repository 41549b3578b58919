"""Text of the kernel language to tokens, and the place in them at which a parser stands."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from dlc.errors import UserError

_TOKEN = re.compile(r"""
      (?P<skipped> (?: \s+ | \#[^\n]* )+ )
    | (?P<number>  0x[0-9a-fA-F]+ | \d+ (?: \.\d+ )? (?: [eE][-+]?\d+ )? | (?: inf | nan )\b )
    | (?P<name>    [A-Za-z_]\w* (?: \.\w+ )* )
    | (?P<string>  "[^"\n]*" )
    | (?P<sign>    == | != | <= | >= | := | -> | // | \.\. | [-+*/%<>=:;,()\[\]{}] )
""", re.VERBOSE)  # fmt: skip

# What cannot be the name of a value. The words of schedules can: no expression begins where one of them may stand.
RESERVED = frozenset((
    "if", "then", "else", "for", "in", "and", "or", "not", "when", "let", "each", "while", "give", "fn", "kernel",
    "schedule",
))  # fmt: skip


class Token(NamedTuple):
    """`kind` is "number", "name", "string", "sign" or "end"; a name may have parts behind dots, as loops have."""

    kind: str
    text: str
    line: int
    start: int


class Cursor:
    """The tokens of a text, taken one after the other. `first_line` is the number of the text's first line."""

    def __init__(self, text: str, file: str, first_line: int = 1) -> None:
        self.text = text
        self.file = file
        self.first_line = first_line
        self.tokens = self._read()
        self.at = 0
        self.next = self.tokens[0]

    def _read(self) -> list[Token]:
        tokens, position, line, text = [], 0, self.first_line, self.text
        for found in _TOKEN.finditer(text):
            start, end = found.span()
            if start != position:
                break
            kind, part = str(found.lastgroup), found[0]
            if kind == "skipped":
                line += part.count("\n")
            else:
                tokens.append(Token(kind, part, line, start))
            position = end
        if position < len(text):
            self._refuse(Token("sign", text[position], line, position), "a word, a number or a sign")
        return [*tokens, Token("end", "", line, len(text))]

    def take(self) -> Token:
        """The next token, which is left behind."""
        token = self.next
        self.at += 1
        self.next = self.tokens[self.at]
        return token

    def accept(self, text: str) -> bool:
        """Take the next token if it is this word or sign."""
        if self.next.text != text or self.next.kind == "string":
            return False
        self.take()
        return True

    def expect(self, *texts: str) -> str:
        """Take one of these words or signs. Raises UserError for any other."""
        if self.next.text not in texts or self.next.kind == "string":
            self.fail(*map(repr, texts))
        return self.take().text

    def word(self) -> str:
        """Take the name of a definition: those of operators may be words of the language (`not`)."""
        if self.next.kind != "name" or "." in self.next.text:
            self.fail("a name")
        return self.take().text

    def name(self) -> str:
        """Take the name of a value."""
        if self.next.text in RESERVED:
            self.fail("a name")
        return self.word()

    def ahead(self, count: int) -> str:
        """The text of the token `count` places behind the next one."""
        return self.tokens[min(self.at + count, len(self.tokens) - 1)].text

    def fail(self, *expected: str) -> NoReturn:
        """Refuse the next token. Raises UserError with file, line, column and what was expected."""
        self._refuse(self.next, *expected)

    def _refuse(self, token: Token, *expected: str) -> NoReturn:
        column = token.start - self.text.rfind("\n", 0, token.start)
        line = self.text.split("\n")[token.line - self.first_line].strip()
        wanted = expected[0] if len(expected) == 1 else f"one of {', '.join(expected)}"
        got = repr(token.text) if token.text else "the end"
        raise UserError(
            f"{self.file}:{token.line}:{column}: cannot read {line!r} of the kernel file, expected {wanted}, got {got}"
        )
