"""What the operating system reports, read right."""

from pathlib import Path

import pytest

from dlc.errors import UserError
from dlc.target import CacheSizes, host
from dlc.target.features import HWCAP, HWCAP2, baseline
from dlc.target.host import (
    aarch64_features,
    complete,
    detect_host,
    host_caches,
    parse_number,
    x86_datapath,
    x86_features,
)

CASCADE_LAKE = "fpu cx8 cmov mmx fxsr sse sse2 pni ssse3 cx16 sse4_1 sse4_2 avx f16c fma avx2 avx512f avx512_vnni other"


def test_flags_become_llvm_names() -> None:
    found = x86_features(f"processor\t: 0\nflags\t\t: {CASCADE_LAKE}\nvmx flags\t: ept\n")
    assert {"sse3", "sse4.2", "avx512vnni", "fma"} <= found
    assert "other" not in found
    assert "avx512bw" not in found


def test_every_processor_must_have_a_flag() -> None:
    assert x86_features("flags : avx avx2 fma\nflags : avx avx2\n") == {"avx", "avx2"}
    assert x86_features("") == frozenset()


@pytest.mark.parametrize(
    ("vendor", "family", "model", "bits"),
    [
        ("AuthenticAMD", 25, 17, 256),  # Zen 4, EPYC
        ("AuthenticAMD", 25, 97, 256),  # Zen 4, desktop
        ("AuthenticAMD", 25, 33, None),  # Zen 3
        ("AuthenticAMD", 26, 17, None),  # Zen 5
        ("GenuineIntel", 6, 143, None),
    ],
)
def test_split_vectors_are_known_by_the_processor(vendor: str, family: int, model: int, bits: int | None) -> None:
    one = f"vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: 25 17\n\n"
    assert x86_datapath(one * 2) == bits
    assert x86_datapath("") is None


def test_features_without_what_they_imply_are_dropped() -> None:
    assert complete("x86-64", frozenset({"avx512vnni"})) == baseline("x86-64")


def test_hwcap_bits_become_features() -> None:
    words = {HWCAP: 0b11 | 1 << 9 | 1 << 20, HWCAP2: 1 << 13}
    assert aarch64_features(words) == {"fp-armv8", "neon", "dotprod", "i8mm"}  # scalar float16 alone is not fullfp16
    assert aarch64_features({}) == frozenset()


@pytest.mark.parametrize(
    ("text", "number"), [("48K", 49152), ("2M\n", 2 << 20), ("3", 3), ("", 0), ("K", 0), ("-1", 0)]
)
def test_sizes_are_read(text: str, number: int) -> None:
    assert parse_number(text) == number


def test_caches_are_read_from_sysfs(tmp_path: Path) -> None:
    rows = (("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2048K"), ("3", "Unified", "30720K"))
    for index, row in enumerate(rows):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for name, text in zip(("level", "type", "size"), row, strict=True):
            (folder / name).write_text(f"{text}\n")
    assert host_caches(tmp_path) == CacheSizes(48 << 10, 2 << 20, 30 << 20)
    assert host_caches(tmp_path / "absent") is None


def test_hidden_system_files_leave_the_baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CPUINFO", tmp_path / "absent")
    monkeypatch.setattr(host, "CACHES", tmp_path / "absent")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert detect_host() == host.Host("x86-64", baseline("x86-64"), None)


def test_other_machines_are_refused_with_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(UserError, match=r"this host is a riscv64.*hint: name a target"):
        detect_host()
