"""The numbers of the ELF format that we read or write (System V gABI, x86-64 and AArch64 psABI)."""

from __future__ import annotations

from dlc.record import record

EHDR_SIZE, PHDR_SIZE, SHDR_SIZE, SYM_SIZE, RELA_SIZE, DYN_SIZE = 64, 56, 64, 24, 24, 16

ET_REL, ET_DYN = 1, 3

SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_HASH, SHT_DYNAMIC = range(7)
SHT_NOBITS, SHT_REL, SHT_DYNSYM, SHT_GROUP = 8, 9, 11, 17
SHT_INIT_ARRAY, SHT_FINI_ARRAY = 14, 15
SHT_GNU_HASH = 0x6FFFFFF6

SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_INFO_LINK, SHF_TLS = 1, 2, 4, 0x40, 0x400

SHN_UNDEF, SHN_LORESERVE, SHN_ABS, SHN_COMMON, SHN_XINDEX = 0, 0xFF00, 0xFFF1, 0xFFF2, 0xFFFF

STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
STT_NOTYPE, STT_OBJECT, STT_FUNC, STT_SECTION, STT_FILE = range(5)

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_PHDR = 1, 2, 3, 6
PT_GNU_STACK, PT_GNU_RELRO = 0x6474E551, 0x6474E552
PF_X, PF_W, PF_R = 1, 2, 4

DT_NULL, DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_RELAENT = 0, 1, 4, 5, 6, 7, 8, 9
DT_STRSZ, DT_SYMENT, DT_SONAME, DT_FLAGS = 10, 11, 14, 30
DT_GNU_HASH, DT_FLAGS_1, DT_RELACOUNT = 0x6FFFFEF5, 0x6FFFFFFB, 0x6FFFFFF9
DF_BIND_NOW, DF_1_NOW, DF_1_PIE = 8, 1, 0x08000000


@record
class Machine:
    """What the linker must know of a processor: its ELF number, largest page, dynamic relocations and call stub."""

    name: str
    number: int
    page: int
    relative: int
    glob_dat: int
    absolute: int
    stub_size: int
    interpreter: str
    text_fill: bytes


MACHINES = {
    "x86-64": Machine(
        name="x86-64", number=62, page=0x1000, relative=8, glob_dat=6, absolute=1, stub_size=8,
        interpreter="/lib64/ld-linux-x86-64.so.2", text_fill=b"\xcc",
    ),
    # Kernels with 64 KiB pages exist, so segments must not share one.
    "aarch64": Machine(
        name="aarch64", number=183, page=0x10000, relative=1027, glob_dat=1025, absolute=257, stub_size=16,
        interpreter="/lib/ld-linux-aarch64.so.1", text_fill=b"\0",
    ),
}
