"""The command `dlc`: which commands there are, and what becomes of errors.

Exit codes: 0 done, 1 the user's mistake, 70 a defect of ours, 130 interrupted, 141 nobody reads our output.
"""

from __future__ import annotations

import errno
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from dlc import __version__
from dlc.cli.failures import DEFECT, INTERRUPTED, MISTAKE, UNREAD, report_defect, report_mistake, report_usage, say
from dlc.errors import CacheWarning, UserError

COMMANDS: dict[str, tuple[str, str]] = {
    "compile": ("compile", "Compile a model into a shared library."),
    "run": ("run", "Run a model, compiled or not, and show its outputs."),
    "bench": ("bench", "Measure the latency of a model, also against other runtimes."),
    "check": ("check", "List every unsupported operator, attribute or type of a model."),
    "dump": ("dump", "Show a model's IR, LLVM text or assembly."),
    "opt": ("opt", "Run passes on IR text."),
    "inspect": ("inspect", "Show what a model consists of."),
    "profile": ("profile", "Time per kernel, and its share of this machine's peak."),
    "verify": ("later", "Compare a model's outputs with a reference."),
    "cache": ("cache", "Show or empty the cache of compiled models."),
    "targets": ("targets", "List the machines that dlc compiles for."),
}


class Commands(click.Group):
    """Imports a command when it is called, and turns errors into messages and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        home = import_module(f"dlc.cli.{COMMANDS[cmd_name][0]}")
        found: click.Command = getattr(home, f"{cmd_name}_command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):  # without importing them, as click would
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            quiet_output()
            raise click.exceptions.Exit(UNREAD) from None
        return result

    def main(
        self, args: Sequence[str] | None = None, prog_name: str | None = None, complete_var: str | None = None,
        standalone_mode: bool = True, windows_expand_args: bool = True, **extra: Any,
    ) -> Any:  # fmt: skip
        shown = warnings.showwarning
        warnings.showwarning = told_as_ours(shown)
        try:
            code = super().main(args, "dlc", complete_var, standalone_mode=False, **extra)
        except click.exceptions.Abort:  # click's KeyboardInterrupt
            code = INTERRUPTED
        except click.ClickException as error:
            report_usage(error)
            code = MISTAKE
        except UserError as error:
            report_mistake(error)
            code = MISTAKE
        except Exception as error:  # noqa: BLE001  # the last place where it can be told
            report_defect(error, sys.argv[1:] if args is None else args)
            code = DEFECT
        finally:
            warnings.showwarning = shown
        if standalone_mode:
            sys.exit(code)
        return code


def told_as_ours(others: Callable[..., None]) -> Callable[..., None]:
    """Show dlc's own warnings as messages of the command, and all others as `others` does."""

    def show(message: Warning | str, category: type[Warning], *where: Any, **settings: Any) -> None:
        if issubclass(category, CacheWarning):
            say("warning", str(message))
        else:
            others(message, category, *where, **settings)

    return show


def quiet_output() -> None:
    """Send what is still buffered nowhere: nobody reads it, and Python would complain at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError:  # no file behind it
        return


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dlc", message="%(prog)s %(version)s")
def cli() -> None:
    """Compile deep-learning models to native shared libraries, and run them.

    `dlc COMMAND --help` explains a command.
    """


def main() -> None:
    try:
        cli()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
