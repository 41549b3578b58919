"""Weights are packed in the order of their places, each once, whatever their sizes; the pool keeps none of them."""

import numpy as np
import pytest

from dlc.driver import weights
from dlc.driver.weights import PackedWeights
from dlc.ir.core import Block, Func, Module, Region
from dlc.ir.dialects import run
from dlc.ir.expr import as_expr
from dlc.ir.pool import ConstantPool
from dlc.ir.types import TensorType, scalar_of


def module(sizes: list[int]) -> Module:
    pool, block, offset = ConstantPool(), Block(), 0
    for number, size in enumerate(sizes):
        ref = pool.add_lazy(str(number), lambda n=number, s=size: np.full(s, n, np.float32))  # type: ignore[misc]
        kind = TensorType((size,), scalar_of(np.float32))
        for _ in range(2):  # what is read twice is packed once
            block.append(run.Constant(value=ref, tensor=kind, offset=as_expr(offset)))
        offset += 4 * size
    made = Module(pool)
    made.add(Func("main", Region([block]), (), {"weights": offset}))
    return made


@pytest.mark.parametrize("ahead", [0, 100, 1 << 20])
def test_each_weight_comes_once_in_the_order_of_its_place(ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "AHEAD", ahead)
    sizes = [3, 0, 50, 1, 7, 1000]
    made = module(sizes)
    with PackedWeights(made) as packed:
        found = list(packed)
        total = packed.total
    assert total == 4 * sum(sizes)
    assert [len(array) for _, array in found] == [size for size in sizes if size]
    assert [int(array[0]) for _, array in found] == [n for n, size in enumerate(sizes) if size]
    assert [offset for offset, _ in found] == [4 * sum(sizes[:n]) for n, size in enumerate(sizes) if size]
    assert not made.pool._arrays


def test_a_weight_that_cannot_be_packed_fails_the_writing() -> None:
    made = module([4])
    made.pool._lazy["0"] = lambda: np.zeros(5, np.float32)
    with PackedWeights(made) as packed, pytest.raises(Exception, match="must have the shape"):
        list(packed)
