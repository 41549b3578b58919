"""Libraries made of an interface alone, called through ctypes as a C program would call them."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np

from dlc.codegen.elf.link import link
from dlc.codegen.emit.bind import Guard, InputSites, Interface, Shape, Size
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import EXPORTS, TARGETS, pool_objects
from dlc.ir.expr import as_dim
from dlc.ir.expr_text import parse_expr
from tests.support.handmade import with_interface

# dims[@@slot@@] = the first number of the first buffer, where there is one to be found.
FINDS = """
define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  %x = load ptr, ptr %buffers
  %found = load i64, ptr %x
  %slot = getelementptr i64, ptr %dims, i64 @@slot@@
  store i64 %found, ptr %slot
  ret i32 0
}
"""
DOES_NOTHING = """
define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  ret i32 0
}
"""
LOW, HIGH = -(1 << 63), (1 << 63) - 1
FOLDER = tempfile.TemporaryDirectory(prefix="dlc-bind-")
NUMBERS = count()


class Model:
    """A library made of an interface alone."""

    def __init__(self, interface: Interface, main: str = DOES_NOTHING) -> None:
        path = Path(FOLDER.name) / f"{next(NUMBERS)}.so"
        target = TARGETS["x86-64"]
        content = compile_object(with_interface(main, interface), target.triple, target.cpu, "")
        link([content, *pool_objects("x86-64")], machine="x86-64", exports=(*EXPORTS, "dlc_fail"), output=path)
        self.library = ctypes.CDLL(str(path))
        for name, result in (("ctx_bytes", ctypes.c_int64), ("message", ctypes.c_int64), ("dims", ctypes.c_void_p)):
            getattr(self.library, f"dlc_{name}").restype = result
        self.dims = len(interface.symbols)
        self.results = sum(map(len, interface.results))

    @contextmanager
    def context(self, threads: int = 1) -> Iterator[Context]:
        context = Context(self, threads)
        yield context
        assert self.library.dlc_close(context.pointer) == 0


class Context:
    """A context in memory that was not empty."""

    def __init__(self, model: Model, threads: int) -> None:
        self.model, self.library = model, model.library
        raw = np.full(self.library.dlc_ctx_bytes() + 64, 0xA5, np.uint8)
        self.memory = raw[-raw.ctypes.data % 64 :]
        self.pointer = ctypes.c_void_p(self.memory.ctypes.data)
        self.results = (ctypes.c_int64 * max(1, model.results))()
        self.workspace = ctypes.c_int64(-1)
        assert self.library.dlc_init(self.pointer, threads) == 0

    def bind(self, *sizes: int) -> int:
        given = (ctypes.c_int64 * max(1, len(sizes)))(*sizes)
        return int(self.library.dlc_bind(self.pointer, given, self.results, ctypes.byref(self.workspace)))

    def run(self, workspace: int | None = None, *buffers: int) -> int:
        given = (ctypes.c_void_p * max(1, len(buffers)))(*buffers)
        return int(self.library.dlc_run(self.pointer, given, None if workspace is None else ctypes.c_void_p(workspace)))

    def shapes(self) -> list[int]:
        results = (ctypes.c_int64 * max(1, self.model.results))()
        assert self.library.dlc_shapes(self.pointer, results) == 0
        return results[: self.model.results]

    @property
    def dims(self) -> list[int]:
        return (ctypes.c_int64 * self.model.dims).from_address(self.library.dlc_dims(self.pointer))[:]

    @property
    def detail(self) -> tuple[int, int]:
        first, second = (ctypes.c_int64 * 2).from_address(self.pointer.value + 8)  # type: ignore[operator]
        return first, second

    def message(self, size: int = 4096) -> str:
        text = ctypes.create_string_buffer(size)
        length = self.library.dlc_message(self.pointer, text, ctypes.c_int64(size))
        assert length == len(text.value)
        return text.value.decode()


def dims(shape: str) -> Shape:
    return tuple(as_dim(parse_expr(dim)) for dim in shape.split(",")) if shape else ()


def simple(
    inputs: Sequence[str], results: Sequence[str] = (), symbols: Sequence[str] = (), workspace: str = "0",
    guards: Sequence[Guard] = (), sizes: Sequence[Size] = (), messages: Sequence[str] = (), scratch: int = 0,
) -> Interface:  # fmt: skip
    """An interface: code n for input n, then those of `messages`, then that of the workspace."""
    texts = [f"input {n}: dimension {{0}} is {{1}}" for n, _ in enumerate(inputs)]
    texts += [*messages, "the workspace is too large"]
    shapes = [dims(shape) for shape in results]
    return Interface(
        symbols=symbols, inputs=[InputSites(dims(shape), n + 1) for n, shape in enumerate(inputs)], results=shapes,
        most=shapes, workspace=Size(parse_expr(workspace), len(texts)), messages=texts, scratch=scratch, guards=guards,
        sizes=sizes,
    )  # fmt: skip
