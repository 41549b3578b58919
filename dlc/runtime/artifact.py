"""Open a compiled model: refuse files that are not ours or not for this host, then load and describe it."""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from pathlib import Path

from dlc.errors import UserError
from dlc.record import record
from dlc.runtime.cpu import host_machine, missing_features
from dlc.runtime.metadata import Metadata, parse_metadata

ABI_VERSION = 3
MACHINES = {62: "x86-64", 183: "aarch64"}
HEADER_SIZE, PROGRAM_HEADER_SIZE, LOADED = 64, 56, 1


@record
class Artifact:
    """A loaded model; `identity` tells whether the file at `path` is still the one that was loaded."""

    path: Path
    identity: tuple[int, int, int, int]
    library: ctypes.CDLL
    metadata: Metadata


class LoadedFiles:
    """Remembers under which name each file was loaded.

    The system's loader takes a name it knows for the same library even if the file was replaced since, and would
    hand out the old model. A file that took another's place is therefore opened under a different spelling of its path.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.names: dict[str, tuple[tuple[int, int], str]] = {}
        self.spellings = 0

    def name_for(self, path: Path, file: tuple[int, int]) -> str:
        """A spelling of the path that the loader does not take for another file."""
        name = os.path.realpath(path)
        with self.lock:
            known, spelling = self.names.setdefault(name, (file, name))
            if known == file:
                return spelling
            self.spellings += 1
            folder, base = os.path.split(name)
            spelling = f"{folder}{spelled(self.spellings)}/{base}"
            self.names[name] = file, spelling
            return spelling


LOADED_FILES = LoadedFiles()


def spelled(number: int) -> str:
    """A number as a detour that leads nowhere: "/." for each 0 bit, "//." for each 1 bit."""
    return "".join("//." if bit == "1" else "/." for bit in f"{number:b}")


def open_artifact(path: str | os.PathLike[str]) -> Artifact:
    """Load a model file after checking that this process can run it."""
    place = Path(path)
    identity = check_file(place)
    name = LOADED_FILES.name_for(place, identity[:2])
    try:
        library = ctypes.CDLL(name, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise UserError(f"the system cannot load {place}: {error}") from error
    metadata = parse_metadata(read_description(library, place), str(place))
    if lacking := missing_features(metadata.features, metadata.machine):
        raise UserError(
            f"{place} needs instructions that this CPU does not have: {', '.join(lacking)}",
            hint="compile the model for this machine",
        )
    return Artifact(place, identity, library, metadata)


def check_file(path: Path) -> tuple[int, int, int, int]:
    """Refuse a foreign, cut-off or other machine's file without loading it; returns the file's identity."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            header = file.read(HEADER_SIZE)
            if len(header) < HEADER_SIZE or header[:6] != b"\x7fELF\x02\x01":
                raise UserError(f"{path} is not a compiled model (not a 64-bit ELF library)")
            check_machine(path, struct.unpack_from("<H", header, 18)[0])
            (start,) = struct.unpack_from("<Q", header, 32)
            (count,) = struct.unpack_from("<H", header, 56)
            file.seek(start)
            table = file.read(count * PROGRAM_HEADER_SIZE)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    # Reading past the end of a mapped file kills the process, so a short file must not get that far.
    if len(table) < count * PROGRAM_HEADER_SIZE or loaded_end(table) > status.st_size:
        raise UserError(f"{path} is cut off: it is shorter than its headers say")
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


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


def read_description(library: ctypes.CDLL, path: Path) -> bytes:
    """The metadata bytes of a library that says it is one of ours, with the call interface we know."""
    try:
        version = int(library.dlc_abi_version())
        size = ctypes.c_int64.in_dll(library, "dlc_metadata_size").value
        text = (ctypes.c_char * size).in_dll(library, "dlc_metadata").raw
    except (AttributeError, ValueError) as error:
        raise UserError(f"{path} is not a compiled model (a library without dlc's symbols)") from error
    if version != ABI_VERSION:
        raise UserError(
            f"{path} has interface version {version}, this dlc calls {ABI_VERSION}", hint="compile the model again"
        )
    return text
