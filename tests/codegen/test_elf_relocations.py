"""What each relocation kind patches, checked against encodings from the processors' manuals."""

import struct

import pytest

from dlc.codegen.elf.constants import MACHINES
from dlc.codegen.elf.relocate import AARCH64, X86_64, call_stub, relocation_kind
from dlc.errors import InternalError


def patched(table: dict, number: int, before: bytes, value: int, place: int) -> int:
    section = bytearray(before)
    table[number].patch(section, 0, value, place)
    return int.from_bytes(section, "little")


def aarch64(number: int, word: int, value: int, place: int) -> int:
    return patched(AARCH64, number, struct.pack("<I", word), value, place)


def test_relative_addresses_count_from_the_field() -> None:
    assert patched(X86_64, 2, bytes(4), 0x1000 - 4, 0x2000) == (0x1000 - 4 - 0x2000) & 0xFFFFFFFF
    assert patched(X86_64, 24, bytes(8), 5 << 40, 0x10) == (5 << 40) - 0x10
    assert patched(AARCH64, 261, bytes(4), 0x30, 0x10) == 0x20


def test_branches() -> None:
    assert aarch64(283, 0x94000000, 0x1008, 0x1000) == 0x94000002          # bl +8
    assert aarch64(282, 0x14000000, 0xFFC, 0x1000) == 0x17FFFFFF           # b -4
    assert aarch64(280, 0x54000000, 0x1010, 0x1000) == 0x54000080          # b.eq +16
    assert aarch64(279, 0x36000000, 0xFFC, 0x1000) == 0x3607FFE0           # tbz w0, #0, -4


def test_pages_and_low_bits() -> None:
    assert aarch64(275, 0x90000000, 0x5000, 0x1FFC) == 0x90000020          # adrp x0, 4 pages on
    assert aarch64(275, 0x90000000, 0x2000, 0x1FFC) == 0xB0000000          # adrp x0, 1 page on
    assert aarch64(275, 0x90000000, 0x0FFF, 0x1FFC) == 0xF0FFFFE0          # adrp x0, 1 page back
    assert aarch64(277, 0x91000000, 0x12345, 0) == 0x91000000 | 0x345 << 10
    assert aarch64(286, 0xF9400000, 0x12348, 0) == 0xF9400000 | (0x348 >> 3) << 10
    assert aarch64(299, 0x3DC00000, 0x12340, 0) == 0x3DC00000 | (0x340 >> 4) << 10


def test_an_old_field_is_overwritten_not_mixed() -> None:
    assert aarch64(277, 0x91000000 | 0xFFF << 10, 0x1, 0) == 0x91000000 | 1 << 10


def test_a_misaligned_wide_access_is_refused() -> None:
    with pytest.raises(InternalError, match="16 bytes refers to the misaligned address 0x8"):
        aarch64(299, 0x3DC00000, 8, 0)


@pytest.mark.parametrize(("number", "reach"), [(283, 1 << 27), (275, 1 << 32), (261, 1 << 31)])
def test_what_is_out_of_reach_is_refused(number: int, reach: int) -> None:
    aarch64(number, 0, reach - 0x1000, 0)
    with pytest.raises(InternalError, match="cannot reach"):
        aarch64(number, 0, reach, 0)


def test_absolute_32_bit_addresses_are_refused_by_name() -> None:
    with pytest.raises(InternalError, match=r"R_X86_64_32S .*reloc='pic'"):
        relocation_kind(MACHINES["x86-64"], 11)
    with pytest.raises(InternalError, match="unsupported relocation: number 999"):
        relocation_kind(MACHINES["aarch64"], 999)


def test_stubs_have_the_promised_size() -> None:
    for machine in MACHINES.values():
        assert len(call_stub(machine, 0x10000, 0x20008)) == machine.stub_size
