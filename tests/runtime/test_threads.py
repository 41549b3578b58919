"""How many threads: the caller, then the environment, then affinity, cores and cgroup quota."""

import os
from pathlib import Path

import pytest

from dlc.errors import UserError
from dlc.runtime.threads import VARIABLE, available_threads, cgroup_quota, thread_count, usable_cores


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_caller_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "3")
    assert thread_count(None) == 3
    assert thread_count(5) == 5
    monkeypatch.setenv(VARIABLE, " ")
    assert thread_count(None) == available_threads()


@pytest.mark.parametrize("text", ["zero", "-1", "0", "2.5"])
def test_a_bad_environment_variable_is_the_users_mistake(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(UserError, match="DLC_NUM_THREADS must be a whole number of at least 1, got"):
        thread_count(None)


@pytest.mark.parametrize("threads", [0, -2, 1.5, True, "2"])
def test_a_bad_argument_is_the_users_mistake(threads: int) -> None:
    with pytest.raises(UserError, match="threads must be a whole number of at least 1, got"):
        thread_count(threads)


def test_affinity_is_honoured() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert available_threads() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_threads_of_one_core_count_once(tmp_path: Path) -> None:
    for cpu, siblings in enumerate(("0,2", "1,3", "0,2", "1,3")):
        write(tmp_path / f"cpu{cpu}/topology/thread_siblings_list", siblings)
    assert usable_cores({0, 1, 2, 3}, tmp_path) == 2
    assert usable_cores({0, 2}, tmp_path) == 1
    assert usable_cores({0, 9}, tmp_path) == 2    # no such file: every CPU counts


def test_version_2_takes_the_least_of_all_levels(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    write(membership, "0::/outer/inner\n")
    assert cgroup_quota(tmp_path, membership) is None
    write(tmp_path / "outer/cpu.max", "150000 100000\n")
    write(tmp_path / "outer/inner/cpu.max", "max 100000\n")
    assert cgroup_quota(tmp_path, membership) == 1.5


def test_version_1_with_and_without_a_limit(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    write(membership, "4:memory:/\n3:cpu,cpuacct:/docker/abc\n")
    write(tmp_path / "cpu,cpuacct/cpu.cfs_quota_us", "-1\n")
    write(tmp_path / "cpu,cpuacct/cpu.cfs_period_us", "100000\n")
    assert cgroup_quota(tmp_path, membership) is None
    write(tmp_path / "cpu,cpuacct/cpu.cfs_quota_us", "400000\n")
    assert cgroup_quota(tmp_path, membership) == 4


def test_no_cgroup_at_all(tmp_path: Path) -> None:
    assert cgroup_quota(tmp_path, tmp_path / "none") is None
