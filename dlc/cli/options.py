"""The options that several commands share, and the model they work on."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dlc.cli.files import is_library
from dlc.errors import UserError
from dlc.runtime import CompiledModel, load

if TYPE_CHECKING:
    from dlc.driver.pipeline import Options

Decorated = Callable[..., Any]

FILE = click.Path(path_type=Path)

model_argument = click.argument("model", type=FILE)
json_option = click.option("--json", "as_json", is_flag=True, help="Print what a program can read.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Default: what this process may use.")
target_option = click.option(
    "-t", "--target", default="host", show_default=True, help="The machine to compile for; see `dlc targets`."
)
shape_option = click.option(
    "--input-shape", "input_shapes", multiple=True, metavar="NAME=1x3x224x224",
    help="Fix or name the dimensions of an input. Commas instead of x where a name holds an x, quotes around a name "
    "that is no word.",
)  # fmt: skip
level_option = click.option(
    "-O", "opt_level", type=click.IntRange(0, 3), default=3, show_default=True, help="Optimisation level."
)
exact_option = click.option("--exact", is_flag=True, help="No algorithm that reassociates beyond the order of sums.")
without_option = click.option("--without", multiple=True, metavar="PASS", help="Leave a pass out.")
overridable_option = click.option(
    "--overridable", multiple=True, metavar="NAME", help="An initializer that is also an input, and shall stay one."
)
value_option = click.option(
    "--input-value", "input_values", multiple=True, metavar="NAME=VALUE",
    help="Make an input a constant: a number, a list such as [1,2], or FILE.npy.",
)  # fmt: skip
COMPILATION = (
    target_option, shape_option, value_option, level_option, without_option, exact_option, overridable_option,
)  # fmt: skip
CHOICES = ("target", "input_shapes", "input_values", "opt_level", "without", "exact", "overridable")
INPUTS = (
    click.option("-i", "--input", "inputs", multiple=True, metavar="NAME=FILE.npy", help="The value of one input."),
    click.option("--inputs", "archive", type=FILE, metavar="FILE.npz", help="Values of inputs by name."),
    click.option("--seed", type=int, default=0, show_default=True, help="Of random values."),
    click.option("--dim", "dims", multiple=True, metavar="NAME=SIZE",
                 help="Size of a named dimension of random inputs (default 1)."),
)  # fmt: skip


@dataclass(frozen=True)
class Compilation:
    """What the user asked of a compilation, as given."""

    target: str = "host"
    input_shapes: tuple[str, ...] = ()
    opt_level: int = 3
    without: tuple[str, ...] = ()
    exact: bool = False
    overridable: tuple[str, ...] = ()
    input_values: tuple[str, ...] = ()

    def options(self) -> Options:
        """Checked. Raises UserError. Brings in the compiler."""
        from dlc.driver.compile import make_options
        from dlc.driver.pipeline import passes_for

        shapes = dict(map(parse_input_shape, self.input_shapes)) or None
        values = dict(map(parse_input_value, self.input_values)) or None
        options = make_options(self.target, shapes, self.opt_level, self.without, self.exact, self.overridable, values)
        passes_for(options)  # finds names that are no passes
        return options


def compilation_options(command: Decorated) -> Decorated:
    """Add the options of a compilation; the command gets them as one `Compilation` named `compilation`."""

    def collected(**values: Any) -> Any:
        return command(compilation=Compilation(**{name: values.pop(name) for name in CHOICES}), **values)

    collected.__doc__ = command.__doc__
    collected.__name__ = command.__name__
    collected.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]  # click's place
    for option in reversed(COMPILATION):
        collected = option(collected)
    return collected


def input_options(command: Decorated) -> Decorated:
    """Add the options that say what the model's inputs are."""
    for option in reversed(INPUTS):
        command = option(command)
    return command


def given_compilation_options() -> list[str]:
    """The options of a compilation that stand in the command line."""
    context = click.get_current_context()
    given = {name for name in CHOICES if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    return [param.opts[-1] for param in context.command.params if param.name in given]


def parse_input_value(text: str) -> tuple[str, object]:
    """``NAME=16000``, ``NAME=[1,2]`` or ``NAME=FILE.npy``. Raises UserError."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UserError(f"--input-value must be NAME=VALUE, as in sr=16000, got {text!r}")
    if value.endswith(".npy"):
        from dlc.cli.feeds import read_array

        return name, read_array(Path(value))
    try:
        return name, json.loads(value)
    except json.JSONDecodeError as error:
        hint = "a number, true or false, a list such as [1,2], or the name of a .npy file"
        raise UserError(f"--input-value {text!r}: {value!r} is no value", hint=hint) from error


QUOTED = r'"(?:[^"\\]|\\.)*"'
DIM = rf'{QUOTED}|\d+|[^\W\d][^",=]*'
DIM_BEFORE_X = rf'{QUOTED}|\d+|[^\W\d][^",=x]*'
SHAPE = re.compile(rf"(?:{DIM_BEFORE_X})(?:x(?:{DIM_BEFORE_X}))*|(?:{DIM})\s*(?:,\s*(?:{DIM})\s*)*,?|")


def parse_input_shape(text: str) -> tuple[str, tuple[int | str, ...]]:
    """``NAME=1x3x224x224``, ``NAME=batch,3,max_x,224`` or ``NAME="n+1",3``. Raises UserError."""
    name, equals, shape = text.rpartition("=")
    if not equals or not name:
        raise UserError(f"--input-shape must be NAME=1x3x224x224, got {text!r}")
    for place in (n for n in range(len(text) - 1, 0, -1) if text[n] == "="):  # one in quotes is none between both
        if SHAPE.fullmatch(text, place + 1):
            return text[:place], tuple(map(parsed_dim, split_dims(text[place + 1 :])))
    wrong = next((dim for dim in split_dims(shape) if not re.fullmatch(DIM, dim)), shape)
    raise UserError(
        f"--input-shape {text!r}: {wrong!r} is neither a size nor a name",
        hint='as in NAME=1x3x224x224 or NAME=batch,3; a name that is no word in quotes, as in NAME="n+1",3',
    )


def split_dims(shape: str) -> list[str]:
    """The dimensions of a shape, at its commas or at each x, of which none stands in quotes."""
    parts = re.split(f"({QUOTED})", shape)
    separator = "," if any("," in part for part in parts[::2]) else "x"
    found = [""]
    for number, part in enumerate(parts):
        first, *more = [part] if number % 2 else part.split(separator)
        found[-1] += first
        found += more
    return [dim.strip() for dim in (found if found[-1].strip() else found[:-1])]


def parsed_dim(dim: str) -> int | str:
    return int(dim) if dim.isdecimal() else str(json.loads(dim)) if dim.startswith('"') else dim


def parse_dims(texts: tuple[str, ...]) -> dict[str, int]:
    """``batch=8`` of each --dim. Raises UserError."""
    values: dict[str, int] = {}
    for text in texts:
        name, _, size = text.rpartition("=")
        if not name or not size.isdecimal():
            raise UserError(f"--dim must be NAME=SIZE, as in batch=8, got {text!r}")
        values[name] = int(size)
    return values


def is_compiled(path: Path) -> bool:
    """Whether `path` is a compiled model. Raises UserError if so and there are options for compiling it."""
    if not is_library(path) and not (path.suffix == ".so" and path.is_file()):
        return False
    if given := given_compilation_options():
        raise UserError(f"{path} is compiled already, {given[0]} has no effect on it", hint="give the model file")
    return True


def open_model(path: Path, compilation: Compilation, threads: int | None, cached: bool = True) -> CompiledModel:
    """Load a compiled model, or compile a model file (into the cache) and load that. Raises UserError."""
    if is_compiled(path):
        return load(path, threads)
    if not path.exists():
        raise UserError(f"there is no file {path}")
    from dlc.cli.progress import stages_of
    from dlc.driver.compile import check_runnable, compiled_artifact

    options = compilation.options()
    check_runnable(options.target)
    with stages_of(path) as stages:
        artifact = compiled_artifact(path, options, cached, stages.watch)
    return CompiledModel(artifact, threads)


def check_dims(dims: Mapping[str, int], model: CompiledModel) -> None:
    """Refuse values for dimensions that the model does not have."""
    known = model.metadata.symbols
    for name in dims:
        if name not in known:
            listed = ", ".join(name if name.isidentifier() else repr(name) for name in known) or "none"
            raise UserError(f"the model has no dimension {name!r}, its named dimensions are: {listed}")


def echo_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
