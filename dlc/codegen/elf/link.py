"""Link relocatable objects, named data and weights into one ELF shared library (or a small program).

    objects ─ place_sections ─ resolve ─ scan (GOT slots, stubs) ─ assign_addresses ─ relocate ─ write
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field

from dlc.codegen.elf import constants as elf
from dlc.codegen.elf.dynamic import DynamicRelocation, DynamicTables, Strings
from dlc.codegen.elf.layout import Image, OutputSection, assign_addresses
from dlc.codegen.elf.reader import SYMBOL, ElfFile, Relocation, read_elf
from dlc.codegen.elf.relocate import Use, call_stub, relocation_kind
from dlc.codegen.elf.symbols import Definition, Import, Places, SymbolTable, Target, place_sections, resolve
from dlc.codegen.elf.writer import Output, WeightSegment, write_image
from dlc.errors import InternalError
from dlc.record import record

LIBC_FUNCTIONS = frozenset((
    "abort", "aligned_alloc", "clock_gettime", "close", "exit", "_exit", "free", "madvise", "malloc", "memcmp",
    "memcpy", "memmove", "memset", "mmap", "munmap", "open", "pthread_create", "pthread_join", "read",
    "sched_getaffinity", "sched_yield", "sigfillset", "sigprocmask", "snprintf", "syscall", "write",
))
"""What an artefact may import. Libm is left out on purpose: a kernel that calls it was lowered wrongly."""


def link(
    objects: Sequence[bytes],
    *,
    machine: str,
    exports: Sequence[str],
    output: Output,
    data: Mapping[str, bytes] | None = None,
    needed: Sequence[str] = ("libc.so.6",),
    weights: WeightSegment | None = None,
    importable: Collection[str] = LIBC_FUNCTIONS,
    soname: str | None = None,
    entry: str | None = None,
) -> None:
    """Write a shared library; with `entry`, a program that starts at that symbol."""
    image = Image(elf.MACHINES[machine])
    segment = weights or WeightSegment(0)
    image[".weights"].reserved = segment.size
    if entry is not None:
        image[".interp"].content += image.machine.interpreter.encode() + b"\0"
    files = [relocatable(image, content) for content in objects]
    places = [place_sections(image, file) for file in files]
    table = resolve(image, files, places, data or {}, importable)
    scan = Scan(image, table)
    for index, file in enumerate(files):
        scan.read(file, table.by_object[index], places[index])
    scan.reserve()
    exported = [defined(table, name) for name in exports]
    imports = sorted(table.imports.values(), key=lambda symbol: symbol.name)
    tables = DynamicTables(image, imports, exported, needed, soname, scan.relocations)
    tables.reserve()
    names = SymbolNames(image, table, exports)
    assign_addresses(image)
    for index, file in enumerate(files):
        relocate(scan, file, table.by_object[index], places[index])
    scan.fill()
    tables.fill()
    names.fill()
    write_image(image, output, segment, defined(table, entry).address if entry else 0)


def relocatable(image: Image, content: bytes) -> ElfFile:
    """Parse one object and refuse another machine's."""
    file = read_elf(content)
    if file.kind != elf.ET_REL or file.machine != image.machine.number:
        raise InternalError(f"the linker for {image.machine.name} was given a file of another kind or machine")
    return file


def defined(table: SymbolTable, name: str) -> Definition:
    """The definition of a symbol that the output must have."""
    if (definition := table.defined.get(name)) is None:
        raise InternalError(f"no object defines {name!r}, which the library exports")
    return definition


@record(frozen=False)
class Scan:
    """What the relocations ask for beyond the objects' own bytes: GOT slots, call stubs, loader relocations."""

    image: Image
    table: SymbolTable
    slots: dict[Target, int] = field(default_factory=dict)
    stubs: dict[Target, int] = field(default_factory=dict)
    relocations: list[DynamicRelocation] = field(default_factory=list)

    def read(self, file: ElfFile, targets: Sequence[Target | None], places: Places) -> None:
        """Note the needs of one object."""
        for section, start, relocation in placed_relocations(file, places):
            use = relocation_kind(self.image.machine, relocation.kind).use
            target = known(targets[relocation.symbol], file, relocation)
            if use is Use.SLOT or (use is Use.CALL and isinstance(target, Import)):
                self.slots.setdefault(target, 8 * len(self.slots))
            if use is Use.CALL and isinstance(target, Import):
                self.stubs.setdefault(target, self.image.machine.stub_size * len(self.stubs))
            if use is Use.WORD:
                self.add_word(section, start + relocation.offset, target, relocation.addend)

    def add_word(self, section: OutputSection, offset: int, target: Target, addend: int) -> None:
        """A pointer in data: the loader adds the load address, or looks the import up."""
        if section.name not in (".data.rel.ro", ".data"):
            raise InternalError(f"{section.name} holds the address of {target.name!r}, but only data may be relocated")
        own = isinstance(target, Definition)
        kind = self.image.machine.relative if own else self.image.machine.absolute
        self.relocations.append(DynamicRelocation(section.name, offset, kind, target, addend))

    def reserve(self) -> None:
        """Make room for the slots and stubs, and have the loader fill the slots."""
        machine = self.image.machine
        self.image[".got"].content = bytearray(8 * len(self.slots))
        self.image[".plt"].content = bytearray(machine.stub_size * len(self.stubs))
        self.image[".plt"].align = 16
        for target, offset in self.slots.items():
            kind = machine.relative if isinstance(target, Definition) else machine.glob_dat
            self.relocations.append(DynamicRelocation(".got", offset, kind, target, 0))

    def slot_address(self, target: Target) -> int:
        return self.image[".got"].address + self.slots[target]

    def stub_address(self, target: Target) -> int:
        return self.image[".plt"].address + self.stubs[target]

    def fill(self) -> None:
        """Write the stubs, and our own addresses into their slots (tools like to see them there)."""
        stubs = bytearray()
        for target in self.stubs:
            stubs += call_stub(self.image.machine, self.stub_address(target), self.slot_address(target))
        self.image[".plt"].content = stubs
        self.image[".got"].content = bytearray().join(
            struct.pack("<Q", target.address if isinstance(target, Definition) else 0) for target in self.slots
        )


def placed_relocations(file: ElfFile, places: Places) -> Iterator[tuple[OutputSection, int, Relocation]]:
    """Relocations of the sections that are part of the output, with where those begin."""
    for index, relocations in file.relocations.items():
        if index in places:
            section, start = places[index]
            for relocation in relocations:
                yield section, start, relocation


def known(target: Target | None, file: ElfFile, relocation: Relocation) -> Target:
    """The target of a relocation, which must be part of the output."""
    if target is None:
        name = file.symbols[relocation.symbol].name
        raise InternalError(f"a relocation refers to {name!r}, which is not part of the output")
    return target


def relocate(scan: Scan, file: ElfFile, targets: Sequence[Target | None], places: Places) -> None:
    """Patch one object's sections, now that every address is known."""
    for section, start, relocation in placed_relocations(file, places):
        kind = relocation_kind(scan.image.machine, relocation.kind)
        target = known(targets[relocation.symbol], file, relocation)
        if isinstance(target, Import) and kind.use is Use.ADDRESS:
            raise InternalError(f"{kind.name} takes the address of {target.name!r}, which may be anywhere")
        offset = start + relocation.offset
        base = base_address(scan, target, kind.use)
        try:
            kind.patch(section.content, offset, base + relocation.addend, section.address + offset)
        except InternalError as error:
            raise InternalError(f"{kind.name} to {target.name!r}: {error.message}") from error


def base_address(scan: Scan, target: Target, use: Use) -> int:
    """The address a relocation counts from: a slot, a stub or the symbol itself."""
    if use is Use.SLOT:
        return scan.slot_address(target)
    if isinstance(target, Definition):
        return target.address
    return scan.stub_address(target) if use is Use.CALL else 0


class SymbolNames:
    """.symtab, .strtab and .shstrtab: no loader needs them, but objdump, gdb and perf show kernel names by them."""

    def __init__(self, image: Image, table: SymbolTable, exports: Sequence[str]) -> None:
        self.image = image
        public = set(exports)
        hidden = [definition for name, definition in table.defined.items() if name not in public]
        shown = [*table.local, *hidden]
        self.local = [definition for definition in shown if definition.section.size]
        self.exported = [table.defined[name] for name in exports]
        strings = Strings()
        self.names = [strings.add(definition.name) for definition in (*self.local, *self.exported)]
        image[".strtab"].content = strings.content
        image[".symtab"].content = bytearray(elf.SYM_SIZE * (len(self.names) + 1))
        image[".symtab"].info = len(self.local) + 1
        image[".shstrtab"].content = bytearray(b"\0")
        for section in image.present():
            image[".shstrtab"].content += section.name.encode() + b"\0"

    def fill(self) -> None:
        """Write the symbols with their final addresses."""
        symbols = bytearray(elf.SYM_SIZE)
        for name, definition in zip(self.names, (*self.local, *self.exported), strict=True):
            binding = elf.STB_LOCAL if len(symbols) < elf.SYM_SIZE * (len(self.local) + 1) else elf.STB_GLOBAL
            symbols += SYMBOL.pack(
                name, binding << 4 | definition.kind, 0, definition.section.index, definition.address, definition.size
            )
        self.image[".symtab"].content = symbols
