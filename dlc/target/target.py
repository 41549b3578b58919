"""A machine to compile for: its architecture, its features and, where known, its caches and vector datapath."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cached_property
from typing import Literal

from dlc.errors import InternalError, UserError
from dlc.record import record
from dlc.target.facts import CacheSizes, Facts, facts_of, typical_caches, vector_unit
from dlc.target.features import (
    FEATURES,
    LEVELS,
    Arch,
    BaseLevel,
    baseline,
    best_level,
    level_features,
    with_implied,
    without,
)
from dlc.target.host import UNITS, Host, detect_host, parse_number

TRIPLES: dict[Arch, str] = {"x86-64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}
ELF_MACHINES: dict[Arch, int] = {"x86-64": 62, "aarch64": 183}  # EM_X86_64, EM_AARCH64

DATAPATHS = (64, 128, 256)

SPELLINGS = {"x86-64-v1": "x86-64", "x86_64": "x86-64", "amd64": "x86-64", "arm64": "aarch64", "armv8-a": "aarch64"}


@record
class Target:
    """A machine to compile for. Equal targets have equal text, and the text parses back: `str(target)` is a cache key.

    Features are completed by what they imply and by the architecture's baseline, and sorted.
    """

    arch: Arch
    features: tuple[str, ...] = ()
    caches: CacheSizes | None = None  # None: the table's sizes for the level
    datapath: int | None = None  # bits that the vector units take at once; None: a whole vector

    def __post_init__(self) -> None:
        if self.arch not in TRIPLES:
            raise UserError(f"target: unknown architecture '{self.arch}', expected {one_of(TRIPLES)}")
        for name in self.features:
            check_feature(name, self.arch)
        complete = with_implied(self.features) | baseline(self.arch)
        object.__setattr__(self, "features", tuple(sorted(complete)))
        if self.caches == typical_caches(self.arch, complete):
            object.__setattr__(self, "caches", None)
        if self.datapath is not None:
            widest = vector_unit(self.arch, complete).bits
            if self.datapath not in DATAPATHS:
                raise UserError(f"target: a datapath has {one_of(map(str, DATAPATHS))} bits, not '{self.datapath}'")
            if self.datapath >= widest:
                object.__setattr__(self, "datapath", None)

    @staticmethod
    def parse(text: str) -> "Target":
        """Read `LEVEL[+feature|-feature]...[@l1=48K,l2=2M,l3=16M,datapath=256]`, or `host` in LEVEL's place."""
        machine, at, numbers = text.strip().partition("@")
        base, changes = split_base(machine)
        known = detect_host() if base == "host" else level_host(base)
        features = known.features
        for sign, name in changes:
            features = changed(features, sign, name, known.arch)
        caches, datapath = parse_numbers(numbers, text) if at else (None, None)
        return Target(known.arch, tuple(features), caches or known.caches, datapath or known.datapath)

    @staticmethod
    def host() -> "Target":
        """This machine."""
        return Target.parse("host")

    @property
    def level(self) -> BaseLevel:
        """The strongest named level that this target holds in full."""
        return best_level(self.arch, frozenset(self.features))

    @cached_property
    def extra_features(self) -> tuple[str, ...]:
        """The features beyond the level, sorted."""
        return tuple(sorted(frozenset(self.features) - level_features(self.level)))

    @cached_property
    def name(self) -> str:
        """The shortest text that parses to this target."""
        extra = [name for name in self.extra_features if not self._follows_from_others(name)]
        return "+".join((self.level.name, *extra)) + print_numbers(self.caches, self.datapath)

    def _follows_from_others(self, name: str) -> bool:
        return any(name in with_implied((other,)) for other in self.extra_features if other != name)

    def __str__(self) -> str:
        return self.name

    def has(self, *names: str) -> bool:
        """Whether the target has all these features; asking for one that FEATURES does not list is a defect."""
        unknown = next((name for name in names if name not in FEATURES), None)
        if unknown is not None:
            raise InternalError(f"Target.has was asked for '{unknown}', which is no feature that dlc knows")
        return frozenset(names) <= frozenset(self.features)

    @property
    def triple(self) -> str:
        """LLVM's target triple."""
        return TRIPLES[self.arch]

    @property
    def machine(self) -> int:
        """ELF's e_machine."""
        return ELF_MACHINES[self.arch]

    @property
    def llvm_cpu(self) -> str:
        """LLVM's name of the level; never a vendor's CPU."""
        return self.level.llvm_cpu

    @property
    def llvm_features(self) -> str:
        """The features beyond the level in LLVM's spelling: `+avx512vnni,+avx512bf16`."""
        return ",".join(f"+{name}" for name in self.extra_features)

    @property
    def function_attributes(self) -> dict[str, str]:
        """String attributes that every generated function must carry."""
        if self.facts.vector_bits < 512:
            return {}
        # LLVM splits 512-bit vectors into halves on x86-64-v4 unless told otherwise.
        return {"prefer-vector-width": "512", "min-legal-vector-width": "512"}

    @cached_property
    def facts(self) -> Facts:
        """What schedules ask about the machine."""
        return facts_of(self.arch, frozenset(self.features), self.caches, self.datapath)


def host_can_run(target: Target) -> tuple[bool, tuple[str, ...]]:
    """Whether this machine runs code for the target, and the features it lacks (the architecture itself, if that)."""
    host = detect_host()
    if host.arch != target.arch:
        return False, (target.arch,)
    missing = tuple(name for name in target.features if name not in host.features)
    return not missing, missing


def level_host(base: str) -> Host:
    """A named level in the form that a detected host has."""
    level = LEVELS[SPELLINGS.get(base, base)]
    return Host(level.arch, level_features(level), None)


def split_base(text: str) -> tuple[str, list[tuple[Literal["+", "-"], str]]]:
    """Split `x86-64-v4+avx512vnni-avx512cd` after the longest name it starts with."""
    names = sorted(("host", *LEVELS, *SPELLINGS), key=len, reverse=True)
    ends = re.compile(r"$|[+-](?!v\d)")  # a level's own dash is no sign: x86-64-v9 must not read as x86-64 minus v9
    base = next((name for name in names if text.startswith(name) and ends.match(text[len(name) :])), None)
    if base is None:
        expected = suggestion(text, ("host", *LEVELS))
        raise UserError(f"target '{text}' is unknown, expected {expected}, then any +feature or -feature")
    return base, list(split_changes(text[len(base) :], text))


def split_changes(rest: str, text: str) -> Iterator[tuple[Literal["+", "-"], str]]:
    if rest and not re.fullmatch(r"([+-][a-z0-9._]+)+", rest):
        raise UserError(f"target '{text}': expected +feature or -feature after the level, got '{rest}'")
    yield from re.findall(r"([+-])([a-z0-9._]+)", rest)


def changed(features: frozenset[str], sign: Literal["+", "-"], name: str, arch: Arch) -> frozenset[str]:
    """The features with one added or removed."""
    check_feature(name, arch)
    if sign == "+":
        return features | with_implied((name,))
    if name in baseline(arch):
        raise UserError(f"target: '{name}' is part of every {arch} machine and cannot be removed")
    return without(features, name)


def check_feature(name: str, arch: Arch) -> None:
    feature = FEATURES.get(name)
    if feature is None:
        known = tuple(feature.name for feature in FEATURES.values() if feature.arch == arch)
        raise UserError(f"target: unknown feature '{name}', expected {suggestion(name, known)}")
    if feature.arch != arch:
        raise UserError(f"target: '{name}' is a feature of {feature.arch}, not of {arch}")


def suggestion(name: str, known: Iterable[str]) -> str:
    """The names that resemble what was given, or all of them."""
    known = tuple(known)
    return one_of(get_close_matches(name, known, n=3, cutoff=0.6) or known)


def one_of(names: Iterable[str]) -> str:
    quoted = [f"'{name}'" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"


def parse_numbers(text: str, target: str) -> tuple[CacheSizes | None, int | None]:
    """Read `l1=48K,l2=2M,l3=16M,datapath=256`: cache sizes, of which l3 may be absent, a datapath, or both."""
    pairs = [part.partition("=")[::2] for part in text.split(",")]
    numbers = {name: parse_number(number) for name, number in pairs}
    datapath = numbers.pop("datapath", None)
    well_formed = len(numbers) + (datapath is not None) == len(pairs) and datapath != 0
    if numbers:
        well_formed &= {"l1", "l2"} <= numbers.keys() <= {"l1", "l2", "l3"} and bool(numbers["l1"] and numbers["l2"])
    if not well_formed:
        raise UserError(
            f"target '{target}': expected cache sizes such as '@l1=48K,l2=2M,l3=16M' or '@datapath=256', got '@{text}'"
        )
    return CacheSizes(numbers["l1"], numbers["l2"], numbers.get("l3", 0)) if numbers else None, datapath


def print_numbers(caches: CacheSizes | None, datapath: int | None) -> str:
    """What `parse_numbers` reads, with the sign before it; nothing if there is nothing to say."""
    parts = []
    if caches is not None:
        parts += [
            f"{name}={print_size(size)}"
            for name, size in zip(("l1", "l2", "l3"), (caches.l1, caches.l2, caches.l3), strict=True)
        ]
    if datapath is not None:
        parts.append(f"datapath={datapath}")
    return "@" + ",".join(parts) if parts else ""


def print_size(size: int) -> str:
    """The size with the largest unit that divides it."""
    unit = next((name for name, unit in reversed(UNITS.items()) if size and size % unit == 0), "")
    return f"{size // UNITS.get(unit, 1)}{unit}"
