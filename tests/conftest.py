"""What every test may use: the shared folder, the `isa` marker, the hypothesis profiles, the order of the run."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dlc.target import Target, host_can_run

ROOT = Path(__file__).resolve().parent.parent
QUICK = ("house", "target")  # run first: they fail in seconds

settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and reference data, which is no part of the product."""
    found = next((place for place in (ROOT / "shared", ROOT.parent / "shared") if (place / "models").is_dir()), None)
    if found is None:
        pytest.skip("no shared/ folder with models in the repository or beside it")
    return found


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("isa"):
        missing = [lacked for need in marker.args for lacked in missing_for(need)]
        if missing:
            pytest.skip(f"this host lacks {', '.join(missing)}")


def missing_for(need: str | Target) -> tuple[str, ...]:
    """What the host lacks for a target, a target's name or a single feature."""
    if isinstance(need, Target):
        return host_can_run(need)[1]
    if need.startswith(("x86-64", "aarch64")):
        return host_can_run(Target.parse(need))[1]
    return () if Target.host().has(need) else (need,)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=turn)


def turn(item: pytest.Item) -> tuple[bool, bool]:
    """Quick folders first, slow tests last, else as collected."""
    folder = item.path.parent.name
    return (item.get_closest_marker("slow") is not None, folder not in QUICK)
