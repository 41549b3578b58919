"""Patterns of simplify-shapes: movements that do nothing, movements in a row, and movements that others do anyway."""

from __future__ import annotations

from itertools import pairwise

from dlc.ir.core import Value
from dlc.ir.dialects.graph_index import Gather
from dlc.ir.dialects.graph_math import Elementwise
from dlc.ir.dialects.graph_nn import MatMul
from dlc.ir.dialects.graph_shape import (
    Broadcast,
    Concat,
    Pad,
    Relayout,
    Reshape,
    Resize,
    Slice,
    Tile,
    Transpose,
)
from dlc.ir.dialects.shape_rules import tensor
from dlc.ir.expr import Dim, as_dim, as_expr, product
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter, rebuilt
from dlc.passes.graph.constants import contents


class Nothing(Pattern[Reshape | Transpose | Broadcast | Slice | Pad | Tile | Relayout | Resize]):
    """A movement that leaves every element where it is -> x"""

    def rewrite(
        self, op: Reshape | Transpose | Broadcast | Slice | Pad | Tile | Relayout | Resize, rw: Rewriter
    ) -> NoMatch | None:
        if op.x.type != op.result.type:
            return NoMatch("the type changes")
        if isinstance(op, Transpose) and op.perm != tuple(sorted(op.perm)):
            return NoMatch("the axes change places")
        if isinstance(op, Slice) and (any(start != 0 for start in op.starts) or any(step != 1 for step in op.steps)):
            return NoMatch("the slice moves elements")
        if isinstance(op, Resize) and (op.coordinate == "tf_crop_and_resize" or any(s != 1 for s in op.scales)):
            return NoMatch("the resize moves elements")
        if isinstance(op, Resize) and op.coordinate == "tf_half_pixel_for_nn":
            return NoMatch("the resize moves elements")
        rw.replace(op, op.x)
        return None


class ConcatOfOne(Pattern[Concat]):
    def rewrite(self, op: Concat, rw: Rewriter) -> NoMatch | None:
        if len(op.parts) != 1 or op.parts[0].type != op.result.type:
            return NoMatch("there are several parts")
        rw.replace(op, op.parts[0])
        return None


class ReshapeOfReshape(Pattern[Reshape]):
    def rewrite(self, op: Reshape, rw: Rewriter) -> NoMatch | None:
        if (inner := op.x.defined_by(Reshape)) is None:
            return NoMatch("x is no reshape")
        rw.replace(op, rw.insert(Reshape(inner.x, shape=op.shape), inner).result)
        return None


class TransposeOfTranspose(Pattern[Transpose]):
    def rewrite(self, op: Transpose, rw: Rewriter) -> NoMatch | None:
        if (inner := op.x.defined_by(Transpose)) is None:
            return NoMatch("x is no transpose")
        perm = tuple(inner.perm[axis] for axis in op.perm)
        rw.replace(op, rw.insert(Transpose(inner.x, perm=perm, layout=op.layout), inner).result)
        return None


class SplitOfJoined(Pattern[Reshape]):
    """Axes that are joined to one in front, left there by a transpose and split again -> a transpose of the rest

    (b, h, s, d) -> (b·h, s, d) -> (b·h, d, s) -> (b, h, d, s): how exporters turn the keys of all heads.
    """

    def rewrite(self, op: Reshape, rw: Rewriter) -> NoMatch | None:
        turned = op.x.defined_by(Transpose)
        joined = turned.x.defined_by(Reshape) if turned is not None else None
        if turned is None or joined is None or turned.perm[:1] != (0,):
            return NoMatch("x is no transpose of a reshape that leaves the first axis")
        source, middle, target = (tensor(value).shape for value in (joined.x, joined.result, op.result))
        rest = len(middle) - 1
        lead = target[: len(target) - rest]
        moved = tuple(middle[axis] for axis in turned.perm[1:])
        if len(lead) < 2 or target[len(lead) :] != moved or source[len(source) - rest :] != middle[1:]:
            return NoMatch("more than the first axis is split, or joined")
        if product(lead) != middle[0]:
            return NoMatch("what is split is not what was joined")
        apart = rw.insert(Reshape(joined.x, shape=(*lead, *middle[1:])), joined).result
        perm = (*range(len(lead)), *(len(lead) - 1 + axis for axis in turned.perm[1:]))
        rw.replace(op, rw.insert(Transpose(apart, perm=perm), turned).result)
        return None


class TransposeOfOnes(Pattern[Transpose]):
    """Axes of size 1 may go anywhere for free."""

    def rewrite(self, op: Transpose, rw: Rewriter) -> NoMatch | None:
        shape = tensor(op.x).shape
        moving = [axis for axis in op.perm if shape[axis] != 1]
        if any(a > b for a, b in pairwise(moving)):
            return NoMatch("axes with several elements change places")
        made = rw.fitting(Reshape(op.x, shape=tensor(op.result).shape), op)
        if made is None:
            return NoMatch("the transpose chooses a layout")
        rw.replace(op, rw.insert(made).result)
        return None


class BroadcastOfBroadcast(Pattern[Broadcast]):
    def rewrite(self, op: Broadcast, rw: Rewriter) -> NoMatch | None:
        if (inner := op.x.defined_by(Broadcast)) is None:
            return NoMatch("x is no broadcast")
        rw.replace(op, rw.insert(Broadcast(inner.x, shape=op.shape, layout=op.layout), inner).result)
        return None


class BroadcastIsReshape(Pattern[Broadcast]):
    """New leading axes of size 1 only."""

    def rewrite(self, op: Broadcast, rw: Rewriter) -> NoMatch | None:
        old, new = tensor(op.x).shape, tensor(op.result).shape
        added = len(new) - len(old)
        if new[added:] != old or any(dim != 1 for dim in new[:added]) or op.layout is not None:
            return NoMatch("elements are repeated")
        rw.replace(op, rw.insert(Reshape(op.x, shape=op.shape)).result)
        return None


class SliceOfSlice(Pattern[Slice]):
    """Element i of the outer slice is element s + i * t of the inner one, at s' + (s + i * t) * t' of x."""

    def rewrite(self, op: Slice, rw: Rewriter) -> NoMatch | None:
        if (inner := op.x.defined_by(Slice)) is None:
            return NoMatch("x is no slice")
        ones = (1,) * len(op.starts)
        near, far = op.steps or ones, inner.steps or ones
        pairs = zip(inner.starts, op.starts, far, strict=True)
        starts = tuple(as_dim(as_expr(base) + as_expr(start) * step) for base, start, step in pairs)
        steps = tuple(a * b for a, b in zip(near, far, strict=True))
        made = Slice(
            inner.x, starts=starts, sizes=op.sizes, steps=() if steps == ones else steps, layout=op.layout
        )  # fmt: skip
        rw.replace(op, rw.insert(made, inner).result)
        return None


class ConcatOfConcat(Pattern[Concat]):
    def rewrite(self, op: Concat, rw: Rewriter) -> NoMatch | None:
        inner = [part.defined_by(Concat) for part in op.parts]
        flat = [each if each is not None and each.axis == op.axis and part.has_one_use() else None
                for each, part in zip(inner, op.parts, strict=True)]  # fmt: skip
        if not any(flat):
            return NoMatch("no part is a concat along the same axis")
        parts: list[Value] = []
        for part, each in zip(op.parts, flat, strict=True):
            parts += [part] if each is None else each.parts
        made = rw.fitting(Concat(*parts, axis=op.axis, layout=op.layout), op)
        if made is None:
            return NoMatch("the shape would be stated differently")
        rw.replace(op, rw.insert(made, *(each for each in flat if each is not None)).result)
        return None


class SliceOfConcat(Pattern[Slice]):
    """A slice that lies in one part of a concat -> a slice of that part"""

    def rewrite(self, op: Slice, rw: Rewriter) -> NoMatch | None:
        if (inner := op.x.defined_by(Concat)) is None:
            return NoMatch("x is no concat")
        axis = inner.axis
        start, size = op.starts[axis], op.sizes[axis]
        if not isinstance(start, int) or not isinstance(size, int) or size < 1:
            return NoMatch("the slice has no known place along the axis")
        last = start + (size - 1) * (op.steps or (1,) * len(op.starts))[axis]
        base = 0
        for part in inner.parts:
            length = tensor(part).shape[axis]
            if not isinstance(length, int):
                return NoMatch("a part before has no known size")
            if base <= min(start, last) and max(start, last) < base + length:
                starts = (*op.starts[:axis], start - base, *op.starts[axis + 1 :])
                made = Slice(part, starts=starts, sizes=op.sizes, steps=op.steps, layout=op.layout)
                rw.replace(op, rw.insert(made, inner).result)
                return None
            base += length
        return NoMatch("the slice lies in several parts")


class ConcatOfSlices(Pattern[Concat]):
    """Slices of one tensor that follow one another there too -> one slice, which may be all of it"""

    def rewrite(self, op: Concat, rw: Rewriter) -> NoMatch | None:
        for number, (left, right) in enumerate(pairwise(op.parts)):
            a, b = left.defined_by(Slice), right.defined_by(Slice)
            if a is None or b is None or not follows(a, b, op.axis):
                continue
            size = as_dim(as_expr(a.sizes[op.axis]) + as_expr(b.sizes[op.axis]))
            both = Slice(a.x, starts=a.starts, sizes=(*a.sizes[: op.axis], size, *a.sizes[op.axis + 1 :]))
            rw.insert(both, a, b)
            made = Concat(*op.parts[:number], both.result, *op.parts[number + 2 :], axis=op.axis, layout=op.layout)
            rw.replace(op, rw.insert(made).result)
            return None
        return NoMatch("no two parts are neighbours elsewhere")


def follows(a: Slice, b: Slice, axis: int) -> bool:
    """Whether b begins where a ends along an axis, and both are the same along all others."""
    if a.x is not b.x or a.layout is not None or b.layout is not None or any(s != 1 for s in (*a.steps, *b.steps)):
        return False
    pairs = zip(a.starts, a.sizes, b.starts, b.sizes, strict=True)
    return all(
        as_expr(start) + as_expr(size) == as_expr(other) if number == axis else (start, size) == (other, length)
        for number, (start, size, other, length) in enumerate(pairs)
    )


class PadOfPad(Pattern[Pad]):
    def rewrite(self, op: Pad, rw: Rewriter) -> NoMatch | None:
        inner = op.x.defined_by(Pad)
        if inner is None or (inner.mode, op.mode) != ("constant", "constant") or (inner.value or 0) != (op.value or 0):
            return NoMatch("not two pads with one constant")
        made = Pad(
            inner.x, before=sums(inner.before, op.before), after=sums(inner.after, op.after), value=op.value,
            layout=op.layout,
        )  # fmt: skip
        rw.replace(op, rw.insert(made, inner).result)
        return None


def sums(left: tuple[Dim, ...], right: tuple[Dim, ...]) -> tuple[Dim, ...]:
    return tuple(as_dim(as_expr(a) + as_expr(b)) for a, b in zip(left, right, strict=True))


class GatherIsSlice(Pattern[Gather]):
    """Constant indices one after the other, or a single one -> slice, then reshape"""

    def rewrite(self, op: Gather, rw: Rewriter) -> NoMatch | None:
        indices, shape = contents(op.indices, rw.pool, 64), tensor(op.x).shape
        length = shape[op.axis]
        if indices is None or indices.size == 0 or not isinstance(length, int):
            return NoMatch("the indices are not a few constants into an axis of known size")
        wanted = [int(i) % length if -length <= int(i) < length else length for i in indices.reshape(-1)]
        if wanted != list(range(wanted[0], wanted[0] + len(wanted))) or wanted[-1] >= length:
            return NoMatch("the indices are not consecutive")
        starts = tuple(wanted[0] if axis == op.axis else 0 for axis in range(len(shape)))
        sizes = tuple(len(wanted) if axis == op.axis else dim for axis, dim in enumerate(shape))
        part = rw.insert(Slice(op.x, starts=starts, sizes=sizes))
        rw.replace(op, rw.insert(Reshape(part.result, shape=tensor(op.result).shape)).result)
        return None


class ReadsBroadcast(Pattern[Elementwise | MatMul]):
    """f(broadcast(x), y) -> f(x, y) where the result keeps its shape"""

    def rewrite(self, op: Elementwise | MatMul, rw: Rewriter) -> NoMatch | None:
        for number, value in enumerate(op.operands):
            source = value.defined_by(Broadcast)
            if source is None:
                continue
            if isinstance(op, MatMul) and tensor(source.x).shape[-2:] != tensor(value).shape[-2:]:
                continue
            if source.is_undecided:
                continue  # without it the axes would count as equal
            operands = [*op.operands[:number], source.x, *op.operands[number + 1 :]]
            made = rw.fitting(rebuilt(op, operands), op)
            if made is not None:
                rw.replace(op, rw.insert(made, source).result)
                return None
        return NoMatch("no operand is a broadcast that the op does not need")


MOVEMENT_PATTERNS: tuple[AnyPattern, ...] = (
    Nothing(), ConcatOfOne(), ReshapeOfReshape(), TransposeOfTranspose(), SplitOfJoined(), TransposeOfOnes(),
    BroadcastOfBroadcast(), BroadcastIsReshape(), SliceOfSlice(), ConcatOfConcat(), SliceOfConcat(),
    ConcatOfSlices(), PadOfPad(), GatherIsSlice(), ReadsBroadcast(),
)  # fmt: skip
