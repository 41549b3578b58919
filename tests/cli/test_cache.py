"""`dlc cache`: what is there, and how it goes."""

import json
from pathlib import Path

import numpy as np
import pytest

import dlc
from tests.cli.support import refused, succeed


def facts(*options: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(succeed("cache", "--json", *options))
    return found


def test_an_empty_cache(folder: Path) -> None:
    assert facts() == {"folder": str(folder / "cache"), "entries": 0, "bytes": 0, "limit": 10**10}
    assert not (folder / "cache").exists()
    assert facts("--clear") == {**facts(), "removed": 0, "freed": 0}


def test_what_it_shows(folder: Path, relu: Path, conv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DLC_CACHE_SIZE", "1.5M")
    dlc.compile(relu)
    dlc.compile(conv)
    (folder / "cache" / "mine.txt").write_text("no entry")
    size = sum(path.stat().st_size for path in (folder / "cache").iterdir()) - len("no entry")
    assert facts() == {"folder": str(folder / "cache"), "entries": 2, "bytes": size, "limit": 1_500_000}
    lines = [line.split(maxsplit=1) for line in succeed("cache").splitlines()]
    assert [name for name, _ in lines] == ["folder", "entries", "size", "limit"]
    assert dict(lines)["limit"] == "1.5 MB" and dict(lines)["entries"] == "2"


def test_clear(folder: Path, relu: Path, conv: Path) -> None:
    model = dlc.compile(relu)
    dlc.compile(conv)
    size = facts()["bytes"]
    (folder / "cache" / "mine.txt").write_text("no entry")
    cleared = facts("--clear")
    assert (cleared["removed"], cleared["freed"], cleared["entries"]) == (2, size, 0)
    assert [path.name for path in (folder / "cache").iterdir()] == ["mine.txt"]
    assert model(np.ones((1, 4), np.float32)).tolist() == [[1, 1, 1, 1]], "what is in use stays"
    dlc.compile(relu)
    assert "removed 1 compiled model, " in succeed("cache", "--clear")


def test_a_folder_that_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "cache").write_text("a file")
    assert facts()["entries"] == 0

    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DLC_CACHE_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert "this user has no home folder" in refused("cache")
    assert "hint: set DLC_CACHE_DIR" in refused("cache")


def test_entries_that_cannot_be_removed(folder: Path, relu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    dlc.compile(relu)
    monkeypatch.setattr(Path, "unlink", refuse)
    assert "cannot remove 1 of 1 entries of the cache folder" in refused("cache", "--clear")
