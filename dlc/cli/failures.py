"""What the user sees when something fails: one message for a mistake, a traceback and a reproducer for a defect."""

from __future__ import annotations

import os
import platform
import shlex
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from dlc import __version__
from dlc.digest import blake2b
from dlc.errors import InternalError, UnsupportedOps, UserError

MISTAKE, DEFECT, INTERRUPTED, UNREAD = 1, 70, 130, 141


def reproducer_folder() -> Path | None:
    """Where defects leave what shows them: of this user, in the folder for temporary files, if there is one."""
    try:
        return Path(tempfile.gettempdir()) / f"dlc-reproducers-{os.getuid()}"
    except OSError:  # no folder can be written
        return None


def say(kind: str, message: str, hint: str | None = None) -> None:
    click.echo(f"dlc: {click.style(f'{kind}:', fg='red', bold=True)} {message}", err=True)
    if hint:
        click.echo(f"  {click.style('hint:', bold=True)} {hint}", err=True)


def report_mistake(error: UserError) -> None:
    message, hint = error.message, error.hint
    if isinstance(error, UnsupportedOps):
        message = "\n  ".join([message.partition(": ")[0], *map(str, error.ops)])
        hint = hint or "dlc check MODEL shows them with the operators that are supported"
    say("error", f"{message} (at {error.loc})" if error.loc else message, hint)


def report_usage(error: click.ClickException) -> None:
    """A mistake in the command line itself; a command line without any command gets the help."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        click.echo(error.format_message(), err=True)
        return
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help" if context is not None else None
    message = error.format_message().rstrip(".")
    say("error", message[:1].lower() + message[1:] if message[1:2].islower() else message, hint)


def report_defect(error: Exception, args: Sequence[str]) -> None:
    trace = "".join(traceback.format_exception(error))
    click.echo(trace, err=True, nl=False)
    found = reproducer_of(error) or write_report(trace, args)
    where = f"reproducer: {found}" if found else "no reproducer could be written"
    say("internal error", f"this is a defect of dlc; {where}", "please report it with that file")


def reproducer_of(error: BaseException | None) -> str | None:
    """What a failed pass left, if that is the cause."""
    while error is not None:
        if isinstance(error, InternalError) and error.reproducer:
            return error.reproducer
        error = error.__cause__
    return None


def write_report(trace: str, args: Sequence[str]) -> Path | None:
    """The command, the versions and the traceback in a file, for defects outside passes."""
    text = "\n".join([
        shlex.join(["dlc", *args]), f"in {Path.cwd()}",
        f"dlc {__version__}, Python {platform.python_version()}, {platform.platform()}", "", trace,
    ])  # fmt: skip
    if (folder := reproducer_folder()) is None:
        return None
    path = folder / f"dlc-report-{blake2b(text.encode(), digest_size=6).hexdigest()}.txt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    except OSError:
        return None
    return path
