"""Model records to a module at graph level.

Each node is tried three ways: its results may be known already (`known`), its operator may have a handler (the tables
of `handlers`), or a body made of other operators (a function of the model, or of the ONNX standard). What cannot be
imported is collected over the whole model and raised at once.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import TypeVar

import numpy as np

from dlc.background import Background
from dlc.errors import UnsupportedOp, UnsupportedOps, UserError
from dlc.frontends.contents import is_integral, is_symbolic
from dlc.frontends.context import ConstantStore, Handler, Item, NodeContext, Output, Unsupported
from dlc.frontends.functions import bound_nodes
from dlc.frontends.handlers import HANDLERS
from dlc.frontends.known import known_element, known_results
from dlc.frontends.later import has_standard_function, newest_opset, standard_function
from dlc.frontends.order import given_names, runnable_order
from dlc.frontends.preconditions import PRECONDITIONS
from dlc.frontends.records import FunctionRecord, GraphRecord, ModelRecord, NodeRecord, TensorRecord, ValueRecord
from dlc.frontends.symbols import InputShapes, Shape, input_shapes
from dlc.ir.core import Block, Builder, Func, Location, Module, Op, Region, Value
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_flow import Require
from dlc.ir.dim_names import plain_shape
from dlc.ir.expr import Expr
from dlc.ir.guards import insert_guards, plain_name
from dlc.ir.opdef import FINDS_SIZE
from dlc.ir.pool import ConstantPool, content_key
from dlc.ir.requirements import Requirement, false_requirement
from dlc.ir.rewrite import is_pure
from dlc.ir.types import STRING, Array, TensorType, Type, scalar_of

BIG = 1 << 16  # bytes from which a weight is hashed on another thread while the graph is built
SURE_OPSET = 21  # what the oldest onnx package that we take knows; of later ones the installed package is asked
MOST_BYTES = 1 << 46  # of one tensor: beyond that no address is left for another
DEEPEST = 50  # calls of functions inside functions; more is a function that calls itself
R = TypeVar("R")
UNKNOWN_OPERATOR = "dlc does not know this operator"
MALFORMED = (IndexError, ValueError, ArithmeticError)  # what handlers run into on a model that breaks ONNX's rules


class Scope:
    """The names that nodes see: of the graph, of a function's body, or of a branch inside another scope."""

    def __init__(
        self, importer: Importer, opsets: Mapping[str, int], builder: Builder, outer: Scope | None = None,
        prefix: str = "", depth: int = 0,
    ) -> None:  # fmt: skip
        self.importer = importer
        self.opsets = opsets
        self.builder = builder
        self.outer = outer
        self.prefix = prefix  # of the names of nodes: the call that brought a function's body in
        self.depth = depth  # of calls inside calls
        self.names: dict[str, Item | None] = {}

    def assume(self, need: Requirement) -> None:
        """Rely on something that no op of the node declares: the node's ops ask for it. Raises Unsupported."""
        if (holds := need.holds()) is False:
            raise Unsupported(f"{need.sentence}, got {need.sizes}")
        if not holds:
            self.importer.relied_on.append(need)

    def assure(self, op: Op) -> None:
        """What this op declares need not be asked for: its attributes are made so."""
        self.importer.sure.add(op)

    def unique(self, text: str) -> str:
        """A symbol that no dimension of the model has."""
        return self.importer.unique(text)

    def find(self, name: str, node: NodeRecord) -> Item | None:
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                item = scope.names[name]
                if item is not None and item.builder is None:
                    item.builder = scope.builder  # a constant belongs where the name does, not into a branch
                return item
            scope = scope.outer
        raise UserError(f"{node.op_type} '{node.label}' uses '{name}', which nothing before it computes")


class Importer:
    """The import of one model."""

    def __init__(self, model: ModelRecord) -> None:
        self.model = model
        self.pool = ConstantPool()
        self.store = ConstantStore(self.pool)
        self.functions = {(each.domain, each.name, each.overload): each for each in model.functions}
        self.problems: list[UnsupportedOp] = []
        self.relied_on: list[Requirement] = []  # by the node that is being imported
        self.needs: dict[Op, tuple[Requirement, ...]] = {}  # of ops, besides what they declare
        self.sure: set[Op] = set()  # whose attributes were made so that what they declare holds
        self.node_types: dict[Op, str] = {}  # which operator of the model an op comes from
        self.symbols: set[str] = set()

    # -- the whole model ---------------------------------------------------------------------------------------------

    def run(self, shapes: InputShapes | None, values: Mapping[str, Array], overridable: Collection[str]) -> Module:
        graph = self.model.graph
        opset = self.model.opsets.get("", 0)
        if opset > SURE_OPSET and opset > newest_opset():
            raise UserError(f"the model uses opset {opset}, dlc knows those up to {newest_opset()}")
        inputs = inputs_of(graph, overridable)
        block = Block()
        scope = Scope(self, self.model.opsets, Builder(block))
        values = values_for(inputs, values)
        shapes = {**{name: array.shape for name, array in values.items()}, **(shapes or {})}
        found = input_shapes([each for each in inputs if each.type.kind == "tensor"], shapes)
        dims = [dim for shape in found.values() for dim in shape if isinstance(dim, Expr)]
        self.symbols = {name for dim in dims for name in dim.symbols()}
        inputs = [each for each in inputs if each.name not in values]
        self._add_inputs(scope, inputs, found)
        for name, array in values.items():
            scope.names[name] = Item.known(array, scope.builder, name)
        with self._hashing(graph.initializers):
            self.add_initializers(scope, graph, overridable)
            for node in runnable_order(graph.nodes, given_names(graph)):
                self.add_node(scope, node)
            results = self._results(scope, graph)
        if self.problems:
            raise UnsupportedOps(self.problems)
        return self._module(block, inputs, results)

    def _module(self, block: Block, inputs: Sequence[ValueRecord], results: Sequence[Value]) -> Module:
        block.append(Return(*results))
        drop_unused(block)
        func = Func("main", Region([block]), tuple(value.type for value in results))
        func.attrs["inputs"] = tuple(each.name for each in inputs)
        func.attrs["outputs"] = tuple(each.name for each in self.model.graph.outputs)
        module = Module(self.pool, name=self.model.name, files=self.model.files)
        module.add(func)
        insert_guards(module, self.needs, lambda op: self.node_types.get(op) or plain_name(op), self.sure)
        return module

    def _add_inputs(self, scope: Scope, inputs: Sequence[ValueRecord], shapes: Mapping[str, Shape]) -> None:
        for each in inputs:
            kind = self._input_type(each, shapes)
            if kind is None:
                scope.names[each.name] = POISON
                continue
            value = scope.builder.block.add_arg(kind, each.name)
            scope.names[each.name] = Item(kind, value=value, hint=each.name)

    def _input_type(self, record: ValueRecord, shapes: Mapping[str, Shape]) -> Type | None:
        if record.type.kind != "tensor" or record.type.element is None:
            what = record.type.type_name or f"a {record.type.kind}"
            self.problems.append(UnsupportedOp("input", record.name, f"inputs of type {what} are not supported"))
            return None
        kind = TensorType(shapes[record.name], record.type.element)
        if (problem := type_problem(kind)) is not None:
            self.problems.append(UnsupportedOp("input", record.name, problem))
            return None
        return kind

    def add_initializers(self, scope: Scope, graph: GraphRecord, overridable: Collection[str] = ()) -> None:
        for each in graph.initializers:
            if each.name not in overridable:
                scope.names[each.name] = self._weight(scope, each)

    def _weight(self, scope: Scope, tensor: TensorRecord) -> Item:
        if tensor.element is None:
            reason = f"weights of type {tensor.type_name} are not supported"
            self.problems.append(UnsupportedOp("initializer", tensor.name, reason))
            return POISON
        contents = tensor.load()
        kind = TensorType(contents.shape, tensor.element)
        return Item(kind, contents=contents, builder=scope.builder, hint=tensor.name)

    @contextmanager
    def _hashing(self, weights: Sequence[TensorRecord]) -> Iterator[None]:
        """Compute the keys of big weights on other threads meanwhile (hashing releases the interpreter's lock)."""
        arrays = [each.load() for each in weights if each.element is not None]
        big = [array for array in arrays if array.nbytes >= BIG and array.dtype != object]
        if not big:
            yield
            return
        with Background(min(4, len(os.sched_getaffinity(0)), len(big))) as workers:
            for array in big:
                self.store.keys[id(array)] = workers.submit(partial(content_key, array)).result
            yield

    def _results(self, scope: Scope, graph: GraphRecord) -> list[Value]:
        end = NodeRecord("output", "", graph.name, (), (), {})
        results = []
        for each in graph.outputs:
            item = scope.find(each.name, end)
            if item is None or item is POISON:
                continue
            try:
                value = self.context(scope, end, [item]).x()
            except Unsupported as reason:
                self.problems.append(UnsupportedOp("output", each.name, str(reason)))
                continue
            results.append(value)
            if (problem := type_problem(value.type)) is not None:
                self.problems.append(UnsupportedOp("output", each.name, problem))
        return results

    # -- one node ----------------------------------------------------------------------------------------------------

    def context(self, scope: Scope, node: NodeRecord, inputs: Sequence[Item | None]) -> NodeContext:
        version = scope.opsets.get(node.domain, 1)
        scope.builder.loc = Location((scope.prefix + node.label,))
        return NodeContext(node, version, inputs, scope.builder, self.store, scope)

    def add_node(self, scope: Scope, node: NodeRecord) -> None:
        inputs = [scope.find(name, node) if name else None for name in node.inputs]
        cx = self.context(scope, node, inputs)
        try:
            outputs = self._outputs(cx, poisoned=any(item is POISON for item in inputs))
        except Unsupported as reason:
            self.problems.append(UnsupportedOp(node.full_type, cx.scope.prefix + node.label, str(reason)))
            self._report_inside(scope, node)
            outputs = None
        except UserError as error:
            if error.loc is not None:
                raise
            raise UserError(f"{node.op_type} '{node.label}': {error.message}", hint=error.hint) from error
        except MALFORMED as error:
            raise UserError(f"{node.op_type} '{node.label}' does not follow the rules of ONNX: {error}") from error
        for position, name in enumerate(node.outputs):
            if name:
                scope.names[name] = POISON if outputs is None else outputs[position]

    def _report_inside(self, scope: Scope, node: NodeRecord) -> None:
        """The unknown operators in the branches of a node that cannot be imported."""
        for graph in node.attributes.values():
            for inner in graph.nodes if isinstance(graph, GraphRecord) else ():
                if not self._is_known(inner, scope.opsets.get(inner.domain, 1)):
                    self.problems.append(UnsupportedOp(inner.full_type, scope.prefix + inner.label, UNKNOWN_OPERATOR))
                self._report_inside(scope, inner)

    def _is_known(self, node: NodeRecord, version: int) -> bool:
        return (
            (node.domain, node.op_type, node.overload) in self.functions
            or node.op_type in HANDLERS.get(node.domain, {})
            or has_standard_function(node, version)
        )

    def _outputs(self, cx: NodeContext, poisoned: bool) -> Sequence[Item | None] | None:
        """The results of a node, None if an input could not be imported. Raises Unsupported."""
        node = cx.node
        function = self.functions.get((node.domain, node.op_type, node.overload))
        handler = None if function else HANDLERS.get(node.domain, {}).get(node.op_type)
        if poisoned:
            if not self._is_known(node, cx.version):
                raise Unsupported(UNKNOWN_OPERATOR)
            return None
        known = known_results(cx) if function is None and not node.domain else None
        if known is not None and all(not is_symbolic(array) or is_integral(array) for array in known):
            return enough([_known_item(cx, array, n) for n, array in enumerate(known)], node)
        if function is None and handler is None:
            function = standard_function(node, cx.version, [None if item is None else item.type for item in cx.inputs])
            if function is not None and node.op_type in PRECONDITIONS:
                self.relied_on = []
                PRECONDITIONS[node.op_type](cx)
                self._require_now(cx)
        if function is not None:
            return enough(self.inline(cx, function), node)
        if handler is None:
            raise Unsupported(UNKNOWN_OPERATOR)
        items = self._handled(cx, handler)
        for item, array in zip(items, known or (), strict=False):
            item.contents = array
        return items

    def _handled(self, cx: NodeContext, handler: Handler) -> list[Item]:
        start = len(cx.builder.block.ops)
        outer, self.relied_on = self.relied_on, []  # handlers may import what stands inside their node
        given = handler(cx)
        outputs: Sequence[Output] = given if isinstance(given, list | tuple) else (given,)
        made = cx.builder.block.ops[start:]
        if (problem := first_problem(made)) is not None:
            raise Unsupported(problem)
        for op in made:
            self.node_types.setdefault(op, cx.node.op_type)
        found_at = max((n for n, op in enumerate(made, 1) if op.spec.has(FINDS_SIZE)), default=0)
        # not a weight that it brought in, nor what stands before a size that it has found is known
        own = [op for op in made[found_at:] if op.loc == cx.builder.loc]
        self.needs |= dict.fromkeys(own, tuple(self.relied_on))  # the first that is not dropped asks for it
        if not own:
            self._require_now(cx)
        self.relied_on = outer
        found = enough(outputs, cx.node)
        return [_item(cx, found[n], n) for n in range(len(cx.node.outputs))]

    def _require_now(self, cx: NodeContext) -> None:
        """Put what the node relies on into the graph where no op of the node can ask for it."""
        for need in self.relied_on:
            cx.put_op(
                Require(
                    left=need.left, right=need.right, relation=need.relation, text=need.sentence, what=cx.node.op_type
                )
            )

    # -- bodies ------------------------------------------------------------------------------------------------------

    def inline(self, cx: NodeContext, function: FunctionRecord) -> list[Item]:
        """Import the body of a function in place of a call."""
        prefix = f"{cx.scope.prefix}{cx.node.label}/"
        if cx.scope.depth > DEEPEST:
            raise Unsupported(f"the function {function.name} calls itself")
        inner = Scope(self, {**cx.scope.opsets, **function.opsets}, cx.builder, prefix=prefix, depth=cx.scope.depth + 1)
        given = {name: cx.inputs[n] if n < len(cx.inputs) else None for n, name in enumerate(function.inputs)}
        inner.names.update(given)
        for node in runnable_order(tuple(bound_nodes(function, cx.node)), function.inputs):
            self.add_node(inner, node)
        asked = [bool(name) for name in cx.node.outputs]  # what the call does not ask for may not be computed
        found = [
            inner.find(name, cx.node) if n < len(asked) and asked[n] else None
            for n, name in enumerate(function.outputs)
        ]
        return [item if item is not None else POISON for item in found]

    def inline_graph(self, cx: NodeContext, graph: GraphRecord, inputs: Sequence[Item] = ()) -> list[Item]:
        """Import a branch or the body of a loop in place of the node that holds it."""
        prefix = f"{cx.scope.prefix}{cx.node.label}/"
        inner = Scope(self, cx.scope.opsets, cx.builder, cx.scope, prefix, cx.scope.depth)
        inner.names.update({each.name: item for each, item in zip(graph.inputs, inputs, strict=True)})
        self.add_initializers(inner, graph)
        for node in runnable_order(graph.nodes, given_names(graph)):
            self.add_node(inner, node)
        found = [inner.find(each.name, cx.node) for each in graph.outputs]
        return [item if item is not None else POISON for item in found]

    def unique(self, text: str) -> str:
        """A symbol that no dimension of the model has."""
        name, number = text, 0
        while name in self.symbols:
            number += 1
            name = f"{text}_{number}"
        self.symbols.add(name)
        return name


POISON = Item(Type(), hint="what could not be imported")


def import_model(
    model: ModelRecord, shapes: InputShapes | None = None, values: Mapping[str, Array] | None = None,
    overridable: Collection[str] = (),
) -> Module:  # fmt: skip
    """The module of a model; inputs with `values` become constants, initializers that are `overridable` stay inputs.

    Raises UserError, or UnsupportedOps with all that dlc cannot compile.
    """
    return Importer(model).run(shapes, values or {}, overridable)


def inputs_of(graph: GraphRecord, overridable: Collection[str] = ()) -> list[ValueRecord]:
    """The inputs that a caller feeds: an initializer is none, though it be listed, unless it is `overridable`.

    Raises UserError for a name in `overridable` that is not both.
    """
    weights = {each.name: each for each in graph.initializers}
    both = [each.name for each in graph.inputs if each.name in weights]
    for name in overridable:
        if name not in both:
            what = "an initializer, but no input" if name in weights else "no initializer"
            there = ", ".join(f"'{each}'" for each in both) or "none"
            raise UserError(
                f"overridable names '{name}', which is {what} of the model; initializers that are also inputs: {there}"
            )
    inputs = [each for each in graph.inputs if each.name not in weights or each.name in overridable]
    names = [each.name for each in inputs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"the model has two inputs with the name '{twice[0]}'")
    return inputs


def values_for(inputs: Sequence[ValueRecord], values: Mapping[str, Array]) -> dict[str, Array]:
    """The values in the types of their inputs. Raises UserError for one of no input, or that its type cannot hold."""
    types = {each.name: each.type for each in inputs}
    found = {}
    for name, array in values.items():
        if name not in types:
            listed = ", ".join(f"'{each}'" for each in types) or "none"
            raise UserError(f"input_values names '{name}', which is no input of the model; its inputs: {listed}")
        kind = types[name]
        if kind.kind != "tensor" or kind.element is None or kind.element == STRING:
            raise UserError(f"input_values gives '{name}' a value, but it is {kind.type_name or f'a {kind.kind}'}")
        with np.errstate(all="ignore"):
            held = array.astype(kind.element.dtype)
        if not np.array_equal(held.astype(array.dtype), array, equal_nan=array.dtype.kind == "f"):
            raise UserError(f"input_values gives '{name}' as {array.dtype}, which {kind.element} cannot hold")
        if kind.shape is not None and not fits(array.shape, kind.shape):
            declared = "x".join(str(dim if dim is not None else "?") for dim in kind.shape) or "a scalar"
            raise UserError(f"input_values gives '{name}' the shape {array.shape}, but the model declares {declared}")
        found[name] = held
    return found


def fits(shape: tuple[int, ...], declared: Sequence[int | str | None]) -> bool:
    """Whether a shape may be what a file declares: 0 and no number stand for any size."""
    same = (not isinstance(dim, int) or dim in (0, size) for size, dim in zip(shape, declared, strict=False))
    return len(shape) == len(declared) and all(same)


def _known_item(cx: NodeContext, array: Array, position: int) -> Item:
    element = known_element(cx) if is_symbolic(array) else scalar_of(array.dtype)
    hint = cx.node.outputs[position] if position < len(cx.node.outputs) else ""
    return Item(TensorType(array.shape, element), contents=array, builder=cx.builder, hint=hint)


def _item(cx: NodeContext, output: Output, position: int) -> Item:
    """What a handler gave for a result."""
    if isinstance(output, Item):
        return output
    if output is None:
        return POISON
    output.hint = output.hint or cx.node.outputs[position] or None
    return Item(output.type, value=output, hint=cx.node.outputs[position])


def enough(outputs: Sequence[R], node: NodeRecord) -> list[R | None]:
    """An output for each that the node has, None for those without a name. Raises Unsupported if one is missing."""
    found: list[R | None] = [*outputs, *(None for _ in node.outputs[len(outputs) :])]
    if any(name and output is None for name, output in zip(node.outputs, found, strict=False)):
        count = sum(output is not None for output in outputs)
        raise Unsupported(f"dlc computes only the first {count} of its outputs")
    return found


def first_problem(ops: Sequence[Op]) -> str | None:
    """What the declaration of the first wrong op says: a type that an op does not take, or a violated check."""
    for op in ops:
        for definition, value in zip(op.spec.operand_defs(len(op.operands)), op.operands, strict=True):
            for constraint in definition.constraints:
                if not constraint.holds(value.type):
                    return f"{op.name}: {definition.name} must be {constraint.text}, got {value.type}"
        for violation in op.check():
            return f"{op.name}: {violation.partition(': ')[2]}"
        if (broken := false_requirement(op)) is not None:
            shapes = [f"{v.hint!r} has shape {plain_shape(v.type.shape)}" for v in op.operands
                      if v.hint and isinstance(v.type, TensorType)]  # fmt: skip
            where = f", where {' and '.join(shapes)}" if shapes else ""
            return f"{broken.sentence}, got {broken.sizes}{where}"
        for value in (*op.operands, *op.results):
            if (problem := type_problem(value.type)) is not None:
                return f"{op.name}: {problem}"
    return None


def type_problem(kind: Type) -> str | None:
    """Why no kernel can take or give values of a type; None if nothing speaks against it."""
    if not isinstance(kind, TensorType):
        return None
    if kind.scalar == STRING:
        return "tensors of text are not supported"
    known = [dim for dim in kind.shape if isinstance(dim, int)]
    if any(dim < 0 for dim in known):
        return f"a size must be 0 or more, got {kind}"
    if prod(filter(None, known)) * kind.scalar.bytes > MOST_BYTES:  # NumPy makes none either, though it be empty
        return f"a tensor must have at most 2**46 bytes, got {kind}"
    return None


def drop_unused(block: Block) -> None:
    """Take out ops whose results nothing uses: what only shape arithmetic needed."""
    kept = []
    for op in reversed(block.ops):
        for inner in (inner for region in op.regions for inner in region.blocks):
            drop_unused(inner)
        if is_pure(op) and not op.has_uses():
            op.drop_all()
            op.parent = None
        else:
            kept.append(op)
    block.ops[:] = reversed(kept)
