"""How many threads a model may use in this process."""

from __future__ import annotations

import os
from pathlib import Path

from dlc.errors import UserError

VARIABLE = "DLC_NUM_THREADS"
MAX_THREADS = 512
CGROUP_ROOT = Path("/sys/fs/cgroup")
CPU_ROOT = Path("/sys/devices/system/cpu")


def thread_count(threads: int | None) -> int:
    """The caller's number, else the environment's, else what the process may use."""
    if threads is not None:
        return checked(threads, "threads")
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return available_threads()
    if not text.isdigit():
        raise UserError(f"{VARIABLE} must be a whole number of at least 1, got {text!r}")
    return checked(int(text), VARIABLE)


def checked(threads: int, name: str) -> int:
    """A number of threads that makes sense."""
    if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
        raise UserError(f"{name} must be a whole number of at least 1, got {threads!r}")
    return min(threads, MAX_THREADS)


def available_threads() -> int:
    """One thread a core that the process may run on, and no more than its cgroup's CPU quota pays for."""
    cores = usable_cores(os.sched_getaffinity(0))
    quota = cgroup_quota()
    # A thread beyond the quota is throttled for whole periods, and all others wait for it: round down.
    return min(MAX_THREADS, max(1, cores if quota is None else min(cores, int(quota))))


def usable_cores(cpus: set[int], root: Path = CPU_ROOT) -> int:
    """Physical cores among the CPUs: two threads on one core share its arithmetic units and gain nothing."""
    cores = set()
    for cpu in cpus:
        try:
            cores.add((root / f"cpu{cpu}/topology/thread_siblings_list").read_text().strip())
        except OSError:
            return len(cpus)
    return max(1, len(cores))


def cgroup_quota(root: Path = CGROUP_ROOT, membership: Path = Path("/proc/self/cgroup")) -> float | None:
    """CPUs that the cgroups of this process grant (version 1 or 2), the least of all levels; None: no limit."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return None
    quotas: list[float] = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            quotas += [quota for folder in levels(root, path) if (quota := quota_v2(folder)) is not None]
        elif "cpu" in controllers.split(","):
            base = next((found for name in (controllers, "cpu") if (found := root / name).is_dir()), root / "cpu")
            quotas += [quota for folder in levels(base, path) if (quota := quota_v1(folder)) is not None]
    return min(quotas, default=None)


def levels(base: Path, path: str) -> list[Path]:
    """A cgroup's folder and its parents' up to the root; in a container only the root may exist."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    return [base.joinpath(*parts[:count]) for count in range(len(parts), -1, -1)]


def quota_v2(folder: Path) -> float | None:
    """cpu.max: "max 100000" or "150000 100000"."""
    fields = words(folder / "cpu.max")
    if len(fields) != 2 or fields[0] == "max":
        return None
    return int(fields[0]) / int(fields[1])


def quota_v1(folder: Path) -> float | None:
    """cpu.cfs_quota_us, where -1 means none, over cpu.cfs_period_us."""
    quota, period = words(folder / "cpu.cfs_quota_us"), words(folder / "cpu.cfs_period_us")
    if not quota or not period or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def words(path: Path) -> list[str]:
    """The words of a small file, none if it cannot be read."""
    try:
        return path.read_text().split()
    except OSError:
        return []
