"""The instruction-set features dlc knows, under LLVM's names, and the named levels built from them."""

from collections.abc import Iterable
from typing import Literal

from dlc.record import record

Arch = Literal["x86-64", "aarch64"]


@record
class Feature:
    """One feature: what it implies, and how Linux reports it."""

    name: str
    arch: Arch
    implies: tuple[str, ...] = ()
    cpuinfo: str = ""  # x86-64: the flag in /proc/cpuinfo
    hwcap: tuple[tuple[int, int], ...] = ()  # aarch64: (word, bit) pairs of the auxiliary vector, all of them set


@record
class BaseLevel:
    """A name for a set of features; for x86-64 the psABI's micro-architecture levels."""

    name: str
    arch: Arch
    llvm_cpu: str  # generic on purpose: a vendor's CPU name would imply features the target does not name
    features: tuple[str, ...]  # what it adds to the level before it


HWCAP, HWCAP2 = 16, 26  # getauxval's AT_HWCAP and AT_HWCAP2

# A feature stands here when generated code gains from it. AMX is missing on purpose: Linux hands its registers out
# only to a process that asks (arch_prctl), which no runtime of ours does yet. SVE is missing because our vectors have
# a fixed width.
FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature("cmov", "x86-64", (), "cmov"),
        Feature("cx8", "x86-64", (), "cx8"),
        Feature("fxsr", "x86-64", (), "fxsr"),
        Feature("mmx", "x86-64", (), "mmx"),
        Feature("sse", "x86-64", (), "sse"),
        Feature("sse2", "x86-64", ("sse",), "sse2"),
        Feature("cx16", "x86-64", ("cx8",), "cx16"),
        Feature("sahf", "x86-64", (), "lahf_lm"),
        Feature("popcnt", "x86-64", (), "popcnt"),
        Feature("sse3", "x86-64", ("sse2",), "pni"),
        Feature("ssse3", "x86-64", ("sse3",), "ssse3"),
        Feature("sse4.1", "x86-64", ("ssse3",), "sse4_1"),
        Feature("sse4.2", "x86-64", ("sse4.1",), "sse4_2"),
        Feature("xsave", "x86-64", (), "xsave"),
        Feature("bmi", "x86-64", (), "bmi1"),
        Feature("bmi2", "x86-64", (), "bmi2"),
        Feature("lzcnt", "x86-64", (), "abm"),
        Feature("movbe", "x86-64", (), "movbe"),
        Feature("avx", "x86-64", ("sse4.2",), "avx"),
        Feature("f16c", "x86-64", ("avx",), "f16c"),
        Feature("fma", "x86-64", ("avx",), "fma"),
        Feature("avx2", "x86-64", ("avx",), "avx2"),
        Feature("avxvnni", "x86-64", ("avx2",), "avx_vnni"),
        Feature("avxvnniint8", "x86-64", ("avx2",), "avx_vnni_int8"),
        Feature("avx512f", "x86-64", ("avx2", "fma", "f16c"), "avx512f"),
        Feature("avx512cd", "x86-64", ("avx512f",), "avx512cd"),
        Feature("avx512dq", "x86-64", ("avx512f",), "avx512dq"),
        Feature("avx512bw", "x86-64", ("avx512f",), "avx512bw"),
        Feature("avx512vl", "x86-64", ("avx512f",), "avx512vl"),
        Feature("avx512vnni", "x86-64", ("avx512f",), "avx512_vnni"),
        Feature("avx512vbmi", "x86-64", ("avx512bw",), "avx512vbmi"),
        Feature("avx512vbmi2", "x86-64", ("avx512bw",), "avx512_vbmi2"),
        Feature("avx512bf16", "x86-64", ("avx512bw",), "avx512_bf16"),
        Feature("avx512fp16", "x86-64", ("avx512bw", "avx512dq", "avx512vl"), "avx512_fp16"),
        Feature("fp-armv8", "aarch64", (), hwcap=((HWCAP, 0),)),
        Feature("neon", "aarch64", ("fp-armv8",), hwcap=((HWCAP, 1),)),
        Feature("crc", "aarch64", (), hwcap=((HWCAP, 7),)),
        Feature("lse", "aarch64", (), hwcap=((HWCAP, 8),)),
        Feature("fullfp16", "aarch64", ("fp-armv8",), hwcap=((HWCAP, 9), (HWCAP, 10))),
        Feature("rdm", "aarch64", ("neon",), hwcap=((HWCAP, 12),)),
        Feature("dotprod", "aarch64", ("neon",), hwcap=((HWCAP, 20),)),
        Feature("fp16fml", "aarch64", ("neon", "fullfp16"), hwcap=((HWCAP, 23),)),
        Feature("i8mm", "aarch64", ("neon",), hwcap=((HWCAP2, 13),)),
        Feature("bf16", "aarch64", ("neon",), hwcap=((HWCAP2, 14),)),
    )
}

# Weakest first within an architecture, each level holding the one before it.
LEVELS: dict[str, BaseLevel] = {
    level.name: level
    for level in (
        BaseLevel("x86-64", "x86-64", "x86-64", ("cmov", "cx8", "fxsr", "mmx", "sse", "sse2")),
        BaseLevel("x86-64-v2", "x86-64", "x86-64-v2", ("cx16", "sahf", "popcnt", "sse3", "ssse3", "sse4.1", "sse4.2")),
        BaseLevel(
            "x86-64-v3",
            "x86-64",
            "x86-64-v3",
            ("avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"),
        ),
        BaseLevel(
            "x86-64-v4", "x86-64", "x86-64-v4", ("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
        ),
        BaseLevel("aarch64", "aarch64", "generic", ("fp-armv8", "neon")),
    )
}


def with_implied(names: Iterable[str]) -> frozenset[str]:
    """The features named and all that they imply."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(FEATURES[name].implies)
    return frozenset(found)


def without(names: Iterable[str], removed: str) -> frozenset[str]:
    """The features left when one goes, and with it all that imply it."""
    return frozenset(name for name in names if removed not in with_implied((name,)))


def levels_of(arch: Arch) -> tuple[BaseLevel, ...]:
    """The levels of an architecture, weakest first."""
    return tuple(level for level in LEVELS.values() if level.arch == arch)


def level_features(level: BaseLevel) -> frozenset[str]:
    """Every feature of a level, those of the levels below it included."""
    found: set[str] = set()
    for candidate in levels_of(level.arch):
        found.update(candidate.features)
        if candidate is level:
            break
    return with_implied(found)


def baseline(arch: Arch) -> frozenset[str]:
    """What every machine of the architecture has."""
    return level_features(levels_of(arch)[0])


def best_level(arch: Arch, features: frozenset[str]) -> BaseLevel:
    """The strongest level that the features hold in full."""
    return [level for level in levels_of(arch) if level_features(level) <= features][-1]
