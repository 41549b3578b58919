"""Quantization to 8 and 16 bits in either domain, compiled, is what ONNX Runtime gives."""

from __future__ import annotations

from dataclasses import replace

import pytest

import dlc
from tests.frontends.cases_microsoft import quantizing
from tests.frontends.models import Case
from tests.frontends.test_operators import run_reference
from tests.tolerances import assert_close


@pytest.mark.parametrize("case", quantizing(), ids=lambda case: case.name)
def test_compiled_as_onnxruntime(case: Case) -> None:
    model = case.model(17)
    (expected,) = run_reference(model.SerializeToString(), case.feeds())
    for source in (model, replace(case, domain="").model(21)):
        assert_close(dlc.compile(source, cache=False).run(case.feeds())["out0"], expected, "exact", name=case.name)
