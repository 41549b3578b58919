"""How large a folded constant may be."""

from __future__ import annotations

import numpy as np

from dlc.ir.core import Block, Builder, Func, Module, Region
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_nn import Reduce
from dlc.ir.dialects.graph_shape import Concat, Constant
from dlc.ir.eval.interpreter import evaluate_op
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, SI32, TensorType, scalar_of
from dlc.passes.base import PassContext
from dlc.passes.graph.fold_constants import FoldConstants
from dlc.target import Target


def test_many_constants_side_by_side_become_one() -> None:
    """The result is no larger than its parts together; weights of gates come in such parts."""
    assert joined(parts=5, different=True) == ["graph.constant"]
    assert "graph.concat" in joined(parts=5, different=False)  # five times the same would cost memory


def joined(parts: int, different: bool) -> list[str]:
    """The ops left of a concatenation of constants, when unused ones are not counted."""
    module = Module(ConstantPool())
    block = Block()
    builder = Builder(block)
    kind = TensorType((40, 50), F32)
    arrays = [np.full((40, 50), n if different else 0, np.float32) for n in range(parts)]
    values = [builder.insert(Constant(value=module.pool.add(a), type=kind)).result for a in arrays]
    whole = builder.insert(Concat(*values, axis=0)).result
    builder.insert(Return(whole))
    module.add(Func("main", Region([block]), (whole.type,)))
    FoldConstants().run(module, PassContext(Target.parse("host"), module.pool))
    return [op.name for op in block.ops[:-1] if op.has_uses()]


def test_an_index_out_of_range_is_left_to_the_run_time() -> None:
    """Which says it with the name of the node; a constant of its own would have to be something."""
    module = Module(ConstantPool())
    builder = Builder(Block())
    arrays = np.zeros((2000,), np.float32), np.array([1999, 2000])
    types = [TensorType(array.shape, scalar_of(array.dtype)) for array in arrays]
    x, i = (
        builder.insert(Constant(value=module.pool.add(array), type=kind)).result
        for array, kind in zip(arrays, types, strict=True)
    )
    whole = builder.insert(Gather(x, i)).result
    builder.insert(Return(whole))
    module.add(Func("main", Region([builder.block]), (whole.type,)))
    FoldConstants().run(module, PassContext(Target.parse("host"), module.pool))
    assert [op.name for op in builder.block.ops] == ["graph.constant", "graph.constant", "graph.gather", "func.return"]


def test_sums_of_exponentials_of_integers_are_folded() -> None:
    x = np.array([[1, 2], [3, 4]], np.int32)
    (found,) = evaluate_op(Reduce(*Block([TensorType((2, 2), SI32)]).args, kind="log_sum_exp", axes=(1,)), [x])
    assert found.reshape(-1).tolist() == [2, 4]  # the fraction is dropped
