"""`dlc compile`: a model file into a shared library, or what the library would be made from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from dlc.cli.files import byte_text, check_output, is_library, replacing, seconds_text
from dlc.cli.options import FILE, Compilation, compilation_options, echo_json, json_option, model_argument
from dlc.cli.progress import stages_of
from dlc.codegen.llvm_backend import compile_object, emit_assembly
from dlc.driver.build import arena, build_artifact, dim, kernel_funcs
from dlc.driver.pipeline import Lowered, Options, lowered_module
from dlc.driver.single import model_text
from dlc.driver.watch import Watch
from dlc.errors import UserError
from dlc.target import Target

SUFFIXES = {"so": ".so", "obj": ".o", "llvm": ".ll", "asm": ".s", "header": ".h"}


def llvm_bytes(text: str, target: Target) -> bytes:
    return text.encode()


def object_bytes(text: str, target: Target) -> bytes:
    return compile_object(text, target.triple, target.llvm_cpu, target.llvm_features)


def assembly_bytes(text: str, target: Target) -> bytes:
    return emit_assembly(text, target.triple, target.llvm_cpu, target.llvm_features).encode()


WRITERS: dict[str, Callable[[str, Target], bytes]] = {"obj": object_bytes, "llvm": llvm_bytes, "asm": assembly_bytes}


@click.command("compile")
@model_argument
@click.option("-o", "--output", type=FILE, help="Default: MODEL's name with the suffix .so, in the current folder.")
@click.option("--emit", type=click.Choice(list(SUFFIXES)), default="so", show_default=True,
              help="obj, llvm and asm: the kernels and dlc_main, without the weights and the thread pool.")
@json_option
@compilation_options
def compile_command(model: Path, output: Path | None, emit: str, as_json: bool, compilation: Compilation) -> None:
    """Compile MODEL into a shared library that depends on libc alone."""
    if emit == "header":
        raise UserError("--emit header is not there yet", hint="--emit so|obj|llvm|asm are")
    if is_library(model):
        raise UserError(f"{model} is compiled already")
    path = output or Path(model.with_suffix(SUFFIXES[emit]).name)
    check_output(path, model)
    options = compilation.options()
    with stages_of(model) as stages:
        lowered = lowered_module(model, options, watch=stages.watch)
        write_output(lowered, options, path, emit, stages.watch)
    summary = summary_of(lowered, options, path, emit, stages.seconds)
    if as_json:
        echo_json(summary)
        return
    kernels, weights = summary["kernels"], lowered.module.main.attrs.get("weights", 0)
    target = str(options.target).partition("@")[0]  # without the sizes of caches
    print(
        f"{path}: {kernels} kernel{'' if kernels == 1 else 's'} for {target}, {byte_text(path.stat().st_size)} "
        f"({byte_text(weights if isinstance(weights, int) else 0)} weights), {seconds_text(stages.total)}"
    )


def write_output(lowered: Lowered, options: Options, path: Path, emit: str, watch: Watch) -> None:
    if emit == "so":
        build_artifact(lowered, options, path, watch)
        return
    watch.stage("code generation", 1)
    contents = WRITERS[emit](model_text(lowered.module, options.target), options.target)
    with replacing(path) as temporary:
        temporary.write_bytes(contents)


def summary_of(
    lowered: Lowered, options: Options, path: Path, emit: str, seconds: dict[str, float]
) -> dict[str, object]:
    main = lowered.module.main
    return {
        "output": str(path),
        "emit": emit,
        "target": str(options.target),
        "bytes": path.stat().st_size,
        "weights": main.attrs.get("weights", 0),
        "arena": dim(arena(lowered.module)),
        "kernels": len(kernel_funcs(lowered.module)),
        "calls": sum(op.name == "run.call" for op in main.block.ops),
        "operators": sum(lowered.graph_ops.values()),
        "seconds": {name: round(spent, 6) for name, spent in seconds.items()},
        "passes": pass_seconds(lowered),
    }


def pass_seconds(lowered: Lowered) -> dict[str, float]:
    """Seconds by pass, all its runs together."""
    spent: dict[str, float] = {}
    for record in lowered.records:
        spent[record.name] = round(spent.get(record.name, 0.0) + record.seconds, 6)
    return spent
