"""What a model consists of, and which of its operators dlc can compile: the facts behind ``inspect`` and ``check``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import field

from dlc.errors import UnsupportedOp, UnsupportedOps
from dlc.frontends.importer import import_model
from dlc.frontends.records import DeclaredDim, GraphRecord, ModelRecord, NodeRecord, ValueRecord
from dlc.frontends.symbols import InputShapes
from dlc.ir.core import Module
from dlc.ir.dialects.graph_flow import If
from dlc.ir.types import TensorType
from dlc.record import record


@record
class Declared:
    """An input or output as the model declares it; a dimension is a size, a name, or None. `dtype` as dlc prints it."""

    name: str
    dtype: str
    shape: tuple[DeclaredDim, ...] | None


@record
class Description:
    """A model at a glance."""

    name: str
    producer: str
    ir_version: int
    opsets: Mapping[str, int]
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    operators: Mapping[str, int]  # how often each occurs, the most frequent first
    parameters: int
    weight_bytes: int


@record
class Coverage:
    """The outcome of trying to import a model."""

    operators: Mapping[str, int]
    unsupported: tuple[UnsupportedOp, ...]
    deciding: Mapping[str, str] = field(default_factory=dict)  # by an input of one number: the branch that it decides

    @property
    def supported(self) -> bool:
        return not self.unsupported

    def lines(self) -> list[str]:
        """The report: one line per unsupported operator, grouped by reason, then the totals."""
        by_reason: dict[tuple[str, str], list[str]] = {}
        for each in self.unsupported:
            by_reason.setdefault((each.op_type, each.reason), []).append(each.node)
        lines = [f"{kind}: {reason}: {_listed(nodes)}" for (kind, reason), nodes in by_reason.items()]
        for name, node in self.deciding.items():
            lines.append(f"input '{name}' decides which branch of '{node}' runs: --input-value {name}=… leaves but one")
        total = sum(self.operators.values())
        lines.append(f"{total} operators of {len(self.operators)} kinds, {len(self.unsupported)} unsupported")
        return lines


def _listed(nodes: list[str]) -> str:
    shown = ", ".join(nodes[:8])
    return shown if len(nodes) <= 8 else f"{shown} and {len(nodes) - 8} more"


def coverage(model: ModelRecord, shapes: InputShapes | None = None) -> Coverage:
    """Which operators of a model dlc cannot compile. Raises UserError where the model itself is broken."""
    try:
        module = import_model(model, shapes)
    except UnsupportedOps as error:
        return Coverage(operator_counts(model), error.ops)
    return Coverage(operator_counts(model), (), deciding_inputs(module))


def deciding_inputs(module: Module) -> dict[str, str]:
    """Inputs of one number from which alone the condition of a branch follows, each with the first such branch."""
    found: dict[str, str] = {}
    for op in module.main.walk():
        if not isinstance(op, If):
            continue
        seen, waiting, inputs = set(), [op.condition], set()
        while waiting:
            value = waiting.pop()
            if value not in seen:
                seen.add(value)
                waiting += [] if value.defining_op is None else value.defining_op.operands
                inputs |= {value} if value.defining_op is None else set()
        if len(inputs) == 1 and isinstance(kind := (source := inputs.pop()).type, TensorType) and kind.elements == 1:
            found.setdefault(source.hint or "", str(op.loc))
    return found


def description(model: ModelRecord) -> Description:
    graph = model.graph
    weights = {each.name for each in graph.initializers}
    sizes = [each.load() for each in graph.initializers if each.element is not None]
    return Description(
        model.name, model.producer, model.ir_version, dict(model.opsets),
        tuple(_declared(each) for each in graph.inputs if each.name not in weights),
        tuple(map(_declared, graph.outputs)), operator_counts(model),
        sum(array.size for array in sizes), sum(array.nbytes for array in sizes),
    )  # fmt: skip


def _declared(value: ValueRecord) -> Declared:
    kind = value.type
    return Declared(value.name, str(kind.element) if kind.element else kind.type_name or kind.kind, kind.shape)


def operator_counts(model: ModelRecord) -> Mapping[str, int]:
    """How often each operator occurs, branches and functions included, the most frequent first."""
    counts: Counter[str] = Counter()
    _count(model.graph.nodes, counts)
    for function in model.functions:
        _count(function.nodes, counts)
    return dict(sorted(counts.items(), key=lambda each: (-each[1], each[0])))


def _count(nodes: Iterable[NodeRecord], counts: Counter[str]) -> None:
    for node in nodes:
        counts[node.full_type] += 1
        for value in node.attributes.values():
            if isinstance(value, GraphRecord):
                _count(value.nodes, counts)
