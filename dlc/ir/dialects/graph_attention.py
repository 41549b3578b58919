"""Attention as one op, softmax(scale · q kᵀ + mask) v without the matrix of scores; what turns q and k before it.

All of q (batch, queries, heads, channels), k (batch, keys, heads, channels) and v (batch, keys, heads, values) lie as
the projections before them leave them, and so does the result (batch, queries, heads, values) for the one behind.
Query heads may share those of keys and values: with 8 and 2, the first four use the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op
from dlc.ir.dialects.shape_rules import Shape, dims_may_match, tensor
from dlc.ir.expr import Dim
from dlc.ir.opdef import FLOAT_TENSOR, PURE, TENSOR, attr, op_def, operand, optional_operand, rank
from dlc.ir.types import BOOL, TensorType, Type


@op_def("graph.attention", traits={PURE})
class Attention(Op):
    """Each head's softmax over the keys of `scale` · q kᵀ, times v; at most `rows` queries and `keys` keys at a time.

    The mask broadcasts to (batch, heads, queries, keys). A floating one is added to the scores; where a bool is false,
    the score is `fill`.
    """

    q = operand(FLOAT_TENSOR, rank(4))
    k = operand(FLOAT_TENSOR, rank(4))
    v = operand(FLOAT_TENSOR, rank(4))
    mask = optional_operand(TENSOR)
    scale = attr(1.0)
    fill = attr(float("-inf"))
    rows = attr(64)
    keys = attr(256)

    def infer(self) -> tuple[Type, ...]:
        q = tensor(self.q)
        return (TensorType((*q.shape[:3], tensor(self.v).shape[3]), q.element),)

    def check(self) -> Iterator[str]:
        q, k, v = tensor(self.q), tensor(self.k), tensor(self.v)
        if not q.element == k.element == v.element:
            yield "c1: q, k and v must have the same elements"
        if not all(dims_may_match(q.shape[n], k.shape[n]) for n in (0, 3)) or not may_share(q.shape[2], k.shape[2]):
            yield "c2: q and k must have the same batch and channels, and q as many heads as k or a multiple"
        if not all(map(dims_may_match, k.shape[:3], v.shape[:3])):
            yield "c3: k and v must have the same batch, keys and heads"
        if self.rows < 1 or self.keys < 1:
            yield "c4: rows and keys must be at least 1"
        if self.mask is None:
            return
        mask = tensor(self.mask)
        if mask.element not in (BOOL, q.element):
            yield "c5: the mask must have the elements of q, or bools"
        scores = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
        if not fits_inside(mask.shape, scores):
            yield "c6: the mask must broadcast to batch, heads, queries and keys"


def may_share(query_heads: Dim, heads: Dim) -> bool:
    """Whether each head of keys serves equally many query heads."""
    if isinstance(query_heads, int) and isinstance(heads, int):
        return query_heads == heads or (heads > 0 and query_heads % heads == 0)
    return dims_may_match(query_heads, heads)


@op_def("graph.rotary", traits={PURE})
class Rotary(Op):
    """Pairs (a, b) of the last axis' halves become (a · cos - b · sin, b · cos + a · sin), each member with its angle.

    These broadcast to x.
    """

    x = operand(FLOAT_TENSOR)
    cos = operand(FLOAT_TENSOR)
    sin = operand(FLOAT_TENSOR)

    def infer(self) -> tuple[Type, ...]:
        x = tensor(self.x)
        return (TensorType(x.shape, x.element),)

    def check(self) -> Iterator[str]:
        x, *angles = map(tensor, self.operands)
        if not x.shape or (isinstance(x.shape[-1], int) and x.shape[-1] % 2):
            yield "c1: the last axis of x must have an even size"
        if any(angle.element != x.element for angle in angles):
            yield "c2: x, cos and sin must have the same elements"
        if not all(fits_inside(angle.shape, x.shape) for angle in angles):
            yield "c3: cos and sin must broadcast to x"


def fits_inside(small: Shape, shape: Shape) -> bool:
    """Whether a shape broadcasts to another without making it larger."""
    pairs = zip(small[::-1], shape[::-1], strict=False)
    return len(small) <= len(shape) and all(a == 1 or (b != 1 and dims_may_match(a, b)) for a, b in pairs)


OPS = (Attention, Rotary)
