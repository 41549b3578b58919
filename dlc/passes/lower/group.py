"""One fused group of the graph level to one kernel of the loop level.

The group's root (a convolution, a softmax, …) is elaborated from the kernel library. Where it reads a tensor that other
ops of the group compute, their definitions are inlined at that index; where it writes its result, the element-wise ops
behind it are inlined on the value. A group without a root is a loop nest over its results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from dlc.errors import InternalError, UserError
from dlc.ir.core import Block, Func, Op, Region, Value
from dlc.ir.dialects import buf, graph_flow, graph_shape
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_index import Counting
from dlc.ir.dialects.graph_math import Cast
from dlc.ir.expr import Expr, as_expr, const
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.pool import ConstantPool
from dlc.ir.types import F32, Layout, ScalarType, TensorType
from dlc.kernel_language import syntax as s
from dlc.kernel_language.library import Library
from dlc.passes.graph.fusion_roles import is_inlined
from dlc.passes.lower.considered import algorithms
from dlc.passes.lower.elaborate import Elaborator
from dlc.passes.lower.frame import Binding, Frame, Tensor
from dlc.passes.lower.scalars import Scalar, as_index
from dlc.passes.lower.schedule import Scheduler
from dlc.record import record
from dlc.target import Target


def tensor_type(value: Value) -> TensorType:
    if not isinstance(value.type, TensorType):
        raise InternalError(f"{value.type} is not a tensor")
    return value.type


def computing_type(kind: TensorType) -> ScalarType:
    """The type in which a tensor's elements are computed with: half precision is only a way to store, and to cast."""
    return F32 if kind.scalar.name in ("f16", "bf16") else kind.scalar


@record(frozen=False)
class LoweredGroup:
    """A kernel, and how it was chosen to be scheduled."""

    func: Func
    schedule: str
    chosen: dict[str, object] = field(default_factory=dict)
    considered: tuple[str, ...] = ()  # algorithms and tiles with what they were predicted to cost


class GroupLowering:
    """Lowers one group."""

    def __init__(self, group: graph_flow.Group, library: Library, target: Target, pool: ConstantPool) -> None:
        self.group = group
        self.library = library
        self.target = target
        self.pool = pool
        self.body = group.body.block
        self.yields = self.body.terminator.operands
        self.block = Block()
        self.buffers: dict[Value, Value] = {}
        for outer, arg in zip(group.operands, self.body.args, strict=True):
            space = "const" if isinstance(outer.owner, graph_shape.Constant) else "input"
            self.buffers[arg] = self.block.add_arg(tensor_type(arg).buffer(space), arg.hint or "x")
        self.outputs = [self.block.add_arg(tensor_type(v).buffer("output"), "y") for v in self.yields]
        self.elaborator = Elaborator(library, Binding(self.read, self.write, computing_type, self.publish), group.loc)
        self.root = self._root()
        self._depends: dict[Value, frozenset[Value]] = {}
        self.inlining = 0  # how many inlined kernels are being elaborated, one inside the other

    def _root(self) -> Op | None:
        roots = [op for op in self.body.ops[:-1] if not is_inlined(op)]
        if len(roots) > 1:
            raise InternalError(f"a group with {len(roots)} roots: {', '.join(r.name for r in roots)}", op=self.group)
        return roots[0] if roots else None

    # -- reading and writing -----------------------------------------------------------------------------------------

    def tensor(self, value: Value, name: str) -> Tensor:
        return Tensor(name, tensor_type(value), value)

    def read(self, tensor: Tensor, index: list[Expr]) -> Scalar:
        value = tensor.key
        if self.root is not None and value.owner is self.root and not self.inlining:
            return self.written(value, index)
        return self.value_at(value, index)

    def written(self, value: Value, index: list[Expr]) -> Scalar:
        """What the kernel has stored into one of its results, which no other op of the group may change."""
        if value not in self.yields:
            message = f"the kernel of {self.group.kernel!r} reads its result: nothing can be fused behind it"
            raise InternalError(message, op=self.group)
        kind = tensor_type(value)
        operands, at = self.elaborator.emit.localized(self.physical(kind, self.normal_index(value, index)))
        loaded = self.elaborator.emit.add(buf.Load(self.outputs[self.yields.index(value)], *operands, at=at))
        return self.elaborator.emit.cast(Scalar(loaded.result), computing_type(kind))

    def value_at(self, value: Value, index: list[Expr]) -> Scalar:
        """The element of `value` at `index`, loaded or computed."""
        index = self.normal_index(value, index)
        key = (value, tuple(index))
        known = self.elaborator.remembered(key)
        if known is not None:
            return known
        if value in self.buffers:
            return self.elaborator.remember(key, self.load(value, index))
        op = value.defining_op
        if op is None or op is self.root:
            raise InternalError(f"the kernel of {self.group.kernel!r} needs its result at another index", op=self.group)
        return self.elaborator.remember(key, self.inlined(op, value, index))

    def normal_index(self, value: Value, index: list[Expr]) -> list[Expr]:
        """`index` in the one form by which elements are known; only what lies in memory is read in its halo."""
        kind = tensor_type(value)
        halo = kind.layout.halo_of if kind.layout is not None and value in self.buffers else lambda axis: (0, 0)
        alone = [dim == 1 and not any(halo(axis)) for axis, dim in enumerate(kind.shape)]
        return [const(0) if one else self.elaborator.simplified(i) for i, one in zip(index, alone, strict=True)]

    def physical(self, kind: TensorType, index: list[Expr]) -> tuple[Expr, ...]:
        placed = tuple(index) if kind.layout is None else kind.layout.physical_index(tuple(index))
        return tuple(map(self.elaborator.simplified, placed))

    def load(self, value: Value, index: list[Expr]) -> Scalar:
        kind = tensor_type(value)
        operands, at = self.elaborator.emit.localized(self.physical(kind, index))
        loaded = self.elaborator.emit.add(buf.Load(self.buffers[value], *operands, at=at))
        return self.elaborator.emit.cast(Scalar(loaded.result), computing_type(kind))

    def inlined(self, op: Op, value: Value, index: list[Expr]) -> Scalar:
        if isinstance(op, graph_shape.Constant):
            return self.constant(op)
        if op.spec.has(ELEMENTWISE):
            return self.elementwise(op, index)
        return self.index_map(op, index)

    def constant(self, op: graph_shape.Constant) -> Scalar:
        array = self.pool.get(op.value)
        if array.size != 1:
            raise InternalError("only constants of one element stand inside groups", op=op)
        return self.elaborator.emit.constant(array.reshape(-1)[0].item(), computing_type(tensor_type(op.result)))

    def elementwise(self, op: Op, index: list[Expr]) -> Scalar:
        arguments: list[object] = []
        for operand in op.operands:
            shape = tensor_type(operand).shape
            tail = index[len(index) - len(shape) :]
            at = [const(0) if extent == 1 else i for extent, i in zip(shape, tail, strict=True)]
            argument = self.value_at(operand, at)
            arguments.append(self.rounded(argument, operand) if isinstance(op, Cast) else argument)
        name = op.name.removeprefix("graph.")
        attributes = self.attributes(op)
        kind = computing_type(tensor_type(op.result))
        result = self.elaborator.emit.scalar(self.elaborator.function(name, arguments, attributes), kind)
        return self.elaborator.emit.cast(result, kind)

    def rounded(self, scalar: Scalar, value: Value) -> Scalar:
        """An element of `value` as its type holds it, where it may have been computed wider."""
        emit, kind = self.elaborator.emit, tensor_type(value)
        return emit.cast(emit.cast(scalar, kind.scalar), computing_type(kind))

    def index_map(self, op: Op, index: list[Expr]) -> Scalar:
        """The element of a tensor that is another one's, elsewhere: its kernel is one store, read at `index`."""
        if isinstance(op, graph_shape.Relayout):  # the same tensor: only the memory behind it differs
            return self.value_at(op.operands[0], index)
        kernel = self.kernel_of(op)
        store = next((n for n in kernel.body if isinstance(n, s.Store)), None)
        names = self.names(op, kernel)
        frame = Frame(names, kernel.file)
        loops = [n for n in kernel.body if isinstance(n, s.For)]
        if store is None and len(loops) == 1 and len(loops[0].body) == 1 and isinstance(loops[0].body[0], s.Store):
            store = loops[0].body[0]
        if store is None:
            raise InternalError(f"kernel {kernel.name!r} cannot be inlined: it is more than one store", op=op)
        for node in kernel.body:
            if isinstance(node, s.Let):
                self.elaborator.statement(node, frame)
        position = 0
        for argument in store.arguments:
            if isinstance(argument, s.Splat) and isinstance(argument.body, s.Name):
                rest = len(index) - (len(store.arguments) - 1)
                frame.names[argument.body.name] = list(index[position : position + rest])
                position += rest
            elif isinstance(argument, s.Name):
                frame.names[argument.name] = index[position]
                position += 1
            else:
                raise InternalError(f"kernel {kernel.name!r} cannot be inlined: it stores at computed indices", op=op)
        self.inlining += 1
        value = self.elaborator.expression(store.value, frame)
        self.inlining -= 1
        return self.elaborator.emit.scalar(value, computing_type(tensor_type(op.result)))

    def write(self, tensor: Tensor, index: list[Expr], value: object) -> None:
        """Store the root's result, or rather what the group makes of it."""
        root = tensor.key
        index = self.normal_index(root, index)
        scalar = self.elaborator.emit.scalar(value, computing_type(tensor.type))
        if scalar.type != computing_type(tensor.type):
            raise UserError(f"{tensor.name!r} holds {tensor.type.scalar}, got a {scalar.type}")
        self.elaborator.remember((root, tuple(index)), scalar)
        for yielded, out in zip(self.yields, self.outputs, strict=True):
            if root in self.roots_behind(yielded):
                self.store(yielded, out, index)

    def store(self, yielded: Value, out: Value, index: list[Expr]) -> None:
        kind = tensor_type(yielded)
        scalar = self.elaborator.emit.cast(self.value_at(yielded, list(index)), kind.scalar)
        operands, at = self.elaborator.emit.localized(self.physical(kind, index))
        self.elaborator.emit.add(buf.Store(scalar.value, out, *operands, at=at))

    def publish(self, count: Scalar) -> None:
        """Make the size of the root's results known, which is a symbol in their types."""
        if not isinstance(self.root, Counting):
            raise UserError(f"the results of {self.group.kernel!r} have no size that is found at run time")
        self.elaborator.emit.add(buf.Publish(count.value, symbol=self.root.size))

    def roots_behind(self, value: Value) -> frozenset[Value]:
        """The root's results on which `value` depends."""
        if value not in self._depends:
            op = value.defining_op
            if op is None:
                self._depends[value] = frozenset()
            elif op is self.root:
                self._depends[value] = frozenset({value})
            else:
                self._depends[value] = frozenset().union(*map(self.roots_behind, op.operands))
        return self._depends[value]

    # -- definitions -------------------------------------------------------------------------------------------------

    def kernel_of(self, op: Op) -> s.Kernel:
        name = op.name.removeprefix("graph.")
        kernels = self.library.kernels(name)
        if not kernels:
            raise InternalError(f"the kernel library has no kernel {name!r}", op=op)
        for kernel in kernels:
            frame = Frame(self.names(op, kernel), kernel.file)
            if kernel.condition is None or self.elaborator.expression(kernel.condition, frame):
                return kernel
        raise InternalError(f"no variant of kernel {name!r} takes {', '.join(str(v.type) for v in op.operands)}", op=op)

    def names(self, op: Op, kernel: s.Kernel) -> dict[str, object]:
        """What a kernel's parameters stand for."""
        names: dict[str, object] = {"lanes": self.lanes(), **self.attributes(op)}
        groups = op.spec.operands
        at = 0
        for parameter, definition in zip(kernel.operands, groups, strict=True):
            if definition.kind == "many":
                count = len(op.operands) - (len(groups) - 1)
                values = op.operands[at : at + count]
                names[parameter] = [self.tensor(value, f"{parameter}{n}") for n, value in enumerate(values)]
                at += count
            elif at < len(op.operands):
                names[parameter] = self.tensor(op.operands[at], parameter)
                at += 1
            else:
                names[parameter] = None
        for parameter, value in zip(kernel.results, op.results, strict=True):
            names[parameter] = self.tensor(value, parameter)
        return names

    def attributes(self, op: Op) -> dict[str, object]:
        known = {name: early_value(getattr(op, name)) for name in op.spec.attrs if name != "layout"}
        image = op.operands[0].type if op.operands else None
        spatial = image.rank - 2 if isinstance(image, TensorType) else 0
        for name, default in (("strides", 1), ("dilations", 1), ("output_padding", 0)):
            if known.get(name) == []:
                known[name] = [default] * spatial
        if known.get("pads") == []:
            known["pads"] = [0] * (2 * spatial)
        known["result_shape"] = list(tensor_type(op.results[0]).shape)
        return known

    # -- the whole ---------------------------------------------------------------------------------------------------

    def lower(self, name: str) -> LoweredGroup:
        """The scheduled kernel."""
        emit = self.elaborator.emit
        emit.block = self.block
        if self.root is not None:
            kernel = self.kernel_of(self.root)
            names = self.names(self.root, kernel)
            self.elaborator.kernel(kernel, names)
        else:
            kernel = None
            names = {}
            self.map_nests()
        emit.block = self.block
        emit.add(Return())
        func = Func(name, Region([self.block]))
        return self.schedule(func, kernel, names)

    def map_nests(self) -> None:
        """A loop nest per result, in the order in which it lies in memory."""
        for number, yielded in enumerate(self.yields):
            shape = _extents(yielded)
            if number and shape == _extents(self.yields[0]):
                continue  # written along with the first
            same = [(v, out) for v, out in zip(self.yields, self.outputs, strict=True) if _extents(v) == shape]
            order = _axis_order(tensor_type(yielded).layout, len(shape))
            self._map_nest(shape, order, same)

    def _map_nest(self, shape: list[Expr], order: tuple[int, ...], results: list[tuple[Value, Value]]) -> None:
        loops = [(f"{axis}", f"i.{axis}", const(0), shape[axis]) for axis in order]

        def body(frame: Frame) -> None:
            index = [as_index(frame.find(str(axis))) for axis in range(len(shape))]
            for yielded, out in results:
                self.store(yielded, out, index)

        self.elaborator.nested(loops, Frame({}, "map"), body)

    def schedule(self, func: Func, kernel: s.Kernel | None, names: dict[str, object]) -> LoweredGroup:
        lanes = self.lanes()
        blocked = all((tensor_type(v).layout or Layout(())).blocks for v in self.yields)
        scheduler = Scheduler(func, self.target, self.elaborator, blocked, lanes)
        scheduler.parameters = {
            n: self.buffers[t.key] for n, t in names.items() if isinstance(t, Tensor) and t.key in self.buffers
        }
        scheduler.ends = dict(self._ends(lanes))
        name = "map" if kernel is None else kernel.name
        if kernel is None:
            axis, block = self._map_block()
            axes = [f"i.{a}" for a in range(tensor_type(self.yields[0]).rank)]
            names = {"block": block, "block_axis": axis, "axes": axes}
        for schedule in self.library.schedules(name) or self.library.schedules("default"):
            frame = Frame({**scheduler.facts(), **names}, schedule.file)
            if schedule.condition is None or self.elaborator.expression(schedule.condition, frame):
                scheduler.run(schedule, frame)
                taken = f"{schedule.name} ({schedule.file}:{schedule.line})"
                considered = (*algorithms(self.root, self.target), *scheduler.considered)
                return LoweredGroup(func, taken, scheduler.chosen, considered)
        raise InternalError(f"no schedule of {name!r} fits", op=self.group)

    def lanes(self) -> int:
        """How many elements of the widest result are in a vector."""
        widest = max(tensor_type(v).scalar.bits for v in self.yields)
        return max(1, self.target.facts.vector_bits // max(32, widest))

    def _ends(self, lanes: int) -> Iterator[tuple[Value, tuple[int, int]]]:
        """Results whose channels are in blocks of `lanes`: where those are counted, and how many channels there are."""
        for yielded, out in zip(self.yields, self.outputs, strict=True):
            kind = tensor_type(yielded)
            if kind.layout is not None and len(kind.layout.blocks) == 1:
                axis, block = kind.layout.blocks[0]
                channels = kind.shape[axis]
                if block == lanes and isinstance(channels, int):
                    yield out, (kind.layout.order.index(axis), channels)

    def _map_block(self) -> tuple[int, int]:
        """The axis of the first result that is innermost in blocks, and how long these are."""
        layout = tensor_type(self.yields[0]).layout
        return layout.blocks[-1] if layout and layout.blocks else (0, 1)


def _extents(value: Value) -> list[Expr]:
    return [as_expr(dim) for dim in tensor_type(value).shape]


def _axis_order(layout: Layout | None, rank: int) -> tuple[int, ...]:
    """Axes from outermost to innermost, as they lie in memory before blocking."""
    return layout.order if layout is not None else tuple(range(rank))


def early_value(value: object) -> object:
    """An attribute as a value of the kernel language."""
    if isinstance(value, tuple):
        return [early_value(v) for v in value]
    if isinstance(value, ScalarType):
        return value.name
    return value
