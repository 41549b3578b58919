"""All dialects, and the table from an op's name to its class."""

from collections.abc import Iterable, Mapping
from functools import cache

from dlc.errors import InternalError
from dlc.ir.core import Op
from dlc.ir.dialects import (
    arith,
    buf,
    func,
    graph_attention,
    graph_flow,
    graph_index,
    graph_math,
    graph_nn,
    graph_quant,
    graph_recurrent,
    graph_shape,
    graph_strassen,
    graph_winograd,
    loop,
    run,
    vec,
)

Dialects = tuple[tuple[type[Op], ...], ...]

ALL_DIALECTS: Dialects = (
    func.OPS,
    graph_math.OPS,
    graph_nn.OPS,
    graph_shape.OPS,
    graph_index.OPS,
    graph_quant.OPS,
    graph_recurrent.OPS,
    graph_winograd.OPS,
    graph_strassen.OPS,
    graph_attention.OPS,
    graph_flow.OPS,
    loop.OPS,
    buf.OPS,
    arith.OPS,
    vec.OPS,
    run.OPS,
)


@cache
def op_table(dialects: Dialects = ALL_DIALECTS) -> Mapping[str, type[Op]]:
    """Op classes by name. Two classes of one name are an error."""
    table: dict[str, type[Op]] = {}
    for kind in all_ops(dialects):
        if table.setdefault(kind.spec.name, kind) is not kind:
            raise InternalError(f"two ops are called {kind.spec.name}")
    return table


def all_ops(dialects: Iterable[Iterable[type[Op]]] = ALL_DIALECTS) -> list[type[Op]]:
    return [kind for dialect in dialects for kind in dialect]
