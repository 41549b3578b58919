"""Whatever element types the declaration of an op lets through, its kernel takes.

The importer asks the declaration (`first_problem`) and reports the node: what no kernel takes is refused there, and a
kernel that does not elaborate is a defect.
"""

from __future__ import annotations

import pytest

from dlc.frontends.importer import first_problem
from dlc.ir.core import Block
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.dialects.graph_strassen import StrassenMatMul, StrassenWeights
from dlc.ir.dialects.graph_winograd import WinogradConv, WinogradWeights
from dlc.ir.opdef import FINDS_SIZE
from dlc.ir.types import BF16, BOOL, F16, F32, F64, SI8, SI64, STRING, UI8, ScalarType, TensorType, scalar_of
from dlc.target import Target
from tests.eval import cases_attention, cases_index, cases_math, cases_nn, cases_recurrent, cases_shape
from tests.eval.cases import Case
from tests.kernels.compiled import One, emitted

TYPES = (F64, F32, F16, BF16, SI8, SI64, UI8, BOOL, STRING)
MADE_BY_PASSES = (StrassenMatMul, StrassenWeights, WinogradConv, WinogradWeights, Constant)
FILES = (cases_attention, cases_index, cases_math, cases_nn, cases_recurrent, cases_shape)


def one_of_each_kind() -> list[Case]:
    """The first case of each op; of a reduction, a pool or a resize also of each kind."""
    found: dict[object, Case] = {}
    for case in (case for file in FILES for case in file.CASES):
        op = case.op()
        if case.arrays and not isinstance(op, MADE_BY_PASSES) and not op.spec.has(FINDS_SIZE):
            found.setdefault((op.name, op.attrs.get("kind"), op.attrs.get("mode")), case)
    return list(found.values())


def assignments(case: Case) -> list[tuple[ScalarType, ...]]:
    """Another type for one operand, or for all that have the type of the first one."""
    own = tuple(scalar_of(array.dtype) for array in case.arrays)
    found = {(*own[:n], new, *own[n + 1 :]): None for n in range(len(own)) for new in TYPES}
    found |= {tuple(new if kind == own[0] else kind for kind in own): None for new in TYPES}
    return list(found)


@pytest.mark.parametrize("case", one_of_each_kind(), ids=lambda case: case.name)
def test_what_the_declaration_takes_can_be_lowered(case: Case) -> None:
    target, taken = Target.parse("x86-64-v3"), 0
    for scalars in assignments(case):
        types = tuple(TensorType(a.shape, s) for a, s in zip(case.arrays, scalars, strict=True))
        if first_problem([case.make(*Block(list(types)).args)]) is not None:
            continue
        taken += 1
        emitted([One("kernel", case.make, types)], target)
    assert taken

