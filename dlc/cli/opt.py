"""`dlc opt`: passes on IR text, for tests, for reproducers, and to see what a pass does."""

from __future__ import annotations

import zipfile
from dataclasses import fields
from pathlib import Path

import click

from dlc.cli.failures import reproducer_folder
from dlc.cli.files import check_output, replacing, seconds_text
from dlc.cli.options import FILE, exact_option, level_option, target_option
from dlc.errors import UserError
from dlc.ir.core import Module
from dlc.ir.parser import parse_module
from dlc.ir.pool import ConstantPool
from dlc.ir.printer import print_module
from dlc.ir.verify import verify
from dlc.ir.weights_file import load_weights, save_weights, used_constants, weights_path
from dlc.passes.base import CompileOptions, Pass, PassContext, option_text
from dlc.passes.manager import Checks, PassManager, PassRecord
from dlc.passes.reproducer import read_weights
from dlc.passes.table import ALL_PASSES, parse_pipeline
from dlc.target import Target

SHOWN = 20


@click.command("opt")
@click.argument("file", type=FILE, required=False)
@click.option("--passes", "pipeline", default="", metavar="A,B{option=value}",
              help="The passes, in order; none: parse, verify, print.")
@click.option("-o", "--output", type=FILE, metavar="OUT.dlc", help="Write there, the weights beside it.")
@target_option
@level_option
@exact_option
@click.option("--explain", is_flag=True, help="Say on stderr which patterns fired, and why others did not.")
@click.option("--timing", is_flag=True, help="Say on stderr how long each pass took.")
@click.option("--list-passes", is_flag=True, help="List all passes with their options.")
def opt_command(
    file: Path | None, pipeline: str, output: Path | None, target: str, opt_level: int, exact: bool, explain: bool,
    timing: bool, list_passes: bool,
) -> None:  # fmt: skip
    """Run passes on FILE.dlc (constants in FILE.weights) and print the result."""
    if list_passes:
        show_passes()
        return
    if file is None:
        raise UserError("dlc opt needs a file", hint="dlc opt FILE.dlc --passes fold-constants")
    if output is not None:
        check_output(output)
    passes = parse_pipeline(pipeline)
    context_target = Target.parse(target)
    module = read_module(file)
    context = PassContext(context_target, module.pool, CompileOptions(opt_level, exact))
    if passes:
        checks = Checks(verify=True, reproducers=reproducer_folder())
        records = PassManager(passes, checks, start=passes[0].needs).run(module, context)
        report(records, context, explain, timing)
    write_module(module, output)


def read_module(path: Path) -> Module:
    """The module of a text, verified, with the contents of its constants. Raises UserError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not IR text", hint="dlc dump MODEL -o FILE.dlc writes some") from error
    pool = ConstantPool()
    weights = weights_path(path)
    if weights.is_file() and weights != path:
        (read_weights if zipfile.is_zipfile(weights) else load_weights)(weights, pool)
    module = parse_module(text, pool, source=str(path))
    problems = verify(module)
    if problems:
        more = f"\n… and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(f"{path} holds invalid IR:\n" + "\n".join(map(str, problems[:SHOWN])) + more)
    missing = [ref for ref in used_constants(module) if ref not in pool]
    if missing:
        what = f"lacks {len(missing)} of them" if weights.is_file() else "does not exist"
        raise UserError(
            f"{path} uses constants by key, such as {missing[0]}, and their file {weights} {what}",
            hint="dlc dump MODEL -o FILE.dlc writes both files",
        )
    return module


def write_module(module: Module, output: Path | None) -> None:
    text = print_module(module)
    if output is None:
        print(text, end="")
        return
    with replacing(weights_path(output)) as temporary:
        save_weights(module, temporary)
    with replacing(output) as temporary:
        temporary.write_text(text, encoding="utf-8")


def report(records: tuple[PassRecord, ...], context: PassContext, explain: bool, timing: bool) -> None:
    """On stderr, so that the IR can be piped on."""
    if timing:
        width = max(len(record.name) for record in records)
        for record in records:
            ops = f"{record.ops_before} -> {record.ops_after} ops" if record.changed else "nothing changed"
            click.echo(f"{record.name:{width}}  {seconds_text(record.seconds):>8}  {ops}", err=True)
    if explain:
        for name in dict.fromkeys(record.name for record in records):
            lines = context.explain.lines(name) or ["       (no patterns tried)"]
            click.echo("\n".join([f"{name}:", *lines]), err=True)


def show_passes() -> None:
    from dlc.cli.tables import show_table

    show_table(
        ("pass", "from", "to", "options", "what it does"),
        [(each.name, each.needs.value, each.leaves.value, options_text(each), summary(each)) for each in ALL_PASSES],
    )


def options_text(kind: type[Pass]) -> str:
    made = kind()
    return ", ".join(f"{each.name}={option_text(getattr(made, each.name))}" for each in fields(made))


def summary(kind: type[Pass]) -> str:
    """The first line of what the pass says about itself, or its file."""
    import sys

    own = (kind.__doc__ or "").partition("\n")[0]
    if not own or own.startswith(("See ", f"{kind.__name__}(")):
        own = (sys.modules[kind.__module__].__doc__ or "").partition("\n")[0]
    return own
