"""What part an op may play in a group.

A group has at most one *root*: an op that is neither elementwise nor an index map, and after which its kernel is named.
  - Elementwise ops on the root's result are its epilogue: they run on the result while it is in registers.
  - Index maps say where elements are read from and compute nothing, so a reader can do without them.
  - Cheap elementwise ops may be computed again by a reader that reads its input several times.
"""

from __future__ import annotations

from dlc.ir.core import Op, Value
from dlc.ir.dialects import graph_math as math_ops
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_flow import Fail, Group, If, Loop, Require, Yield
from dlc.ir.dialects.graph_index import ReadSizes
from dlc.ir.dialects.graph_nn import (
    Conv,
    ConvTranspose,
    LayerNorm,
    LogSoftmax,
    Lrn,
    MatMul,
    Pool,
    Reduce,
    RmsNorm,
    Softmax,
)
from dlc.ir.dialects.graph_quant import Dequantize, Quantize
from dlc.ir.dialects.graph_shape import (
    Broadcast,
    Constant,
    Dims,
    Iota,
    Pad,
    Relayout,
    Reshape,
    Slice,
    Tile,
    Transpose,
)
from dlc.ir.dialects.graph_strassen import StrassenMatMul
from dlc.ir.dialects.graph_winograd import WinogradConv, WinogradOutput
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.types import STRING, TensorType

# never in a group of their own
BARE = (Constant, Reshape, Relayout, Dims, Group, If, Loop, Require, Fail, ReadSizes, Return, Yield)

EPILOGUE_ROOTS = (
    Conv, ConvTranspose, WinogradConv, WinogradOutput, MatMul, StrassenMatMul, Pool, Reduce, Softmax, LogSoftmax,
    LayerNorm, RmsNorm, Lrn,
)  # fmt: skip

CHEAP = (
    math_ops.Add, math_ops.Sub, math_ops.Mul, math_ops.Neg, math_ops.Abs, math_ops.Minimum, math_ops.Maximum,
    math_ops.Relu, math_ops.LeakyRelu, math_ops.Clip, math_ops.Where, math_ops.Cast, math_ops.Compare,
    math_ops.BoolBinary, math_ops.IntegerBinary, math_ops.Not, math_ops.BitwiseNot,
)  # fmt: skip

# these read memory as it is laid out: nothing is computed on the way
READS_LAYOUT = (
    "conv", "conv_transpose", "winograd_conv", "winograd_input", "winograd_products", "strassen_matmul", "pool",
)  # fmt: skip
READS_AGAIN = ("reduce", "arg_reduce", "softmax", "log_softmax", "hardmax", "layer_norm", "rms_norm")
READS_ROWS = ("attention", "rotary")  # vectors of channels, which index maps must leave side by side
NO_ROOT = ("elementwise", "copy")


def is_elementwise(op: Op | None) -> bool:
    """Each element of the result comes from those at its place; so does quantization by one scale."""
    if isinstance(op, Quantize | Dequantize):
        return op.axis is None
    return op is not None and op.spec.has(ELEMENTWISE)


def is_index_map(op: Op | None) -> bool:
    """Whether each element of the result is one of the operand, or a constant, at a place that the index gives."""
    if isinstance(op, Pad):
        return op.mode == "constant"
    return isinstance(op, Reshape | Transpose | Broadcast | Slice | Tile)


def is_inlined(op: Op) -> bool:
    """Whether the lowering computes `op` where its result is read; what is not inlined is the root of its group."""
    return is_elementwise(op) or is_index_map(op) or isinstance(op, Constant | Relayout | Iota | Dims)


def is_cheap(op: Op | None) -> bool:
    return isinstance(op, CHEAP)


def can_be_kernel(op: Op) -> bool:
    """Whether an op alone may become a group."""
    if isinstance(op, BARE) or op.regions:
        return False
    return all(is_number_tensor(value) for value in (*op.operands, *op.results))


def is_number_tensor(value: Value) -> bool:
    return isinstance(value.type, TensorType) and value.type.scalar != STRING


def kernel_name(op: Op) -> str:
    """The kernel of an op that stands alone, or of the group that it is."""
    if isinstance(op, Group):
        return op.kernel
    if is_elementwise(op) or isinstance(op, Iota):
        return "elementwise"
    return "copy" if is_index_map(op) else op.name.removeprefix("graph.")


def kernel_of(ops: list[Op]) -> str:
    """The kernel of a group: its root's name; without a root whether there is anything to compute."""
    names = [kernel_name(op) for op in ops]
    roots = [name for name in names if name not in NO_ROOT]
    return roots[0] if roots else "elementwise" if "elementwise" in names else "copy"


def is_inlinable(op: Op, kernel: str, reader: Op) -> bool:
    """Whether a group with this kernel may compute `op` itself where `reader`, one of its ops, reads the result."""
    if kernel in READS_LAYOUT:
        return False
    if kernel in NO_ROOT:
        small = is_cheap(op) and isinstance(op.result.type, TensorType) and op.result.type.elements == 1
        return is_index_map(op) or isinstance(op, Iota) or small
    if is_elementwise(reader) and kernel not in READS_AGAIN:
        return isinstance(op, Broadcast | Slice) or is_cheap(op)
    if kernel in READS_ROWS:
        return keeps_rows(op)
    if kernel in ("matmul", "strassen_input"):
        return isinstance(op, Transpose | Reshape | Broadcast | Slice) or is_scale(op)
    if kernel in READS_AGAIN:
        return is_cheap(op)
    return kernel == "concat" and (is_index_map(op) or is_cheap(op))


def keeps_rows(op: Op) -> bool:
    """An index map under which neighbours along the last axis are neighbours in memory, as before."""
    if isinstance(op, Transpose):
        return op.perm[-1] == len(op.perm) - 1
    if isinstance(op, Slice):
        return not op.steps or op.steps[-1] == 1
    if not isinstance(op, Reshape | Broadcast):
        return False
    before, after = tensor(op.x).shape[-1:], tensor(op.result).shape[-1:]
    if before == after or isinstance(op, Broadcast):
        return before == after
    sizes = [size for size in (*before, *after) if isinstance(size, int)]
    return len(sizes) == 2 and sizes[0] % max(1, sizes[1]) == 0


def is_scale(op: Op) -> bool:
    """A product with one constant number."""
    if not isinstance(op, math_ops.Mul):
        return False
    factor = op.b.defined_by(Constant)
    return factor is not None and factor.type.elements == 1
