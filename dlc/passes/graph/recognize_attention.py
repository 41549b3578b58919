"""Recognise attention as exporters write it.

    softmax(scale · q kᵀ + mask) v      →      transpose(attention(transpose(q), transpose(k), transpose(v), mask))

The scale may stand on either side of the first product or behind it, as a factor or a divisor; the mask may be added,
or a `where` may put a number in place of scores; another may put zeros in place of weights that are NaN, as of queries
that are masked wholly. The transposes move the heads behind the queries, where the projections have them: they meet the
exporter's own, and simplify-shapes drops both.

Where query heads share keys and values, exporters repeat these: (batch, heads, 1, keys, channels) becomes
(batch, heads, times, keys, channels), and that (batch, all heads, keys, channels). The op shares them itself: it takes
what there was before.
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Module, Value
from dlc.ir.dialects.graph_attention import Attention
from dlc.ir.dialects.graph_math import Add, IsNan, Not, Where
from dlc.ir.dialects.graph_nn import MatMul, Softmax
from dlc.ir.dialects.graph_shape import Broadcast, Reshape, Tile, Transpose
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim
from dlc.ir.levels import Level
from dlc.ir.pool import ConstantPool
from dlc.ir.rewrite import NoMatch, Pattern, Rewriter, apply_patterns
from dlc.ir.types import F32
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.constants import number
from dlc.passes.graph.products import product_of
from dlc.record import record

SWAP = (0, 2, 1, 3)


@record
class RecognizeAttention(Pass):
    name: ClassVar[str] = "recognize-attention"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        return apply_patterns(module, [ProductOfSoftmax()], cx)


@record
class Scores:
    """What the softmax is taken of: ``scale · q k`` with k (…, channels, keys), masked."""

    q: Value
    k: Value
    scale: float
    mask: Value | None = None
    fill: float = float("-inf")
    inverted: bool = False  # the mask is true where scores are replaced


class ProductOfSoftmax(Pattern[MatMul]):
    def rewrite(self, op: MatMul, rw: Rewriter) -> NoMatch | None:
        softmax, guarded = guarded_softmax(op.a, rw.pool)
        kind = tensor(op.result)
        if softmax is None or softmax.axis != kind.rank - 1:
            return NoMatch("the left operand is no softmax along its last axis that is only used here")
        if kind.scalar != F32 or kind.rank not in (3, 4):
            return NoMatch("not of three or four axes of f32")
        scores = scores_of(softmax.x, rw.pool)
        if scores is None:
            return NoMatch("the softmax is not of a scaled and masked product")
        q, k, v = tensor(scores.q).shape, tensor(scores.k).shape, tensor(op.b).shape
        shared = before_repetition(scores.k), before_repetition(op.b)
        if shared[0].heads != shared[1].heads:
            shared = as_they_are(scores.k), as_they_are(op.b)
        if q[:-1] != kind.shape[:-1] or not all(may_be_shared(each.heads, q[:-2]) for each in shared):
            return NoMatch("more than heads of keys and values is broadcast")
        if shared[0].heads != shared[1].heads:
            return NoMatch("keys and values have different heads")
        if not are_known((q[-1], v[-1])) or 0 in (q[-1], v[-1]):
            return NoMatch("the number of channels is not known")
        if scores.mask is not None and not serves(scores.mask, kind.rank, (*q[:-1], k[-1])):
            return NoMatch("the mask is larger than the scores")
        rw.replace(op, attention(op, scores, *shared, guarded, rw))
        return None


def guarded_softmax(value: Value, pool: ConstantPool) -> tuple[Softmax | None, bool]:
    """The softmax that is only used here, and whether ``where(is_nan(s), 0, s)`` stands behind it."""
    where = value.defined_by(Where)
    if where is None:
        return (value.defined_by(Softmax) if value.has_one_use() else None), False
    softmax, test = where.y.defined_by(Softmax), where.c.defined_by(IsNan)
    if softmax is None or test is None or test.x is not softmax.result or number(where.x, pool) != 0:
        return None, False
    alone = value.has_one_use() and where.c.has_one_use() and len(softmax.result.uses) == 2
    return (softmax if alone and tensor(value) == tensor(softmax.result) else None), True


def may_be_shared(heads: tuple[Dim, ...], all_heads: tuple[Dim, ...]) -> bool:
    """Whether keys or values, by all axes but the last two, serve all heads; they may be fewer behind a batch."""
    if heads == all_heads:
        return True
    counts = (*heads[1:], *all_heads[1:])
    if len(counts) != 2 or heads[0] != all_heads[0]:
        return False
    fewer, more = counts
    return isinstance(fewer, int) and isinstance(more, int) and fewer > 0 and more % fewer == 0


def are_known(dims: tuple[Dim, ...]) -> bool:
    return all(isinstance(dim, int) for dim in dims)


def scores_of(value: Value, pool: ConstantPool) -> Scores | None:
    """Takes the operand of a softmax apart."""
    if isinstance(value.owner, Add) and value.has_one_use():
        for product, mask in ((value.owner.a, value.owner.b), (value.owner.b, value.owner.a)):
            found = scaled_product(product, pool)
            if found is not None and tensor(product).shape == tensor(value).shape:
                return Scores(found.q, found.k, found.scale, mask)
        return None
    if isinstance(value.owner, Where) and value.has_one_use():
        where = value.owner
        for product, other, inverted in ((where.x, where.y, False), (where.y, where.x, True)):
            found, fill = scaled_product(product, pool), number(other, pool)
            if found is not None and fill is not None and tensor(product).shape == tensor(value).shape:
                return Scores(found.q, found.k, found.scale, where.c, float(fill), inverted)
        return None
    return scaled_product(value, pool)


def scaled_product(value: Value, pool: ConstantPool) -> Scores | None:
    """``scale · q k`` for a product of matrices that is only used here."""
    whole = product_of(value, pool)
    if len(whole.factors) != 1 or not value.has_one_use():
        return None
    product = whole.factors[0].defined_by(MatMul)
    if product is None or not product.result.has_one_use():
        return None
    left, right = product_of(product.a, pool), product_of(product.b, pool)
    scale = whole.coefficient
    q, k = product.a, product.b
    if len(left.factors) == 1 and left.factors[0].type == q.type:
        q, scale = left.factors[0], scale * left.coefficient
    if len(right.factors) == 1 and right.factors[0].type == k.type:
        k, scale = right.factors[0], scale * right.coefficient
    return Scores(q, k, scale)


def serves(mask: Value, rank: int, scores: tuple[Dim, ...]) -> bool:
    """Whether a mask broadcasts to the scores without making them larger."""
    shape = tensor(mask).shape
    pairs = zip(shape[::-1], scores[::-1], strict=False)
    return len(shape) <= rank and all(extent in (1, dim) for extent, dim in pairs)


def attention(
    op: MatMul, scores: Scores, k: SharedHeads, v: SharedHeads, guarded: bool, rw: Rewriter
) -> Value:  # fmt: skip
    rank = tensor(op.result).rank
    keys = heads_inside(k.insert(rw), rw, (1, 0))
    operands = [heads_inside(scores.q, rw, (0, 1)), keys, heads_inside(v.insert(rw), rw, (0, 1))]
    if scores.mask is not None:
        mask = rw.insert(Not(scores.mask)).result if scores.inverted else scores.mask
        operands.append(mask)
    made = rw.insert(Attention(*operands, scale=scores.scale, fill=scores.fill, guarded=guarded), op).result
    if rank == len(SWAP):
        return rw.insert(Transpose(made, perm=SWAP)).result
    flat = rw.insert(Reshape(made, shape=tensor(made).shape[1:])).result
    return rw.insert(Transpose(flat, perm=(1, 0, 2))).result


@record
class SharedHeads:
    """Keys or values as they are before each head is repeated: ``transpose(reshape(x, shape), perm)``."""

    x: Value
    shape: tuple[Dim, ...]
    perm: tuple[int, ...]

    @property
    def heads(self) -> tuple[Dim, ...]:
        """All axes but the last two."""
        return self.shape[:-2]

    def insert(self, rw: Rewriter) -> Value:
        value = self.x
        if tensor(value).shape != self.shape:
            value = rw.insert(Reshape(value, shape=self.shape)).result
        return value if self.perm == (*range(len(self.perm)),) else rw.insert(Transpose(value, perm=self.perm)).result


def as_they_are(value: Value) -> SharedHeads:
    shape = tensor(value).shape
    return SharedHeads(value, shape, (*range(len(shape)),))


def before_repetition(value: Value) -> SharedHeads:
    """(batch, heads, …) without what repeats each head, if there is such a thing."""
    whole = as_they_are(value)
    transpose = value.defined_by(Transpose)
    inner, perm = (transpose.x, transpose.perm) if transpose is not None else (value, whole.perm)
    if len(perm) != len(SWAP) or perm[:2] != (0, 1):
        return whole
    reshape = inner.defined_by(Reshape)
    repeat = (reshape.x if reshape is not None else inner).defining_op
    if not isinstance(repeat, Broadcast | Tile):
        return whole
    before, after, (batch, heads, *rest) = tensor(repeat.x).shape, tensor(repeat.result).shape, tensor(inner).shape
    single = before[1] if len(before) > 1 else 0
    if reshape is None:
        repeats = before == (batch, 1, *rest)
    else:
        times = (after[2],) if len(after) > len(SWAP) else ()
        repeats = times != () and before == (batch, single, 1, *rest) and after == (batch, single, *times, *rest)
    return SharedHeads(repeat.x, (batch, single, *rest), perm) if repeats and isinstance(heads, int) else whole


def heads_inside(value: Value, rw: Rewriter, order: tuple[int, int]) -> Value:
    """(batch, places, heads, channels) of a value whose axes after the heads are these two, in `order`."""
    rank = tensor(value).rank
    heads, places, channels = rank - 3, rank - 2 + order[0], rank - 2 + order[1]
    moved = rw.insert(Transpose(value, perm=(*range(rank - 3), places, heads, channels))).result
    if rank == len(SWAP):
        return moved
    return rw.insert(Reshape(moved, shape=(1, *tensor(moved).shape))).result
