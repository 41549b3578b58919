"""Which versions of ONNX's operators there are, and which small models show each.

A case is a model of one operator. It shows every version whose schema takes its operands, attributes and types.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache

from onnx import defs, helper

from dlc.frontends.handlers import HANDLERS
from dlc.frontends.records import NodeRecord
from dlc.frontends.schemas import has_standard_function
from tests.frontends.models import Case, code_of
from tests.operators.cases import Several

OLDEST = 7  # opsets before are from 2017, and ONNX Runtime does not take them either
BEGINS = {"GridSample-linear": 20, "GridSample-cubic": 20}  # the first version of cases whose words are new
NEWEST = defs.onnx_opset_version()
ENDS = {  # the last version of cases that newer schemas take for something else
    "Resize": 10, "Resize-scales": 10, "GridSample-bilinear": 16, "GridSample-bicubic": 16,
    "GroupNormalization-per group": 18,
}  # fmt: skip


@cache
def versions() -> dict[str, tuple[int, ...]]:
    """The versions of each standard operator that models of opset 7 or newer may have, if dlc knows the operator."""
    every: dict[str, list[defs.OpSchema]] = {}
    for schema in defs.get_all_schemas_with_history():
        if not schema.domain:
            every.setdefault(schema.name, []).append(schema)
    found = {}
    for name, schemas in sorted(every.items()):
        numbers = sorted(each.since_version for each in schemas)
        gone = {each.since_version for each in schemas if each.deprecated}
        lasts = [*(number - 1 for number in numbers[1:]), NEWEST]
        alive = [n for n, last in zip(numbers, lasts, strict=True) if last >= OLDEST and n not in gone]
        if alive and known(name, alive[-1]):
            found[name] = tuple(alive)
    return found


def known(name: str, version: int) -> bool:
    return name in HANDLERS[""] or has_standard_function(NodeRecord(name, "", "", (), (), {}), version)


def shown(case: Case) -> Iterator[int]:
    """The versions of the case's operator that a model of it can have."""
    for version in () if case.domain else versions().get(case.op, ()):
        meant = BEGINS.get(case.name, 1) <= version <= ENDS.get(case.name, NEWEST)
        if meant and admits(defs.get_schema(case.op, max(version, OLDEST)), case):
            yield version


def admits(schema: defs.OpSchema, case: Case) -> bool:
    """Whether operands, attributes and types are those of the schema. What needs more nodes is made for any version."""
    if isinstance(case, Several):
        return True
    if not schema.min_input <= len(case.inputs) <= schema.max_input or case.outputs > schema.max_output:
        return False
    if any(attribute.required and name not in case.attributes for name, attribute in schema.attributes.items()):
        return False
    if not all(attribute_fits(schema, name, value) for name, value in case.attributes.items()):
        return False
    bound: dict[str, str] = {}
    for number, array in enumerate(case.inputs.values()):
        formal = schema.inputs[min(number, len(schema.inputs) - 1)]
        if array is None:
            continue
        kind = type_text(code_of(array))
        one_type = formal.option != defs.OpSchema.FormalParameterOption.Variadic or formal.is_homogeneous
        if kind not in formal.types or (one_type and bound.setdefault(formal.type_str, kind) != kind):
            return False
    return True


def attribute_fits(schema: defs.OpSchema, name: str, value: object) -> bool:
    if name not in schema.attributes:
        return False
    wanted = schema.attributes[name].type
    return helper.make_attribute(name, value, attr_type=None if value != [] else wanted.value).type == wanted.value


def type_text(code: int) -> str:
    """``tensor(float)`` and its like, as schemas have them."""
    names = {1: "float", 11: "double"}
    return f"tensor({names.get(code) or helper.tensor_dtype_to_string(code).partition('.')[2].lower()})"

def table(own: Sequence[Case], others: Sequence[Case]) -> dict[tuple[str, int], list[Case]]:
    """The cases for each version: all of `own` that show it, and of `others` one or two, first those made for it."""
    found: dict[tuple[str, int], list[Case]] = {
        (name, version): [] for name, each in versions().items() for version in each
    }
    for case in own:
        for version in shown(case):
            found[case.op, version].append(case)
    spare: dict[tuple[str, int], list[Case]] = {pair: [] for pair in found}
    for case in others:
        meant = {defs.get_schema(case.op, opset).since_version for opset in case.opsets} if not case.domain else set()
        for version in shown(case):
            spare[case.op, version].insert(0 if version in meant else len(spare[case.op, version]), case)
    for pair, cases in found.items():
        cases += spare[pair][: 1 if cases else 2]
    return found
