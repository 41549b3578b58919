"""Which instruction sets this host offers, in LLVM's names, to refuse a model that would die of an illegal one."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

MACHINE_NAMES = {"x86_64": "x86-64", "amd64": "x86-64", "aarch64": "aarch64", "arm64": "aarch64"}

# Linux's name where it is not LLVM's without dots, dashes and underscores.
LINUX_NAMES = {
    "64bit": "lm", "bmi": "bmi1", "crc32": "sse42", "lzcnt": "abm", "pclmul": "pclmulqdq", "rdrnd": "rdrand",
    "prfchw": "3dnowprefetch", "sahf": "lahflm", "sha": "shani", "sse3": "pni", "x87": "fpu", "rdpid": "rdpid",
    "neon": "asimd", "fparmv8": "fp", "dotprod": "asimddp", "fullfp16": "asimdhp", "rdm": "asimdrdm",
    "lse": "atomics", "fp16fml": "asimdfhm", "rcpc": "lrcpc", "crc": "crc32", "sha2": "sha2",
}


def host_machine() -> str:
    """This host in an artefact's terms."""
    name = platform.machine().lower()
    return MACHINE_NAMES.get(name, name)


def missing_features(needed: Iterable[str], machine: str) -> list[str]:
    """The features that this host lacks; none if the host does not say what it has."""
    offered = host_flags()
    if not offered:
        return []
    return [feature for feature in needed if linux_name(feature, machine) not in offered]


def linux_name(feature: str, machine: str) -> str:
    """The flag under which Linux reports an LLVM feature."""
    name = plain(feature.lstrip("+"))
    if name == "crc32" and machine != "x86-64":
        return name
    return LINUX_NAMES.get(name, name)


def plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").replace(".", "").lower()


@lru_cache(maxsize=1)
def host_flags() -> frozenset[str]:
    """The flags of the first CPU."""
    try:
        with Path("/proc/cpuinfo").open() as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in ("flags", "Features"):
                    return frozenset(plain(flag) for flag in value.split())
    except OSError:
        pass
    return frozenset()
