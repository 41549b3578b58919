"""Write a laid-out image to a file: atomically, and with the weights streamed so that no copy of them is made."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from dlc.codegen.elf import constants as elf
from dlc.codegen.elf.layout import ENTRY_SIZES, KINDS, LINKS, Image, OutputSection
from dlc.codegen.elf.reader import SECTION
from dlc.errors import CannotWrite, InternalError
from dlc.record import record

Buffer = bytes | bytearray | memoryview | np.ndarray
Output = str | os.PathLike[str] | int  # a path, or the descriptor of an open file


@record
class WeightSegment:
    """`size` bytes of weights given as pieces at ascending offsets; what no piece covers is zero."""

    size: int
    pieces: Iterable[tuple[int, Buffer]] = ()


def write_image(image: Image, output: Output, weights: WeightSegment, entry: int) -> None:
    """Write next to the output under another name, then rename: readers see the old file or the whole new one.

    An empty file that is open for writing (its descriptor) is written as it is. Raises CannotWrite.
    """
    if isinstance(output, int):
        try:
            with open(output, "wb", closefd=False) as file:
                write_contents(file, image, weights, entry)
        except OSError as error:
            raise CannotWrite(f"cannot hold the compiled model: {error.strerror}") from error
        return
    path = Path(output)
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        with open(temporary, "xb", opener=create_executable) as file:
            write_contents(file, image, weights, entry)
        os.replace(temporary, path)
    except OSError as error:
        raise CannotWrite(f"cannot write {path}: {error.strerror}") from error
    finally:
        remove_leftover(temporary)


def write_contents(file: IO[bytes], image: Image, weights: WeightSegment, entry: int) -> None:
    write_sections(file, image, entry)
    write_pieces(file, image[".weights"], weights)


def remove_leftover(path: Path) -> None:
    """Remove the temporary file if it is still there; a folder that cannot be reached has none."""
    with contextlib.suppress(OSError):
        path.unlink()


def create_executable(path: str, flags: int) -> int:
    """Open with the permissions a linker gives, less the umask."""
    return os.open(path, flags, 0o777)


def flat_bytes(buffer: Buffer) -> memoryview:
    """Any buffer as bytes without a copy (arrays of types that have no buffer format go through a byte view)."""
    if isinstance(buffer, np.ndarray):
        buffer = np.ascontiguousarray(buffer).reshape(-1).view(np.uint8).data
    view = memoryview(buffer)
    return view if view.format == "B" and view.ndim == 1 else view.cast("B")


def write_sections(file: IO[bytes], image: Image, entry: int) -> None:
    """Headers and every section but the weights."""
    file.write(file_header(image, entry))
    for segment in image.segments:
        file.write(struct.pack(
            "<IIQQQQQQ", segment.kind, segment.flags, segment.offset, segment.address, segment.address,
            segment.file_size, segment.memory_size, segment.align,
        ))
    for section in image.present():
        if section.content:
            file.seek(section.offset)
            file.write(section.content)
    file.seek(image.section_headers)
    file.write(bytes(elf.SHDR_SIZE))
    for section in image.present():
        file.write(section_header(image, section))


def write_pieces(file: IO[bytes], section: OutputSection, weights: WeightSegment) -> None:
    """The weights, refused if they overlap or stick out; gaps stay holes in the file and read as zero."""
    end = 0
    for offset, buffer in weights.pieces:
        view = flat_bytes(buffer)
        if offset < end or offset + len(view) > weights.size:
            raise InternalError(f"the weight at offset {offset} overlaps another or passes the end of the segment")
        end = offset + len(view)
        file.seek(section.offset + offset)
        file.write(view)
    if section.size:
        file.truncate(section.offset + section.size)


def file_header(image: Image, entry: int) -> bytes:
    """The ELF header; `entry` is 0 for a library."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    sections = image.present()
    return ident + struct.pack(
        "<HHIQQQIHHHHHH", elf.ET_DYN, image.machine.number, 1, entry, elf.EHDR_SIZE, image.section_headers, 0,
        elf.EHDR_SIZE, elf.PHDR_SIZE, len(image.segments), elf.SHDR_SIZE, len(sections) + 1, image[".shstrtab"].index,
    )


def section_header(image: Image, section: OutputSection) -> bytes:
    """One section header; names stand in .shstrtab, one behind the other."""
    name = bytes(image[".shstrtab"].content).index(b"\0" + section.name.encode() + b"\0") + 1
    link = image[LINKS[section.name]].index if section.name in LINKS else 0
    return SECTION.pack(
        name, KINDS.get(section.name, elf.SHT_PROGBITS), section.flags, section.address, section.offset, section.size,
        link, section.info, section.align, ENTRY_SIZES.get(section.name, 0),
    )
