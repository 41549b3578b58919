"""Attention as one op, softmax(scale · q kᵀ + mask) v without the matrix of scores; what turns q and k before it.

All of q (batch, queries, heads, channels), k (batch, keys, heads, channels) and v (batch, keys, heads, values) lie as
the projections before them leave them, and so does the result (batch, queries, heads, values) for the one behind.
Query heads may share those of keys and values: with 8 and 2, the first four use the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.ir.core import Op
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.expr import Dim
from dlc.ir.opdef import FLOAT_TENSOR, PURE, TENSOR, attr, op_def, operand, optional_operand, rank
from dlc.ir.requirements import Requirement, broadcast_to, divisible, equal, equal_shapes
from dlc.ir.types import BF16, BOOL, F16, F32, TensorType, Type


@op_def("graph.attention", traits={PURE})
class Attention(Op):
    """Each head's softmax over the keys of `scale` · q kᵀ, times v; at most `rows` queries and `keys` keys at a time.

    The mask broadcasts to (batch, heads, queries, keys). A floating one is added to the scores; where a bool is false,
    the score is `fill`. If `guarded`, a query whose weights are NaN, as of scores that are all -inf, gets zeros.
    Keys and values may be f16 or bf16 where queries are f32: a cache that is stored so.
    """

    q = operand(FLOAT_TENSOR, rank(4))
    k = operand(FLOAT_TENSOR, rank(4))
    v = operand(FLOAT_TENSOR, rank(4))
    mask = optional_operand(TENSOR)
    scale = attr(1.0)
    fill = attr(float("-inf"))
    rows = attr(64)
    keys = attr(256)
    guarded = attr(False)

    def infer(self) -> tuple[Type, ...]:
        q = tensor(self.q)
        return (TensorType((*q.shape[:3], tensor(self.v).shape[3]), q.element),)

    def check(self) -> Iterator[str]:
        q, k, v = tensor(self.q), tensor(self.k), tensor(self.v)
        narrower = q.element == F32 and k.element in (F16, BF16)
        if k.element != v.element or not (q.element == k.element or narrower):
            yield "c1: q, k and v must have the same elements"
        if self.rows < 1 or self.keys < 1:
            yield "c4: rows and keys must be at least 1"
        if self.mask is None:
            return
        mask = tensor(self.mask)
        if mask.element not in (BOOL, q.element):
            yield "c5: the mask must have the elements of q, or bools"
        if mask.rank > 4:
            yield "c7: the mask must have at most four axes"

    def requires(self) -> Iterator[Requirement]:
        q, k, v = (tensor(value).shape for value in (self.q, self.k, self.v))
        for n in (0, 3):
            yield from equal(q[n], k[n], "c2: q and k must have the same batch and channels")
        yield from shared_heads(q[2], k[2], "c8: q must have as many heads as k, or a multiple")
        yield from equal_shapes(v[:3], k[:3], "c3: k and v must have the same batch, keys and heads")
        if self.mask is not None:
            wanted = "c6: the mask must broadcast to batch, heads, queries and keys"
            yield from broadcast_to(tensor(self.mask).shape, (q[0], q[2], q[1], k[1]), wanted)

    def stretched(self) -> Iterator[tuple[int, Shape]]:
        if self.mask is not None:
            q, k = tensor(self.q).shape, tensor(self.k).shape
            yield len(self.operands) - 1, (q[0], q[2], q[1], k[1])


def shared_heads(query_heads: Dim, heads: Dim, text: str) -> Iterator[Requirement]:
    """Each head of keys serves equally many query heads; as many as there are, unless both numbers are known or it is
    the only one."""
    if heads == 1:
        return
    if isinstance(query_heads, int) and isinstance(heads, int) and heads > 0:
        yield from divisible(query_heads, heads, text)
    else:
        yield from equal(query_heads, heads, text)


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
        if not x.shape or any(angle.rank > x.rank for angle in angles):
            yield "c4: x must have an axis, and all those of cos and sin"
        if any(angle.element != x.element for angle in angles):
            yield "c2: x, cos and sin must have the same elements"

    def requires(self) -> Iterator[Requirement]:
        x, *angles = (tensor(value).shape for value in self.operands)
        yield from divisible(x[-1], 2, "c1: the last axis of x must have an even size")
        for angle in angles:
            yield from broadcast_to(angle, x, "c3: cos and sin must broadcast to x")

    def stretched(self) -> Iterator[tuple[int, Shape]]:
        return ((number, tensor(self.x).shape) for number in (1, 2))


OPS = (Attention, Rotary)
