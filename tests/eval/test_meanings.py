"""Every meaning agrees with ONNX Runtime, or with NumPy where ONNX has no such op."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.ir.dialects import (
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
)
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.eval.interpreter import RUNS, evaluate_op
from dlc.ir.opdef import TERMINATOR
from dlc.ir.types import BF16, F16, ScalarType
from tests.eval import (
    cases_attention,
    cases_index,
    cases_math,
    cases_nn,
    cases_recurrent,
    cases_shape,
    cases_strassen,
    cases_winograd,
)
from tests.eval.cases import Case
from tests.tolerances import assert_close

CASES = [
    *cases_math.CASES, *cases_shape.CASES, *cases_index.CASES, *cases_nn.CASES, *cases_recurrent.CASES,
    *cases_winograd.CASES, *cases_strassen.CASES, *cases_attention.CASES,
]  # fmt: skip
NAMED = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
WITH_FLOATS = [case for case in CASES if any(a.dtype == np.float32 for a in case.arrays)]
ELSEWHERE = (  # see test_interpreter.py, tests/control, tests/sizes/test_from_data.py
    graph_shape.Constant, graph_flow.Group, graph_flow.Require, graph_flow.If, graph_flow.Loop, graph_flow.Fail,
    graph_index.ReadSizes,
)  # fmt: skip
STATIC_INDICES = (graph_index.GatherNd, graph_index.ScatterNd)  # how long the index vectors are is part of the op


@NAMED
def test_meaning(case: Case) -> None:
    op = case.op()
    assert list(op.check()) == []
    found = evaluate_op(op, case.arrays)
    for number, (actual, expected) in enumerate(zip(found, case.expected(), strict=True)):
        assert_close(actual, expected, case.close, name=f"result {number}")


@NAMED
def test_inferred_types_hold_with_symbols(case: Case) -> None:
    types = case.symbolic_types()
    if isinstance(case.op(), STATIC_INDICES):
        types[1] = tensor(case.op().operands[1])
    op = case.op(types)
    assert list(op.check()) == []
    evaluate_op(op, case.arrays)  # raises if a result has not the inferred shape


@pytest.mark.parametrize("low", [F16, BF16], ids=str)
@pytest.mark.parametrize("case", WITH_FLOATS, ids=lambda case: case.name)
def test_narrow_floats_give_the_wide_result_rounded(case: Case, low: ScalarType) -> None:
    with np.errstate(over="ignore"):
        narrow = [a.astype(low.dtype) if a.dtype == np.float32 else a for a in case.arrays]
    op = Case(case.name, case.make, narrow, case.right).op()
    found = evaluate_op(op, narrow)
    wide = [a.astype(np.float32) if a.dtype == low.dtype else a for a in narrow]
    whole = Case(case.name, case.make, wide, case.right).op()
    for value, actual, right in zip(op.results, found, evaluate_op(whole, wide), strict=True):
        assert actual.dtype == tensor(value).scalar.dtype
        with np.errstate(over="ignore"):
            assert_close(actual, right.astype(actual.dtype), "rounded")


def test_completeness() -> None:
    """Every op of the graph level has a meaning and a case."""
    dialects = (
        graph_math, graph_shape, graph_index, graph_nn, graph_quant, graph_recurrent, graph_winograd,
        graph_strassen, graph_attention, graph_flow,
    )  # fmt: skip
    kinds = [kind for dialect in dialects for kind in dialect.OPS if not kind.spec.has(TERMINATOR)]
    assert [kind.spec.name for kind in kinds if kind not in RUNS] == []
    covered = {type(case.op()) for case in CASES} | set(ELSEWHERE)
    assert [kind.spec.name for kind in kinds if kind not in covered] == []
