"""`dlc dump`: a model at any stage of its compilation, as text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from dlc.cli.failures import reproducer_folder
from dlc.cli.files import check_output, replacing
from dlc.cli.options import FILE, Compilation, compilation_options, model_argument
from dlc.cli.text import Filter, chosen_functions, chosen_ops, graph_op_lines, kernels_of_groups, module_lines
from dlc.codegen.llvm_backend import emit_assembly
from dlc.driver.pipeline import Options, imported_module, passes_for
from dlc.driver.single import function_text, model_text
from dlc.errors import UserError
from dlc.ir.core import Module, Op
from dlc.ir.levels import Level
from dlc.ir.weights_file import save_weights, weights_path
from dlc.passes.base import CompileOptions, Pass, PassContext
from dlc.passes.manager import Checks, PassManager
from dlc.passes.table import pass_named
from dlc.target import Target

IMPORT = "import"  # names the module before any pass


@click.command("dump")
@model_argument
@click.option("--stage", type=click.Choice(["graph", "loop", "llvm", "asm"]), default="graph", show_default=True)
@click.option("--after", metavar="PASS", help="The IR after each run of this pass; `import`: before all passes.")
@click.option("--after-all", is_flag=True, help="The IR after every pass.")
@click.option("--filter", "wanted", metavar="OP|KERNEL",
              help="Only an op (conv), a kernel (conv_3) or a node of the model; * stands for anything.")
@click.option("--changed-only", is_flag=True, help="With --after, --after-all: only where the pass changed something.")
@click.option("-o", "--output", type=FILE, help="Write there; IR gets its weights beside it, for `dlc opt`.")
@compilation_options
def dump_command(
    model: Path, stage: str, after: str | None, after_all: bool, wanted: str | None, changed_only: bool,
    output: Path | None, compilation: Compilation,
) -> None:  # fmt: skip
    """Show MODEL as IR, LLVM text or assembly. Contents of large constants are left out."""
    context = click.get_current_context()
    if (after or after_all) and context.get_parameter_source("stage") is click.core.ParameterSource.COMMANDLINE:
        raise UserError("--stage and --after exclude one another")
    if changed_only and not (after or after_all):
        raise UserError("--changed-only goes with --after or --after-all")
    if output is not None:
        check_output(output, model)
    options = compilation.options()
    passes = passes_for(options)
    chosen = Filter(wanted) if wanted else None
    if after and not after_all:
        check_after(after, passes, options)
    module = imported_module(model, options)
    if after or after_all:
        lines = after_lines(module, passes, options, None if after_all else after, chosen, changed_only)
    else:
        lines = stage_lines(module, passes, options, stage, chosen)
    is_module = chosen is None and (after == IMPORT if after or after_all else stage in ("graph", "loop"))
    write_lines(lines, output)
    if output is not None and is_module:
        with replacing(weights_path(output)) as temporary:
            save_weights(module, temporary)


def write_lines(lines: Iterator[str], output: Path | None) -> None:
    """To the file, or to stdout as they come."""
    if output is None:
        for line in lines:
            print(line)
        return
    with replacing(output) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


# -- passes ------------------------------------------------------------------------------------------------------------


def run_passes(module: Module, passes: list[Pass] | tuple[Pass, ...], options: Options) -> None:
    for _ in steps(module, passes, options):
        pass


def steps(module: Module, passes: list[Pass] | tuple[Pass, ...], options: Options) -> Iterator[tuple[Pass, bool]]:
    """Run passes one by one: each with whether it changed the module."""
    context = PassContext(options.target, module.pool, CompileOptions(options.opt_level, options.exact))
    for each in passes:
        manager = PassManager((each,), Checks(verify=False, reproducers=reproducer_folder()), start=each.needs)
        (record,) = manager.run(module, context)
        yield each, record.changed


def check_after(name: str, passes: tuple[Pass, ...], options: Options) -> None:
    """Refuse a name that is no pass, or a pass that does not run."""
    if name == IMPORT:
        return
    kind = pass_named(name)
    if not any(type(each) is kind for each in passes):
        listed = ", ".join(dict.fromkeys(each.name for each in passes))
        raise UserError(f"the pass {name!r} does not run at -O{options.opt_level} here; these do: {listed}")


def after_lines(
    module: Module, passes: tuple[Pass, ...], options: Options, name: str | None, wanted: Filter | None,
    changed_only: bool,
) -> Iterator[str]:  # fmt: skip
    """The module after each pass, or after each run of the pass `name`."""
    if name in (None, IMPORT):
        yield from titled(IMPORT, "", module, wanted)
    runs: dict[str, int] = {}
    for number, (each, changed) in enumerate(steps(module, () if name == IMPORT else passes, options), 1):
        runs[each.name] = runs.get(each.name, 0) + 1
        if (name in (None, each.name)) and (changed or not changed_only):
            note = f" (pass {number} of {len(passes)}, run {runs[each.name]}{'' if changed else ', nothing changed'})"
            yield from titled(each.name, note, module, wanted)


def titled(name: str, note: str, module: Module, wanted: Filter | None) -> Iterator[str]:
    yield f"// ----- after {name}{note}"
    yield from module_lines(module, wanted)
    yield ""


# -- stages ------------------------------------------------------------------------------------------------------------


def stage_lines(
    module: Module, passes: tuple[Pass, ...], options: Options, stage: str, wanted: Filter | None
) -> Iterator[str]:
    if stage == "graph":
        run_passes(module, [each for each in passes if each.leaves is Level.GRAPH], options)
        yield from graph_lines(module, passes, options, wanted)
    else:
        run_passes(module, passes, options)
        yield from STAGES[stage](module, options.target, wanted)


def graph_lines(module: Module, passes: tuple[Pass, ...], options: Options, wanted: Filter | None) -> list[str]:
    if wanted is None:
        return module_lines(module)
    ops = chosen_ops(module, wanted, {})
    kernels: dict[Op, str] = {}
    if not ops:  # it may name a kernel, which only the lowering knows
        lowered = module.clone()
        run_passes(lowered, [each for each in passes if each.leaves is Level.LOOP], options)
        kernels = kernels_of_groups(module, lowered)
        ops = chosen_ops(module, wanted, kernels)
    if not ops:
        names = sorted({op.name for op in module.walk()} | set(kernels.values()))
        raise UserError(f"nothing in the model matches {wanted.text!r}", hint=f"there are {', '.join(names[:40])}")
    return graph_op_lines(module, ops, kernels)


def chosen_names(module: Module, wanted: Filter) -> list[str]:
    names = chosen_functions(module, wanted)
    if not names:
        listed = ", ".join(list(module.funcs)[:40])
        raise UserError(f"no kernel of the model matches {wanted.text!r}", hint=f"there are {listed}")
    return names


def loop_lines(module: Module, target: Target, wanted: Filter | None) -> list[str]:
    if wanted is not None:
        chosen_names(module, wanted)
    return module_lines(module, wanted)


def llvm_text(module: Module, target: Target, wanted: Filter | None) -> str:
    return model_text(module, target) if wanted is None else function_text(module, chosen_names(module, wanted), target)


def llvm_lines(module: Module, target: Target, wanted: Filter | None) -> list[str]:
    return llvm_text(module, target, wanted).rstrip("\n").split("\n")


def assembly_lines(module: Module, target: Target, wanted: Filter | None) -> list[str]:
    text = llvm_text(module, target, wanted)
    return emit_assembly(text, target.triple, target.llvm_cpu, target.llvm_features).rstrip("\n").split("\n")


STAGES = {"loop": loop_lines, "llvm": llvm_lines, "asm": assembly_lines}
