"""Open a compiled model: refuse files that are not ours or not for this host, then load and describe it."""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from pathlib import Path

from dlc.errors import UserError
from dlc.record import record
from dlc.runtime.cpu import host_machine, missing_features
from dlc.runtime.library import Library, LibraryFile
from dlc.runtime.metadata import Metadata, parse_metadata

ABI_VERSION = 3
MACHINES = {62: "x86-64", 183: "aarch64"}
HEADER_SIZE, PROGRAM_HEADER_SIZE, LOADED = 64, 56, 1


@record
class Artifact:
    """A loaded model, and the file that it came from, which stays open."""

    file: LibraryFile
    library: Library
    metadata: Metadata

    @property
    def path(self) -> Path:
        return self.file.path


def open_artifact(source: str | os.PathLike[str] | LibraryFile) -> Artifact:
    """Load a model file after checking that this process can run it. Raises UserError."""
    file = source if isinstance(source, LibraryFile) else opened(source)
    check_file(file)
    try:
        library = Library(file)
    except OSError as error:
        raise UserError(f"the system cannot load {file.path}: {error}") from error
    metadata = parse_metadata(read_description(library, file.path), str(file.path))
    if lacking := missing_features(metadata.features, metadata.machine):
        raise UserError(
            f"{file.path} needs instructions that this CPU does not have: {', '.join(lacking)}",
            hint="compile the model for this machine",
        )
    return Artifact(file, library, metadata)


def opened(source: str | os.PathLike[str]) -> LibraryFile:
    """The file at a path. Raises UserError."""
    if not isinstance(source, str | os.PathLike):
        raise UserError(f"a compiled model is the path of a file, got {type(source).__name__}")
    path = Path(source)
    try:
        return LibraryFile.opened(path)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:  # a zero in it
        raise UserError(f"cannot read {str(path)!r}: {error}") from error


def check_file(opened_file: LibraryFile) -> None:
    """Refuse a foreign, cut-off or other machine's file without loading it."""
    path = opened_file.path
    try:
        with open(opened_file.descriptor, "rb", closefd=False) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise UserError(f"{path} is not a compiled model (not a file)")
            file.seek(0)
            header = file.read(HEADER_SIZE)
            if len(header) < HEADER_SIZE or header[:6] != b"\x7fELF\x02\x01":
                raise UserError(f"{path} is not a compiled model (not a 64-bit ELF library)")
            check_machine(path, struct.unpack_from("<H", header, 18)[0])
            (start,) = struct.unpack_from("<Q", header, 32)
            (count,) = struct.unpack_from("<H", header, 56)
            file.seek(start)
            table = file.read(count * PROGRAM_HEADER_SIZE)
    except (OSError, OverflowError, ValueError) as error:
        raise UserError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    # Reading past the end of a mapped file kills the process, so a short file must not get that far.
    if len(table) < count * PROGRAM_HEADER_SIZE or loaded_end(table) > status.st_size:
        raise UserError(f"{path} is cut off: it is shorter than its headers say")


def check_machine(path: Path, number: int) -> None:
    """Refuse a library for another processor."""
    machine, host = MACHINES.get(number, f"ELF machine {number}"), host_machine()
    if machine != host:
        raise UserError(f"{path} was compiled for {machine}, this machine is {host}")


def loaded_end(table: bytes) -> int:
    """The last file offset that a segment needs."""
    ends = [0]
    for kind, _, offset, _, _, size, _, _ in struct.iter_unpack("<IIQQQQQQ", table):
        if kind == LOADED:
            ends.append(offset + size)
    return max(ends)


def read_description(library: Library, path: Path) -> bytes:
    """The metadata bytes of a library that says it is one of ours, with the call interface we know."""
    try:
        version = library.function("dlc_abi_version", ctypes.c_int32)()
        start, size = library.address("dlc_metadata"), library.number("dlc_metadata_size")
    except OSError as error:
        raise UserError(f"{path} is not a compiled model (a library without dlc's symbols)") from error
    if version != ABI_VERSION:
        raise UserError(
            f"{path} has interface version {version}, this dlc calls {ABI_VERSION}", hint="compile the model again"
        )
    if not 0 <= size <= library.file.identity[2]:
        raise UserError(f"{path} is damaged: its description cannot have {size} bytes")
    return ctypes.string_at(start, size)
