"""What names stand for while a definition is elaborated, and what reading and writing a tensor means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from dlc.errors import UserError
from dlc.ir.core import Value
from dlc.ir.expr import Expr
from dlc.ir.types import ScalarType, TensorType
from dlc.passes.lower.scalars import Scalar
from dlc.record import record


@record
class Tensor:
    """A tensor that a kernel reads or writes; how is up to the `Binding`."""

    name: str
    type: TensorType
    key: Value


@record(frozen=False)
class Binding:
    """What reading and writing a tensor means: set by the lowering of a group."""

    read: Callable[[Tensor, list[Expr]], Scalar]
    write: Callable[[Tensor, list[Expr], object], None]
    computing: Callable[[TensorType], ScalarType] = field(default=lambda kind: kind.scalar)
    publish: Callable[[Scalar], None] | None = None  # makes a size that is found at run time known


@record(frozen=False)
class Frame:
    """Names in scope while one definition is elaborated."""

    names: dict[str, object]
    file: str = ""
    parent: Frame | None = None

    def find(self, name: str) -> object:
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            frame = frame.parent
        raise UserError(f"{name!r} is not defined")

    def has(self, name: str) -> bool:
        return name in self.names or (self.parent is not None and self.parent.has(name))


class GiveValue(Exception):
    """Carries the value of a function's `give` out of its body."""

    def __init__(self, value: object) -> None:
        self.value = value
