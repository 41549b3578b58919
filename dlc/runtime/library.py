"""The file of a compiled model, open as long as anybody uses the model, and its library in this process.

A library is unmapped when its `Library` dies. Whoever calls a function of it holds that: models do, and what they are
made of. So nobody is inside by then, and the threads that it started have been joined (`State`). No array is a view of
a library's memory: outputs are NumPy's own.
"""

from __future__ import annotations

import ctypes
import os
import threading
import weakref
from _ctypes import dlclose, dlsym
from collections.abc import Callable
from pathlib import Path

from dlc.errors import UserError

ALLOWED_BY_POLICY = 8  # MFD_NOEXEC_SEAL: all that systems with vm.memfd_noexec = 2 allow; a library can be mapped still
PIECE = 1 << 30  # bytes that the system copies at a time
Function = Callable[..., int]
Identity = tuple[int, int, int, int]  # device, inode, bytes, nanoseconds of the last change


class LibraryFile:
    """An open file; `path` leads to it while it has a name, and always if it lies in memory.

    The file can be read and copied even when its name has gone, or leads to another file.
    """

    def __init__(self, descriptor: int, path: Path, in_memory: bool = False) -> None:
        self.descriptor = descriptor
        self.path = path
        self.in_memory = in_memory
        self.identity = identity(descriptor)
        weakref.finalize(self, close_descriptor, descriptor, self.identity).atexit = False

    @classmethod
    def opened(cls, path: Path) -> LibraryFile:
        """The file at `path`. Raises OSError."""
        return cls(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), path)  # a pipe must not be waited for

    @classmethod
    def in_memory_of(cls, descriptor: int) -> LibraryFile:
        """What has been written to a descriptor of `memory_descriptor`."""
        return cls(descriptor, Path(f"/proc/self/fd/{descriptor}"), in_memory=True)

    @classmethod
    def holding(cls, content: bytes) -> LibraryFile:
        """A file in memory. Raises UserError."""
        descriptor = memory_descriptor()
        try:
            with open(os.dup(descriptor), "wb") as file:
                file.write(content)
        except OSError as error:
            os.close(descriptor)
            raise UserError(f"there is no memory for a model of {len(content)} bytes: {error.strerror}") from error
        return cls.in_memory_of(descriptor)

    @property
    def unchanged(self) -> bool:
        """Whether it is still what was opened."""
        try:
            return identity(self.descriptor) == self.identity
        except OSError:  # closed behind our back
            return False

    def read(self) -> bytes:
        """All of it. Raises OSError."""
        with open(self.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            return file.read()

    def copy_to(self, target: int) -> None:
        """Write all of it to another descriptor. Raises OSError."""
        done, size = 0, self.identity[2]
        while done < size:
            sent = os.sendfile(target, self.descriptor, done, min(PIECE, size - done))
            if not sent:
                raise OSError(5, "the file has become shorter")
            done += sent


def identity(descriptor: int) -> Identity:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def close_descriptor(descriptor: int, opened: Identity) -> None:
    """Close a file, unless the program has done so already and uses the number for another one."""
    try:
        if identity(descriptor)[:2] == opened[:2]:
            os.close(descriptor)
    except OSError:
        return


def memory_descriptor() -> int:
    """A file without a name, in memory: it ends with the process, however that ends. Raises UserError."""
    for flags in (os.MFD_CLOEXEC, os.MFD_CLOEXEC | ALLOWED_BY_POLICY):
        try:
            return os.memfd_create("dlc-model", flags)
        except OSError as error:
            reason = error.strerror
    raise UserError(
        f"the system gives no file in memory for the compiled model: {reason}",
        hint="compile into a cache (DLC_CACHE_DIR), or with `dlc compile -o model.so`",
    )


class LoadedFiles:
    """Remembers under which name each file was loaded.

    The system's loader takes a name it knows for the same library even if the file was replaced since, and would
    hand out the old model. A file that took another's place is therefore opened under a different spelling of its path.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.names: dict[str, tuple[tuple[int, int], str]] = {}
        self.spellings = 0

    def name_for(self, name: str, file: tuple[int, int]) -> str:
        """A spelling of the path that the loader does not take for another file."""
        with self.lock:
            known, spelling = self.names.setdefault(name, (file, name))
            if known == file:
                return spelling
            self.spellings += 1
            folder, base = os.path.split(name)
            spelling = f"{folder}{spelled(self.spellings)}/{base}"
            self.names[name] = file, spelling
            return spelling


LOADED_FILES = LoadedFiles()


def renew_lock() -> None:
    """In a forked child: a thread of the parent may have held it."""
    LOADED_FILES.lock = threading.Lock()


os.register_at_fork(after_in_child=renew_lock)


def spelled(number: int) -> str:
    """A number as a detour that leads nowhere: "/." for each 0 bit, "//." for each 1 bit."""
    return "".join("//." if bit == "1" else "/." for bit in f"{number:b}")


class Library:
    """The mapped library of a file. Raises OSError if the system's loader does not take it."""

    def __init__(self, file: LibraryFile) -> None:
        self.file = file
        name = str(file.path) if file.in_memory else os.path.realpath(file.path)
        try:
            self.handle = loaded(name, file)
        except OSError:
            if leads_to(name, file):
                raise
            self.handle = loaded(f"/proc/self/fd/{file.descriptor}", file)  # its name has gone since it was opened
        weakref.finalize(self, unload, self.handle, file).atexit = False

    def address(self, name: str) -> int:
        """Where an exported symbol lies. Raises OSError."""
        return int(dlsym(self.handle, name))

    def function(self, name: str, result: type, *arguments: type) -> Function:
        """An exported function, which must not be called after the library's end. Raises OSError.

        One of `ctypes.CDLL` would refer to itself, and the library would wait for a search for garbage.
        """
        made: Function = ctypes.CFUNCTYPE(result, *arguments)(self.address(name))
        return made

    def number(self, name: str) -> int:
        """An exported 64-bit number. Raises OSError."""
        return ctypes.c_int64.from_address(self.address(name)).value


def loaded(name: str, file: LibraryFile) -> int:
    """The loader's handle."""
    spelling = LOADED_FILES.name_for(name, file.identity[:2])
    return ctypes.CDLL(spelling, mode=os.RTLD_NOW | os.RTLD_LOCAL)._handle


def leads_to(name: str, file: LibraryFile) -> bool:
    try:
        status = os.stat(name)
    except OSError:
        return False
    return (status.st_dev, status.st_ino) == file.identity[:2]


def unload(handle: int, file: LibraryFile) -> None:
    """Unmap a library that nobody uses; `file` was kept open until now, so that no other got its descriptor's name."""
    dlclose(handle)
