"""Patterns of simplify-shapes for axes that are joined, moved together by a transpose and split again.

    reshape(transpose(reshape(x)))    ->  transpose(x)

(b, h, s, d) -> (b·h, s, d) -> (b·h, d, s) -> (b, h, d, s) is how exporters turn the keys of all heads. What is split is
seen in the sizes: runs of axes on both sides of a reshape that have the same product, as numbers or as expressions.
"""

from __future__ import annotations

from dlc.ir.dialects.graph_shape import Reshape, Transpose
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.expr import product
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter
from dlc.passes.graph.unit_axes_patterns import long_axes


class SplitOfMoved(Pattern[Reshape]):
    """An axis that a transpose moves as a whole and a reshape splits -> its parts are moved

    The reshape below the transpose may join axes as well where the one above it vanishes: then there is still one less.
    """

    def rewrite(self, op: Reshape, rw: Rewriter) -> NoMatch | None:
        move = op.x.defined_by(Transpose)
        inner = move.x.defined_by(Reshape) if move is not None else None
        if move is None or inner is None or move.layout is not None or not op.x.has_one_use():
            return NoMatch("x is no transpose of a reshape that is only used here")
        middle, target = tensor(move.x).shape, tensor(op.result).shape
        order = [axis for axis in move.perm if middle[axis] != 1]
        runs = equal_runs(tuple(middle[axis] for axis in order), tuple(target[axis] for axis in long_axes(target)))
        if all(len(left) > 1 or len(right) == 1 for left, right in runs):
            return NoMatch("no axis is split")
        parts = [part for left, right in runs for part in ([right] if len(left) == 1 else [(dim,) for dim in left])]
        of_axis = dict(zip(order, parts, strict=True))
        shape = tuple(dim for axis in sorted(order) for dim in of_axis[axis])
        source = tensor(inner.x).shape
        vanishes = shape == tuple(source[axis] for axis in long_axes(source))
        if not vanishes and any(len(left) > 1 for left, _ in runs):
            return NoMatch("others are joined, and no reshape less is left")
        first = dict(zip(sorted(order), starts([of_axis[axis] for axis in sorted(order)]), strict=True))
        perm = tuple(first[axis] + n for axis in order for n in range(len(of_axis[axis])))
        apart = rw.insert(Reshape(inner.x, shape=shape), inner).result
        moved = rw.insert(Transpose(apart, perm=perm), move).result
        rw.replace(op, rw.insert(Reshape(moved, shape=target)).result)
        return None


def starts(parts: list[Shape]) -> list[int]:
    """Where each part begins in all of them."""
    return [sum(map(len, parts[:n])) for n in range(len(parts))]


def equal_runs(left: Shape, right: Shape) -> list[tuple[Shape, Shape]]:
    """Runs of both shapes, as short as can be, that have equal products; none if there is a rest."""
    runs: list[tuple[Shape, Shape]] = []
    while left or right:
        lengths = sorted(((m + 1, n + 1) for m in range(len(left)) for n in range(len(right))), key=sum)
        cut = next(((m, n) for m, n in lengths if product(left[:m]) == product(right[:n])), None)
        if cut is None:
            return []
        runs.append((left[: cut[0]], right[: cut[1]]))
        left, right = left[cut[0] :], right[cut[1] :]
    return runs


JOINED_AXES_PATTERNS: tuple[AnyPattern, ...] = (SplitOfMoved(),)
