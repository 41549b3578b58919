"""Kernel language to plain loop nests: an evaluator that emits what it cannot compute.

What is known at compile time (shapes, attributes, lists, conditions on them) disappears; loops, loads and arithmetic
become ops of the loop level. The result is the plain nest that the schedule then rewrites.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlc.errors import UserError
from dlc.ir.core import Block, Location, Region, Value
from dlc.ir.dialects import arith, loop
from dlc.ir.expr import Expr, const
from dlc.ir.expr_bounds import Range, largest, last_index
from dlc.ir.simplify import simplify
from dlc.ir.types import INDEX, SI64
from dlc.kernel_language import syntax as s
from dlc.kernel_language.library import Library
from dlc.passes.lower import builtins
from dlc.passes.lower.arrays import (
    Array,
    Variable,
    load_element,
    make_array,
    make_variable,
    set_variable,
    store_element,
    variable_value,
)
from dlc.passes.lower.frame import Binding, Frame, GiveValue, Tensor
from dlc.passes.lower.repeats import Recording, call_key, recording
from dlc.passes.lower.scalars import Emitter, Scalar, UnknownSize, as_index, as_int, as_list, as_number


class Elaborator:
    """Elaborates definitions of one kernel into one function body."""

    def __init__(self, library: Library, binding: Binding, loc: Location) -> None:
        self.library = library
        self.binding = binding
        self.emit = Emitter(loc)
        self.ranges: dict[str, Range] = {}  # of loop variables
        self.simpler: dict[Expr, Expr] = {}  # what has been simplified so far
        self.memos: list[dict[object, Scalar]] = [{}]
        self.recordings: dict[object, Recording] = {}  # of the scalar functions called so far
        self.depth = 0

    # -- blocks ------------------------------------------------------------------------------------------------------

    @contextmanager
    def inside(self, block: Block) -> Iterator[None]:
        """Emit into `block` for a while."""
        outer = self.emit.block
        self.emit.block = block
        self.memos.append({})
        try:
            yield
        finally:
            self.emit.block = outer
            self.memos.pop()

    def remembered(self, key: object) -> Scalar | None:
        """A value computed before in this block or one around it."""
        for memo in reversed(self.memos):
            if key in memo:
                return memo[key]
        return None

    def remember(self, key: object, value: Scalar) -> Scalar:
        self.memos[-1][key] = value
        return value

    def open_loop(self, name: str, lower: Expr, upper: Expr) -> tuple[Block, Expr]:
        """A body for a loop called `name` and the expression of its variable."""
        block = Block([INDEX], [name.replace(".", "_")])
        variable = self.emit.fresh_variable(block.args[0])
        low = lower.value if lower.is_const else None
        end = largest(upper, self.ranges)
        self.ranges[next(iter(variable.symbols()))] = (low, None if end is None else last_index(end))
        return block, variable

    def close_loop(
        self, name: str, lower: Expr, upper: Expr, block: Block, inits: list[Value], ends: list[Value]
    ) -> loop.For:
        block.append(loop.Yield(*ends, loc=self.emit.loc))
        indices, (low, high) = self.emit.localized((lower, upper))
        made = loop.For(
            *indices, *inits, lower=low, upper=high, carried=len(inits), name_hint=name, regions=[Region([block])]
        )
        return self.emit.add(made)

    def loop_ranges(self, ranges: tuple[s.Range, ...], frame: Frame) -> list[tuple[str, str, Expr, Expr]]:
        """(name in scope, name of the loop, lower, upper) for each loop that the ranges stand for."""
        loops = []
        for item in ranges:
            upper = self.expression(item.upper, frame)
            if item.splat:
                if not isinstance(upper, list):
                    raise UserError(f"*{item.name} needs a list of extents")
                lowers = [0] * len(upper) if item.lower is None else as_list(self.expression(item.lower, frame))
                for n, (low, high) in enumerate(zip(lowers, upper, strict=True)):
                    suffix = "last" if n == len(upper) - 1 else str(n)
                    bounds = self.simplified(as_index(low)), self.simplified(as_index(high))
                    loops.append((f"*{item.name}", f"{item.name}.{suffix}", *bounds))
                if not upper:
                    loops.append((f"*{item.name}", "", const(0), const(0)))
                continue
            lower = const(0) if item.lower is None else self.as_index(self.expression(item.lower, frame))
            loops.append((item.name, item.name, self.simplified(lower), self.simplified(as_index(upper))))
        return loops

    def nested(self, loops: list[tuple[str, str, Expr, Expr]], frame: Frame, body: Callable[[Frame], None]) -> None:
        """Run `body` inside the given loops."""
        if not loops:
            body(frame)
            return
        (scope_name, loop_name, lower, upper), rest = loops[0], loops[1:]
        if not loop_name:  # a splat over no axes
            self.nested(rest, self.bound(frame, scope_name, None), body)
            return
        block, variable = self.open_loop(loop_name, lower, upper)
        with self.inside(block):
            self.nested(rest, self.bound(frame, scope_name, variable), body)
        self.close_loop(loop_name, lower, upper, block, [], [])

    @staticmethod
    def bound(frame: Frame, name: str, variable: Expr | None) -> Frame:
        if not name.startswith("*"):
            return Frame({name: variable}, frame.file, frame)
        plain = name[1:]
        before = frame.names.get(plain) if frame.names.get("*" + plain) else []
        members = [*(before if isinstance(before, list) else []), *([variable] if variable is not None else [])]
        return Frame({plain: members, "*" + plain: True}, frame.file, frame)

    # -- statements --------------------------------------------------------------------------------------------------

    def kernel(self, kernel: s.Kernel, names: dict[str, object]) -> None:
        self.statements(kernel.body, Frame(names, kernel.file))

    def statements(self, body: tuple[s.Node, ...], frame: Frame) -> None:
        for statement in body:
            self.statement(statement, frame)

    def statement(self, node: s.Node, frame: Frame) -> None:
        match node:
            case s.Let(name=name, value=value):
                frame.names[name] = self.expression(value, frame)
            case s.Assign(name=name, value=value):
                self.assign(name, value, frame)
            case s.Store():
                self.store(node, frame)
            case s.For():
                self.for_loop(node, frame)
            case s.Each():
                self.each(node, frame)
            case s.If():
                self.branch(node, frame)
            case s.While():
                self.while_loop(node, frame)
            case s.Give(value=value):
                raise GiveValue(self.expression(value, frame))
            case _:
                raise UserError(f"{frame.file}:{node.line}: not a statement")

    def for_loop(self, node: s.For, frame: Frame) -> None:
        def body(inner: Frame) -> None:
            self.statements(node.body, Frame({}, frame.file, inner))

        self.nested(self.loop_ranges(node.ranges, frame), Frame({}, frame.file, frame), body)

    def store(self, node: s.Store, frame: Frame) -> None:
        target = frame.find(node.name)
        if isinstance(target, Array):
            places = [self.as_index(i) for i in self.arguments(node.arguments, frame)]
            store_element(self.emit, target, places, self.expression(node.value, frame))
            return
        if not isinstance(target, Tensor):
            raise UserError(f"{frame.file}:{node.line}: {node.name!r} is not a result of the kernel")
        index = [self.simplified(as_index(i)) for i in self.arguments(node.arguments, frame)]
        self.check_rank(target, index, node, frame)
        value = self.expression(node.value, frame)
        self.binding.write(target, index, value)

    def each(self, node: s.Each, frame: Frame) -> None:
        for inner in self.members(node, frame):
            self.statements(node.body, inner)

    def members(self, node: s.Each | s.Comprehension, frame: Frame) -> Iterator[Frame]:
        """The names in scope for each member of the list that is gone through."""
        for item in as_list(self.expression(node.source, frame)):
            parts = as_list(item) if len(node.names) > 1 else [item]
            yield Frame(dict(zip(node.names, parts, strict=True)), frame.file, frame)

    def check_rank(self, tensor: Tensor, index: list[Expr], node: s.Node, frame: Frame) -> None:
        if len(index) != tensor.type.rank:
            raise UserError(
                f"{frame.file}:{node.line}: {tensor.name!r} has {tensor.type.rank} axes, got {len(index)} indices"
            )

    def assign(self, name: str, value: s.Node, frame: Frame) -> None:
        variable = frame.find(name)
        if not isinstance(variable, Variable):
            raise UserError(f"{name!r} is not a variable: make it one with let {name} = var(…)")
        set_variable(self.emit, variable, self.expression(value, frame))

    def branch(self, node: s.If, frame: Frame) -> None:
        condition = self.expression(node.condition, frame)
        if isinstance(condition, bool):
            self.statements(node.then if condition else node.otherwise, frame)
            return
        regions = []
        for body in (node.then, node.otherwise):
            block = Block()
            with self.inside(block):
                self.statements(body, Frame({}, frame.file, frame))
                self.emit.add(loop.Yield())
            regions.append(Region([block]))
        self.emit.add(loop.If(self.emit.scalar(condition).value, regions=regions))

    def while_loop(self, node: s.While, frame: Frame) -> None:
        before, after = Block(), Block()
        with self.inside(before):
            condition = self.emit.scalar(self.expression(node.condition, frame))
            self.emit.add(loop.Condition(condition.value))
        with self.inside(after):
            self.statements(node.body, Frame({}, frame.file, frame))
            self.emit.add(loop.Yield())
        self.emit.add(loop.While(regions=[Region([before]), Region([after])]))

    # -- expressions -------------------------------------------------------------------------------------------------

    def simplified(self, expr: Expr) -> Expr:
        """Simplified by what is known of the loop variables: each has a symbol of its own, so that stays true."""
        if not expr.has_compounds():
            return expr
        if expr not in self.simpler:
            self.simpler[expr] = simplify(expr, self.ranges)
        return self.simpler[expr]

    def arguments(self, nodes: tuple[s.Node, ...], frame: Frame) -> list[object]:
        values: list[object] = []
        for node in nodes:
            if isinstance(node, s.Splat):
                members = self.expression(node.body, frame)
                if not isinstance(members, list):
                    raise UserError(f"{frame.file}:{node.line}: * needs a list, got {members!r}")
                values += members
            elif not isinstance(node, s.Named):
                values.append(self.expression(node, frame))
        return values

    def expression(self, node: s.Node, frame: Frame) -> object:
        try:
            return _FORMS[type(node)](self, node, frame)
        except UnknownSize:
            raise
        except UserError as problem:
            if str(problem).startswith(("kernel ", frame.file + ":")) or not frame.file:
                raise
            raise UserError(f"{frame.file}:{node.line}: {problem}") from None

    def unary(self, node: s.Unary, frame: Frame) -> object:
        value = self.expression(node.operand, frame)
        return self.negative(value) if node.kind == "-" else self.negation(value)

    def part(self, node: s.Cut, frame: Frame) -> object:
        items = as_list(self.expression(node.base, frame))
        low = None if node.lower is None else as_int(self.expression(node.lower, frame))
        high = None if node.upper is None else as_int(self.expression(node.upper, frame))
        return items[low:high]

    def name(self, node: s.Name, frame: Frame) -> object:
        if node.name in _WORDS:
            return _WORDS[node.name]
        value = frame.find(node.name)
        if isinstance(value, Variable):
            return variable_value(self.emit, value)
        return value

    def negative(self, value: object) -> object:
        if isinstance(value, Scalar):
            return self.emit.unary(arith.Neg, value)
        if isinstance(value, list):
            return [self.negative(v) for v in value]
        return -value if isinstance(value, Expr) else -as_number(value)

    def negation(self, value: object) -> object:
        return self.emit.binary("==", value, False) if isinstance(value, Scalar) else not value

    def binary(self, node: s.Binary, frame: Frame) -> object:
        a = self.expression(node.left, frame)
        if node.kind in ("and", "or") and isinstance(a, bool):  # the rest may only make sense if this holds
            return self.expression(node.right, frame) if a == (node.kind == "and") else a
        return self.emit.binary(node.kind, a, self.expression(node.right, frame))

    def conditional(self, node: s.Conditional, frame: Frame) -> object:
        condition = self.expression(node.condition, frame)
        if not isinstance(condition, Scalar):
            return self.expression(node.then if condition else node.otherwise, frame)
        return self.emit.select(condition, self.expression(node.then, frame), self.expression(node.otherwise, frame))

    def comprehension(self, node: s.Comprehension, frame: Frame) -> object:
        return [self.expression(node.body, inner) for inner in self.members(node, frame)]

    def element(self, node: s.Index, frame: Frame) -> object:
        base = self.expression(node.base, frame)
        arguments = self.arguments(node.arguments, frame)
        if isinstance(base, list):
            return base[as_int(arguments[0])]
        if isinstance(base, Array):
            return load_element(self.emit, base, [self.as_index(a) for a in arguments])
        if not isinstance(base, Tensor):
            raise UserError(f"{base!r} has no elements")
        index = [self.as_index(a) for a in arguments]
        self.check_rank(base, index, node, frame)
        return self.binding.read(base, index)

    def as_index(self, value: object) -> Expr:
        if isinstance(value, Scalar):
            return self.emit.fresh_variable(self.emit.cast(value, INDEX).value)
        return self.simplified(as_index(value))

    def call(self, node: s.Call, frame: Frame) -> object:
        name = node.name
        arguments = self.arguments(node.arguments, frame)
        local = frame.find(name) if frame.has(name) else None
        if callable(local):
            return local(*arguments)
        if arguments and isinstance(arguments[0], Tensor):
            tensor = arguments[0]
            found = builtins.tensor_builtin(name, tensor.type, arguments[1:], self.binding.computing(tensor.type))
            if found is not NotImplemented:
                return found
        if name == "type" and isinstance(arguments[0], Scalar):
            return arguments[0].type.name
        if name == "var":
            return make_variable(self.emit, arguments)
        if name == "array":
            return make_array(self.emit, arguments)
        if name == "publish":
            return self.publish(arguments)
        if name == "check":
            return self.check(arguments)
        if name in builtins.EARLY:
            return builtins.EARLY[name](*arguments)
        # before the library: its fn of an op of the same name (abs, sqrt, cast, …) is written with the builtin
        result = builtins.scalar_builtin(self.emit, name, arguments)
        if result is not NotImplemented:
            return result
        if not self.library.functions(name):
            raise UserError(f"there is no function {name!r}")
        attributes = {n.name: self.expression(n.body, frame) for n in node.arguments if isinstance(n, s.Named)}
        return self.function(name, arguments, attributes)

    def publish(self, arguments: list[object]) -> Scalar:
        """``publish(n)``: the results have n elements along the axis whose size is found at run time."""
        if self.binding.publish is None:
            raise UserError("this kernel's results have no size that is found at run time")
        count = self.emit.cast(self.emit.scalar(arguments[0]), SI64)
        self.binding.publish(count)
        return count

    def check(self, arguments: list[object]) -> int:
        """``check(condition, message, a, b)``: leave the kernel with an error unless the condition holds."""
        condition, message, *numbers = arguments
        if not isinstance(message, str) or len(numbers) != 2:
            raise UserError("check takes a condition, a message and the two numbers in it")
        if condition is not True:
            first, second = (self.emit.cast(self.emit.scalar(n, INDEX), INDEX).value for n in numbers)
            self.emit.add(loop.Check(self.emit.scalar(condition).value, first, second, message=message))
        return 0

    def function(self, name: str, arguments: list[object], attributes: dict[str, object]) -> object:
        """Inline a scalar function of the library, or copy what an earlier call like this one came to."""
        scalars: list[Value] = []
        key = call_key(name, arguments, attributes, scalars)
        if key in self.recordings:
            return self.recordings[key].repeat(self.emit, scalars)
        block, start = self.emit.block, len(self.emit.block.ops)
        value = self.evaluated(name, arguments, attributes)
        if key is not None and (found := recording(block.ops[start:], value, scalars)) is not None:
            self.recordings[key] = found
        return value

    def evaluated(self, name: str, arguments: list[object], attributes: dict[str, object]) -> object:
        """The value of a scalar function: of the first variant whose condition holds."""
        self.depth += 1
        if self.depth > 100:
            raise UserError(f"fn {name!r} calls itself without end")
        try:
            for variant in self.library.functions(name):
                if len(variant.parameters) != len(arguments):
                    continue
                known = {a: attributes[a] for a in variant.attributes if a in attributes}
                names = dict(zip(variant.parameters, arguments, strict=True)) | known
                frame = Frame(names, variant.file)
                if variant.condition is None or self.expression(variant.condition, frame):
                    return self.given_by(variant.body, frame)
        finally:
            self.depth -= 1
        kinds = ", ".join(str(a.type) if isinstance(a, Scalar) else repr(a) for a in arguments)
        raise UserError(f"no variant of fn {name!r} takes ({kinds})")

    def given_by(self, body: tuple[s.Node, ...], frame: Frame) -> object:
        """The value that statements end with."""
        try:
            self.statements(body, frame)
        except GiveValue as given:
            return given.value
        raise UserError("the statements give no value")

    # -- reductions --------------------------------------------------------------------------------------------------

    def reduction(self, node: s.Reduction, frame: Frame) -> object:
        """The reduction of a number, or of each member of a list: one loop then carries them all."""
        if node.kind not in builtins.COMBINE:
            raise UserError(f"no reduction {node.kind!r}; there are {', '.join(builtins.COMBINE)}")
        listed = False

        def body(inner: Frame) -> list[Scalar]:
            nonlocal listed
            terms = self.expression(node.body, inner)
            listed = isinstance(terms, list)
            return [self.emit.scalar(term) for term in (terms if isinstance(terms, list) else [terms])]

        found = self._reduce(self.loop_ranges(node.ranges, frame), Frame({}, frame.file, frame), body, node.kind)
        return found if listed else found[0]

    def _reduce(
        self, loops: list[tuple[str, str, Expr, Expr]], frame: Frame, body: Callable[[Frame], list[Scalar]], kind: str
    ) -> list[Scalar]:
        """Nested loops that carry accumulators; their types are known once the innermost body has been elaborated."""
        opened: list[tuple[str, Expr, Expr, Block]] = []
        memos = len(self.memos)
        outer = self.emit.block
        for scope_name, loop_name, lower, upper in loops:
            if not loop_name:
                frame = self.bound(frame, scope_name, None)
                continue
            block, variable = self.open_loop(loop_name, lower, upper)
            opened.append((loop_name, lower, upper, block))
            self.emit.block = block
            self.memos.append({})
            frame = self.bound(frame, scope_name, variable)
        results = body(Frame({}, frame.file, frame))
        if opened:
            results = self._close_reduction(opened, results, kind, outer)
        del self.memos[memos:]
        self.emit.block = outer
        return results

    def _close_reduction(
        self, opened: list[tuple[str, Expr, Expr, Block]], terms: list[Scalar], kind: str, outer: Block
    ) -> list[Scalar]:
        """Combine the terms with the accumulators of the innermost loop, and pass these on outwards."""
        carried = [[block.add_arg(term.type, "acc") for term in terms] for _, _, _, block in opened]
        combine, neutral = builtins.COMBINE[kind], builtins.NEUTRAL[kind]
        results = [combine(self.emit, Scalar(acc), term) for acc, term in zip(carried[-1], terms, strict=True)]
        for depth in range(len(opened) - 1, -1, -1):
            name, lower, upper, block = opened[depth]
            self.emit.block = opened[depth - 1][3] if depth else outer
            if depth:
                inits = carried[depth - 1]
            else:
                inits = [self.emit.constant(neutral(term.type), term.type).value for term in terms]
            closed = self.close_loop(name, lower, upper, block, inits, [result.value for result in results])
            results = [Scalar(value) for value in closed.results]
        return results


_WORDS = {"true": True, "false": False, "none": None, "inf": float("inf"), "nan": float("nan")}


def _unknown(elaborator: Elaborator, node: s.Node, frame: Frame) -> object:
    raise UserError("not an expression")


_FORMS: dict[type[s.Node], Callable[[Elaborator, Any, Frame], object]] = defaultdict(lambda: _unknown, {
    s.Number: lambda _, node, frame: node.value,
    s.Text: lambda _, node, frame: node.value,
    s.Name: Elaborator.name,
    s.Unary: Elaborator.unary,
    s.Binary: Elaborator.binary,
    s.Conditional: Elaborator.conditional,
    s.Call: Elaborator.call,
    s.Index: Elaborator.element,
    s.Cut: Elaborator.part,
    s.ListOf: lambda elaborator, node, frame: elaborator.arguments(node.items, frame),
    s.Comprehension: Elaborator.comprehension,
    s.Reduction: Elaborator.reduction,
    s.Steps: lambda e, node, frame: e.given_by(node.body, frame),
})  # fmt: skip
