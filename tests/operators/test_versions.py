"""Every version from opset 7 on of every operator that dlc knows, compiled, against ONNX Runtime or ONNX itself."""

from __future__ import annotations

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, NotImplemented

import dlc
from tests.frontends.models import Array, Case
from tests.frontends.test_operators import CASES as FORMS
from tests.frontends.test_operators import run_reference
from tests.operators.cases import CASES
from tests.operators.versions import OLDEST, table, versions
from tests.tolerances import assert_close

TABLE = table(CASES, FORMS)
PAIRS = [
    pytest.param(case, version, id=f"{case.name}-{version}-{number}")
    for (_, version), cases in TABLE.items()
    for number, case in enumerate(cases)
]
NOT_YET = {  # operator and version, and why there is no case
    ("Bernoulli", 15): "draws random numbers",
    ("Bernoulli", 22): "draws random numbers",
    ("Scan", 8): "its axis of batches is not supported",
}
OWN = {  # case and version: the results that are right, and why nobody else's are taken
    ("Dropout-mask", 7): (
        lambda x: [x, np.ones_like(x)],
        "nothing is dropped, so all is kept: so ONNX from version 12 on; ONNX Runtime's mask is 0 before",
    ),
    ("Dropout-mask", 10): (lambda x: [x, np.ones(x.shape, np.bool_)], "as version 7; ONNX's reference agrees"),
    ("Optional", 28): (lambda x: [x], "ONNX's reference gives it an axis more, ONNX Runtime does not have the version"),
    ("OptionalGetElement", 28): (lambda x: [x], "as Optional"),
}
JUDGED_AS = {("GlobalLpPool", 22): 2}  # nobody computes the version; it differs from the one before in its types only
REFUSALS = (Fail, InvalidArgument, InvalidGraph, NotImplemented)


def expected(case: Case, version: int) -> list[Array]:
    """What ONNX Runtime computes, or ONNX's reference where that does not have the version."""
    if (case.name, version) in OWN:
        return OWN[case.name, version][0](*case.feeds().values())
    proto = case.model(max(JUDGED_AS.get((case.op, version), version), OLDEST))
    try:
        results = run_reference(proto.SerializeToString(), case.feeds())
    except REFUSALS:
        results = ReferenceEvaluator(proto).run(None, case.feeds())
    return [np.asarray(each) for each in results]


@pytest.mark.parametrize(("case", "version"), PAIRS)
def test_each_version_computes_what_others_do(case: Case, version: int) -> None:
    found = dlc.compile(case.model(max(version, OLDEST)), cache=False, threads=1).run(case.feeds())
    for got, want in zip(found.values(), expected(case, version), strict=True):
        kind = "op" if case.kind == "quantized" and want.dtype.kind == "f" else case.kind  # a scale is no integer
        assert_close(got, want, kind, name=case.name)


def test_every_version_has_a_case_or_is_known_to_lack_one() -> None:
    assert {pair for pair, cases in TABLE.items() if not cases} == {
        (name, version) for name, version in NOT_YET if version in versions().get(name, ())
    }
    print(f"{len(TABLE)} versions of {len(versions())} operators, {len(PAIRS)} models")


def test_what_is_expected_otherwise_is_what_others_give_otherwise() -> None:
    for name, version in OWN:
        for case in (case for cases in TABLE.values() for case in cases if case.name == name):
            if version != max(v for v in versions()[case.op] if v <= version):
                continue
            ours = expected(case, version)
            try:
                theirs = run_reference(case.model(version).SerializeToString(), case.feeds())
            except REFUSALS:
                theirs = ReferenceEvaluator(case.model(version)).run(None, case.feeds())
            same = [np.array_equal(one, other) for one, other in zip(ours, theirs, strict=True)]
            assert not all(same), f"{name} {version} needs no result of its own any more"
