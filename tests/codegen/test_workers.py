"""Objects made by helper processes are those that this process would make; one that fails says why."""

from __future__ import annotations

import pytest

from dlc.codegen.llvm_backend import compile_object
from dlc.driver import workers
from dlc.driver.workers import Objects
from dlc.errors import InternalError
from dlc.target import Target

TARGET = Target.parse("x86-64-v3")


def text(number: int) -> str:
    return f"define i32 @f{number}(i32 %x) nounwind {{\n  %y = add i32 %x, {number}\n  ret i32 %y\n}}\n"


@pytest.fixture
def _with_a_helper(monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper however little there is, and a thread that has not begun anything."""
    monkeypatch.setattr(workers, "WORTH_A_HELPER", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


@pytest.mark.usefixtures("_with_a_helper")
def test_objects_are_the_same_and_in_order_whoever_makes_them() -> None:
    objects = Objects(TARGET)
    for number in range(9):
        objects.add(text(number), opt=2 if number % 2 else 0)
    made = objects.finish()
    objects.close()
    settings = (TARGET.triple, TARGET.llvm_cpu, TARGET.llvm_features)
    assert made == [compile_object(text(number), *settings, 2 if number % 2 else 0) for number in range(9)]


def test_a_helper_that_fails_says_why() -> None:
    settings = (TARGET.triple, TARGET.llvm_cpu, TARGET.llvm_features)
    helper = workers._Helper([("nonsense", 2)], settings)
    with pytest.raises(InternalError, match=r"(?s)a helper process failed: .*LLVM cannot parse"):
        helper.finish()


def test_a_helper_returns_what_it_made() -> None:
    settings = (TARGET.triple, TARGET.llvm_cpu, TARGET.llvm_features)
    helpers = [workers._Helper([(text(number), 2)], settings) for number in range(2)]
    for number, helper in enumerate(helpers):
        assert helper.finish() == [compile_object(text(number), *settings)]
