"""Which operand of a group may be the memory of its result.

    %y = relu(conv(%x, %w) + %r)    →    %y may lie where %r does, if nobody reads %r later

Each element of the operand must be read only where the element at its place is computed, before that is stored. So all
that depends on the operand is element-wise, up to the group's one result; and the kernel stores each element once.
"""

from __future__ import annotations

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_flow
from dlc.ir.dialects.graph_nn import Conv, MatMul
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.opdef import ELEMENTWISE
from dlc.passes.graph.fusion_roles import is_inlined

STORE_ONCE = (Conv, MatMul)  # the kernels of these do; Winograd's store a row that has been stored before


def replaceable(group: graph_flow.Group) -> tuple[int, ...]:
    """The numbers of the operands that the result may be written over."""
    block = group.body.block
    roots = [op for op in block.ops[:-1] if not is_inlined(op)]
    if len(group.results) != 1 or not all(isinstance(root, STORE_ONCE) for root in roots):
        return ()
    alike = [arg for arg in block.args if arg.type == group.result.type]
    return tuple(arg.index for arg in alike if arg.uses and _read_in_place(arg, block.terminator))


def _read_in_place(value: Value, end: Op) -> bool:
    """Whether all that depends on a value comes from the elements at its place."""
    return all(
        user is end
        or (
            user.spec.has(ELEMENTWISE)
            and tensor(user.results[0]).shape == tensor(value).shape
            and _read_in_place(user.results[0], end)
        )
        for user in value.users()
    )
