"""Output files: whole or not at all, and refused early where they cannot be written."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from dlc.errors import UserError

ELF = b"\x7fELF"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; it takes the place of `path` when the block ends without an error."""
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def check_output(path: Path, model: Path | None = None) -> None:
    """Refuse an output that cannot be written, before the work of making it. Raises UserError."""
    folder = path.parent
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder", hint=f"name a file, such as {path / 'model.so'}")
    if not folder.is_dir():
        raise UserError(f"cannot write {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write {path}: the folder {folder} is not writable")
    if model is not None and model.exists() and path.exists() and path.samefile(model):
        raise UserError(f"the output {path} is the model itself", hint="name another file with -o")


def is_library(path: Path) -> bool:
    """Whether a file is an ELF library, as compiled models are, whatever its name."""
    try:
        with path.open("rb") as file:
            return file.read(len(ELF)) == ELF
    except OSError:
        return False


def byte_text(count: int) -> str:
    """A number of bytes to read: 820 B, 4.3 MB."""
    size = float(count)
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def seconds_text(seconds: float) -> str:
    """A time to read, three digits: 812 ns, 4.31 us, 12.1 ms, 3.20 s."""
    for factor, unit in ((1e9, "ns"), (1e6, "us"), (1e3, "ms")):
        if seconds * factor < 999.5:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds:.2f} s"
