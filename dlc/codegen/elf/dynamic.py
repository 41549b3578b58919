"""What the dynamic loader reads: symbols, their two hash tables, relocations and the dynamic section."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import field

from dlc.codegen.elf import constants as elf
from dlc.codegen.elf.layout import Image
from dlc.codegen.elf.reader import RELOCATION, SYMBOL
from dlc.codegen.elf.symbols import Definition, Import
from dlc.record import record

BLOOM_SHIFT = 6


@record(frozen=False)
class Strings:
    """A string table under construction; equal strings share their bytes."""

    content: bytearray = field(default_factory=lambda: bytearray(1))
    known: dict[str, int] = field(default_factory=lambda: {"": 0})

    def add(self, text: str) -> int:
        """The offset of a string, added if it is new."""
        if text not in self.known:
            self.known[text] = len(self.content)
            self.content += text.encode() + b"\0"
        return self.known[text]


@record
class DynamicRelocation:
    """An address the loader fills in: of an import, or (target is a Definition) of our own."""

    section: str
    offset: int
    kind: int
    target: Definition | Import
    addend: int


class DynamicTables:
    """Built in two steps: `reserve` fixes every size before addresses are known, `fill` writes the content."""

    def __init__(
        self, image: Image, imports: Sequence[Import], exports: Sequence[Definition], needed: Sequence[str],
        soname: str | None, relocations: Sequence[DynamicRelocation],
    ) -> None:
        self.image = image
        self.imports = list(imports)
        self.buckets = max(1, len(exports))
        # The GNU hash table wants the symbols of one bucket side by side, and imports before all of them.
        self.exports = sorted(exports, key=lambda export: gnu_hash(export.name) % self.buckets)
        self.relocations = sorted(relocations, key=lambda entry: entry.kind != image.machine.relative)
        self.strings = Strings()
        self.needed = [self.strings.add(name) for name in needed]
        self.soname = self.strings.add(soname) if soname else 0
        self.symbols: list[Import | Definition] = [*self.imports, *self.exports]
        self.names = [self.strings.add(symbol.name) for symbol in self.symbols]

    def reserve(self) -> None:
        """Fill in all that does not hold addresses, and zeros of the right size for the rest."""
        self.image[".dynstr"].content = self.strings.content
        self.image[".dynsym"].content = bytearray(elf.SYM_SIZE * (len(self.names) + 1))
        self.image[".dynsym"].info = 1
        self.image[".hash"].content = self.hash_table()
        self.image[".gnu.hash"].content = self.gnu_hash_table()
        self.image[".rela.dyn"].content = bytearray(elf.RELA_SIZE * len(self.relocations))
        self.image[".dynamic"].content = bytearray(elf.DYN_SIZE * len(self.dynamic_entries()))

    def fill(self) -> None:
        """Write the parts that hold addresses."""
        symbols = bytearray(elf.SYM_SIZE)
        for name, symbol in zip(self.names, self.symbols, strict=True):
            if isinstance(symbol, Import):
                symbols += SYMBOL.pack(name, elf.STB_GLOBAL << 4, 0, elf.SHN_UNDEF, 0, 0)
                continue
            info = elf.STB_GLOBAL << 4 | symbol.kind
            symbols += SYMBOL.pack(name, info, 0, symbol.section.index, symbol.address, symbol.size)
        self.image[".dynsym"].content = symbols
        self.image[".rela.dyn"].content = bytearray().join(self.packed(entry) for entry in self.relocations)
        self.image[".dynamic"].content = bytearray().join(
            struct.pack("<QQ", tag, value) for tag, value in self.dynamic_entries()
        )

    def packed(self, entry: DynamicRelocation) -> bytes:
        """One RELA entry; our own addresses need no symbol, only the load address."""
        place = self.image[entry.section].address + entry.offset
        if isinstance(entry.target, Definition):
            return RELOCATION.pack(place, entry.kind, entry.target.address + entry.addend)
        symbol = self.imports.index(entry.target) + 1
        return RELOCATION.pack(place, symbol << 32 | entry.kind, entry.addend)

    def dynamic_entries(self) -> list[tuple[int, int]]:
        """Tags and values of the dynamic section; the number of entries does not depend on addresses."""
        image = self.image
        relative = sum(entry.kind == image.machine.relative for entry in self.relocations)
        entries = [(elf.DT_NEEDED, name) for name in self.needed]
        if self.soname:
            entries.append((elf.DT_SONAME, self.soname))
        entries += [
            (elf.DT_HASH, image[".hash"].address), (elf.DT_GNU_HASH, image[".gnu.hash"].address),
            (elf.DT_SYMTAB, image[".dynsym"].address), (elf.DT_SYMENT, elf.SYM_SIZE),
            (elf.DT_STRTAB, image[".dynstr"].address), (elf.DT_STRSZ, image[".dynstr"].size),
        ]
        if self.relocations:
            entries += [
                (elf.DT_RELA, image[".rela.dyn"].address), (elf.DT_RELASZ, image[".rela.dyn"].size),
                (elf.DT_RELAENT, elf.RELA_SIZE), (elf.DT_RELACOUNT, relative),
            ]
        program = elf.DF_1_PIE if image[".interp"].size else 0
        entries += [(elf.DT_FLAGS, elf.DF_BIND_NOW), (elf.DT_FLAGS_1, elf.DF_1_NOW | program), (elf.DT_NULL, 0)]
        return entries

    def hash_table(self) -> bytearray:
        """The System V hash table over all symbols, for loaders that know no other."""
        names = [symbol.name for symbol in self.symbols]
        heads, chain = [0] * self.buckets, [0] * (len(names) + 1)
        for index, name in enumerate(names, start=1):
            bucket = system_v_hash(name) % self.buckets
            chain[index], heads[bucket] = heads[bucket], index
        words = [self.buckets, len(chain), *heads, *chain]
        return bytearray(struct.pack(f"<{len(words)}I", *words))

    def gnu_hash_table(self) -> bytearray:
        """The GNU hash table over the exports, with a Bloom filter of one word."""
        first = len(self.imports) + 1
        hashes = [gnu_hash(export.name) for export in self.exports]
        heads, bloom = [0] * self.buckets, 0
        values: list[int] = []
        for position, value in enumerate(hashes):
            bucket = value % self.buckets
            heads[bucket] = heads[bucket] or first + position
            bloom |= 1 << (value % 64) | 1 << ((value >> BLOOM_SHIFT) % 64)
            last = position + 1 == len(hashes) or hashes[position + 1] % self.buckets != bucket
            values.append((value & ~1) | last)
        table = struct.pack("<IIIIQ", self.buckets, first, 1, BLOOM_SHIFT, bloom)
        return bytearray(table + struct.pack(f"<{self.buckets}I", *heads) + struct.pack(f"<{len(values)}I", *values))


def gnu_hash(name: str) -> int:
    """The hash of DT_GNU_HASH."""
    value = 5381
    for byte in name.encode():
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def system_v_hash(name: str) -> int:
    """The hash of DT_HASH."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & 0x0FFFFFFF
    return value
