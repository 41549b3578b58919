"""Modules of the graph level through the driver's back half: passes, lowering, a library on disk, loaded and run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from dlc.driver.build import build_artifact
from dlc.driver.pipeline import Lowered, Options, passes_for, run_passes
from dlc.ir.core import Module
from dlc.ir.guards import declared_types, insert_guards
from dlc.ir.types import Array
from dlc.runtime import CompiledModel, load
from dlc.target import Target
from tests.tolerances import assert_close


def lowered(module: Module, options: Options, verify: bool = True) -> Lowered:
    """A copy of the module at the loop level, with guards as importing puts them in."""
    copy = module.clone()
    insert_guards(copy)
    names = copy.main.attrs
    inputs = [(str(name), kind) for name, kind in zip(names["inputs"], declared_types(copy.main), strict=True)]  # type: ignore[arg-type]
    returned = copy.bodies[-1].terminator.operands
    outputs = [(str(name), v.type) for name, v in zip(names["outputs"], returned, strict=True)]  # type: ignore[arg-type]
    records = run_passes(copy, passes_for(options), options, verify=verify)
    return Lowered(copy, inputs, outputs, records)


def compile_module(module: Module, target: Target | str = "host", opt_level: int = 3) -> CompiledModel:
    """The module compiled and loaded; the module itself stays as it is."""
    options = Options(target if isinstance(target, Target) else Target.parse(target), opt_level=opt_level)
    with tempfile.TemporaryDirectory(prefix="dlc-test-") as folder:
        path = Path(folder) / "model.so"
        build_artifact(lowered(module, options), options, path)
        return load(path, threads=1)


def run_model(model: CompiledModel, module: Module, feeds: list[Array]) -> list[Array]:
    """The outputs of a compiled module, in order."""
    names = [str(name) for name in module.main.attrs["inputs"]]  # type: ignore[union-attr]
    found = model.run(dict(zip(names, feeds, strict=True)))
    return [np.asarray(found[str(name)]) for name in module.main.attrs["outputs"]]  # type: ignore[union-attr]


def assert_same_meaning(found: list[Array], expected: list[Array]) -> None:
    """Outputs agree as those of a network do; what is not finite has no meaning to keep.

    The numbers of random modules are about 1, so an error of what cancels to almost nothing is measured against 1.
    """
    for number, (got, wanted) in enumerate(zip(found, expected, strict=True)):
        if wanted.dtype.kind != "f":
            assert_close(got, wanted, "network", name=f"output {number}")
        elif np.isfinite(wanted).all():
            assert got.shape == wanted.shape
            assert_close(with_one(got), with_one(wanted), "network", name=f"output {number}")


def with_one(array: Array) -> Array:
    return np.append(array, array.dtype.type(1))
