"""Protobuf's wire format, read in place: nothing is copied that a reader does not ask for."""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
SIZES = {FIXED32: 4, FIXED64: 8}

Field = tuple[int, int, int, int]  # number, kind, and where the payload begins and ends


class Malformed(ValueError):
    """The bytes are no protobuf message, or end too early."""


def fields(data: memoryview, at: int, end: int) -> Iterator[Field]:
    """The fields of the message in data[at:end]. Raises Malformed."""
    while at < end:
        start = at
        tag, at = varint(data, at, end)
        kind, payload = tag & 7, at
        if kind == DELIMITED:
            length, payload = varint(data, at, end)
            at = payload + length
        elif kind == VARINT:
            at = varint(data, at, end)[1]
        elif kind in SIZES:
            at += SIZES[kind]
        else:
            raise Malformed(f"a field of the unknown kind {kind} at byte {start}")
        if at > end or not tag >> 3:
            raise Malformed(f"the field at byte {start} leaves its message")
        yield tag >> 3, kind, payload, at


def varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the place behind it. Raises Malformed."""
    if at < end and (byte := data[at]) < 128:
        return byte, at + 1
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise Malformed(f"a number at byte {at} does not end")


def signed(value: int) -> int:
    """The 64-bit integer that a varint stands for."""
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
