"""Golden files of the passes: what each does, what it leaves alone, and that neither changes what is computed."""

import numpy as np
import pytest

from dlc.ir.core import Module, Value
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.eval.interpreter import evaluate
from dlc.ir.expr import as_expr
from dlc.ir.types import Array
from dlc.passes.base import Pass
from dlc.passes.table import ALL_PASSES
from tests.conftest import ROOT
from tests.passes.golden import Case, cases, check_text, parse_case, run_case
from tests.tolerances import assert_close

FOLDER = ROOT / "tests" / "golden" / "passes"
CASES = cases(FOLDER)


def main_line(case: Case) -> str:
    """The signature of `main`, whose inputs are tensors at the graph level and buffers below."""
    return next((line for line in case.text.splitlines() if "func @main" in line and "// CHECK" not in line), "")


SIZES = {"batch": 2, "length": 3, "n": 4}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_text_after_the_pass(case: Case) -> None:
    output, changed = run_case(case, parse_case(case))
    assert changed == ("// unchanged" not in case.text), f"{case}: changed is {changed}\n{output}"
    check_text(case, output)


@pytest.mark.parametrize("case", [case for case in CASES if "tensor<" in main_line(case)], ids=str)
def test_meaning_after_the_pass(case: Case) -> None:
    module = parse_case(case)
    feeds = random_feeds(module)
    before = evaluate(module, feeds)
    run_case(case, module)
    for number, (got, wanted) in enumerate(zip(evaluate(module, feeds), before, strict=True)):
        assert_close(got, wanted, "network", name=f"output {number}")


@pytest.mark.parametrize("kind", ALL_PASSES, ids=lambda kind: kind.name)
def test_every_pass_has_a_case_and_a_case_where_nothing_happens(kind: type[Pass]) -> None:
    own = [case for case in CASES if case.file == kind.name]
    assert any("// unchanged" not in case.text for case in own), f"no case in {kind.name}.dlc"
    lowers = kind.needs is not kind.leaves
    unchanged = any("// unchanged" in case.text for case in own)
    assert lowers or unchanged, f"no case in {kind.name}.dlc where nothing happens"


def random_feeds(module: Module) -> list[Array]:
    rng = np.random.default_rng(7)
    return [feed(rng, arg) for arg in module.main.args]


def feed(rng: np.random.Generator, arg: Value) -> Array:
    kind = tensor(arg)
    shape = [as_expr(dim).evaluate(SIZES) for dim in kind.shape]
    if kind.scalar.is_float:
        return rng.standard_normal(shape).astype(kind.scalar.dtype)
    return rng.integers(0, 2, shape).astype(kind.scalar.dtype)
