"""Place the sections of all objects and decide what each of their symbols means."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import field

from dlc.codegen.elf import constants as elf
from dlc.codegen.elf.layout import Image, OutputSection
from dlc.codegen.elf.reader import ElfFile, Section, Symbol
from dlc.errors import InternalError
from dlc.record import record

DATA_ALIGN = 64


@record
class Definition:
    """A symbol at an offset of an output section."""

    name: str
    section: OutputSection
    offset: int
    size: int
    kind: int
    weak: bool = False

    @property
    def address(self) -> int:
        return self.section.address + self.offset


@record
class Import:
    """A symbol that the loader finds in another library."""

    name: str


Target = Definition | Import


@record(frozen=False)
class SymbolTable:
    """What every symbol of every object refers to."""

    defined: dict[str, Definition] = field(default_factory=dict)
    local: list[Definition] = field(default_factory=list)
    imports: dict[str, Import] = field(default_factory=dict)
    by_object: list[tuple[Target | None, ...]] = field(default_factory=list)


Places = Mapping[int, tuple[OutputSection, int]]
"""Where each input section of one object went: output section and offset there."""


def place_sections(image: Image, file: ElfFile) -> Places:
    """Append the sections that are loaded at run time to the output."""
    places: dict[int, tuple[OutputSection, int]] = {}
    for index, section in enumerate(file.sections):
        if (name := output_name(section)) is None:
            continue
        output = image[name]
        if section.kind == elf.SHT_NOBITS:
            places[index] = output, output.reserve(section.size, section.align)
            continue
        fill = image.machine.text_fill if name == ".text" else b"\0"
        places[index] = output, output.append(section.content, section.align, fill)
    return places


def output_name(section: Section) -> str | None:
    """The output section an input section goes to, or None to leave it out."""
    if section.flags & elf.SHF_TLS or section.kind in (elf.SHT_INIT_ARRAY, elf.SHT_FINI_ARRAY):
        raise InternalError(f"the object has a section {section.name}: no constructors or thread-local variables")
    # Unwind tables are of no use: nothing throws through our code.
    if not section.flags & elf.SHF_ALLOC or section.name.startswith((".eh_frame", ".note")):
        return None
    if section.flags & elf.SHF_EXECINSTR:
        return ".text"
    if section.name.startswith(".data.rel.ro"):
        return ".data.rel.ro"
    if section.flags & elf.SHF_WRITE:
        return ".bss" if section.kind == elf.SHT_NOBITS else ".data"
    return ".rodata"


def resolve(
    image: Image, files: Sequence[ElfFile], places: Sequence[Places], data: Mapping[str, bytes],
    importable: Collection[str],
) -> SymbolTable:
    """Bind references to definitions across objects, data and the weights; the rest must be importable."""
    table = SymbolTable()
    for definition in data_definitions(image, data):
        table.defined[definition.name] = definition
    for file, place in zip(files, places, strict=True):
        define_globals(table, file, place)
    for file, place in zip(files, places, strict=True):
        bind = Binder(table, place, importable)
        table.by_object.append(tuple(bind.target(symbol) for symbol in file.symbols))
    return table


def data_definitions(image: Image, data: Mapping[str, bytes]) -> Iterator[Definition]:
    """Named read-only bytes, and the weights' first byte."""
    for name, content in data.items():
        start = image[".rodata"].append(content, DATA_ALIGN)
        yield Definition(name, image[".rodata"], start, len(content), elf.STT_OBJECT)
    yield Definition("dlc_weights", image[".weights"], 0, image[".weights"].size, elf.STT_OBJECT)


def define_globals(table: SymbolTable, file: ElfFile, places: Places) -> None:
    """Enter an object's global definitions; a strong one replaces a weak one, two strong ones clash."""
    for symbol in file.symbols:
        if not symbol.defined or symbol.binding == elf.STB_LOCAL:
            continue
        definition = definition_of(symbol, places)
        if definition is None:
            continue
        known = table.defined.get(symbol.name)
        if known is not None and not known.weak and not definition.weak:
            raise InternalError(f"two objects define the symbol {symbol.name!r}")
        if known is None or (known.weak and not definition.weak):
            table.defined[symbol.name] = definition


def definition_of(symbol: Symbol, places: Places) -> Definition | None:
    """Where a defined symbol ended up; None where its section is left out (unwind tables, debug data)."""
    if symbol.section >= elf.SHN_LORESERVE:
        raise InternalError(f"the symbol {symbol.name!r} is common or absolute, which our linker does not place")
    if symbol.section not in places:
        return None
    section, start = places[symbol.section]
    weak = symbol.binding == elf.STB_WEAK
    return Definition(symbol.name, section, start + symbol.value, symbol.size, symbol.kind, weak)


@record
class Binder:
    """Finds the target of one object's symbols."""

    table: SymbolTable
    places: Places
    importable: Collection[str]

    def target(self, symbol: Symbol) -> Target | None:
        """None for symbols that nothing loaded can refer to."""
        if symbol.kind == elf.STT_FILE or (not symbol.name and not symbol.defined):
            return None
        if symbol.binding == elf.STB_LOCAL:
            return self.local(symbol)
        if (definition := self.table.defined.get(symbol.name)) is not None:
            return definition
        if symbol.defined:
            return None
        if symbol.name not in self.importable:
            raise InternalError(f"the objects refer to {symbol.name!r}, which none defines and libc does not offer")
        return self.table.imports.setdefault(symbol.name, Import(symbol.name))

    def local(self, symbol: Symbol) -> Definition | None:
        """A local symbol; named functions and data are remembered for the symbol table."""
        definition = definition_of(symbol, self.places)
        if definition is not None and symbol.kind in (elf.STT_FUNC, elf.STT_OBJECT):
            self.table.local.append(definition)
        return definition
