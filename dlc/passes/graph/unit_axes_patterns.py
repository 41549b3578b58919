"""Patterns of simplify-shapes around reshapes that only add or drop axes of size 1, which exporters sow everywhere.

    slice(transpose(x))               ->  transpose(slice(x))        less to move, often only axes of size 1
    slice(reshape by 1s(x))           ->  reshape(slice(x))
    transpose(reshape by 1s(x))       ->  reshape(transpose(x))      so that transposes meet
"""

from __future__ import annotations

from dlc.ir.core import Op
from dlc.ir.dialects.graph_shape import Reshape, Slice, Transpose
from dlc.ir.dialects.shape_rules import Shape, tensor
from dlc.ir.rewrite import AnyPattern, NoMatch, Pattern, Rewriter


def long_axes(shape: Shape) -> list[int]:
    """The axes that are not of size 1."""
    return [axis for axis, dim in enumerate(shape) if dim != 1]


def is_by_ones(op: Reshape) -> bool:
    """Whether a reshape only adds or drops axes of size 1."""
    source, target = tensor(op.x).shape, tensor(op.result).shape
    return [source[axis] for axis in long_axes(source)] == [target[axis] for axis in long_axes(target)]


def all_users_are(kind: type[Op], op: Op) -> bool:
    return all(isinstance(user, kind) for user in op.result.users())


class SliceOfTranspose(Pattern[Slice]):
    def rewrite(self, op: Slice, rw: Rewriter) -> NoMatch | None:
        move = op.x.defined_by(Transpose)
        if move is None or op.layout is not None or move.layout is not None:
            return NoMatch("x is no transpose")
        if not all_users_are(Slice, move):
            return NoMatch("the transpose is needed as a whole")
        places = [move.perm.index(axis) for axis in range(len(move.perm))]
        part = Slice(
            move.x, starts=tuple(op.starts[at] for at in places), sizes=tuple(op.sizes[at] for at in places),
            steps=tuple(op.steps[at] for at in places) if op.steps else (),
        )  # fmt: skip
        made = rw.insert(part, move)
        rw.replace(op, rw.insert(Transpose(made.result, perm=move.perm), move).result)
        return None


class SliceOfReshape(Pattern[Slice]):
    def rewrite(self, op: Slice, rw: Rewriter) -> NoMatch | None:
        move = op.x.defined_by(Reshape)
        if move is None or op.layout is not None or not is_by_ones(move):
            return NoMatch("x is no reshape by axes of size 1")
        source, target = tensor(move.x).shape, tensor(op.x).shape
        if any(op.sizes[axis] != 1 or op.starts[axis] != 0 for axis, dim in enumerate(target) if dim == 1):
            return NoMatch("an axis of size 1 is sliced")
        place = dict(zip(long_axes(source), long_axes(target), strict=True))
        axes = range(len(source))
        part = Slice(
            move.x,
            starts=tuple(op.starts[place[axis]] if axis in place else 0 for axis in axes),
            sizes=tuple(op.sizes[place[axis]] if axis in place else 1 for axis in axes),
            steps=tuple(op.steps[place[axis]] if axis in place else 1 for axis in axes) if op.steps else (),
        )
        made = rw.insert(part, move)
        rw.replace(op, rw.insert(Reshape(made.result, shape=tensor(op.result).shape), move).result)
        return None


class TransposeOfReshape(Pattern[Transpose]):
    def rewrite(self, op: Transpose, rw: Rewriter) -> NoMatch | None:
        move = op.x.defined_by(Reshape)
        if move is None or op.layout is not None or not is_by_ones(move):
            return NoMatch("x is no reshape by axes of size 1")
        source, target = tensor(move.x).shape, tensor(op.x).shape
        place = dict(zip(long_axes(target), long_axes(source), strict=True))
        moved = [place[axis] for axis in op.perm if axis in place]
        order = iter(moved)
        perm = tuple(next(order) if axis in moved else axis for axis in range(len(source)))
        made = rw.insert(Transpose(move.x, perm=perm), move)
        rw.replace(op, rw.insert(Reshape(made.result, shape=tensor(op.result).shape), move).result)
        return None


UNIT_AXES_PATTERNS: tuple[AnyPattern, ...] = (SliceOfTranspose(), SliceOfReshape(), TransposeOfReshape())
