"""Apply relocations: what each kind computes and where its bits go, one table per machine.

S is the symbol's address, A the addend, P the patched address, G the address of the symbol's GOT slot.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum

from dlc.codegen.elf.constants import Machine
from dlc.errors import InternalError
from dlc.record import record

PAGE_MASK = ~0xFFF


class Use(Enum):
    """What a relocation needs of its symbol."""

    ADDRESS = "address"    # S, near enough for the field
    CALL = "call"          # S, or a stub where the symbol is imported
    SLOT = "slot"          # G
    WORD = "word"          # S as a 64-bit pointer, which the loader relocates


Patch = Callable[[bytearray, int, int, int], None]
"""(section, offset, value = S + A or G + A, place P)"""


@record
class Kind:
    """One relocation kind."""

    name: str
    use: Use
    patch: Patch


def store_signed(value: int, bits: int) -> None:
    """Refuse a value that does not fit the field: the code would jump or read somewhere else."""
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise InternalError(f"a relocation of {bits} bits cannot reach {value:#x} bytes away")


def word64(section: bytearray, offset: int, value: int, place: int) -> None:
    struct.pack_into("<Q", section, offset, value & 0xFFFFFFFFFFFFFFFF)


def relative64(section: bytearray, offset: int, value: int, place: int) -> None:
    struct.pack_into("<q", section, offset, value - place)


def relative32(section: bytearray, offset: int, value: int, place: int) -> None:
    store_signed(value - place, 32)
    struct.pack_into("<i", section, offset, value - place)


def insert(section: bytearray, offset: int, mask: int, bits: int) -> None:
    """Replace the masked bits of an AArch64 instruction."""
    (word,) = struct.unpack_from("<I", section, offset)
    struct.pack_into("<I", section, offset, (word & ~mask) | (bits & mask))


def branch(width: int, shift: int) -> Patch:
    """A branch whose word offset is a field of `width` bits starting at bit `shift`."""
    mask = ((1 << width) - 1) << shift

    def patch(section: bytearray, offset: int, value: int, place: int) -> None:
        distance = value - place
        store_signed(distance, width + 2)
        insert(section, offset, mask, (distance >> 2) << shift)

    return patch


def adr(page: bool) -> Patch:
    """ADR or ADRP: 21 bits, the low two of them at bits 29-30."""

    def patch(section: bytearray, offset: int, value: int, place: int) -> None:
        distance = ((value & PAGE_MASK) - (place & PAGE_MASK)) >> 12 if page else value - place
        store_signed(distance, 21)
        insert(section, offset, 0x60FFFFE0, ((distance & 3) << 29) | (((distance >> 2) & 0x7FFFF) << 5))

    return patch


def low12(scale: int) -> Patch:
    """The low 12 bits of an address in the immediate of an ADD, LDR or STR whose access is 2**scale bytes."""

    def patch(section: bytearray, offset: int, value: int, place: int) -> None:
        low = value & 0xFFF
        if low & ((1 << scale) - 1):
            raise InternalError(f"an access of {1 << scale} bytes refers to the misaligned address {value:#x}")
        insert(section, offset, 0x003FFC00, (low >> scale) << 10)

    return patch


X86_64 = {
    1: Kind("R_X86_64_64", Use.WORD, word64),
    2: Kind("R_X86_64_PC32", Use.ADDRESS, relative32),
    4: Kind("R_X86_64_PLT32", Use.CALL, relative32),
    9: Kind("R_X86_64_GOTPCREL", Use.SLOT, relative32),
    24: Kind("R_X86_64_PC64", Use.ADDRESS, relative64),
    41: Kind("R_X86_64_GOTPCRELX", Use.SLOT, relative32),
    42: Kind("R_X86_64_REX_GOTPCRELX", Use.SLOT, relative32),
}

AARCH64 = {
    257: Kind("R_AARCH64_ABS64", Use.WORD, word64),
    260: Kind("R_AARCH64_PREL64", Use.ADDRESS, relative64),
    261: Kind("R_AARCH64_PREL32", Use.ADDRESS, relative32),
    274: Kind("R_AARCH64_ADR_PREL_LO21", Use.ADDRESS, adr(page=False)),
    275: Kind("R_AARCH64_ADR_PREL_PG_HI21", Use.ADDRESS, adr(page=True)),
    277: Kind("R_AARCH64_ADD_ABS_LO12_NC", Use.ADDRESS, low12(0)),
    278: Kind("R_AARCH64_LDST8_ABS_LO12_NC", Use.ADDRESS, low12(0)),
    279: Kind("R_AARCH64_TSTBR14", Use.ADDRESS, branch(14, 5)),
    280: Kind("R_AARCH64_CONDBR19", Use.ADDRESS, branch(19, 5)),
    282: Kind("R_AARCH64_JUMP26", Use.CALL, branch(26, 0)),
    283: Kind("R_AARCH64_CALL26", Use.CALL, branch(26, 0)),
    284: Kind("R_AARCH64_LDST16_ABS_LO12_NC", Use.ADDRESS, low12(1)),
    285: Kind("R_AARCH64_LDST32_ABS_LO12_NC", Use.ADDRESS, low12(2)),
    286: Kind("R_AARCH64_LDST64_ABS_LO12_NC", Use.ADDRESS, low12(3)),
    299: Kind("R_AARCH64_LDST128_ABS_LO12_NC", Use.ADDRESS, low12(4)),
    311: Kind("R_AARCH64_ADR_GOT_PAGE", Use.SLOT, adr(page=True)),
    312: Kind("R_AARCH64_LD64_GOT_LO12_NC", Use.SLOT, low12(3)),
    314: Kind("R_AARCH64_PLT32", Use.CALL, relative32),
}

KINDS = {"x86-64": X86_64, "aarch64": AARCH64}

REFUSED = {
    ("x86-64", 10): "R_X86_64_32 (an absolute 32-bit address: compile with reloc='pic')",
    ("x86-64", 11): "R_X86_64_32S (an absolute 32-bit address: compile with reloc='pic')",
    ("aarch64", 258): "R_AARCH64_ABS32 (an absolute 32-bit address: compile with reloc='pic')",
}


def relocation_kind(machine: Machine, number: int) -> Kind:
    """The table row of a relocation, or an InternalError that names what the code generator must avoid."""
    if (kind := KINDS[machine.name].get(number)) is not None:
        return kind
    what = REFUSED.get((machine.name, number), f"number {number}")
    raise InternalError(f"the {machine.name} object uses an unsupported relocation: {what}")


def call_stub(machine: Machine, place: int, slot: int) -> bytes:
    """Code that jumps through a GOT slot, for calls to imported functions."""
    if machine.name == "x86-64":
        store_signed(slot - place - 6, 32)
        return b"\xff\x25" + struct.pack("<i", slot - place - 6) + b"\x66\x90"    # jmp *slot(%rip); nop
    stub = bytearray(struct.pack("<IIII", 0x90000010, 0xF9400211, 0xD61F0220, 0xD503201F))
    adr(page=True)(stub, 0, slot, place)        # adrp x16, slot
    low12(3)(stub, 4, slot, place)              # ldr x17, [x16, :lo12:slot]
    return bytes(stub)                          # br x17; nop
