"""The objects of the IR: values, ops, blocks, regions, functions and modules, and the links between them.

Only this file's objects are mutable. They keep one invariant: a value knows each of its uses, so that a use can be
replaced without a search. What an op *is* (its operands' names, attributes, types) is declared in `dlc.ir.opdef`;
here it is only a box with operands, attributes, results and regions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, ClassVar, Self, TypeAlias, TypeVar

from dlc.ir.types import Type
from dlc.record import record

if TYPE_CHECKING:
    from dlc.ir.expr import Dim
    from dlc.ir.opdef import OpSpec
    from dlc.ir.pool import ConstantPool
    from dlc.ir.requirements import Requirement

T = TypeVar("T", bound="Op")


@record
class Location:
    """Where an op comes from: the names of the model's nodes, in the order in which rewrites merged them."""

    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " + ".join(self.names) or "?"

    def __bool__(self) -> bool:
        return bool(self.names)


UNKNOWN = Location()


def merged(locations: Iterable[Location]) -> Location:
    """One location that names the nodes of all, each once, in order."""
    return Location(tuple(dict.fromkeys(name for loc in locations for name in loc.names)))


class Value:
    """A result of an op or an argument of a block."""

    __slots__ = ("hint", "index", "owner", "type", "uses")

    def __init__(self, value_type: Type, owner: Op | Block, index: int, hint: str | None = None) -> None:
        self.type = value_type
        self.owner = owner
        self.index = index
        self.hint = hint  # a name to print; never a meaning
        self.uses: dict[tuple[Op, int], None] = {}  # ordered set of (op, operand number)

    def defined_by(self, kind: type[T]) -> T | None:
        """The op that defines this value, if it is of `kind`."""
        return self.owner if isinstance(self.owner, kind) else None

    @property
    def defining_op(self) -> Op | None:
        return self.owner if isinstance(self.owner, Op) else None

    def users(self) -> list[Op]:
        """The ops that use this value, each once."""
        return list(dict.fromkeys(op for op, _ in self.uses))

    def has_one_use(self) -> bool:
        return len(self.uses) == 1

    def replace_all_uses_with(self, other: Value) -> None:
        for op, number in list(self.uses):
            op.set_operand(number, other)


Attribute: TypeAlias = (
    "None | bool | int | float | str | Type | object | tuple[Attribute, ...]"
)  # object: Expr, DenseRef, SymbolRef; ir.attrs lists what prints


class Op:
    """An operation. Subclasses are declared with `opdef.op_def`; `Op.unchecked` builds one without checks."""

    __slots__ = ("attrs", "loc", "operands", "parent", "regions", "results")

    spec: ClassVar[OpSpec]

    operands: list[Value]
    results: list[Value]
    attrs: dict[str, Attribute]
    regions: list[Region]
    parent: Block | None
    loc: Location

    if TYPE_CHECKING:  # op_def supplies it; see opdef._construct

        def __init__(
            self, *operands: Value | None, regions: Iterable[Region] = (), loc: Location = UNKNOWN, **attrs: Attribute
        ) -> None: ...

    @classmethod
    def unchecked(
        cls,
        operands: Iterable[Value],
        attrs: Mapping[str, Attribute] | None = None,
        result_types: Iterable[Type] = (),
        regions: Iterable[Region] = (),
        loc: Location = UNKNOWN,
    ) -> Self:
        """Build an op as stated, even a wrong one: for the parser, for clones and for tests of the verifier."""
        op = cls.__new__(cls)
        op.operands = list(operands)
        op.attrs = dict(attrs) if attrs else {}
        op.results = [Value(result_type, op, n) for n, result_type in enumerate(result_types)]
        op.regions = list(regions)
        op.parent = None
        op.loc = loc
        for number, value in enumerate(op.operands):
            value.uses[op, number] = None
        for region in op.regions:
            region.parent = op
        return op

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def result(self) -> Value:
        """The only result."""
        if len(self.results) != 1:
            raise ValueError(f"{self.name} has {len(self.results)} results, not one")
        return self.results[0]

    def set_operand(self, number: int, value: Value) -> None:
        del self.operands[number].uses[self, number]
        self.operands[number] = value
        value.uses[self, number] = None

    def set_operands(self, values: Iterable[Value]) -> None:
        self.drop_operands()
        self.operands = list(values)
        for number, value in enumerate(self.operands):
            value.uses[self, number] = None

    def drop_operands(self) -> None:
        for number, value in enumerate(self.operands):
            value.uses.pop((self, number), None)
        self.operands = []

    def has_uses(self) -> bool:
        return any(value.uses for value in self.results)

    def erase(self) -> None:
        """Take the op out of its block. Its results must have no uses."""
        if self.has_uses():
            raise ValueError(f"{self.name} at {self.loc} is still used")
        self.drop_all()
        if self.parent is not None:
            self.parent.remove(self)

    def drop_all(self) -> None:
        """Drop the operands of this op and of every op inside it."""
        for region in self.regions:
            for block in region.blocks:
                for op in block.ops:
                    op.drop_all()
        self.drop_operands()

    def walk(self) -> Iterator[Op]:
        """This op and all ops inside it, outer before inner."""
        yield self
        yield from _inside(self.regions)

    def parent_op(self) -> Op | None:
        block = self.parent
        return block.parent.parent if block is not None and block.parent is not None else None

    def clone(self, mapping: dict[Value, Value]) -> Op:
        """A copy with operands looked up in `mapping`, which learns the new results and block arguments."""
        copy = type(self).unchecked(
            [mapping.get(v, v) for v in self.operands], self.attrs, [v.type for v in self.results], loc=self.loc
        )
        for old, new in zip(self.results, copy.results, strict=True):
            new.hint = old.hint
            mapping[old] = new
        for region in self.regions:
            copy.add_region(region.clone(mapping))
        return copy

    def add_region(self, region: Region) -> None:
        region.parent = self
        self.regions.append(region)

    def check(self) -> Iterator[str]:
        """Violations that the declaration cannot express; overridden by ops."""
        return iter(())

    def requires(self) -> Iterable[Requirement]:
        """What the op needs of its sizes, in terms of dimensions and attributes; overridden by ops. Only asked where
        `check` finds nothing. That no result has a negative size need not be said (`requirements.requirements`).
        """
        return ()

    def stretched(self) -> Iterable[tuple[int, Sequence[Dim]]]:
        """The operands that broadcast: the number of each, and the shape that its axes are read as. Axes that are not
        of size 1 there and differ have been required to fit (`requires`); overridden by ops that broadcast.
        """
        return ()

    def infer(self) -> tuple[Type, ...]:
        """The result types; overridden by ops that have results."""
        return ()

    def __repr__(self) -> str:
        return f"<{self.spec.name} at {self.loc}>"


class Block:
    """A list of ops with arguments."""

    __slots__ = ("args", "ops", "parent")

    def __init__(self, arg_types: Iterable[Type] = (), hints: Iterable[str | None] = ()) -> None:
        self.args: list[Value] = []
        self.ops: list[Op] = []
        self.parent: Region | None = None
        names = list(hints)
        for n, arg_type in enumerate(arg_types):
            self.add_arg(arg_type, names[n] if n < len(names) else None)

    def add_arg(self, arg_type: Type, hint: str | None = None) -> Value:
        value = Value(arg_type, self, len(self.args), hint)
        self.args.append(value)
        return value

    def remove_arg(self, number: int) -> None:
        if self.args[number].uses:
            raise ValueError(f"block argument {number} is still used")
        del self.args[number]
        for n, value in enumerate(self.args):
            value.index = n

    def append(self, op: T) -> T:
        op.parent = self
        self.ops.append(op)
        return op

    def insert(self, at: int, op: Op) -> None:
        op.parent = self
        self.ops.insert(at, op)

    def insert_before(self, anchor: Op, op: Op) -> None:
        self.insert(self.index_of(anchor), op)

    def insert_after(self, anchor: Op, op: Op) -> None:
        self.insert(self.index_of(anchor) + 1, op)

    def index_of(self, op: Op) -> int:
        for at, other in enumerate(self.ops):
            if other is op:
                return at
        raise ValueError(f"{op.name} is not in this block")

    def remove(self, op: Op) -> None:
        del self.ops[self.index_of(op)]
        op.parent = None

    @property
    def terminator(self) -> Op:
        return self.ops[-1]

    def walk(self) -> Iterator[Op]:
        for op in list(self.ops):
            yield op
            if op.regions:
                yield from _inside(op.regions)

    def clone(self, mapping: dict[Value, Value]) -> Block:
        copy = Block()
        for arg in self.args:
            mapping[arg] = copy.add_arg(arg.type, arg.hint)
        for op in self.ops:
            copy.append(op.clone(mapping))
        return copy


def _inside(regions: Iterable[Region]) -> Iterator[Op]:
    """All ops in regions, outer before inner; a region is looked at when its turn comes."""
    waiting = [_listed(regions)]
    while waiting:
        for op in waiting[-1]:
            yield op
            if op.regions:
                waiting.append(_listed(op.regions))
                break
        else:
            waiting.pop()


def _listed(regions: Iterable[Region]) -> Iterator[Op]:
    return iter([op for region in regions for block in region.blocks for op in block.ops])


class Region:
    """Blocks that belong to an op. Almost all of ours have one block."""

    __slots__ = ("blocks", "parent")

    def __init__(self, blocks: Iterable[Block] = ()) -> None:
        self.blocks: list[Block] = []
        self.parent: Op | None = None
        for block in blocks:
            self.add_block(block)

    def add_block(self, block: Block) -> Block:
        block.parent = self
        self.blocks.append(block)
        return block

    @property
    def block(self) -> Block:
        """The only block."""
        if len(self.blocks) != 1:
            raise ValueError(f"region has {len(self.blocks)} blocks, not one")
        return self.blocks[0]

    def walk(self) -> Iterator[Op]:
        for block in self.blocks:
            yield from block.walk()

    def clone(self, mapping: dict[Value, Value]) -> Region:
        return Region(block.clone(mapping) for block in self.blocks)


GENERAL = "general"  # the second body of a model whose axes may broadcast: see dlc/ir/guards.py
BODIES = ("main", GENERAL)


@record(frozen=False, eq=False)
class Func:
    """A function: a name, a body whose block arguments are its parameters, and result types.

    `attrs` holds what belongs to the function as a whole, such as the names of inputs and outputs.
    """

    name: str
    body: Region
    results: tuple[Type, ...] = ()
    attrs: dict[str, Attribute] = field(default_factory=dict)

    @property
    def block(self) -> Block:
        return self.body.block

    @property
    def args(self) -> list[Value]:
        return self.block.args

    @property
    def terminator(self) -> Op:
        return self.block.terminator

    def walk(self) -> Iterator[Op]:
        return self.body.walk()

    def listed(self, name: str) -> tuple[object, ...]:
        """The members of a list among the attributes; none if it is not there."""
        members = self.attrs.get(name, ())
        if not isinstance(members, tuple):
            raise TypeError(f"{name} of {self.name} is no list")
        return members

    def clone(self, name: str | None = None) -> Func:
        return Func(name or self.name, self.body.clone({}), self.results, dict(self.attrs))


@record(frozen=False, eq=False)
class Module:
    """Functions by name, and the pool that holds the contents of their constants."""

    pool: ConstantPool
    funcs: dict[str, Func] = field(default_factory=dict)
    name: str = "model"
    files: tuple[str, ...] = ()  # beside the model's own: where constants of the pool come from
    attrs: dict[str, Attribute] = field(default_factory=dict)

    @property
    def main(self) -> Func:
        return self.funcs["main"]

    @property
    def bodies(self) -> tuple[Func, ...]:
        """What a run may be: `main`, and the function that takes the sizes that `main` does not, if there is one."""
        return tuple(self.funcs[name] for name in BODIES if name in self.funcs)

    def add(self, func: Func) -> Func:
        if func.name in self.funcs:
            raise ValueError(f"function {func.name!r} exists already")
        self.funcs[func.name] = func
        return func

    def walk(self) -> Iterator[Op]:
        for func in list(self.funcs.values()):
            yield from func.walk()

    def clone(self) -> Module:
        """A deep copy of the IR; the pool is shared (its entries are immutable)."""
        copy = Module(self.pool, name=self.name, files=self.files, attrs=dict(self.attrs))
        for func in self.funcs.values():
            copy.add(func.clone())
        return copy


class Builder:
    """Puts new ops at an insertion point and gives them a location."""

    def __init__(self, block: Block, at: int | None = None, loc: Location = UNKNOWN) -> None:
        self.block = block
        self.at = at  # None: at the end
        self.loc = loc

    @classmethod
    def before(cls, op: Op) -> Builder:
        if op.parent is None:
            raise ValueError(f"{op.name} is in no block")
        return cls(op.parent, op.parent.index_of(op), op.loc)

    def insert(self, op: T) -> T:
        if not op.loc:
            op.loc = self.loc
        if self.at is None:
            self.block.append(op)
        else:
            self.block.insert(self.at, op)
            self.at += 1
        return op
