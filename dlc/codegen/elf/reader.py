"""Read 64-bit little-endian ELF files: LLVM's relocatable objects, and the shared libraries we wrote ourselves."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dlc.codegen.elf import constants as elf
from dlc.errors import InternalError
from dlc.record import record

SECTION = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
RELOCATION = struct.Struct("<QQq")


@record
class Section:
    """One section header with its bytes (empty for NOBITS)."""

    name: str
    kind: int
    flags: int
    address: int
    size: int
    link: int
    info: int
    align: int
    content: memoryview


@record
class Symbol:
    """One symbol table entry."""

    name: str
    value: int
    size: int
    binding: int
    kind: int
    section: int

    @property
    def defined(self) -> bool:
        return self.section != elf.SHN_UNDEF


@record
class Relocation:
    """One RELA entry: patch `offset` with a value made of a symbol and an addend, as `kind` says."""

    offset: int
    kind: int
    symbol: int
    addend: int


@record
class ElfFile:
    """A parsed file; `relocations` is keyed by the index of the section they patch."""

    machine: int
    kind: int
    sections: tuple[Section, ...]
    symbols: tuple[Symbol, ...]
    relocations: dict[int, tuple[Relocation, ...]]

    def bytes_at(self, address: int, size: int) -> bytes:
        """The bytes of a loaded file's address, looked up through its section headers."""
        for section in self.sections:
            inside = section.flags & elf.SHF_ALLOC and section.address <= address
            if inside and address + size <= section.address + len(section.content):
                start = address - section.address
                return bytes(section.content[start : start + size])
        raise InternalError(f"no section of the ELF file holds address {address:#x}")

    def symbol(self, name: str) -> Symbol:
        """The defined symbol of that name."""
        for symbol in self.symbols:
            if symbol.name == name and symbol.defined:
                return symbol
        raise InternalError(f"the ELF file defines no symbol {name!r}")


def read_elf(content: bytes | memoryview) -> ElfFile:
    """Parse an ELF file; symbols come from .symtab, or .dynsym where there is none."""
    view = memoryview(content)
    if len(view) < elf.EHDR_SIZE or bytes(view[:6]) != b"\x7fELF\x02\x01":
        raise InternalError("the bytes are not a 64-bit little-endian ELF file")
    kind, machine = struct.unpack_from("<HH", view, 16)
    sections = tuple(read_sections(view))
    return ElfFile(machine, kind, sections, read_symbols(sections), read_relocations(sections))


def read_sections(view: memoryview) -> Iterator[Section]:
    """Section headers with names; an object of more than 65,279 sections stores its counts in header 0."""
    (table,) = struct.unpack_from("<Q", view, 40)
    count, names = struct.unpack_from("<HH", view, 60)
    if table == 0:
        return
    zero = SECTION.unpack_from(view, table)
    count = count or zero[5]
    names = zero[6] if names == elf.SHN_XINDEX else names
    headers = [SECTION.unpack_from(view, table + index * elf.SHDR_SIZE) for index in range(count)]
    strings = view[headers[names][4] : headers[names][4] + headers[names][5]]
    for name, kind, flags, address, offset, size, link, info, align, _ in headers:
        content = view[offset : offset + size] if kind != elf.SHT_NOBITS else view[:0]
        yield Section(string_at(strings, name), kind, flags, address, size, link, info, max(align, 1), content)


def read_symbols(sections: tuple[Section, ...]) -> tuple[Symbol, ...]:
    """The symbol table, its null entry included so that indices match."""
    tables = {section.kind: section for section in sections}
    table = tables.get(elf.SHT_SYMTAB, tables.get(elf.SHT_DYNSYM))
    if table is None:
        return ()
    strings = sections[table.link].content
    return tuple(
        Symbol(string_at(strings, name), value, size, info >> 4, info & 15, section)
        for name, info, _, section, value, size in SYMBOL.iter_unpack(table.content)
    )


def read_relocations(sections: tuple[Section, ...]) -> dict[int, tuple[Relocation, ...]]:
    """Relocations of a relocatable object by the section they patch."""
    found: dict[int, tuple[Relocation, ...]] = {}
    for section in sections:
        if section.kind == elf.SHT_REL and section.info:
            raise InternalError(f"section {section.name} has REL relocations, only RELA is expected")
        if section.kind == elf.SHT_RELA and not section.flags & elf.SHF_ALLOC:
            entries = RELOCATION.iter_unpack(section.content)
            found[section.info] = tuple(
                Relocation(offset, info & 0xFFFFFFFF, info >> 32, addend) for offset, info, addend in entries
            )
    return found


def string_at(strings: memoryview, start: int) -> str:
    """The zero-terminated string at an offset of a string table."""
    end = start
    while strings[end]:
        end += 1
    return bytes(strings[start:end]).decode()
