"""Compiles and runs mutants, each named by a line of the standard input, and says what became of it.

Only success and `UserError` are answers. Anything else ends the process, as it would end a user's: the trace goes to
the standard error, and the parent starts another worker (`runner`).
"""

from __future__ import annotations

import faulthandler
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

import dlc
from dlc.errors import UserError
from dlc.runtime.dims import compile_expr
from dlc.runtime.session import CompiledModel
from tests.mutations.mutants import Mutant, mutant

MOST_BYTES = 256 << 20  # of inputs, outputs and workspace: what a model honestly needs beyond that is not asked for
MOST_FED = 4 << 20  # of inputs: sorting and counting take more than the operations that are counted
MOST_OPERATIONS = 20e9


def outcome(made: Mutant) -> dict[str, str]:
    try:
        model = dlc.compile(made.data, cache=False, opt_level=made.opt_level, threads=1)
    except UserError as error:
        return {"outcome": "refused", "message": str(error)}
    rng = np.random.default_rng(made.number)
    sizes = {name: int(rng.integers(1, 6)) for name in model.metadata.symbols}
    if not affordable(model, sizes):
        return {"outcome": "compiled", "message": "too large to be run"}
    report("running")
    try:
        model.run(feeds(model, sizes, rng))
    except UserError as error:
        return {"outcome": "refused when run", "message": str(error)}
    return {"outcome": "ok", "message": ""}


def feeds(model: CompiledModel, sizes: dict[str, int], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random inputs. Integers are small, some of them negative: they may be indices."""
    found = {}
    for spec in model.inputs:
        shape = [value_of(dim, model, sizes) for dim in spec.shape]
        if spec.dtype.kind in "iu":
            low = 0 if spec.dtype.kind == "u" else -2
            found[spec.name] = rng.integers(low, 6, shape).astype(spec.dtype)
        else:
            found[spec.name] = (rng.standard_normal(shape) * 3).astype(spec.dtype)
    return found


def value_of(dim: int | str, model: CompiledModel, sizes: dict[str, int]) -> int:
    slots = model.metadata.slots
    if dim in slots:  # a name, which may read like an expression
        return sizes.get(str(dim), 0)
    return compile_expr(dim, slots)([sizes.get(name, 0) for name in slots])


def affordable(model: CompiledModel, sizes: dict[str, int]) -> bool:
    """Whether a run needs neither much memory nor much time, however small the symbols are."""
    tensors = [
        int(np.prod([value_of(dim, model, sizes) for dim in spec.shape], dtype=object)) * spec.dtype.itemsize
        for spec in (*model.inputs, *model.outputs)
    ]
    values = [sizes.get(name, 0) for name in model.metadata.slots]
    workspace = model.metadata.workspace(values) + model.metadata.scratch
    work = sum(value_of(dim, model, sizes) for call in model.metadata.extra["calls"] for dim in call[2:])
    fed = sum(tensors[: len(model.inputs)])
    return fed <= MOST_FED and sum(tensors) + workspace <= MOST_BYTES and work <= MOST_OPERATIONS


# -- memory ------------------------------------------------------------------------------------------------------------


def reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> int:
    """VmRSS or VmHWM, the peak since `reset_peak`, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) >> 10


# -- talking to the parent ---------------------------------------------------------------------------------------------

ANSWERS = os.fdopen(os.dup(1), "w")


def report(outcome: str, message: str = "", peak: int = 0, resident: int = 0) -> None:
    line = {"outcome": outcome, "message": message, "peak": peak, "resident": resident}
    ANSWERS.write(json.dumps(line) + "\n")
    ANSWERS.flush()


def main() -> None:
    faulthandler.enable()
    os.dup2(2, 1)  # what anybody prints does not mix with the answers
    tempfile.tempdir = tempfile.mkdtemp(prefix="mutants-")
    try:
        for line in sys.stdin:
            kind, number = line.split()
            made = mutant(kind, int(number))
            reset_peak()
            found = outcome(made)
            report(**found, peak=memory("VmHWM"), resident=memory("VmRSS"))
            for folder in Path(tempfile.tempdir).glob("dlc-*"):
                shutil.rmtree(folder)
    finally:
        shutil.rmtree(tempfile.tempdir)


if __name__ == "__main__":
    main()
