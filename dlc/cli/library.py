"""What a compiled model says about itself, read from the file without loading it: it may be for another machine."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from dlc.errors import UserError
from dlc.runtime.metadata import Metadata, parse_metadata

HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
SECTION = struct.Struct("<IIQQQQIIQQ")  # name, kind, flags, address, offset, size, link, info, align, entry size
SYMBOL = struct.Struct("<IBBHQQ")  # name, info, other, section, value, size
DYNAMIC_SYMBOLS = 11  # SHT_DYNSYM
Section = tuple[int, ...]


def library_metadata(path: Path) -> Metadata:
    """The description in a compiled model. Raises UserError for what is none, or is damaged."""
    try:
        with path.open("rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # an empty file
        raise UserError(f"{path} is not a compiled model: it is empty") from error
    try:
        sections = section_table(data)
        places = {name: place for name, place in symbol_places(data, sections) if name.startswith("dlc_metadata")}
        size = int.from_bytes(data[places["dlc_metadata_size"] :][:8], "little")
        text = data[places["dlc_metadata"] : places["dlc_metadata"] + size]
    except KeyError as error:
        raise UserError(f"{path} is not a compiled model (a library without dlc's symbols)") from error
    except (struct.error, IndexError, ValueError) as error:
        raise UserError(f"{path} is not a whole 64-bit ELF library") from error
    return parse_metadata(text, str(path))


def section_table(data: mmap.mmap) -> list[Section]:
    header = HEADER.unpack_from(data)
    if header[0][:6] != b"\x7fELF\x02\x01":
        raise ValueError("not 64-bit ELF")
    start, count = header[6], header[12]
    return [SECTION.unpack_from(data, start + number * SECTION.size) for number in range(count)]


def symbol_places(data: mmap.mmap, sections: list[Section]) -> Iterator[tuple[str, int]]:
    """The name of each exported symbol, and where in the file it lies."""
    table = next(section for section in sections if section[1] == DYNAMIC_SYMBOLS)
    strings = sections[table[6]][4]
    for number in range(1, table[5] // SYMBOL.size):
        name, _, _, home, address, _ = SYMBOL.unpack_from(data, table[4] + number * SYMBOL.size)
        if 0 < home < len(sections):
            begin = strings + name
            text = data[begin : data.find(b"\0", begin)].decode(errors="replace")
            yield text, address - sections[home][3] + sections[home][4]
