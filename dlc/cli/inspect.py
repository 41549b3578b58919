"""`dlc inspect`: what a model consists of, before or after it is compiled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlc.cli.files import byte_text
from dlc.cli.library import library_metadata
from dlc.cli.options import Compilation, compilation_options, echo_json, is_compiled, json_option, model_argument
from dlc.cli.tables import show_facts, show_table
from dlc.errors import UnsupportedOps

if TYPE_CHECKING:
    from dlc.driver.pipeline import Options
    from dlc.frontends.coverage import Declared
    from dlc.runtime import TensorSpec

Facts = dict[str, object]


@click.command("inspect")
@model_argument
@json_option
@compilation_options
def inspect_command(model: Path, as_json: bool, compilation: Compilation) -> None:
    """Show what MODEL, a model file or a compiled library, consists of."""
    facts = library_facts(model) if is_compiled(model) else model_facts(model, compilation)
    if as_json:
        echo_json(facts)
    else:
        show(facts)


def library_facts(path: Path) -> Facts:
    metadata = library_metadata(path)
    workspace = metadata.workspace
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "inputs": [tensor(each) for each in metadata.inputs],
        "outputs": [tensor(each) for each in metadata.outputs],
        "operators": metadata.extra.get("operators", {}),
        "kernels": list(metadata.kernels),
        "weights": metadata.extra.get("weights", 0),
        "arena": workspace.text if workspace.constant is None else workspace.constant,
        "scratch": metadata.scratch,
        "target": metadata.extra.get("target", metadata.machine),
        "features": list(metadata.features),
    }


def tensor(spec: TensorSpec) -> Facts:
    return {"name": spec.name, "dtype": str(spec.dtype), "shape": list(spec.shape)}


def declared(value: Declared) -> Facts:
    """As the model says it: a shape or a dimension may be missing."""
    return {"name": value.name, "dtype": value.dtype, "shape": None if value.shape is None else list(value.shape)}


def model_facts(path: Path, compilation: Compilation) -> Facts:
    """From the model file, and from compiling it as far as memory is planned."""
    from dlc.frontends.load import describe

    options = compilation.options()
    found = describe(path)
    facts: Facts = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "name": found.name,
        "producer": found.producer,
        "opsets": {name or "ai.onnx": version for name, version in found.opsets.items()},
        "parameters": found.parameters,
        "weights": found.weight_bytes,
        "inputs": [declared(each) for each in found.inputs],
        "outputs": [declared(each) for each in found.outputs],
        "operators": dict(found.operators),
    }
    return facts | compiled_facts(path, options)


def compiled_facts(path: Path, options: Options) -> Facts:
    """What compilation makes of the model; for one that dlc cannot compile, how many operators stand in the way."""
    from dlc.cli.progress import stages_of
    from dlc.driver.build import arena, dim, kernel_funcs
    from dlc.driver.pipeline import lowered_module
    from dlc.ir.scratch import scratch_bytes

    target: Facts = {"target": str(options.target), "features": list(options.target.features)}
    try:
        with stages_of(path) as stages:
            lowered = lowered_module(path, options, watch=stages.watch)
    except UnsupportedOps as error:
        return target | {"unsupported": len(error.ops)}
    main = lowered.module.main
    return {
        "kernels": [func.name for func in kernel_funcs(lowered.module)],
        "compiled_weights": main.attrs.get("weights", 0),
        "arena": dim(arena(lowered.module)),
        "scratch": scratch_bytes(lowered.module),
        **target,
    }


# -- for people --------------------------------------------------------------------------------------------------------


def show(facts: Facts) -> None:
    show_facts(lines_of(facts))
    for title in ("inputs", "outputs"):
        print()
        rows = [(row["name"], row["dtype"], shape_of(row["shape"])) for row in records(facts[title])]
        show_table((title[:-1], "dtype", "shape"), [tuple(map(str, row)) for row in rows])
    print()
    operators = facts["operators"] if isinstance(facts["operators"], dict) else {}
    show_table(("operator", ">count"), [(name, str(count)) for name, count in operators.items()])
    if isinstance(facts.get("kernels"), list):
        print()
        stems = Counter(str(name).rpartition("_")[0] for name in strings(facts["kernels"]))
        show_table(("kernels of", ">count"), [(name, str(count)) for name, count in stems.most_common()])


def lines_of(facts: Facts) -> list[tuple[str, str]]:
    """Name and value of what fits in a line."""
    lines = [("file", f"{facts['file']}, {size_text(facts['bytes'])}")]
    if facts.get("producer"):
        lines.append(("producer", str(facts["producer"])))
    if isinstance(opsets := facts.get("opsets"), dict):
        lines.append(("opsets", ", ".join(f"{name} {version}" for name, version in opsets.items())))
    if "parameters" in facts:
        lines.append(("parameters", f"{facts['parameters']:,}"))
    lines.append(("weights", size_text(facts["weights"])))
    if "compiled_weights" in facts:
        lines.append(("compiled weights", size_text(facts["compiled_weights"])))
    if "arena" in facts:
        lines.append(("arena", size_text(facts["arena"])))
        lines.append(("scratch", f"{size_text(facts['scratch'])} for each thread"))
        lines.append(("kernels", str(len(strings(facts["kernels"])))))
    if "unsupported" in facts:
        lines.append(("unsupported", f"{facts['unsupported']} operators: dlc check lists them"))
    return [*lines, ("target", str(facts["target"])), ("instruction sets", " ".join(strings(facts["features"])))]


def strings(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else []


def records(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []


def shape_of(shape: object) -> str:
    if not isinstance(shape, list):
        return "not known"
    return f"({', '.join('?' if dim is None else str(dim) for dim in shape)})"


def size_text(size: object) -> str:
    return byte_text(size) if isinstance(size, int) else f"{size} bytes"
