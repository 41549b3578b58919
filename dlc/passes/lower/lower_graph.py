"""Lower the graph level to the loop level: a kernel per group, and each body as their calls in order.

    %y = graph.group(%x, %w) {kernel = "conv"} ({...})    →    %y = run.alloc …
                                                               run.call(%x, %w, %y) {kernel = "conv_0", …}

Groups that are the same but for their operands share a kernel. A reshape is a view. What `main` returns is written
straight into the caller's buffers where one group computes it, and copied there otherwise. The parts of a concatenation
are written into its memory where they are pieces of it, and such slices are views (`passes/graph/joined.py`). A tensor
with a halo has the halo zeroed by a small kernel of its own before it is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import ClassVar

from dlc.errors import InternalError, UserError
from dlc.ir.chunks import chunk_count
from dlc.ir.core import Block, Func, Location, Module, Op, Region, Value
from dlc.ir.denormals import KEEPS_DENORMALS
from dlc.ir.dialects import graph_flow, graph_shape, run
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_index import MOST_READ, Counting, ReadSizes
from dlc.ir.expr import Expr, as_expr, const
from dlc.ir.levels import Level
from dlc.ir.messages import escaped
from dlc.ir.rewrite import found_sizes
from dlc.ir.size_bounds import at_most, elements_at_most
from dlc.ir.teams import has_teams, team_memory
from dlc.ir.types import BOOL, SI64, BufferType, TensorType
from dlc.kernel_language.library import Library, standard_library
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.choose_layout import copy_group
from dlc.passes.graph.joined import Piece, memory_elements, pieces, source_of, views
from dlc.passes.loop.transpose import STORES_AGAIN
from dlc.passes.lower.checks import check_for, checks, dimension_origins
from dlc.passes.lower.denormals import keeps_denormals
from dlc.passes.lower.found_bounds import bound_attribute, bounds_of
from dlc.passes.lower.group import GroupLowering, LoweredGroup, tensor_type
from dlc.passes.lower.group_key import group_key
from dlc.passes.lower.halo import halo_kernel
from dlc.passes.lower.in_place import replaceable
from dlc.passes.lower.scalars import UnknownSize
from dlc.passes.lower.work import operations, performed
from dlc.record import record


@record
class LowerGraph(Pass):
    """See the top of the file."""

    name: ClassVar[str] = "lower-graph"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.LOOP

    max_trips: int = 0  # of a loop; 0: any number

    def run(self, module: Module, cx: PassContext) -> bool:
        made = Kernels()
        for body in module.bodies:
            _Lowering(module, body, cx, standard_library(), made, self.max_trips).run()
        return True


@record(frozen=False)
class Kernels:
    """What the bodies of a module share: kernels by what they compute, and the sizes that some kernel finds."""

    names: dict[object, str] = field(default_factory=dict)
    found: dict[str, None] = field(default_factory=dict)


class _Lowering:
    """One body: what it becomes, and what its values have become so far."""

    def __init__(
        self, module: Module, body: Func, cx: PassContext, library: Library, made: Kernels, max_trips: int = 0
    ) -> None:  # fmt: skip
        self.module = module
        self.max_trips = max_trips
        self.cx = cx
        self.library = library
        self.made = made
        self.old = body
        self.block = Block()
        self.buffers: dict[Value, Value] = {}
        self.kernels = made.names
        self.destinations: dict[Value, Value] = {}
        self.pieces: dict[Value, Piece] = {}  # values that lie in a concatenation
        self.views: dict[Value, Piece] = {}  # slices that lie in what they are taken from
        self.wholes: dict[Value, Value] = {}  # the buffers of these concatenations
        self.uppers: dict[str, Expr | None] = {}  # of the sizes that kernels have found so far
        self.foreseen = bounds_of(body)
        self.waiting: list[run.Check] = []  # for sizes that have not been found yet

    def run(self) -> None:
        returned = self.old.terminator.operands
        for arg in self.old.args:
            self.buffers[arg] = self.block.add_arg(tensor_type(arg).buffer("input"), arg.hint)
        outputs = [self.block.add_arg(tensor_type(v).buffer("output"), v.hint or "out") for v in returned]
        for value, out in zip(returned, outputs, strict=True):
            self.claim(value, out)
        self.pieces = pieces(self.old, self.destinations)
        self.views = views(self.old, {**self.destinations, **self.pieces})
        self.waiting = checks(self.old)
        self.add_checks()
        for op in self.old.block.ops[:-1]:
            self.op(op)
        for value, out in zip(returned, outputs, strict=True):
            if self.destinations.get(value) is not out:
                self.copy(value, out)
        self.block.append(Return())
        attrs = dict(self.old.attrs)
        if self.uppers:
            attrs |= {"derived": tuple(self.uppers), "derived_upper": tuple(map(bound_attribute, self.uppers.values()))}
        self.module.funcs[self.old.name] = Func(self.old.name, Region([self.block]), (), attrs)

    def claim(self, value: Value, out: Value) -> None:
        """Have the group that computes `value` write it into the caller's buffer, through reshapes if need be."""
        if value in self.destinations or tensor_type(value).layout is not None:
            return
        op = value.defining_op
        if isinstance(op, graph_flow.Group) or (isinstance(op, graph_flow.If) and not self.is_late(value)):
            self.destinations[value] = out
        elif isinstance(op, graph_shape.Reshape) and op.operands[0] not in self.destinations:
            source = op.operands[0]
            plain = isinstance(source.owner, graph_flow.Group) and tensor_type(source).layout is None
            # a size that the group finds may turn out too large for a reshape that assumes another
            if plain and tensor_type(source).elements == tensor_type(value).elements:
                self.destinations[source] = out
                self.destinations[value] = out

    def is_late(self, value: Value) -> bool:
        """Whether nothing bounds the size of a value."""
        return elements_at_most(tensor_type(value).shape, self.foreseen) is None

    def op(self, op: Op) -> None:
        match op:
            case graph_shape.Constant():
                constant = run.Constant(value=op.value, tensor=tensor_type(op.result), loc=op.loc)
                self.buffers[op.result] = self.block.append(constant).result
            case graph_shape.Dims():
                wrapped = grouped(op)
                made = self.alloc(tensor_type(op.result), op.loc)
                self.call(wrapped, [], [made])
                self.buffers[op.result] = made
            case graph_shape.Reshape():
                self.reshape(op)
            case graph_flow.Require() if op.parent is self.old.block:
                pass  # as early as can be: `add_checks`
            case graph_flow.Require():
                self.block.append(check_for(op, dimension_origins(self.old)))
            case graph_flow.If():
                self.branches(op)
            case graph_flow.Loop():
                self.loop(op)
            case graph_flow.Fail():
                message = escaped(f"{op.what} '{op.loc}': {op.text}")
                self.block.append(run.Check(left=const(0), right=const(1), message=message, loc=op.loc))
                for value in op.results:
                    self.buffers[value] = self.alloc(tensor_type(value), op.loc)
            case ReadSizes():
                self.read_sizes(op)
            case graph_flow.Group() if op.results[0] in self.wholes:
                self.concat(op)
            case graph_flow.Group() if op.results[0] in self.views:
                self.slice(op)
            case graph_flow.Group():
                self.group(op, [self.result_buffer(v) for v in op.results])
            case _:
                raise InternalError(f"{op.name} is in no group", op=op)

    def read_sizes(self, op: ReadSizes) -> None:
        """Named dimensions from data; each has a bound from here on, over sizes of inputs, or none."""
        found = {name: None if most is None else at_most(most, self.uppers) for name, most in op.found().items()}
        limits = tuple(const(MOST_READ) if most == -1 else as_expr(most) for most in op.most)
        text = escaped(f"{op.what} '{op.loc}': {op.text}")
        message = f"{text} must be at least 0 and at most {{1}}, got {{0}}"
        buffer = self.buffers[op.x]
        self.block.append(run.Read(buffer, publishes=op.sizes, most=limits, message=message, loc=op.loc))
        self.made.found |= dict.fromkeys(found)
        self.publish(found)

    def branches(self, op: graph_flow.If) -> None:
        """Both regions write the results to the same memory, but for those whose size nothing bounds."""
        uppers = self.foreseen
        late = [elements_at_most(tensor_type(value).shape, uppers) is None for value in op.results]
        outs = [None if each else self.result_buffer(value) for value, each in zip(op.results, late, strict=True)]
        regions = [self.region(body.block, outs) for body in (op.then, op.otherwise)]
        types = tuple(tensor_type(v).buffer() for v, each in zip(op.results, late, strict=True) if each)
        sizes = list(zip(*op.different_sizes(), strict=True)) or [(), ()]
        made = run.If(
            self.buffers[op.condition], publishes=op.sizes, then_sizes=tuple(map(as_expr, sizes[0])),
            else_sizes=tuple(map(as_expr, sizes[1])), types=types, regions=regions, loc=op.loc,
        )  # fmt: skip
        self.block.append(made)
        handed = iter(made.results)
        for value, out in zip(op.results, outs, strict=True):
            self.buffers[value] = next(handed) if out is None else out
        self.made.found |= dict.fromkeys(op.sizes)
        self.publish({name: None if most is None else at_most(most, uppers) for name, most in op.found().items()})

    def loop(self, op: graph_flow.Loop) -> None:
        """Carried values of known size are written to two buffers in turn, rows to their places in the stacks."""
        uppers = self.foreseen
        self.made.found |= dict.fromkeys(op.sizes)  # before the kernels of its region
        head = [self.buffers[value] for value in op.operands[: op.counted + op.conditional]]
        cells = [self.alloc(TensorType((), kind), op.loc) for kind in (SI64, BOOL)]
        block, late, buffers = Block(), [], []
        targets: list[Value | None] = []
        self.buffers |= dict(zip(op.body.block.args[:2], cells, strict=True))
        for arg, init in zip(op.carried, op.inits, strict=True):
            kind = tensor_type(arg)
            late.append(elements_at_most(kind.shape, uppers) is None)
            buffers.append(self.buffers[init])
            if not late[-1]:
                buffers += [self.alloc(kind, op.loc) for _ in (0, 1)]
            self.buffers[arg] = block.add_arg(kind.buffer(), arg.hint)
            targets.append(None if late[-1] else block.add_arg(kind.buffer(), arg.hint))
        stacks = [self.stack(op, value, uppers) for value in op.results[len(op.carried) :]]
        targets += [block.add_arg(tensor_type(row).buffer(), row.hint) for row in op.rows]
        changing = op.changing()
        region = self.loop_region(op, block, targets)
        text = escaped(f"Loop '{op.loc}': its trip count")
        message = f"{text} must be at least 0, got {{0}}"
        made = run.Loop(
            *head, *cells, *buffers, *stacks, counted=op.counted, conditional=op.conditional, late=tuple(late),
            publishes=tuple(name for name, _, _ in changing), first_sizes=tuple(as_expr(a) for _, a, _ in changing),
            next_sizes=tuple(as_expr(b) for _, _, b in changing),
            length=str(op.length) if str(op.length) in op.sizes else "", message=message, most_trips=self.max_trips,
            limit_message=f"{escaped(f'Loop {str(op.loc)!r}')}: it makes more trips than max_trips allows, {{1}}",
            regions=[region], loc=op.loc,
        )  # fmt: skip
        self.block.append(made)
        for value, buffer in zip(op.results, [*made.results, *stacks], strict=True):
            self.buffers[value] = buffer
        self.publish({name: None if most is None else at_most(most, uppers) for name, most in op.found().items()})

    def stack(self, op: graph_flow.Loop, value: Value, uppers: Mapping[str, Expr | None]) -> Value:
        """Room for all rows: for the most that there may be, where only the loop finds out how many."""
        kind = tensor_type(value)
        if elements_at_most(kind.shape, uppers) is not None or str(op.length) not in op.sizes:
            return self.result_buffer(value)
        room = self.block.append(run.Alloc(type=BufferType((op.most, *kind.shape[1:]), kind.scalar), loc=op.loc))
        return self.view(room.result, kind.buffer(), op.loc)

    def loop_region(self, op: graph_flow.Loop, block: Block, targets: Sequence[Value | None]) -> Region:
        """The region's block: what goes on to the next trip, and rows, are in `targets` then, or (None) yielded."""
        outer, self.block = self.block, block
        condition, *yielded = op.body.block.terminator.operands
        for value, target in zip(yielded, targets, strict=True):
            if target is not None and value.defining_op is not None and value.defining_op.parent is op.body.block:
                self.claim(value, target)
        self.uppers |= dict.fromkeys(op.sizes)
        for inner in op.body.block.ops[:-1]:
            self.op(inner)
        handed = [self.buffers[condition]]
        for value, target in zip(yielded, targets, strict=True):
            if target is None:
                handed.append(self.own_memory(value, handed))
            elif self.destinations.get(value) is not target:
                self.copy(value, target)
        self.block.append(run.Yield(*handed))
        self.block = outer
        return Region([block])

    def own_memory(self, value: Value, taken: Sequence[Value]) -> Value:
        """A buffer that holds a value of a trip beyond its end: one that the trip takes, and nothing else is given."""
        buffer = self.buffers[value]
        alloc = buffer.defining_op
        unbounded = elements_at_most(tensor_type(value).shape, self.uppers) is None
        if isinstance(alloc, run.Alloc) and alloc.parent is self.block and unbounded and buffer not in taken:
            return buffer
        kind = tensor_type(value).with_layout(None)
        made = self.block.append(run.Alloc(type=kind.buffer(), late=True)).result
        self.copy(value, made)
        return made

    def region(self, block: Block, outs: Sequence[Value | None]) -> Region:
        """A region's block; what it yields is in `outs` then, or (None) yielded."""
        outer, self.block = self.block, Block()
        yielded = block.terminator.operands
        for value, out in zip(yielded, outs, strict=True):
            if out is not None and value.defining_op is not None and value.defining_op.parent is block:
                self.claim(value, out)
        for op in block.ops[:-1]:
            self.op(op)
        handed = []
        for value, out in zip(yielded, outs, strict=True):
            if out is None:
                handed.append(self.buffers[value])
            elif self.destinations.get(value) is not out:
                self.copy(value, self.view(out, tensor_type(value).buffer(_space(out)), Location()))
        self.block.append(run.Yield(*handed))
        made, self.block = self.block, outer
        return Region([made])

    def reshape(self, op: graph_shape.Reshape) -> None:
        source = op.operands[0]
        is_plain = tensor_type(source).layout is None
        buffer = self.buffers[source] if is_plain else self.plain(source, op.loc)
        self.buffers[op.result] = self.view(buffer, tensor_type(op.result).buffer(_space(buffer)), op.loc)

    def view(self, buffer: Value, kind: BufferType, loc: Location) -> Value:
        return buffer if buffer.type == kind else self.block.append(run.View(buffer, type=kind, loc=loc)).result

    def slice(self, group: graph_flow.Group) -> None:
        piece, kind = self.views[group.result], tensor_type(group.result)
        whole = self.buffers[piece.whole]
        view = run.View(whole, type=kind.buffer(_space(whole)), first=piece.first, loc=group.loc)
        self.buffers[group.result] = self.block.append(view).result

    def piece(self, piece: Piece, kind: TensorType, loc: Location) -> Value:
        """The part of a concatenation's buffer that a value is written to."""
        if piece.whole not in self.wholes:
            self.wholes[piece.whole] = self.result_buffer(piece.whole)
        whole = self.wholes[piece.whole]
        return self.block.append(run.View(whole, type=kind.buffer(_space(whole)), first=piece.first, loc=loc)).result

    def plain(self, value: Value, loc: Location) -> Value:
        """A row-major copy of a tensor's buffer."""
        kind = tensor_type(value).with_layout(None)
        made = self.alloc(kind, loc)
        self.call(copy_group(value, None, value.defining_op or self.old.terminator), [self.buffers[value]], [made])
        return made

    def concat(self, group: graph_flow.Group) -> None:
        """Copy the parts that have not been written in place."""
        whole = group.result
        self.buffers[whole] = self.wholes[whole]
        layout, first = tensor_type(whole).layout, const(0)
        for part in group.operands:
            laid_out = tensor_type(part).with_layout(layout)
            piece = Piece(whole, first)
            if self.pieces.get(source_of(part)) != piece:
                made = self.piece(piece, laid_out, group.loc)
                self.call(copy_group(part, layout, group), [self.buffers[part]], [made])
            first = first + memory_elements(laid_out)

    def result_buffer(self, value: Value) -> Value:
        kind = tensor_type(value)
        if value in self.destinations:
            return self.view(self.destinations[value], kind.buffer("output"), Location())
        loc = value.owner.loc if isinstance(value.owner, Op) else Location()
        if value in self.pieces:
            return self.piece(self.pieces[value], kind, loc)
        return self.alloc(kind, loc)

    def alloc(self, kind: TensorType, loc: Location) -> Value:
        made = self.block.append(run.Alloc(type=kind.buffer(), loc=loc)).result
        if kind.layout is not None and any(a or b for a, b in kind.layout.halo):
            self.zero_halo(made, kind, loc)
        return made

    def zero_halo(self, buffer: Value, kind: TensorType, loc: Location) -> None:
        key = ("halo", kind)
        if key not in self.kernels:
            name = self.fresh_name("halo")
            self.add(halo_kernel(kind, name, self.library, self.cx.target))
            self.kernels[key] = name
        self.append_call(self.kernels[key], [buffer], 1, loc)

    def group(self, group: graph_flow.Group, results: list[Value]) -> None:
        for value, buffer in zip(group.results, results, strict=True):
            self.buffers[value] = buffer
        self.call(group, [self.buffers[v] for v in group.operands], results)

    def call(self, group: graph_flow.Group, inputs: list[Value], results: list[Value]) -> None:
        key = group_key(group)
        found = {op.size: at_most(op.size_bound(), self.uppers) for op in group.walk() if isinstance(op, Counting)}
        if key not in self.kernels:
            root = group.kernel.replace(".", "_")
            name = self.fresh_name(root)
            lowered = self.lowered(group, name)
            lowered.func.attrs["schedule"] = lowered.schedule
            for parameter, value in lowered.chosen.items():
                if isinstance(value, int):
                    lowered.func.attrs[parameter] = value
            if lowered.considered:
                lowered.func.attrs["considered"] = lowered.considered
            lowered.func.attrs["operations"] = operations(group)
            if (own := performed(group)) != lowered.func.attrs["operations"]:
                lowered.func.attrs["performed"] = own
            if keeps_denormals(group):
                lowered.func.attrs[KEEPS_DENORMALS] = True
            self.add(lowered.func, tuple(found))
            self.kernels[key] = name
        self.append_call(self.kernels[key], [*inputs, *results], len(results), group.loc, tuple(found))
        call = self.block.ops[-1]
        again = STORES_AGAIN in self.module.funcs[self.kernels[key]].attrs
        if isinstance(call, run.Call) and call.writes == 1 and not again and (over := replaceable(group)):
            call.attrs["over"] = over
        if found:
            self.publish(found)

    def add(self, kernel: Func, found: tuple[str, ...] = ()) -> None:
        """`kernel` is finished, and makes the sizes `found` known."""
        self.made.found |= dict.fromkeys(found)
        self.module.add(kernel)
        self.cx.lowered(kernel, (*self.made.found,))

    def publish(self, found: Mapping[str, Expr | None]) -> None:
        """Note the sizes that a kernel has found, and check what can be checked now."""
        self.uppers |= found
        self.add_checks()

    def add_checks(self) -> None:
        """Guards, before anything relies on what they ask for: once all the sizes in them are known."""
        open_sizes = {*found_sizes(self.old.block)} - self.uppers.keys()
        ready = [check for check in self.waiting if open_sizes.isdisjoint((check.left - check.right).symbols())]
        self.waiting = [check for check in self.waiting if check not in ready]
        for check in ready:
            self.block.append(check)

    def lowered(self, group: graph_flow.Group, name: str) -> LoweredGroup:
        """Elaborate and schedule a group. A mistake in a kernel file is ours, not the user's, who has only a model."""
        try:
            return GroupLowering(group, self.library, self.cx.target, self.cx.pool).lower(name)
        except UnknownSize as problem:
            names = ", ".join(sorted(problem.expr.symbols()))
            message = f"{group.kernel} '{group.loc}' needs to know {names} when the model is compiled"
            raise UserError(message, hint="compile with numbers in the shapes of the inputs") from problem
        except UserError as problem:
            raise InternalError(f"kernel of {group.loc}: {problem}", op=group) from problem

    def append_call(
        self, kernel: str, buffers: list[Value], writes: int, loc: Location, publishes: tuple[str, ...] = ()
    ) -> None:
        func = self.module.funcs[kernel]
        chunks = chunk_count(func)
        if has_teams(func):
            memory = team_memory(func)
            made = run.Alloc(type=BufferType(memory.shape, memory.element), loc=loc)
            buffers, writes = [*buffers, self.block.append(made).result], writes + 1
        self.block.append(
            run.Call(*buffers, kernel=kernel, chunks=chunks, writes=writes, publishes=publishes, loc=loc)
        )

    def fresh_name(self, stem: str) -> str:
        number = sum(name.rsplit("_", 1)[0] == stem for name in self.module.funcs)
        return f"{stem}_{number}"

    def copy(self, value: Value, out: Value) -> None:
        """Copy what no group could write in place: an input, a constant, a tensor also read in another layout."""
        source = self.buffers[value]
        if tensor_type(value).layout is None:
            source = self.view(source, tensor_type(value).buffer(_space(source)), Location())
        group = copy_group(value, None, self.old.terminator)
        self.call(group, [source], [out])


def grouped(op: Op) -> graph_flow.Group:
    """An op without operands in a group of its own."""
    copy = op.clone({})
    body = Block()
    body.append(copy)
    body.append(graph_flow.Yield(copy.result))
    return graph_flow.Group(kernel=op.name.removeprefix("graph."), regions=[Region([body])], loc=op.loc)


def _space(buffer: Value) -> str:
    if not isinstance(buffer.type, BufferType):
        raise InternalError(f"{buffer.type} is not a buffer")
    return buffer.type.space
