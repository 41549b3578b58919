"""Changing IR: patterns that match one op, the rewriter that alone mutates, and the worklist that applies them.

    class DropDoubleNeg(Pattern[Neg]):
        def rewrite(self, op: Neg, rw: Rewriter) -> NoMatch | None:
            if (inner := op.x.defined_by(Neg)) is None:
                return NoMatch("x is not a neg")
            rw.replace(op, inner.x)
            return None

A pattern either returns `NoMatch` and has changed nothing, or changes the IR through the rewriter and returns None.
"""

from __future__ import annotations

import types
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, Union, get_args, get_origin

from dlc.errors import InternalError
from dlc.ir.core import Attribute, Block, Module, Op, Region, Value, merged
from dlc.ir.expr import Expr
from dlc.ir.opdef import FINDS_SIZE, PURE, TERMINATOR
from dlc.ir.pool import ConstantPool
from dlc.ir.types import TensorType
from dlc.record import record

OpT = TypeVar("OpT", bound=Op)
NewOp = TypeVar("NewOp", bound=Op)

WINDOW = 64  # how far an op may have moved before the places of all ops are noted anew


@record
class NoMatch:
    """Why a pattern does not apply; counted for ``--explain``."""

    reason: str


@record(frozen=False)
class Explain:
    """How often each pattern fired, and why it did not, by (pass, pattern)."""

    current: str = ""  # the pass that runs
    fired: Counter[tuple[str, str]] = field(default_factory=Counter)
    refused: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def fire(self, pattern: str) -> None:
        self.fired[self.current, pattern] += 1

    def refuse(self, pattern: str, reason: str) -> None:
        self.refused[self.current, pattern, reason] += 1

    def lines(self, pass_name: str) -> list[str]:
        """What a pass did and did not do, one line each, most frequent first."""
        fired = [(f"{pattern}: fired", n) for (name, pattern), n in self.fired.items() if name == pass_name]
        refused = [(f"{pattern}: {why}", n) for (name, pattern, why), n in self.refused.items() if name == pass_name]
        return [f"{n:6} {text}" for text, n in sorted(fired + refused, key=lambda each: (-each[1], each[0]))]


class RewriteContext(Protocol):
    """What a rewrite needs of a pass's context."""

    @property
    def explain(self) -> Explain: ...
    @property
    def pool(self) -> ConstantPool: ...


class Pattern(Generic[OpT]):
    """A local rewrite of the ops of one class (or of its subclasses, or of a union of classes)."""

    kinds: ClassVar[tuple[type[Op], ...]] = ()  # read from the annotation `Pattern[Conv | MatMul]`

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for base in cls.__dict__.get("__orig_bases__", ()):
            origin = get_origin(base)
            if isinstance(origin, type) and issubclass(origin, Pattern):
                cls.kinds = matched_kinds(get_args(base)) or cls.kinds

    @property
    def name(self) -> str:
        return type(self).__name__

    def rewrite(self, op: OpT, rw: Rewriter) -> NoMatch | None:
        """Rewrite `op`, or say why not. Guards come first; nothing is changed before the last of them."""
        raise NotImplementedError


AnyPattern: TypeAlias = Pattern[Any]  # a list of patterns holds some for each class of op


def matched_kinds(arguments: Sequence[object]) -> tuple[type[Op], ...]:
    """The op classes in a pattern's annotation; a type variable gives none."""
    found: list[type[Op]] = []
    for argument in arguments:
        members = get_args(argument) if get_origin(argument) in (types.UnionType, Union) else (argument,)
        found += [member for member in members if isinstance(member, type) and issubclass(member, Op)]
    return tuple(found)


class Rewriter:
    """The only thing that mutates IR. It keeps locations, use lists and the worklist right."""

    def __init__(self, pool: ConstantPool) -> None:
        self.pool = pool
        self.changed = False
        self.root: Op | None = None  # the op being matched: where `insert` inserts
        self._worklist: deque[Op] = deque()
        self._queued: set[Op] = set()
        self._places: dict[Op, int] = {}  # where an op was last seen in its block
        self._drift = 0  # how far the op looked for last had moved: its neighbours have moved as far

    # -- what patterns call ------------------------------------------------------------------------------------------

    def insert(self, op: NewOp, *origins: Op, before: Op | None = None) -> NewOp:
        """Put a new op before the matched one (or before `before`); it comes from the matched op and from `origins`."""
        anchor = before or self.root
        if anchor is None or anchor.parent is None:
            raise InternalError(f"no place to insert {op.name}", op=op)
        sources = (*origins, anchor)
        op.loc = merged((op.loc, *(source.loc for source in sources)))
        self._put(anchor.parent, self._place(anchor), op)
        return op

    def append(self, block: Block, op: NewOp) -> NewOp:
        """Put a new op at the end of a block."""
        self._put(block, len(block.ops), op)
        return op

    def replace(self, op: Op, *values: Value) -> None:
        """Use `values` where the results of `op` are used, and erase `op`."""
        if len(values) != len(op.results):
            raise InternalError(f"{op.name} has {len(op.results)} results, got {len(values)} replacements", op=op)
        for old, new in zip(op.results, values, strict=True):
            self.redirect(old, new)
        self.erase(op)

    def redirect(self, old: Value, new: Value) -> None:
        """Use `new` wherever `old` is used."""
        if old.type != new.type:
            raise InternalError(f"a value of type {old.type} replaced by one of {new.type}", op=old.defining_op)
        new.hint = new.hint or old.hint
        self._queue_all(old.users())
        old.replace_all_uses_with(new)
        self.changed = True
        if new.defining_op is not None:
            self._queue(new.defining_op)

    def erase(self, op: Op) -> None:
        """Take out an op without uses, and every pure op that only it used."""
        if op.has_uses():
            raise InternalError(f"{op.name} is erased but still used", op=op)
        doomed = [op]
        while doomed:
            dead = doomed.pop()
            if dead.parent is None:
                continue
            sources = [value.defining_op for each in dead.walk() for value in each.operands]
            dead.drop_all()
            self._take(dead)
            for source in dict.fromkeys(sources):
                if source is None or source.parent is None:
                    continue
                self._queue(source)
                for value in source.results:
                    if value.has_one_use():  # what is used once now may match now
                        self._queue_all(value.users())
                if is_pure(source) and not source.has_uses():
                    doomed.append(source)

    def fitting(self, op: NewOp, old: Op) -> NewOp | None:
        """A new op, not inserted yet, if its results have the types of those of `old`; else it is dropped."""
        if [value.type for value in op.results] == [value.type for value in old.results]:
            return op
        op.drop_operands()
        return None

    def set_operand(self, op: Op, number: int, value: Value) -> None:
        """Read another value; the types of the results must stay. The old one's op goes if nothing else uses it."""
        old = op.operands[number].defining_op
        op.set_operand(number, value)
        self.touch(op)
        if old is not None and is_pure(old) and not old.has_uses():
            self.erase(old)

    def touch(self, op: Op) -> None:
        """Say that an op has changed: it and its users may match now."""
        self.changed = True
        self._queue(op)
        self._queue_all(user for value in op.results for user in value.users())

    def sort(self, block: Block) -> None:
        """Reorder a block so that definitions precede uses; ops that need not move keep their order."""
        ordered = sorted_ops(block)
        if any(old is not new for old, new in zip(block.ops, ordered, strict=True)):
            block.ops = ordered
            self.changed = True

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _put(self, block: Block, at: int, op: Op) -> None:
        block.insert(at, op)
        self._places[op] = at
        self.changed = True
        self._queue(op)

    def _take(self, op: Op) -> None:
        block = op.parent
        if block is not None:
            del block.ops[self._place(op)]
            op.parent = None
        self._places.pop(op, None)
        self._queued.discard(op)
        self.changed = True

    def _place(self, op: Op) -> int:
        """The index of an op in its block, looked for near where it was: blocks change little by little."""
        block = op.parent
        if block is None:
            raise InternalError(f"{op.name} is in no block", op=op)
        was = self._places.get(op)
        if was is not None:
            start = max(was + self._drift - WINDOW, 0)
            try:
                at = block.ops.index(op, start, start + 2 * WINDOW)
            except ValueError:
                pass
            else:
                self._places[op], self._drift = at, at - was
                return at
        self._places |= {each: at for at, each in enumerate(block.ops)}
        self._drift = 0
        if block.ops[self._places.get(op, 0)] is not op:
            raise InternalError(f"{op.name} is not in its block", op=op)
        return self._places[op]

    # -- worklist ----------------------------------------------------------------------------------------------------

    def _queue(self, op: Op) -> None:
        if op not in self._queued:
            self._queued.add(op)
            self._worklist.append(op)

    def _queue_all(self, ops: Iterable[Op]) -> None:
        for op in ops:
            self._queue(op)

    def _next(self) -> Op | None:
        while self._worklist:
            op = self._worklist.popleft()
            if op in self._queued:
                self._queued.discard(op)
                if op.parent is not None:
                    return op
        return None

    def _start(self, regions: Iterable[Region]) -> int:
        """Queue every op; their number."""
        for region in regions:
            for block in region.blocks:
                for at, op in enumerate(block.ops):
                    self._places[op] = at
                    self._queue(op)
                    self._start(op.regions)
        return len(self._queued)


def rebuilt(op: NewOp, operands: Iterable[Value], changes: Mapping[str, Attribute] | None = None) -> NewOp:
    """A new op of the same kind with other operands and some attributes changed; its result types are inferred anew."""
    attrs: dict[str, Any] = {**op.attrs, **(changes or {})}
    return type(op)(*operands, **attrs)


def sorted_ops(block: Block) -> list[Op]:
    """The ops of a block, definitions before uses; stable. Raises InternalError where there is a cycle."""
    ordered: list[Op] = []
    state: dict[Op, int] = {}  # 1: its definitions are being placed; 2: placed
    sizes = found_sizes(block)
    for first in block.ops:
        stack = [first]
        while stack:
            op = stack[-1]
            if state.get(op) == 2:
                stack.pop()
                continue
            waiting = [d for d in definitions(op, block, sizes) if state.get(d) != 2] if state.get(op) is None else []
            if any(state.get(each) == 1 for each in waiting):
                raise InternalError(f"{op.name} depends on itself", op=op)
            state[op] = 1 if waiting else 2
            stack += reversed(waiting)
            if not waiting:
                ordered.append(stack.pop())
    return ordered


def definitions(op: Op, block: Block, sizes: Mapping[str, Op]) -> list[Op]:
    """The ops of `block` whose results, or the sizes that they find (`found_sizes`), `op` or an op inside it uses."""
    used = op.operands if not op.regions else [value for each in op.walk() for value in each.operands]
    found = [d for value in used if (d := value.defining_op) is not None and d.parent is block and d is not op]
    if sizes:
        found += [sizes[name] for name in sorted(mentioned(op) & sizes.keys()) if sizes[name] is not op]
    return found


def found_sizes(block: Block) -> dict[str, Op]:
    """The dimensions that ops of a block find out when they run, each with the op (or the one around it)."""
    finders = (
        (each, op) for op in block.ops for each in (op.walk() if op.regions else (op,)) if each.spec.has(FINDS_SIZE)
    )
    return {name: op for each, op in finders for name in sizes_of(each)}


def sizes_of(op: Op) -> tuple[str, ...]:
    """The dimensions that an op of the trait FINDS_SIZE makes known."""
    names = op.attrs.get("sizes", ()) if "sizes" in op.spec.attrs else (op.attrs["size"],)
    return tuple(map(str, names)) if isinstance(names, tuple) else ()


def mentioned(op: Op) -> set[str]:
    """The symbols in the attributes and the result types of an op and those inside it."""
    found: set[str] = set()
    for each in op.walk():
        shapes = [value.type.shape for value in each.results if isinstance(value.type, TensorType)]
        for item in (*(dim for shape in shapes for dim in shape), *each.attrs.values()):
            for part in item if isinstance(item, tuple) else (item,):
                found |= part.symbols() if isinstance(part, Expr) else set()
    return found


def is_pure(op: Op) -> bool:
    """Whether an op that nobody uses may go: its results, and those of the ops inside it, are all that it does."""
    if op.name == "graph.if" and not sizes_of(op):
        inner = (each for region in op.regions for block in region.blocks for each in block.ops)
        return all(is_pure(each) or each.spec.has(TERMINATOR) for each in inner)
    return op.spec.has(PURE) and not (op.regions and any(each.spec.has(FINDS_SIZE) for each in op.walk()))


def apply_patterns(where: Module | Region, patterns: Iterable[AnyPattern], cx: RewriteContext) -> bool:
    """Apply patterns, the first that matches, until none does. Returns whether anything changed."""
    rw = Rewriter(cx.pool)
    count = rw._start([func.body for func in where.funcs.values()] if isinstance(where, Module) else [where])
    left = 10 * count + 1000
    by_kind = PatternsByKind(patterns)
    last: deque[str] = deque(maxlen=2)
    while (op := rw._next()) is not None:
        for pattern in by_kind.of(type(op)):
            rw.root = op
            found = pattern.rewrite(op, rw)
            if found is not None:
                cx.explain.refuse(pattern.name, found.reason)
                continue
            cx.explain.fire(pattern.name)
            last.append(pattern.name)
            left -= 1
            if left < 0:
                raise InternalError(f"patterns never come to an end; the last two were {' and '.join(last)}", op=op)
            if op.parent is not None:
                rw._queue(op)
            break
    return rw.changed


class PatternsByKind:
    """Which patterns may match an op of a class, in their order."""

    def __init__(self, patterns: Iterable[AnyPattern]) -> None:
        self._patterns = tuple(patterns)
        self._found: dict[type[Op], tuple[AnyPattern, ...]] = {}

    def of(self, kind: type[Op]) -> tuple[AnyPattern, ...]:
        if kind not in self._found:
            self._found[kind] = tuple(p for p in self._patterns if issubclass(kind, p.kinds))
        return self._found[kind]
