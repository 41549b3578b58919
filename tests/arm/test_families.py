"""Reduced networks of the benchmark's convolutional families, compiled for AArch64 and for this machine's levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import dlc
from dlc.driver.compile import write_library
from dlc.driver.pipeline import Options
from dlc.target import Target
from tests.models.families import FAMILIES
from tests.models.zoo import random_feeds
from tests.support.qemu_runner import run_under_qemu
from tests.tolerances import assert_close


def expected(source: bytes, feeds: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(source, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feeds)[0])


@pytest.mark.parametrize("family", FAMILIES)
def test_family_on_arm(family: str, tmp_path: Path, qemu: str) -> None:
    model = FAMILIES[family]()
    feeds = random_feeds(model, batch=1)
    source, library = model.SerializeToString(), tmp_path / "arm.so"
    write_library(source, Options(Target.parse("aarch64")), library)
    assert_close(run_under_qemu(library, feeds, threads=2)["y"], expected(source, feeds), name=family)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("target", ["host", pytest.param("x86-64-v3", marks=pytest.mark.isa("x86-64-v3"))])
def test_family_on_this_machine(family: str, target: str) -> None:
    model = FAMILIES[family]()
    feeds = random_feeds(model, batch=1)
    source = model.SerializeToString()
    found = dlc.compile(source, target=target, cache=False).run(feeds)["y"]
    assert_close(found, expected(source, feeds), name=family)
