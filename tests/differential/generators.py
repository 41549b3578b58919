"""Hypothesis strategies that make small random modules of graph ops, with inputs for them.

    @given(graph_samples())
    def test_pass_keeps_meaning(sample): ...

Equal programs may round differently, so ops that jump (floor, compare, arg_reduce, …) are given only numbers that every
correct evaluation holds bit for bit: inputs, constants and moved copies of them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from dlc.ir.core import Module, Op
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, sym
from dlc.ir.types import BOOL, F32, SI32, SI64
from tests.differential import steps_attention, steps_math, steps_nn, steps_recurrent, steps_shape
from tests.differential.growing import Array, Draw, Growing, anything

STATIC_STEPS = {
    **steps_math.STEPS, **steps_shape.STEPS, **steps_nn.STEPS, **steps_recurrent.STEPS, **steps_attention.STEPS,
}  # fmt: skip
STEPS = {**STATIC_STEPS, **steps_shape.COUNTING_STEPS}
SYMBOLS = {"batch": 3, "length": 5}
SIZES = (1, 2, 3, 4, 7)


@dataclass(frozen=True)
class Sample:
    """A module, contents for its inputs in order, and the numbers its symbols then stand for."""

    module: Module
    feeds: list[Array]
    symbols: dict[str, int]

    def __repr__(self) -> str:
        body = [
            f"{op.name}({', '.join(str(v.type) for v in op.operands)}) {op.attrs}" for op in self.module.main.walk()
        ]
        return f"Sample({[str(a.type) for a in self.module.main.args]}: {'; '.join(body)})"


@st.composite
def graph_samples(
    draw: Draw,
    kinds: Collection[type[Op]] | None = None,
    most_ops: int = 8,
    symbolic: bool = True,
    found_sizes: bool = False,
) -> Sample:
    """Modules of up to `most_ops` ops of these kinds (and the few that prepare their operands).

    Without `kinds`: all whose sizes are known before the run, and with `found_sizes` the others too.
    """
    growing = Growing(np.random.default_rng(draw(st.integers(0, 2**32 - 1))), dict(SYMBOLS))
    for _ in range(draw(st.integers(1, 3))):
        growing.argument(draw(shapes(symbolic)), draw(st.sampled_from((F32, F32, F32, SI32, SI64, BOOL))))
    if not any(tensor(v).scalar == F32 for v in growing.contents):
        growing.argument(draw(shapes(symbolic)), F32)
    listed = list(kinds or (STEPS if found_sizes else STATIC_STEPS))
    for _ in range(draw(st.integers(1, most_ops))):
        STEPS[draw(st.sampled_from(listed))](draw, growing)
    outputs = [growing.pick(draw, anything) for _ in range(draw(st.integers(1, 3)))]
    chosen = list(dict.fromkeys(v for v in outputs if v is not None))
    module = growing.finish(chosen)
    return Sample(module, [growing.inputs[arg] for arg in module.main.args], dict(SYMBOLS))


def shapes(symbolic: bool) -> st.SearchStrategy[tuple[Dim, ...]]:
    sizes: list[Dim] = [*SIZES, *(map(sym, SYMBOLS) if symbolic else ())]
    return st.lists(st.sampled_from(sizes), max_size=4).map(tuple)
