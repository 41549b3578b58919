"""Make the deployable file: kernels, thread pool, metadata and weights in one shared library."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from dlc.codegen.elf.link import link
from dlc.codegen.elf.writer import Buffer, Output, WeightSegment
from dlc.codegen.pool import EXPORTS, pool_objects, team_object
from dlc.errors import InternalError

FORMAT = 3


def write_artifact(
    path: Output,
    *,
    objects: Sequence[bytes],
    metadata: Mapping[str, object],
    weights: Iterable[tuple[int, Buffer]],
    weights_bytes: int,
    machine: str,
    teams: bool = False,
) -> None:
    """Link the compiled model (which defines `dlc_main`) with the pool and write it to `path` (or to an open file).

    `teams`: whether there are kernels with teams.
    """
    if metadata.get("format") != FORMAT or metadata.get("machine") != machine:
        raise InternalError(f"the metadata must say format {FORMAT} and machine {machine!r}")
    text = json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode()
    data = {"dlc_metadata": text, "dlc_metadata_size": len(text).to_bytes(8, "little")}
    link(
        [*objects, *pool_objects(machine), *([team_object(machine)] if teams else [])],
        machine=machine,
        exports=(*EXPORTS, *data),
        data=data,
        weights=WeightSegment(weights_bytes, weights),
        output=path,
    )
