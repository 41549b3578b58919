"""Functions: the op that ends one."""

from __future__ import annotations

from dlc.ir.core import Op
from dlc.ir.opdef import ANY, TERMINATOR, op_def, operands


@op_def("func.return", traits={TERMINATOR})
class Return(Op):
    """End the function with its results."""

    values = operands(ANY)


OPS = (Return,)
