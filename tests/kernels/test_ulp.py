"""The scalar functions that networks lean on are within two units in the last place, all over their range."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from dlc.ir.core import Op
from dlc.ir.dialects import graph_math
from dlc.ir.types import F32, TensorType
from dlc.target import Target
from tests.support.kernel_run import compiled

ULP = 2.0
SPACES = [np.linspace(-20, 20, 40_001), np.linspace(-1, 1, 20_001), np.geomspace(1e-30, 88, 20_000)]
POINTS = np.concatenate([*SPACES, -SPACES[2]]).astype(np.float32)

FUNCTIONS: dict[type[Op], Callable[[float], float]] = {
    graph_math.Exp: math.exp,
    graph_math.Erf: math.erf,
    graph_math.Tanh: math.tanh,
    graph_math.Sigmoid: lambda x: 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x)),
}


@pytest.mark.parametrize("target", ["host", pytest.param("x86-64-v2", marks=pytest.mark.isa("x86-64-v2"))])
@pytest.mark.parametrize("kind", FUNCTIONS, ids=lambda kind: kind.spec.name)
def test_functions_are_within_two_ulp(kind: type[Op], target: str) -> None:
    kernel = compiled([TensorType(POINTS.shape, F32)], lambda x: kind(x), target=Target.parse(target))
    found = kernel([POINTS])[0].astype(np.float64)
    right = np.array([FUNCTIONS[kind](float(x)) for x in POINTS])
    normal = np.abs(right) >= np.finfo(np.float32).tiny  # below it results are flushed to zero
    unit = np.spacing(np.abs(right).astype(np.float32)).astype(np.float64)
    distance = np.abs(found - right) / unit
    worst = int(np.argmax(np.where(normal, distance, 0)))
    assert distance[worst] <= ULP, f"{POINTS[worst]!r} gives {found[worst]!r}, {distance[worst]:.2f} ulp off"
    assert np.all(np.abs(found[~normal]) <= np.finfo(np.float32).tiny)
