"""Messages with numbers that only a run knows.

``{0}`` and ``{1}`` are those of the error, ``{=n}`` is the value of the named dimension n (as in an address of the web
where it is no plain word: ``{=batch%20size}``); braces proper stand twice, as in Python's format strings. In an
artefact a message is bytes that the library fills in itself (`dlc_message` in dlc/codegen/pool_message.py): a number is
a byte `DETAIL` or `DIMENSION` and its place, in bytes that are never 0.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import quote, unquote

from dlc.errors import InternalError

DETAIL, DIMENSION = 1, 2
SEVEN_BITS = 0x7F


def escaped(text: str) -> str:
    """Text of the user's as part of a message."""
    return text.replace("{", "{{").replace("}", "}}")


def value_of(symbol: str) -> str:
    """The field for the value of a named dimension."""
    return f"{{={quote(symbol, safe='')}}}"


def filled(message: str, details: Sequence[int], dims: Mapping[str, int]) -> str:
    """The message with its numbers."""
    return "".join(
        piece if field is None else str(dims[unquote(field[1:])] if field.startswith("=") else details[int(field)])
        for piece, field in pieces(message)
    )


def encoded(message: str, slots: Mapping[str, int]) -> bytes:
    """The message as it lies in an artefact; `slots` says where the values of named dimensions stand."""
    out = bytearray()
    for piece, field in pieces(message):
        if field is None:
            out += "".join(letter if ord(letter) >= ord(" ") else " " for letter in piece).encode()
        elif field.startswith("="):
            slot = slots[unquote(field[1:])]
            out += bytes((DIMENSION, 0x80 | slot & SEVEN_BITS, 0x80 | slot >> 7))
        else:
            out += bytes((DETAIL, 0x80 | int(field)))
    return bytes(out) + b"\0"


def pieces(message: str) -> Iterator[tuple[str, str | None]]:
    """(text, None) and ("", field), in order."""
    for text, field, spec, conversion in string.Formatter().parse(message):
        if text:
            yield text, None
        if field is not None:
            if spec or conversion or not (field.startswith("=") or field in ("0", "1")):
                raise InternalError(f"a message has the field {field!r}: {message}")
            yield "", field
