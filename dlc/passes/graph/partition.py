"""Which ops of a block go together, without a cycle between the groups, and the groups made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlc.errors import InternalError
from dlc.ir.core import Block, Func, Module, Op, Region, Value, merged
from dlc.ir.dialects.graph_flow import Group, Yield
from dlc.ir.dialects.graph_index import READS_BACK
from dlc.ir.dialects.graph_shape import Constant
from dlc.ir.opdef import FINDS_SIZE, TERMINATOR
from dlc.ir.rewrite import Rewriter, definitions, found_sizes
from dlc.passes.graph.fusion_roles import is_elementwise, kernel_of


def blocks_to_fuse(module: Module) -> Iterator[Block]:
    """The blocks of functions and of regions that are no groups, inner ones first."""

    def inside(region: Region) -> Iterator[Block]:
        for block in region.blocks:
            for op in block.ops:
                for inner in () if isinstance(op, Group) else op.regions:
                    yield from inside(inner)
            yield block

    funcs: list[Func] = list(module.funcs.values())
    for func in funcs:
        yield from inside(func.body)


class Partition:
    """The ops of a block in clusters. A cluster is named by the number of its first op; constants are in none.

    The clusters are kept in a topological order (their ranks), so that a search for a path between two of them looks
    only at those in between, and joining two moves only those.
    """

    def __init__(self, block: Block) -> None:
        self.block = block
        self.number = {op: n for n, op in enumerate(block.ops)}
        self.cluster = {
            op: n for op, n in self.number.items() if not isinstance(op, Constant) and not op.spec.has(TERMINATOR)
        }
        self.members: dict[int, list[Op]] = {n: [op] for op, n in self.cluster.items()}
        self.rank = {n: n for n in self.members}  # the block's own order is topological
        self._at_rank = dict(self.rank)
        self.before: dict[int, set[int]] = {n: set() for n in self.members}  # the edges between clusters, both ways
        self.after: dict[int, set[int]] = {n: set() for n in self.members}
        sizes = found_sizes(block)
        for op, n in self.cluster.items():
            for source in definitions(op, block, sizes):
                if (m := self.cluster.get(source)) is not None and m != n:
                    self.before[n].add(m)
                    self.after[m].add(n)

    def of(self, op: Op | None) -> int | None:
        return self.cluster.get(op) if op is not None else None

    def may_join(self, first: int, second: int) -> bool:
        """Whether two clusters may become one: no third one stands between them."""
        return self._dependents(*self._by_rank(first, second)) is not None

    def join(self, first: int, second: int) -> int:
        """Make two clusters one; its name."""
        low, high = self._by_rank(first, second)
        after = self._dependents(low, high)
        if after is None:
            raise InternalError("two clusters with a third between them are joined", op=self.members[high][0])
        keep, gone = min(first, second), max(first, second)
        self._reorder(low, high, after, keep)
        for op in self.members[gone]:
            self.cluster[op] = keep
        self.members[keep] = sorted(self.members[keep] + self.members.pop(gone), key=self.number.__getitem__)
        self._redirect(self.before, self.after, gone, keep)
        self._redirect(self.after, self.before, gone, keep)
        return keep

    @staticmethod
    def _redirect(near: dict[int, set[int]], far: dict[int, set[int]], gone: int, keep: int) -> None:
        """Give `keep` the edges of `gone` in one direction; `far` holds them the other way round."""
        for n in near.pop(gone):
            far[n].discard(gone)
            if n != keep:
                near[keep].add(n)
                far[n].add(keep)

    def _by_rank(self, first: int, second: int) -> tuple[int, int]:
        return (first, second) if self.rank[first] < self.rank[second] else (second, first)

    def _dependents(self, low: int, high: int) -> set[int] | None:
        """The clusters ranked between two that depend on the first; None if the second depends on one of them."""
        limit = self.rank[high]
        found: set[int] = set()
        waiting = [low]
        while waiting:
            at = waiting.pop()
            for n in self.after[at]:
                if n == high and at != low:
                    return None
                if n not in found and self.rank[n] < limit:
                    found.add(n)
                    waiting.append(n)
        return found

    def _reorder(self, low: int, high: int, after: set[int], joined: int) -> None:
        """Rank what depends on the joined cluster after it, and what else stood between the two before it."""
        ranks = [rank for rank in range(self.rank[low], self.rank[high] + 1) if rank in self._at_rank]
        between = [self._at_rank.pop(rank) for rank in ranks][1:-1]
        del self.rank[low], self.rank[high]
        order = [*(n for n in between if n not in after), joined, *(n for n in between if n in after)]
        for rank, n in zip(ranks, order, strict=False):  # one rank is left over
            self.rank[n] = rank
            self._at_rank[rank] = n

    def make_groups(self, rw: Rewriter) -> None:
        """Turn every cluster of several ops into one group."""
        clusters = [ops for _, ops in sorted(self.members.items()) if len(ops) > 1]
        for ops in clusters:
            make_group(ops, rw)
        if clusters:
            rw.sort(self.block)


def make_group(ops: list[Op], rw: Rewriter) -> Group:
    """Put ops of one block, in its order, into a group in their place. The caller sorts the block."""
    inside = set(ops)
    outgoing = [value for op in ops for value in op.results if is_outgoing(value, op, inside)]
    body = Body()
    for op in ops:
        body.add(op)
    body.finish(outgoing)
    group = Group(*body.inputs, kernel=kernel_of(ops), regions=(Region([body.block]),))
    group.loc = merged(op.loc for op in ops)
    rw.insert(group, before=ops[-1])
    group.loc = merged(op.loc for op in ops)
    for old, new in zip(outgoing, group.results, strict=True):
        rw.redirect(old, new)
    for op in reversed(ops):
        if op.parent is not None:  # not yet gone with its last user
            rw.erase(op)
    return group


def is_outgoing(value: Value, op: Op, inside: set[Op]) -> bool:
    """Whether a group yields a result of one of its ops; that of an op run for its size may have no user at all."""
    used = any(user not in inside for user in value.users())
    return used or op.spec.has(READS_BACK) or (op.spec.has(FINDS_SIZE) and not op.has_uses())


class Body:
    """The block of a group while ops are copied into it."""

    def __init__(self) -> None:
        self.block = Block()
        self.inputs: list[Value] = []
        self.inner: dict[Value, Value] = {}

    def add(self, op: Op) -> None:
        """Copy an op, or the ops of a group."""
        for value in op.operands:
            self.read(value, op)
        if not isinstance(op, Group):
            self.block.append(op.clone(self.inner))
            return
        for arg, value in zip(op.body.block.args, op.operands, strict=True):
            self.inner[arg] = self.inner[value]
        for each in op.body.block.ops[:-1]:
            self.block.append(each.clone(self.inner))
        for value, result in zip(op.body.block.terminator.operands, op.results, strict=True):
            self.inner[result] = self.inner[value]

    def read(self, value: Value, reader: Op) -> None:
        """Make a value from outside visible: a constant of one element is copied, all else becomes an input."""
        if value in self.inner:
            return
        source = value.defined_by(Constant)
        if source is not None and source.type.elements == 1 and is_elementwise(reader):
            self.block.append(source.clone(self.inner))
            return
        self.inputs.append(value)
        self.inner[value] = self.block.add_arg(value.type, value.hint)

    def finish(self, outgoing: Iterable[Value]) -> None:
        self.block.append(Yield(*(self.inner[value] for value in outgoing)))
