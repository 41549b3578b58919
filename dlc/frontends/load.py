"""Model files to graph-level modules, whatever their format. A format's reader is imported when it is needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlc.errors import UserError
from dlc.ir.core import Module
from dlc.ir.types import Array

if TYPE_CHECKING:
    from dlc.frontends.coverage import Coverage, Description
    from dlc.frontends.records import ModelRecord

TORCHSCRIPT_SUFFIXES = (".pt", ".pth", ".jit", ".ts", ".torchscript")


def load_model(
    source: object,
    *,
    input_shapes: Mapping[str, Sequence[int | str | None]] | None = None,
    input_values: Mapping[str, Array] | None = None,
    overridable: Collection[str] = (),
) -> Module:
    """The module of a model: a path, the bytes of a file, or an `onnx.ModelProto`.

    `input_shapes` fixes or names dimensions by input; inputs with `input_values` become constants; initializers that
    are also inputs are constants, unless they are `overridable`.
    Raises UserError, or UnsupportedOps with every operator of the model that dlc cannot compile.
    """
    from dlc.frontends.importer import import_model

    return import_model(_record(source), input_shapes, input_values, overridable)


def describe(source: object) -> Description:
    """Inputs, outputs, operators and weights of a model, without importing it. Raises UserError."""
    from dlc.frontends.coverage import description

    return description(_record(source))


def check(source: object, *, input_shapes: Mapping[str, Sequence[int | str | None]] | None = None) -> Coverage:
    """Which operators of a model dlc can compile, and why not the others. Raises UserError for a broken model."""
    from dlc.frontends.coverage import coverage

    return coverage(_record(source), input_shapes)


def _record(source: object) -> ModelRecord:
    """The records of an ONNX model."""
    if isinstance(source, str | Path) and Path(source).suffix in TORCHSCRIPT_SUFFIXES:
        raise UserError(
            f"the model {source} looks like TorchScript, which dlc does not read yet", hint="export to ONNX"
        )
    if isinstance(source, str | Path | bytes | bytearray | memoryview) or type(source).__name__ == "ModelProto":
        from dlc.frontends.reader import read_model

        return read_model(source)  # type: ignore[arg-type] # a ModelProto, told by name: onnx is imported only now
    raise UserError(f"a model must be a path, bytes or an onnx.ModelProto, got {type(source).__name__}")
