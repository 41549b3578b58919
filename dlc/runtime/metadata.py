"""The description that an artefact carries of itself, read and checked once at load time."""

from __future__ import annotations

import json
from dataclasses import field

from dlc.errors import UserError
from dlc.record import record
from dlc.runtime.dims import Expr, compile_expr
from dlc.runtime.spec import TensorSpec, dtype_of

FORMAT = 3


@record
class Metadata:
    """What the runtime needs of a model; `slots` gives every symbol's place in the dims array, derived ones last."""

    machine: str
    features: tuple[str, ...]
    symbols: tuple[str, ...]
    derived: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    workspace: Expr
    scratch: int  # bytes that each thread needs behind the workspace
    kernels: tuple[str, ...]
    extra: dict[str, object] = field(default_factory=dict)

    @property
    def slots(self) -> dict[str, int]:
        return {name: index for index, name in enumerate(self.symbols + self.derived)}


def parse_metadata(text: bytes, path: str) -> Metadata:
    """Read the JSON of an artefact; the format version is looked at before anything else."""
    try:
        record = json.loads(text)
        version = record["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged: its description cannot be read") from error
    if version != FORMAT:
        raise UserError(f"{path} has format version {version}, this dlc reads {FORMAT}", hint="compile the model again")
    try:
        symbols = tuple(record["symbols"])
        derived = tuple(record.get("derived", ()))
        slots = {name: index for index, name in enumerate(symbols + derived)}
        return Metadata(
            machine=record["machine"],
            features=tuple(record.get("features", ())),
            symbols=symbols,
            derived=derived,
            inputs=parse_specs(record["inputs"]),
            outputs=parse_specs(record["outputs"]),
            workspace=compile_expr(record["workspace"], slots),
            scratch=int(record["scratch"]),
            kernels=tuple(record.get("kernels", ())),
            extra=dict(record.get("extra", {})),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is damaged: its description lacks or garbles {error}") from error


def parse_specs(records: list[dict[str, object]]) -> tuple[TensorSpec, ...]:
    """Inputs or outputs in the model's order."""
    return tuple(
        TensorSpec(str(record["name"]), dtype_of(str(record["dtype"])), parse_shape(record["shape"]))
        for record in records
    )


def parse_shape(shape: object) -> tuple[int | str, ...]:
    """A shape of integers and expressions."""
    if not isinstance(shape, list) or not all(isinstance(dim, int | str) for dim in shape):
        raise TypeError("a shape")
    return tuple(shape)
