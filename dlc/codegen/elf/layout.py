"""Output sections, the segments that hold them, and their addresses.

File order: headers and read-only data, code, relocated data, writable data, symbol names and section headers, and
last the weights, so that code and its constants stay close together however large the weights are.
"""

from __future__ import annotations

from dataclasses import field

from dlc.codegen.elf import constants as elf
from dlc.codegen.elf.constants import Machine
from dlc.errors import InternalError
from dlc.record import record

WEIGHTS_ALIGN = 4096
READ_ONLY = (".interp", ".gnu.hash", ".hash", ".dynsym", ".dynstr", ".rela.dyn", ".rodata")
CODE = (".text", ".plt")
RELOCATED = (".data.rel.ro", ".dynamic", ".got")
WRITABLE = (".data", ".bss")
UNLOADED = (".symtab", ".strtab", ".shstrtab")
WEIGHTS = (".weights",)

KINDS = {
    ".gnu.hash": elf.SHT_GNU_HASH, ".hash": elf.SHT_HASH, ".dynsym": elf.SHT_DYNSYM, ".dynstr": elf.SHT_STRTAB,
    ".rela.dyn": elf.SHT_RELA, ".dynamic": elf.SHT_DYNAMIC, ".bss": elf.SHT_NOBITS,
    ".symtab": elf.SHT_SYMTAB, ".strtab": elf.SHT_STRTAB, ".shstrtab": elf.SHT_STRTAB,
}
ENTRY_SIZES = {
    ".dynsym": elf.SYM_SIZE, ".symtab": elf.SYM_SIZE, ".rela.dyn": elf.RELA_SIZE, ".dynamic": elf.DYN_SIZE,
    ".hash": 4, ".got": 8,
}
LINKS = {
    ".gnu.hash": ".dynsym", ".hash": ".dynsym", ".dynsym": ".dynstr", ".rela.dyn": ".dynsym",
    ".dynamic": ".dynstr", ".symtab": ".strtab",
}


@record(frozen=False, eq=False)
class OutputSection:
    """One section of the output; `reserved` counts bytes that are not in `content` (.bss, weights)."""

    name: str
    align: int = 8
    content: bytearray = field(default_factory=bytearray)
    reserved: int = 0
    info: int = 0
    address: int = 0
    offset: int = 0
    index: int = 0

    @property
    def size(self) -> int:
        return len(self.content) + self.reserved

    @property
    def flags(self) -> int:
        if self.name in UNLOADED:
            return 0
        writable = elf.SHF_WRITE if self.name in RELOCATED + WRITABLE else 0
        return elf.SHF_ALLOC | writable | (elf.SHF_EXECINSTR if self.name in CODE else 0)

    def append(self, data: bytes | memoryview, align: int, fill: bytes = b"\0") -> int:
        """Add bytes at the next aligned offset and return it."""
        self.align = max(self.align, align)
        self.content += fill * (-len(self.content) % align)
        start = len(self.content)
        self.content += data
        return start

    def reserve(self, size: int, align: int) -> int:
        """Add zero bytes that take no room in the file (for .bss)."""
        self.align = max(self.align, align)
        start = align_up(self.reserved, align)
        self.reserved = start + size
        return start


@record
class Segment:
    """One program header."""

    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int


class Image:
    """Every output section by name, and after `assign_addresses` the segments."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        names = READ_ONLY + CODE + RELOCATED + WRITABLE + UNLOADED + WEIGHTS
        self.sections = {name: OutputSection(name) for name in names}
        self.sections[".weights"].align = WEIGHTS_ALIGN
        self.sections[".interp"].align = 1
        self.segments: list[Segment] = []
        self.section_headers = 0

    def __getitem__(self, name: str) -> OutputSection:
        return self.sections[name]

    def present(self, names: tuple[str, ...] | None = None) -> list[OutputSection]:
        """The sections that hold something, in file order."""
        chosen = self.sections if names is None else names
        return [self.sections[name] for name in chosen if self.sections[name].size]


def align_up(value: int, align: int) -> int:
    return -(-value // align) * align


def assign_addresses(image: Image) -> None:
    """Give every section a file offset and an address, and derive the program headers."""
    groups = (
        (READ_ONLY, elf.PF_R), (CODE, elf.PF_R | elf.PF_X), (RELOCATED, elf.PF_R | elf.PF_W),
        (WRITABLE, elf.PF_R | elf.PF_W), (UNLOADED, 0), (WEIGHTS, elf.PF_R),
    )
    loads: list[Segment] = []
    headers = elf.EHDR_SIZE + elf.PHDR_SIZE * header_count(image)
    offset, address = headers, headers
    number_sections(image)
    for names, flags in groups:
        if names is UNLOADED:
            offset = place_unloaded(image, offset)
            continue
        sections = image.present(names)
        if not sections:
            continue
        if loads:
            offset = align_up(offset, max(section.align for section in sections))
            address = align_up(address, image.machine.page) + offset % image.machine.page
        segment = place_group(image, sections, flags, offset, address, first=not loads)
        loads.append(segment)
        offset = segment.offset + segment.file_size
        address = segment.address + segment.memory_size
    image.segments = special_segments(image, loads)
    if len(image.segments) != header_count(image):
        raise InternalError("the linker miscounted its program headers")


def header_count(image: Image) -> int:
    """How many program headers `assign_addresses` will make."""
    loads = sum(bool(image.present(names)) for names in (READ_ONLY, CODE, RELOCATED, WRITABLE, WEIGHTS))
    return loads + 3 + (2 if image[".interp"].size else 0)


def place_group(
    image: Image, sections: list[OutputSection], flags: int, offset: int, address: int, *, first: bool
) -> Segment:
    """Lay the sections of one loaded segment one behind the other."""
    start_offset, start_address = (0, 0) if first else (offset, address)
    file_end = offset
    for section in sections:
        padding = -address % section.align
        section.offset, section.address = offset + padding, address + padding
        address = section.address + section.size
        on_file = len(section.content) if section.name == ".bss" else section.size
        offset = section.offset + on_file
        file_end = offset
    if sections[0].name in RELOCATED:
        # The loader protects whole pages only, so nothing writable may share the last one.
        address = align_up(address, image.machine.page)
    size, memory = file_end - start_offset, address - start_address
    return Segment(elf.PT_LOAD, flags, start_offset, start_address, size, memory, image.machine.page)


def number_sections(image: Image) -> None:
    """Section header indices; the header of index 0 is null."""
    for index, section in enumerate(image.present(), start=1):
        section.index = index


def place_unloaded(image: Image, offset: int) -> int:
    """Symbol and name tables, then the section headers themselves; returns the end."""
    for section in image.present(UNLOADED):
        section.offset = align_up(offset, section.align)
        offset = section.offset + section.size
    image.section_headers = align_up(offset, 8)
    return image.section_headers + elf.SHDR_SIZE * (len(image.present()) + 1)


def special_segments(image: Image, loads: list[Segment]) -> list[Segment]:
    """The program headers in the order the loader wants: PHDR and INTERP before any LOAD."""
    segments: list[Segment] = []
    if image[".interp"].size:
        size = elf.PHDR_SIZE * header_count(image)
        segments.append(Segment(elf.PT_PHDR, elf.PF_R, elf.EHDR_SIZE, elf.EHDR_SIZE, size, size, 8))
        segments.append(covering(image[".interp"], elf.PT_INTERP, elf.PF_R))
    segments += loads
    segments.append(covering(image[".dynamic"], elf.PT_DYNAMIC, elf.PF_R | elf.PF_W))
    holder = next(load for load in loads if load.address <= image[".dynamic"].address < load.address + load.memory_size)
    segments.append(
        Segment(elf.PT_GNU_RELRO, elf.PF_R, holder.offset, holder.address, holder.file_size, holder.memory_size, 1)
    )
    segments.append(Segment(elf.PT_GNU_STACK, elf.PF_R | elf.PF_W, 0, 0, 0, 0, 16))
    return segments


def covering(section: OutputSection, kind: int, flags: int) -> Segment:
    """A program header for exactly one section."""
    return Segment(kind, flags, section.offset, section.address, section.size, section.size, section.align)
