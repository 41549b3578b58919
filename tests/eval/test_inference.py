"""Result types: symbolic sizes and memory layouts."""

from __future__ import annotations

import pytest

from dlc.errors import UserError
from dlc.ir.core import Block, Value
from dlc.ir.dialects.graph_math import Add, Equal, Relu
from dlc.ir.dialects.graph_nn import Conv, ConvTranspose, MatMul, Pool
from dlc.ir.dialects.graph_shape import Relayout
from dlc.ir.dialects.shape_rules import broadcast, tensor, window_count
from dlc.ir.expr import Dim, maximum, minimum, sym
from dlc.ir.types import BOOL, F32, Layout, TensorType

N, M = sym("n"), sym("m")
BLOCKED = Layout((0, 1, 2, 3), ((1, 16),))


def value(*shape: Dim, layout: Layout | None = None) -> Value:
    return Block([TensorType(shape, F32, layout)]).args[0]


@pytest.mark.parametrize(
    ("left", "right", "wanted"),
    [
        ((N, 3), (N, 3), (N, 3)),
        ((N, 1), (3,), (N, 3)),
        ((1,), (N,), (N,)),
        ((5,), (N,), (5,)),
        ((N,), (0,), (0,)),
        ((N,), (M,), (maximum(N, M) * minimum(1, minimum(N, M)),)),
        ((), (2, N), (2, N)),
    ],
)
def test_broadcast_of_symbols(left: tuple[Dim, ...], right: tuple[Dim, ...], wanted: tuple[Dim, ...]) -> None:
    assert broadcast((left, right)) == wanted
    assert broadcast((right, left)) == wanted


def test_different_integers_do_not_broadcast() -> None:
    with pytest.raises(UserError, match="2 and 3"):
        broadcast(((2,), (3,)))


def test_sizes_of_windows_are_expressions() -> None:
    conv = Conv(value(N, 3, M, 8), value(4, 3, 3, 3), strides=(2, 1), pads=(1, 0, 1, 0))
    assert tensor(conv.result).shape == (N, 4, (M - 1) // 2 + 1, 6)
    back = ConvTranspose(value(N, 3, M, 8), value(3, 4, 2, 2), strides=(2, 2))
    assert tensor(back.result).shape == (N, 4, M * 2, 16)
    assert tensor(MatMul(value(N, M, 7), value(7, 5)).result).shape == (N, M, 5)


@pytest.mark.parametrize(("size", "pads", "wanted"), [(7, (0, 0), 4), (6, (0, 0), 3), (5, (0, 1), 3), (2, (0, 1), 1)])
def test_a_last_window_that_starts_in_the_padding_does_not_count(size: int, pads: tuple[int, int], wanted: int) -> None:
    assert window_count(size, 2, 2, pads, 1, ceil=True) == wanted
    symbolic = window_count(N, 2, 2, pads, 1, ceil=True)
    assert not isinstance(symbolic, int)
    assert symbolic.evaluate({"n": size}) == wanted


def test_elementwise_ops_keep_the_layout_their_full_shape_operands_share() -> None:
    x, row = value(N, 32, 7, 7, layout=BLOCKED), value(32, 1, 1)
    assert tensor(Relu(x).result).layout == BLOCKED
    assert tensor(Add(x, row).result).layout == BLOCKED
    assert Equal(x, row).result.type == TensorType((N, 32, 7, 7), BOOL, BLOCKED)
    plain = value(N, 32, 7, 7)
    assert tensor(Add(x, plain).result).layout is None
    assert tensor(Add(x, plain, layout=BLOCKED).result).layout == BLOCKED


def test_other_ops_have_the_layout_they_state() -> None:
    x = value(N, 32, 7, 7, layout=BLOCKED)
    assert tensor(Pool(x, kind="max", window=(2, 2)).result).layout is None
    assert tensor(Pool(x, kind="max", window=(2, 2), layout=BLOCKED).result).layout == BLOCKED
    assert tensor(Conv(x, value(16, 32, 1, 1), layout=BLOCKED).result).layout == BLOCKED
    assert tensor(Relayout(x).result).layout is None
