"""The verifier: structure, dominance, what ops declare, stated types against inferred ones, and `op.check()`.

It reports every violation, not the first. It never changes the IR and survives whatever state it finds.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlc.errors import DlcError
from dlc.ir.attrs import is_attribute
from dlc.ir.core import Attribute, Block, Func, Module, Op, Region, Value
from dlc.ir.diagnostic import Diagnostic, raise_any
from dlc.ir.dialects.func import Return
from dlc.ir.opdef import REQUIRED, TERMINATOR, AttrDef
from dlc.ir.pool import ConstantPool
from dlc.ir.printer import Names, op_line
from dlc.ir.requirements import false_requirement
from dlc.ir.types import Type

# what infer() and check() of an op may raise on operands or attributes that only they can judge
REFUSALS = (DlcError, ValueError, TypeError, LookupError, ArithmeticError, AttributeError)


def verify(module: Module) -> list[Diagnostic]:
    """All violations in a module; none: it is well formed."""
    found = [Diagnostic(f"module attribute {problem}") for problem in _attr_problems(module.attrs)]
    attached = _values_of(module)
    for key, func in module.funcs.items():
        if key != func.name:
            found.append(Diagnostic(f"function {func.name!r} is filed under the name {key!r}"))
        found += _FuncVerifier(func, module.pool, attached).run()
    return found


def verify_or_raise(module: Module, context: str = "invalid IR") -> None:
    """Raise an InternalError that lists the violations, if there are any."""
    raise_any(verify(module), context)


def _values_of(module: Module) -> dict[Value, Func]:
    """Every value that the module defines, and where."""
    values: dict[Value, Func] = {}
    for func in module.funcs.values():
        for region in (func.body, *(r for op in func.walk() for r in op.regions)):
            for block in region.blocks:
                values |= dict.fromkeys([*block.args, *(v for op in block.ops for v in op.results)], func)
    return values


def _attr_problems(attrs: dict[str, Attribute]) -> Iterator[str]:
    for key, value in attrs.items():
        if not is_attribute(value):
            yield f"{key}: a {type(value).__name__} is not an attribute"


class _FuncVerifier:
    """Walks one function in order, knowing which values are defined at each place."""

    def __init__(self, func: Func, pool: ConstantPool, attached: dict[Value, Func]) -> None:
        self.func = func
        self.pool = pool
        self.attached = attached
        self.found: list[Diagnostic] = []
        self.scope: set[Value] = set()
        self.seen: set[Op] = set()
        self.names: Names | None = None

    def run(self) -> list[Diagnostic]:
        func = self.func
        for problem in _attr_problems(func.attrs):
            self.report(f"function {func.name!r}: attribute {problem}")
        if len(func.body.blocks) != 1:
            self.report(f"function {func.name!r} has {len(func.body.blocks)} blocks, not one")
        if func.body.parent is not None:
            self.report(f"function {func.name!r}: its body belongs to an op")
        self.region(func.body, None)
        self.ending()
        return self.found

    def report(self, message: str, op: Op | None = None) -> None:
        if op is None:
            self.found.append(Diagnostic(message))
            return
        if self.names is None:  # named once, when there is something to report
            self.names = Names(self.func.body)
        self.found.append(Diagnostic(f"{op.name}: {message}", op.loc, op_line(op, self.names, self.pool)))

    def ending(self) -> None:
        for block in self.func.body.blocks:
            last = block.ops[-1] if block.ops else None
            if not isinstance(last, Return):
                self.report(f"function {self.func.name!r} does not end in func.return", last)
            elif tuple(v.type for v in last.operands) != self.func.results:
                wanted = ", ".join(map(str, self.func.results))
                self.report(f"function {self.func.name!r} must return ({wanted})", last)

    # -- structure and dominance -------------------------------------------------------------------------------------

    def region(self, region: Region, owner: Op | None) -> None:
        for block in region.blocks:
            if block.parent is not region:
                self.report("a block does not know its region", owner)
            self.scope -= self.block(block, owner)

    def block(self, block: Block, owner: Op | None) -> set[Value]:
        """Check a block; the values that it defined."""
        defined: set[Value] = set()
        for number, arg in enumerate(block.args):
            if arg.owner is not block or arg.index != number:
                self.report(f"block argument {number} does not know its place", owner)
            self.uses(arg, owner)
            defined.add(arg)
        self.scope |= defined
        for op in block.ops:
            self.op(op, block)
            self.scope.update(op.results)
            defined.update(op.results)
        return defined

    def op(self, op: Op, block: Block) -> None:
        if op in self.seen:
            self.report("stands in two places", op)
            return
        self.seen.add(op)
        if op.parent is not block:
            self.report("does not know its block", op)
        if op.spec.has(TERMINATOR) and op is not block.ops[-1]:
            self.report("a terminator must be the last op of its block", op)
        for number, value in enumerate(op.results):
            if value.owner is not op or value.index != number:
                self.report(f"result {number} does not know its place", op)
            self.uses(value, op)
        for number, value in enumerate(op.operands):
            self.operand(op, number, value)
        for region in op.regions:
            if region.parent is not op:
                self.report("a region does not know its op", op)
            self.region(region, op)
        for problem in declared_problems(op):
            self.report(problem, op)

    def operand(self, op: Op, number: int, value: Value) -> None:
        if (op, number) not in value.uses:
            self.report(f"operand {number} does not list this use", op)
        if value in self.scope:
            return
        home = self.attached.get(value)
        if home is None:
            self.report(f"operand {number} is defined nowhere in the module", op)
        elif home is not self.func:
            self.report(f"operand {number} belongs to function {home.name!r}", op)
        else:
            self.report(f"operand {number} is used where it is not defined yet, or not visible", op)

    def uses(self, value: Value, where: Op | None) -> None:
        for user, number in value.uses:
            if number >= len(user.operands) or user.operands[number] is not value:
                self.report(f"a value lists a use by {user.name} that is not there", where)


# -- one op against its declaration -----------------------------------------------------------------------------------


def declared_problems(op: Op) -> list[str]:
    """What is wrong with one op by itself. Types and `check()` are judged only when the declaration holds."""
    problems = [*_operand_problems(op), *_op_attr_problems(op), *_region_problems(op)]
    return problems or [*_check_problems(op)]


def _operand_problems(op: Op) -> Iterator[str]:
    try:
        definitions = op.spec.operand_defs(len(op.operands))
    except ValueError as error:
        yield str(error)
        return
    for number, (value, definition) in enumerate(zip(op.operands, definitions, strict=True)):
        for constraint in definition.constraints:
            if not constraint.holds(value.type):
                yield f"operand {number} ({definition.name}) must be {constraint.text}, got {value.type}"


def _op_attr_problems(op: Op) -> Iterator[str]:
    for problem in _attr_problems(op.attrs):
        yield f"attribute {problem}"
    for key in (key for key in op.attrs if key not in op.spec.attrs):
        yield f"there is no attribute {key!r}"
    for key, definition in op.spec.attrs.items():
        if key not in op.attrs:
            if definition.default is REQUIRED:
                yield f"attribute {key!r} is missing"
        elif not of_kind(op.attrs[key], definition):
            wanted = definition.kind.__name__ if definition.kind is not None else "?"
            yield f"attribute {key!r} must be of kind {wanted}, got {op.attrs[key]!r}"


def of_kind(value: Attribute, definition: AttrDef[object]) -> bool:
    """Whether a value fits the declaration; a bool is no int, and None fits where it is the default."""
    kind = definition.kind
    if kind is None or kind is object or (value is None and definition.default is None):
        return True
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _region_problems(op: Op) -> Iterator[str]:
    wanted = len(op.spec.regions)
    if len(op.regions) != wanted:
        yield f"expected {wanted} regions, got {len(op.regions)}"
    for name, region in zip(op.spec.regions, op.regions, strict=False):
        if len(region.blocks) != 1:
            yield f"region {name!r} must have one block, got {len(region.blocks)}"
        elif not region.block.ops or not region.block.ops[-1].spec.has(TERMINATOR):
            yield f"region {name!r} does not end in a terminator"


def _check_problems(op: Op) -> Iterator[str]:
    count = 0
    try:
        for count, message in enumerate(op.check(), 1):  # noqa: B007  # counted for what follows
            yield message
    except REFUSALS as error:
        count += 1
        yield f"cannot be checked: {error}"
    if not count:
        try:
            if (broken := false_requirement(op)) is not None:
                count += 1
                yield broken.text
        except REFUSALS as error:
            count += 1
            yield f"what it needs of sizes cannot be told: {error}"
    try:
        inferred = op.infer()
    except REFUSALS as error:
        if not count:  # else a check has said it better
            yield f"its result types cannot be inferred: {error}"
        return
    stated = tuple(value.type for value in op.results)
    if inferred != stated:
        yield f"its result must be of type {_listed(inferred)}, stated is {_listed(stated)}"


def _listed(types: tuple[Type, ...]) -> str:
    return str(types[0]) if len(types) == 1 else f"({', '.join(map(str, types))})"
