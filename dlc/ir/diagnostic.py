"""What is wrong with IR: a message, the op it is about, and how that op prints."""

from __future__ import annotations

from collections.abc import Sequence

from dlc.errors import InternalError
from dlc.ir.core import UNKNOWN, Location
from dlc.record import record


@record
class Diagnostic:
    """One violation. `op_line` is the op as printed, empty where a function or module is at fault."""

    message: str
    loc: Location = UNKNOWN
    op_line: str = ""

    def __str__(self) -> str:
        place = f" (at {self.loc})" if self.loc else ""
        return f"{self.message}{place}" + (f"\n  {self.op_line}" if self.op_line else "")


SHOWN = 20


def raise_any(found: Sequence[Diagnostic], context: str) -> None:
    """Raise an InternalError that lists the diagnostics, if there are any."""
    if not found:
        return
    more = f"\n… and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise InternalError(f"{context}: " + "\n".join(map(str, found[:SHOWN])) + more)
