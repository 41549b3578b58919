"""ONNX's own node tests: a model of one operator each, with inputs and the outputs that are right."""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.backend.test.case.test_case import TestCase

import dlc.backend as backend
import dlc.ir.eval
from dlc.errors import DlcError
from tests.tolerances import assert_close

EVALUATOR = str(Path(dlc.ir.eval.__file__).parent)
LEFT_OUT = Path(__file__).with_name("node_tests_left_out.txt")
KINDS = {  # by patterns of names: tolerances of float32 tests whose expected numbers are not exact themselves
    "test_averagepool_2d_ceil_last_window_starts_on_pad": "printed",
    "test_gridsample_bicubic": "printed",
    "test_sce_NCd1d2d3d4d5*": "network",  # NumPy adds 6,480 numbers in float32, one after the other
    "test_nllloss_NCd1d2d3d4d5*": "network",
}
HALF = ("float16", "bfloat16")
HALF_KINDS = {"test_attention*": "narrow"}  # NumPy rounds after each of its steps, dlc in the end


@cache
def cases() -> tuple[TestCase, ...]:
    """All node tests of the installed onnx package, in its order. They take seconds to make."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, about numbers that overflow on purpose
        found = tuple(collect_testcases(None))
    gc.collect()
    gc.freeze()  # a million objects that live on: each look for garbage would take longer than a compilation
    return found


@contextmanager
def without_evaluator() -> Iterator[None]:
    """Let each function of the NumPy evaluator raise: what runs here is compiled code or nothing."""

    def refuse(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(EVALUATOR):
            raise AssertionError(f"the evaluator runs: {frame.f_code.co_name} of {frame.f_code.co_filename}")

    before = sys.getprofile()
    sys.setprofile(refuse)
    try:
        yield
    finally:
        sys.setprofile(before)


def fault(case: TestCase) -> str | None:
    """Why dlc does not pass a test; None if it does. An error that is no `DlcError` is raised."""
    try:
        ready = backend.prepare(case.model, cache=False, threads=1)
    except DlcError as error:
        return str(error)
    for inputs, expected in case.data_sets or ():
        feeds = [as_arrays(each) for each in inputs]
        with without_evaluator():
            found = ready.run(feeds)
        try:
            assert len(found) == len(expected), f"expected {len(expected)} outputs, got {len(found)}"
            for number, (got, want) in enumerate(zip(found, expected, strict=True)):
                check(got, as_arrays(want), case.name, f"output {number}")
        except AssertionError as difference:
            return f"WRONG: {difference}"
    return None


def as_arrays(value: object) -> Any:
    """A value of a test as NumPy has it; a sequence is a list."""
    if isinstance(value, list):
        return [as_arrays(each) for each in value]
    return numpy_helper.to_array(value) if isinstance(value, TensorProto) else value


def check(got: Any, want: Any, test: str, output: str) -> None:
    """Fail unless value, type and shape are those that were expected."""
    if isinstance(want, list):
        assert isinstance(got, list) and len(got) == len(want), f"{output}: expected {len(want)} tensors, got {got}"
        for number, (one, other) in enumerate(zip(got, want, strict=True)):
            check(one, other, test, f"{output}[{number}]")
        return
    array = np.asarray(want)
    half = array.dtype.name in HALF
    kinds, usual = (HALF_KINDS, "rounded") if half else (KINDS, "op")
    kind = next((kind for pattern, kind in kinds.items() if fnmatch(test, pattern)), usual)
    assert_close(got, array, kind, name=output)


# -- the tests that dlc does not pass, each with the cause -------------------------------------------------------------


def left_out() -> dict[str, str]:
    """Cause by test. In the file a line that begins with "# " is a cause, and the tests below have it."""
    found: dict[str, str] = {}
    cause = ""
    for line in LEFT_OUT.read_text().splitlines():
        if line.startswith("# "):
            cause = line[2:]
        elif line:
            assert cause and line not in found, f"{LEFT_OUT.name}: {line} has no cause, or stands there twice"
            found[line] = cause
    return found


def outcome() -> Outcome:
    """Run every test."""
    return Outcome({case.name: fault(case) for case in cases()}, left_out())


class Outcome:
    """What came out, against the list of what is left out."""

    def __init__(self, faults: Mapping[str, str | None], listed: Mapping[str, str]) -> None:
        self.faults = faults
        self.passed = [name for name, why in faults.items() if why is None]
        self.unlisted = {name: why for name, why in faults.items() if why is not None and name not in listed}
        self.needless = [name for name in self.passed if name in listed]
        self.wrong = {name: why for name, why in faults.items() if why is not None and why.startswith("WRONG")}

    @property
    def line(self) -> str:
        return f"{len(self.passed)} of {len(self.faults)}"
