"""The errors dlc raises: the user's mistakes, the models it cannot compile, and its own defects."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


class DlcError(Exception):
    """Root of every error that dlc raises on purpose."""


class UserError(DlcError):
    """Something the caller can mend; the message is one sentence saying what was expected and what came."""

    def __init__(self, message: str, *, loc: object | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.loc = loc
        self.hint = hint

    def __str__(self) -> str:
        place = f" (at {self.loc})" if self.loc is not None else ""
        advice = f"; hint: {self.hint}" if self.hint else ""
        return f"{self.message}{place}{advice}"


class Cancelled(UserError):
    """A run that was ended by `CompiledModel.cancel`."""


class CannotWrite(UserError):
    """A file that the system does not let us write, or not to its end."""


class CacheWarning(UserWarning):
    """A model was compiled, and not kept in the cache: it will be compiled again."""


@dataclass(frozen=True)
class UnsupportedOp:
    """One operator of the user's model that dlc cannot compile."""

    op_type: str
    node: str
    reason: str

    def __str__(self) -> str:
        return f"{self.op_type} {self.node!r}: {self.reason}"


class UnsupportedOps(UserError):
    """Every unsupported operator of one model at once, so that the user meets them all in one go."""

    def __init__(self, ops: Iterable[UnsupportedOp], *, loc: object | None = None, hint: str | None = None) -> None:
        self.ops = tuple(ops)
        listed = "; ".join(str(op) for op in self.ops)
        count = len(self.ops)
        noun = "operator" if count == 1 else "operators"
        super().__init__(f"the model has {count} unsupported {noun}: {listed}", loc=loc, hint=hint)


class InternalError(DlcError):
    """A defect of dlc; carries the op it met and, where one was written, the path of a reproducer."""

    def __init__(self, message: str, *, op: object | None = None, reproducer: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.op = op
        self.reproducer = reproducer

    def __str__(self) -> str:
        place = f" (op: {self.op})" if self.op is not None else ""
        where = f" (reproducer: {self.reproducer})" if self.reproducer else ""
        return f"{self.message}{place}{where}"
