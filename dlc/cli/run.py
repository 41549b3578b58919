"""`dlc run`: one inference, its outputs as a table and in a file."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import click
import numpy as np

from dlc.cli.feeds import gather_feeds, read_inputs
from dlc.cli.files import check_output, replacing
from dlc.cli.options import (
    FILE,
    Compilation,
    compilation_options,
    echo_json,
    input_options,
    json_option,
    model_argument,
    open_model,
    parse_dims,
    threads_option,
)
from dlc.runtime.spec import shape_text

FEW = 8  # elements that are shown one by one


@click.command("run")
@model_argument
@input_options
@click.option("--random", is_flag=True, help="Random values for the inputs that are not given.")
@click.option("-o", "--output", type=FILE, metavar="FILE.npz", help="Write the outputs there.")
@threads_option
@json_option
@compilation_options
def run_command(
    model: Path, inputs: tuple[str, ...], archive: Path | None, seed: int, dims: tuple[str, ...], random: bool,
    output: Path | None, threads: int | None, as_json: bool, compilation: Compilation,
) -> None:  # fmt: skip
    """Run MODEL, a model file or a compiled library, once."""
    if output is not None:
        check_output(output, model)
    given = read_inputs(inputs, archive)
    sizes = parse_dims(dims)
    compiled = open_model(model, compilation, threads)
    outputs = compiled.run(gather_feeds(compiled, given, random, sizes, seed))
    if output is not None:
        write_arrays(output, outputs)
    if as_json:
        echo_json({name: record_of(array) for name, array in outputs.items()})
        return
    from dlc.cli.tables import show_table

    show_table(
        ("output", "dtype", "shape", ">min", ">max", ">mean", "values"),
        [(name, *cells(array)) for name, array in outputs.items()],
    )


def cells(array: np.ndarray) -> tuple[str, ...]:
    return str(array.dtype), shape_text(array.shape), *row_text(statistics(array))


def record_of(array: np.ndarray) -> dict[str, object]:
    return {"dtype": str(array.dtype), "shape": list(array.shape), **statistics(array)}


def statistics(array: np.ndarray) -> dict[str, object]:
    """The least, the largest and the mean of the finite elements; the elements themselves when they are few."""
    few: dict[str, object] = {"values": [element(each) for each in array.reshape(-1)]} if array.size <= FEW else {}
    if array.dtype.kind in "OcUS" or not array.size:
        return few
    numbers = array.astype(np.float64)
    finite = numbers[np.isfinite(numbers)]
    bad: dict[str, object] = {"not_finite": int(numbers.size - finite.size)} if finite.size < numbers.size else {}
    if not finite.size:
        return few | bad
    return {"min": finite.min().item(), "max": finite.max().item(), "mean": finite.mean().item(), **few, **bad}


def element(value: object) -> object:
    """One element as JSON can hold it."""
    if isinstance(value, np.generic) and value.dtype.kind in "biu":
        return value.item()
    try:
        return float(str(value))
    except ValueError:
        return str(value)


def row_text(row: Mapping[str, object]) -> tuple[str, str, str, str]:
    """min, max, mean and the values as a table shows them."""
    numbers = [number_text(row[key]) if key in row else "" for key in ("min", "max", "mean")]
    values = row.get("values", ())
    shown = ", ".join(map(number_text, values)) if isinstance(values, list) else ""
    bad = f"{row['not_finite']} not finite" if "not_finite" in row else ""
    return (*numbers, "; ".join(filter(None, (bad, shown))))  # type: ignore[return-value]  # three numbers


def number_text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz file, as `numpy.savez` writes it, whose keyword arguments some names would clash with."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
