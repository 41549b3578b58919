"""Take the big weights out of a serialized ONNX model without reading them.

The protobuf library copies every byte it parses. Here the wire format is walked by hand as far as the contents of the
initializers; they stay where they are, in the mapped file, and the library parses the small rest.

    model := … 7: graph …      graph := … 5: initializer …      initializer := … 9: raw_data …
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9  # field numbers in ModelProto, GraphProto, TensorProto
SMALL = 1024  # contents below this many bytes are left to the library
VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5


class Malformed(ValueError):
    """The bytes are no protobuf message, or end too early."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its number, where it starts with its tag, and where its payload lies."""

    number: int
    start: int
    payload: int
    end: int
    delimited: bool


@dataclass(frozen=True, slots=True)
class Split:
    """A model without its big weights; `spans` says where those lie, by the position of the initializer."""

    rest: bytes
    spans: dict[int, tuple[int, int]]


def split_weights(data: memoryview) -> Split:
    """Raises Malformed."""
    pieces: list[bytes] = []
    spans: dict[int, tuple[int, int]] = {}
    for item in fields(data, 0, len(data)):
        if item.number == GRAPH and item.delimited:
            pieces.append(_message(GRAPH, _graph_without_weights(data, item, spans)))
        else:
            pieces.append(bytes(data[item.start : item.end]))
    return Split(b"".join(pieces), spans)


def _graph_without_weights(data: memoryview, graph: Field, spans: dict[int, tuple[int, int]]) -> bytes:
    pieces: list[bytes] = []
    position = -1
    for item in fields(data, graph.payload, graph.end):
        position += item.number == INITIALIZER
        if item.number != INITIALIZER or item.end - item.payload < SMALL:
            pieces.append(bytes(data[item.start : item.end]))
            continue
        kept, span = _tensor_without_contents(data, item)
        if span is not None:
            spans[position] = span
        pieces.append(_message(INITIALIZER, kept))
    return b"".join(pieces)


def _tensor_without_contents(data: memoryview, tensor: Field) -> tuple[bytes, tuple[int, int] | None]:
    pieces, span = [], None
    for item in fields(data, tensor.payload, tensor.end):
        if item.number == RAW_DATA and item.delimited and item.end - item.payload >= SMALL:
            span = (item.payload, item.end)
        else:
            pieces.append(bytes(data[item.start : item.end]))
    return b"".join(pieces), span


def fields(data: memoryview, at: int, end: int) -> Iterator[Field]:
    """The fields of the message in data[at:end]."""
    while at < end:
        start = at
        tag, at = _varint(data, at, end)
        kind = tag & 7
        payload = at
        if kind == VARINT:
            at = _varint(data, at, end)[1]
        elif kind == DELIMITED:
            length, payload = _varint(data, at, end)
            at = payload + length
        elif kind in (FIXED32, FIXED64):
            at += 4 if kind == FIXED32 else 8
        else:
            raise Malformed(f"a field of the unknown kind {kind} at byte {start}")
        if at > end or not tag >> 3:
            raise Malformed(f"the field at byte {start} leaves its message")
        yield Field(tag >> 3, start, payload, at, kind == DELIMITED)


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 70:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise Malformed(f"a number at byte {at} does not end")


def _message(number: int, body: bytes) -> bytes:
    return _encode(number << 3 | DELIMITED) + _encode(len(body)) + body


def _encode(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
