"""The messages of an ONNX file, with the interface of the protobuf classes as far as the reader uses it.

The onnx package brings these classes too, but importing it takes longer than compiling a small model, and protobuf
copies every byte of the weights. Here contents stay where they are, in the mapped file. What dlc does not look at has
no row in the tables and is passed over.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from dlc.frontends.wire import DELIMITED, FIXED32, VARINT, Malformed, fields, signed, varint

DEEPEST = 100  # messages inside messages; protobuf's own limit

INT, FLOAT, STRING, BYTES = "int", "float", "string", "bytes"

# Message → number of the field → its name, its type, and whether it is repeated.
FORMATS: dict[str, dict[int, tuple[str, str, bool]]] = {
    "ModelProto": {
        1: ("ir_version", INT, False), 2: ("producer_name", STRING, False), 3: ("producer_version", STRING, False),
        7: ("graph", "GraphProto", False), 8: ("opset_import", "OperatorSetIdProto", True),
        14: ("metadata_props", "StringStringEntryProto", True), 25: ("functions", "FunctionProto", True),
    },
    "GraphProto": {
        1: ("node", "NodeProto", True), 2: ("name", STRING, False), 5: ("initializer", "TensorProto", True),
        11: ("input", "ValueInfoProto", True), 12: ("output", "ValueInfoProto", True),
        13: ("value_info", "ValueInfoProto", True), 15: ("sparse_initializer", "SparseTensorProto", True),
    },
    "NodeProto": {
        1: ("input", STRING, True), 2: ("output", STRING, True), 3: ("name", STRING, False),
        4: ("op_type", STRING, False), 5: ("attribute", "AttributeProto", True), 7: ("domain", STRING, False),
        8: ("overload", STRING, False),
    },
    "AttributeProto": {
        1: ("name", STRING, False), 2: ("f", FLOAT, False), 3: ("i", INT, False), 4: ("s", BYTES, False),
        5: ("t", "TensorProto", False), 6: ("g", "GraphProto", False), 7: ("floats", FLOAT, True),
        8: ("ints", INT, True), 9: ("strings", BYTES, True), 10: ("tensors", "TensorProto", True),
        11: ("graphs", "GraphProto", True), 14: ("tp", "TypeProto", False), 20: ("type", INT, False),
        21: ("ref_attr_name", STRING, False), 22: ("sparse_tensor", "SparseTensorProto", False),
    },
    "TensorProto": {  # numbers in fields of their types are left to the onnx package: see `serialized`
        1: ("dims", INT, True), 2: ("data_type", INT, False), 8: ("name", STRING, False),
        9: ("raw_data", BYTES, False), 13: ("external_data", "StringStringEntryProto", True),
        14: ("data_location", INT, False),
    },
    "SparseTensorProto": {
        1: ("values", "TensorProto", False), 2: ("indices", "TensorProto", False), 3: ("dims", INT, True),
    },
    "ValueInfoProto": {1: ("name", STRING, False), 2: ("type", "TypeProto", False)},
    "TypeProto": {
        1: ("tensor_type", "TypeProto.Tensor", False), 4: ("sequence_type", "TypeProto.Sequence", False),
        5: ("map_type", "TypeProto.Map", False), 7: ("opaque_type", "TypeProto.Opaque", False),
        8: ("sparse_tensor_type", "TypeProto.SparseTensor", False), 9: ("optional_type", "TypeProto.Optional", False),
    },
    "TypeProto.Tensor": {1: ("elem_type", INT, False), 2: ("shape", "TensorShapeProto", False)},
    "TypeProto.Sequence": {1: ("elem_type", "TypeProto", False)},
    "TypeProto.Optional": {1: ("elem_type", "TypeProto", False)},
    "TypeProto.Map": {},
    "TypeProto.Opaque": {},
    "TypeProto.SparseTensor": {},
    "TensorShapeProto": {1: ("dim", "TensorShapeProto.Dimension", True)},
    "TensorShapeProto.Dimension": {1: ("dim_value", INT, False), 2: ("dim_param", STRING, False)},
    "OperatorSetIdProto": {1: ("domain", STRING, False), 2: ("version", INT, False)},
    "StringStringEntryProto": {1: ("key", STRING, False), 2: ("value", STRING, False)},
    "FunctionProto": {
        1: ("name", STRING, False), 4: ("input", STRING, True), 5: ("output", STRING, True),
        6: ("attribute", STRING, True), 7: ("node", "NodeProto", True),
        9: ("opset_import", "OperatorSetIdProto", True), 10: ("domain", STRING, False),
        11: ("attribute_proto", "AttributeProto", True), 13: ("overload", STRING, False),
    },
}  # fmt: skip

ROWS = {kind: {row[0]: row for row in table.values()} for kind, table in FORMATS.items()}
NOTHING = {INT: 0, FLOAT: 0.0, STRING: "", BYTES: b""}


class Message:
    """One message. Its attributes are its fields; one that is absent reads as protobuf's default."""

    def __init__(self, kind: str, data: memoryview, start: int, end: int, depth: int = 0) -> None:
        """Raises Malformed."""
        self.kind = kind
        self.span = data, start, end
        if depth > DEEPEST:
            raise Malformed(f"messages lie more than {DEEPEST} deep in each other")
        table, present = FORMATS[kind], self.__dict__
        values: list[object]
        for number, wire, payload, after in fields(data, start, end):
            row = table.get(number)
            if row is None:
                continue
            name, type_, repeated = row
            if type_ in READERS:
                values = numbers_or_text(data, payload, after, wire, type_)
            elif wire == DELIMITED:
                values = [Message(type_, data, payload, after, depth + 1)]
            else:
                continue
            if repeated:
                present.setdefault(name, []).extend(values)
            elif values:  # numbers packed together may be none at all
                present[name] = values[-1]

    def __getattr__(self, name: str) -> object:  # only for what is not present
        row = ROWS[self.kind].get(name)
        if row is None:
            raise AttributeError(f"{self.kind} has no field {name!r}")
        if row[2]:
            return ()
        return NOTHING[row[1]] if row[1] in NOTHING else Message(row[1], memoryview(b""), 0, 0)

    def HasField(self, name: str) -> bool:  # noqa: N802 - protobuf's name
        return name in self.__dict__

    def WhichOneof(self, group: str) -> str | None:  # noqa: N802 - protobuf's name
        """The field of the only group, `value`, that is present."""
        return next((row[0] for row in FORMATS[self.kind].values() if row[0] in self.__dict__), None)

    def serialized(self) -> bytes:
        """The message as it lies in the file, for the onnx package to parse."""
        data, start, end = self.span
        return bytes(data[start:end])


def read_int(data: memoryview, at: int, end: int) -> int:
    return signed(varint(data, at, end)[0])


def read_float(data: memoryview, at: int, _: int) -> float:
    value: float = struct.unpack_from("<f", data, at)[0]
    return value


def read_string(data: memoryview, at: int, end: int) -> str:
    try:
        return str(data[at:end], "utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"the text at byte {at} is not UTF-8") from error


def read_bytes(data: memoryview, at: int, end: int) -> memoryview:
    return data[at:end]


READERS: dict[str, tuple[int, Callable[[memoryview, int, int], object]]] = {
    INT: (VARINT, read_int), FLOAT: (FIXED32, read_float), STRING: (DELIMITED, read_string),
    BYTES: (DELIMITED, read_bytes),
}  # fmt: skip


def numbers_or_text(data: memoryview, at: int, end: int, wire: int, type_: str) -> list[object]:
    """The values of one field: one, or several numbers packed together. Raises Malformed."""
    wanted, read = READERS[type_]
    if wire == wanted:
        return [read(data, at, end)]
    if wire != DELIMITED:
        raise Malformed(f"the field at byte {at} is of another kind than its message says")
    return packed(data, at, end, type_)


def packed(data: memoryview, at: int, end: int, type_: str) -> list[object]:
    """Repeated numbers in one field. Raises Malformed."""
    if type_ == FLOAT:
        if (end - at) % 4:
            raise Malformed(f"the numbers at byte {at} are cut off")
        return [each for (each,) in struct.iter_unpack("<f", data[at:end])]
    found: list[object] = []
    while at < end:
        value, at = varint(data, at, end)
        found.append(signed(value))
    return found
