"""Which kernels keep denormals. The others flush them to zero: some machines take a hundred cycles for each."""

from __future__ import annotations

from dlc.ir.core import Op
from dlc.ir.dialects.graph_flow import Group
from dlc.ir.dialects.graph_math import Cast
from dlc.ir.opdef import COMPARES
from dlc.ir.types import BF16, BOOL, F32, F64, ScalarType, TensorType
from dlc.passes.graph.fusion_roles import is_inlined


def keeps_denormals(group: Group) -> bool:
    """Whether a kernel has f64 in it, or compares elements and does nothing harder than elementwise arithmetic.

    A convolution or a softmax into which a comparison was fused flushes as without it.
    """
    ops = group.body.block.ops[:-1]
    if any(_scalar_of(value.type) == F64 for op in ops for value in (*op.operands, *op.results)):
        return True
    return any(map(_compares, ops)) and all(op.spec.has(COMPARES) for op in ops if not is_inlined(op))


def _compares(op: Op) -> bool:
    asks = op.spec.has(COMPARES) or (isinstance(op, Cast) and op.to == BOOL)
    return asks and _scalar_of(op.operands[0].type) in (F32, BF16)  # denormal f16 numbers are normal ones of f32


def _scalar_of(kind: object) -> ScalarType | None:
    return kind.scalar if isinstance(kind, TensorType) else None
