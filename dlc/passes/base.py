"""What a pass is: a frozen dataclass whose fields are its options, and the context that it runs in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import field, fields
from typing import ClassVar

from dlc.errors import InternalError
from dlc.ir.core import Func, Module
from dlc.ir.levels import Level
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import Explain
from dlc.record import record
from dlc.target import Target


@record
class CompileOptions:
    """What the user chose for the whole compilation."""

    opt_level: int = 3
    exact: bool = False  # no algorithm that reassociates beyond summation order


def ignore_kernel(kernel: Func, sizes: tuple[str, ...]) -> None:
    """Nobody waits for it."""


@record(frozen=False)
class PassContext:
    """What passes may ask: the machine, the user's options, the pool of constants; and where they say what they did.

    `lowered` is called with each kernel as soon as it will not change any more, so that LLVM can work on it while the
    next one is lowered, and with the names of the sizes that kernels have found by then, its own included.
    """

    target: Target
    pool: ConstantPool
    options: CompileOptions = field(default_factory=CompileOptions)
    explain: Explain = field(default_factory=Explain)
    lowered: Callable[[Func, tuple[str, ...]], None] = ignore_kernel


class PassFailed(InternalError):
    """A pass failed, broke the IR or lied about it; says which, and where the reproducer lies."""


@record
class Pass(ABC):
    """IR of level `needs` to IR of level `leaves`. The manager verifies, times and dumps; a pass does not."""

    name: ClassVar[str]
    needs: ClassVar[Level]
    leaves: ClassVar[Level]

    @abstractmethod
    def run(self, module: Module, cx: PassContext) -> bool:
        """Change the module; whether anything changed."""

    def __str__(self) -> str:
        """As `parse_pipeline` reads it: options that are not at their default in braces."""
        chosen = [f"{f.name}={option_text(getattr(self, f.name))}" for f in fields(self) if changed(self, f.name)]
        return f"{self.name}{{{', '.join(chosen)}}}" if chosen else self.name


def changed(each: Pass, option: str) -> bool:
    return bool(getattr(each, option) != getattr(type(each)(), option))


def option_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return " ".join(map(option_text, value)) if isinstance(value, tuple) else str(value)
