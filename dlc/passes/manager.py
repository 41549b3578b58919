"""Runs passes in order: checks that their levels fit, verifies, times and dumps after each, and reports failures.

A failed run is replayed on a copy of the module as it came in, up to the pass that failed; the text before that pass
becomes the reproducer. That costs one copy of the IR, and nothing per pass.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dlc.errors import InternalError, UserError
from dlc.ir.core import Module
from dlc.ir.diagnostic import raise_any
from dlc.ir.levels import Level, satisfies
from dlc.ir.printer import PrintOptions, print_module
from dlc.ir.verify import verify
from dlc.passes.base import Pass, PassContext, PassFailed
from dlc.passes.reproducer import write_reproducer
from dlc.record import record


@record
class PassRecord:
    """What one pass did."""

    name: str
    changed: bool
    seconds: float
    ops_before: int
    ops_after: int


@record
class Dump:
    """Where to send the text of the module, and after which passes; None: after all."""

    send: Callable[[str, str], None]  # gets the pass's name and the text
    after: frozenset[str] | None = None
    changed_only: bool = False
    print_options: PrintOptions | None = None

    def wants(self, name: str, changed: bool) -> bool:
        return (self.after is None or name in self.after) and (changed or not self.changed_only)


@record
class Checks:
    """What the manager makes sure of after each pass."""

    verify: bool = True
    changed_flag: bool = False  # compare what the pass says with the text before and after: for tests
    reproducers: Path | None = None  # the folder where a failure leaves one


class PassManager:
    """A pipeline whose levels fit, ready to run."""

    def __init__(
        self, passes: Sequence[Pass], checks: Checks | None = None, dump: Dump | None = None, start: Level = Level.GRAPH
    ) -> None:
        self.passes = tuple(passes)
        self.checks = checks or Checks()
        self.dump = dump
        self.start = start
        self.end = end_level(self.passes, start)

    def run(self, module: Module, cx: PassContext) -> tuple[PassRecord, ...]:
        """Run all passes on the module, in place. Raises PassFailed where one fails; user errors pass through."""
        origin = module.clone() if self.checks.reproducers is not None else None
        records: list[PassRecord] = []
        for number, each in enumerate(self.passes):
            try:
                records.append(self._run_one(each, module, cx))
            except UserError:
                raise
            except Exception as error:  # whatever it is, the reproducer must show it
                raise self._failure(number, error, origin, cx) from error
        return tuple(records)

    def _run_one(self, each: Pass, module: Module, cx: PassContext) -> PassRecord:
        before = count_ops(module)
        text = print_module(module) if self.checks.changed_flag else ""
        cx.explain.current = each.name
        started = time.perf_counter()
        changed = each.run(module, cx)
        seconds = time.perf_counter() - started
        if self.checks.changed_flag:
            check_changed(changed, text, print_module(module))
        if self.checks.verify and changed:
            raise_any([*verify(module), *satisfies(module, each.leaves)], f"invalid IR after {each.name}")
        if self.dump is not None and self.dump.wants(each.name, changed):
            self.dump.send(each.name, print_module(module, self.dump.print_options))
        return PassRecord(each.name, changed, seconds, before, count_ops(module))

    def _failure(self, number: int, error: Exception, origin: Module | None, cx: PassContext) -> PassFailed:
        failed = self.passes[number]
        after = f" after {', '.join(each.name for each in self.passes[:number])}" if number else ""
        message = f"pass {failed.name} failed{after}: {type(error).__name__}: {error}"
        if origin is None or self.checks.reproducers is None:
            return PassFailed(message, op=getattr(error, "op", None))
        for each in self.passes[:number]:
            each.run(origin, PassContext(cx.target, cx.pool, cx.options))
        path = write_reproducer(self.checks.reproducers, origin, self.passes[number:], message)
        return PassFailed(message, op=getattr(error, "op", None), reproducer=str(path))


def end_level(passes: Sequence[Pass], start: Level) -> Level:
    """The level that the passes leave. Raises UserError where one needs another than the pass before it leaves."""
    level, before = start, "the start"
    for each in passes:
        if each.needs is not level:
            needed, found = each.needs.value, level.value
            raise UserError(f"pass {each.name} needs the IR at level {needed}, after {before} it is at level {found}")
        level, before = each.leaves, each.name
    return level


def count_ops(module: Module) -> int:
    return sum(1 for _ in module.walk())


def check_changed(changed: bool, before: str, after: str) -> None:
    if changed and before == after:
        raise InternalError("the pass says that it changed the module, and the text is the same")
    if not changed and before != after:
        raise InternalError("the pass says that it changed nothing, and the text differs")
