"""Vectors that end in the padding of a blocked result are computed in part where machines take them in halves."""

from __future__ import annotations

import numpy as np
import pytest

from dlc.driver.compile import make_options
from dlc.driver.pipeline import lowered_module
from dlc.ir.core import Func
from dlc.ir.dialects import arith, graph_nn, vec
from dlc.ir.types import Layout, VectorType
from dlc.target import Target
from tests.eval.cases import f32
from tests.kernels.test_convolutions import DENSE, PADDED
from tests.kernels.test_kernels import BLOCKED, Trial, check, halo, trial
from tests.support.onnx_models import compiled, expected, model, node
from tests.tolerances import assert_close

HALVES = Target.parse("x86-64-v4@datapath=256")
WHOLE = Target.parse("x86-64-v4")
FLAT_WEIGHTS = Layout((0, 1, 2, 3), ((0, 16),))


def conv(outputs: int, made: Layout, given: Layout = BLOCKED, kernel: int = 1, **attrs: object) -> Trial:
    x, w = f32(1, 20, 11, 23), f32(outputs, 20, kernel, kernel)
    return trial(graph_nn.Conv, x, w, layouts=(given, DENSE), layout=made, **attrs)


NARROW = [
    conv(24, BLOCKED),
    conv(24, halo(1, 1), halo(1, 1), 3, **PADDED),
    conv(40, BLOCKED),
    conv(17, BLOCKED, strides=(2, 2)),
    conv(5, halo(1, 1)),
]
AS_BEFORE = [
    conv(25, BLOCKED),  # more than half of the second block
    conv(32, BLOCKED),
    conv(24, Layout((0, 1, 2, 3))),  # no padding
    trial(graph_nn.Conv, f32(1, 24, 11, 23), f32(24, 1, 3, 3), layouts=(halo(1, 1), FLAT_WEIGHTS), layout=BLOCKED,
          groups=24, **PADDED),  # one loop over all blocks
]  # fmt: skip


def lanes_of_products(func: Func) -> set[int]:
    kinds = [op.result.type for op in func.walk() if isinstance(op, arith.Fma)]
    return {kind.lanes for kind in kinds if isinstance(kind, VectorType)}


@pytest.mark.isa("x86-64-v4")
@pytest.mark.parametrize("given", NARROW, ids=str)
def test_padding_is_not_computed(given: Trial) -> None:
    func = check(given.make, given.arrays, given.types(), given.close, HALVES).lowered.func
    outputs = given.arrays[1].shape[0]
    assert lanes_of_products(func) == ({8, 16} if outputs > 16 else {8})
    zeros = [op for op in func.walk() if isinstance(op, vec.Store) and isinstance(op.value.defining_op, arith.Constant)]
    assert zeros, "padding must not be left as it was: arithmetic on what it holds may be slow"


@pytest.mark.isa("x86-64-v4")
@pytest.mark.parametrize("given", AS_BEFORE, ids=str)
def test_what_is_not_padding_is(given: Trial) -> None:
    func = check(given.make, given.arrays, given.types(), given.close, HALVES).lowered.func
    assert lanes_of_products(func) == {16}


@pytest.mark.isa("x86-64-v4")
@pytest.mark.parametrize("given", NARROW[:1], ids=str)
def test_whole_vectors_stay_whole(given: Trial) -> None:
    func = check(given.make, given.arrays, given.types(), given.close, WHOLE).lowered.func
    assert lanes_of_products(func) == {16}


@pytest.mark.isa("x86-64-v4")
def test_epilogues_are_narrow_too() -> None:
    """A bias, a clip, an activation with a comparison, a residual input; and readers of whole blocks behind them."""
    rng = np.random.default_rng(0)
    proto = model(
        [
            node("Conv", ["x", "w", "b"], ["c"]),
            node("Clip", ["c", "low", "high"], ["d"]),
            node("Conv", ["d", "v", "b"], ["e"]),
            node("HardSwish", ["e"], ["f"]),
            node("Add", ["d", "f"], ["g"]),
            node("Conv", ["g", "u"], ["h"], pads=[1, 1, 1, 1], group=24),
            node("GlobalAveragePool", ["h"], ["y"]),
        ],
        {"x": ("f32", (1, 20, 9, 9))},
        {"y": "f32"},
        {
            "w": rng.standard_normal((24, 20, 1, 1)).astype(np.float32),
            "v": rng.standard_normal((24, 24, 1, 1)).astype(np.float32),
            "u": rng.standard_normal((24, 1, 3, 3)).astype(np.float32),
            "b": rng.standard_normal(24).astype(np.float32),
            "low": np.float32(-1), "high": np.float32(6),
        },
    )  # fmt: skip
    kernels = lowered_module(proto, make_options(HALVES, None, 3, (), False)).module.funcs.values()
    convolutions = [func for func in kernels if func.name.startswith("conv") and 8 in lanes_of_products(func)]
    assert len(convolutions) == 2, "both 1 x 1 convolutions, epilogues and all"
    feeds = {"x": rng.standard_normal((1, 20, 9, 9)).astype(np.float32)}
    ready = compiled(proto, target=str(HALVES))
    assert_close(ready.run(feeds)["y"], expected(proto, feeds)[0], "network")
