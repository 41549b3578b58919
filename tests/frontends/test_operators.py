"""Every operator, at the opsets where its form changed, against ONNX Runtime: imported, verified, evaluated."""

import numpy as np
import onnxruntime
import pytest

from dlc.frontends.load import load_model
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.verify import verify
from tests.frontends import cases_math, cases_microsoft, cases_nn, cases_recurrent, cases_shape
from tests.frontends.models import Array, Case
from tests.tolerances import assert_close

CASES = [*cases_math.CASES, *cases_shape.CASES, *cases_nn.CASES, *cases_recurrent.CASES, *cases_microsoft.CASES]
PAIRS = [pytest.param(case, opset, id=f"{case.name}-{opset}") for case in CASES for opset in case.opsets]


@pytest.mark.parametrize(("case", "opset"), PAIRS)
def test_operator_agrees_with_onnxruntime(case: Case, opset: int) -> None:
    proto = case.model(opset)
    module = load_model(proto)
    assert verify(module) == []
    found = evaluate(module, {name: np.asarray(array) for name, array in case.feeds().items()})
    expected = run_reference(proto.SerializeToString(), case.feeds())
    assert len(found) == len(expected)
    for got, want in zip(found, expected, strict=True):
        assert_close(got, want, case.kind, name=case.name)


def run_reference(model: bytes, feeds: dict[str, Array]) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    results: list[Array] = session.run(None, {name: np.asarray(array) for name, array in feeds.items()})
    return results
