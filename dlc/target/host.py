"""What the machine we run on can do, as its operating system reports it."""

import ctypes
import platform
from collections.abc import Iterator
from pathlib import Path

from dlc.errors import UserError
from dlc.record import record
from dlc.target.facts import CacheSizes
from dlc.target.features import FEATURES, Arch, baseline, with_implied

CPUINFO = Path("/proc/cpuinfo")
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")

MACHINES: dict[str, Arch] = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@record
class Narrow:
    """Processors whose units take `bits` of a wider vector at a time."""

    vendor: str
    family: int
    models: tuple[range, ...]
    bits: int

    def holds(self, vendor: str, family: int, model: int) -> bool:
        return (vendor, family) == (self.vendor, self.family) and any(model in models for models in self.models)


# Zen 4 (AMD, "Software Optimization Guide for the AMD Zen4 Microarchitecture", 57647).
NARROW = (Narrow("AuthenticAMD", 25, (range(0x10, 0x20), range(0x60, 0xB0)), 256),)


@record
class Host:
    """This machine: every known feature it has, and its caches and vector datapath if the system tells them."""

    arch: Arch
    features: frozenset[str]
    caches: CacheSizes | None
    datapath: int | None = None  # bits


def detect_host() -> Host:
    """Describe this machine; what the system does not tell is left out, never guessed."""
    machine = platform.machine()
    arch = MACHINES.get(machine.lower())
    if arch is None:
        raise UserError(
            f"this host is a {machine or 'machine of unknown kind'}, which dlc has no code generator for",
            hint="name a target to compile for another machine; `dlc targets` lists them",
        )
    cpuinfo = read_text(CPUINFO) if arch == "x86-64" else ""
    reported = x86_features(cpuinfo) if arch == "x86-64" else aarch64_features(hwcaps())
    return Host(arch, complete(arch, reported), host_caches(CACHES), x86_datapath(cpuinfo))


def complete(arch: Arch, reported: frozenset[str]) -> frozenset[str]:
    """The reported features that have all they imply, and the baseline."""
    known = reported | baseline(arch)
    return frozenset(name for name in known if with_implied((name,)) <= known)


def x86_features(cpuinfo: str) -> frozenset[str]:
    """The known features among the flags of /proc/cpuinfo that every processor listed there has.

    Linux clears the AVX and AVX-512 flags when it does not save their registers (XCR0), so a flag shown here is usable
    and not only built in; cpuid alone would not tell. Under qemu-user the file is the outer machine's.
    """
    flag_lines = [line.partition(":")[2].split() for line in cpuinfo.splitlines() if line.startswith("flags")]
    if not flag_lines:
        return frozenset()
    flags = frozenset(flag_lines[0]).intersection(*flag_lines[1:])
    return frozenset(feature.name for feature in FEATURES.values() if feature.cpuinfo in flags and feature.cpuinfo)


def x86_datapath(cpuinfo: str) -> int | None:
    """Bits of a vector that the units of this processor take at once, where the table says so."""
    first: dict[str, str] = {}
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        first.setdefault(key.strip(), value.strip())
    numbers = parse_number(first.get("cpu family", "")), parse_number(first.get("model", ""))
    return next((narrow.bits for narrow in NARROW if narrow.holds(first.get("vendor_id", ""), *numbers)), None)


def aarch64_features(words: dict[int, int]) -> frozenset[str]:
    """The known features whose bits the auxiliary vector has set; right under qemu-user, as /proc/cpuinfo is not."""
    return frozenset(
        feature.name
        for feature in FEATURES.values()
        if feature.hwcap and all(words.get(word, 0) >> bit & 1 for word, bit in feature.hwcap)
    )


def hwcaps() -> dict[int, int]:
    """The words of the auxiliary vector that FEATURES mentions, or nothing where libc has no getauxval."""
    try:
        getauxval = ctypes.CDLL(None).getauxval
    except (OSError, AttributeError):
        return {}
    getauxval.restype = ctypes.c_ulong
    getauxval.argtypes = (ctypes.c_ulong,)
    words = sorted({word for feature in FEATURES.values() for word, _ in feature.hwcap})
    return {word: int(getauxval(word)) for word in words}


def host_caches(folder: Path) -> CacheSizes | None:
    """The first core's data caches; None unless L1 and L2 are told.

    A virtual machine may be shown the L3 of a whole socket, most of which belongs to its neighbours.
    """
    sizes = dict(data_caches(folder))
    if not sizes.get(1) or not sizes.get(2):
        return None
    return CacheSizes(sizes[1], sizes[2], sizes.get(3, 0))


def data_caches(folder: Path) -> Iterator[tuple[int, int]]:
    for index in sorted(folder.glob("index*")):
        if read_text(index / "type").strip() in ("Data", "Unified"):
            yield parse_number(read_text(index / "level")), parse_number(read_text(index / "size"))


def parse_number(text: str) -> int:
    """12, 48K or 2M as a number; 0 for what is none."""
    text = text.strip()
    unit = UNITS.get(text[-1:].upper(), 1)
    digits = text[:-1] if unit > 1 else text
    return int(digits) * unit if digits.isdecimal() else 0


def read_text(path: Path) -> str:
    """The file's text, or nothing: /proc and /sys may be hidden from a container."""
    try:
        return path.read_text()
    except OSError:
        return ""
