"""Give each tensor the memory layout that its producer and readers work best with.

Images (N, C, H, W) that convolutions and pools make or read lie with a block of channels innermost (as many as a vector
has lanes) and with a halo of zeros as wide as the padding of the convolutions that read them, so that no convolution
has code for borders. Ops that work element by element, or join and reduce such images, keep the layout. The right
operand of a matrix product lies in panels of columns. Where neighbours disagree, a relayout stands between them; a
constant is simply laid out differently.

    conv(x: plain, w)        →   conv(relayout(x): c16 + halo, w: c16 k16) : c16
"""

from __future__ import annotations

from typing import ClassVar

from dlc.ir.core import Block, Module, Op, Region, Value
from dlc.ir.dialects import graph_flow, graph_math, graph_nn, graph_recurrent, graph_shape
from dlc.ir.dialects.graph_strassen import StrassenMatMul
from dlc.ir.dialects.graph_winograd import WinogradConv, WinogradInput, WinogradOutput, WinogradProducts
from dlc.ir.expr import Dim
from dlc.ir.levels import Level
from dlc.ir.opdef import ELEMENTWISE
from dlc.ir.types import SI32, Layout, TensorType
from dlc.passes.base import Pass, PassContext
from dlc.passes.graph.control_flow import blocks_of
from dlc.passes.graph.fusion_roles import is_inlined
from dlc.passes.graph.joined import slice_of
from dlc.passes.graph.layouts import (
    Placement,
    blocked_image,
    conv_kind,
    halo_for,
    is_image,
    panel_columns,
    panel_layout,
    recurrent_layout,
    strassen_layout,
    tensor_type,
    weight_layout,
    winograd_halo,
    winograd_layout,
)
from dlc.record import record
from dlc.target import Target

IMAGE_ROOTS = (graph_nn.Conv, graph_nn.ConvTranspose, graph_nn.Pool)
FOLLOWERS = (graph_shape.Resize, graph_nn.Reduce, graph_shape.Concat, graph_nn.Lrn, graph_nn.BatchNorm)


@record
class ChooseLayout(Pass):
    """See the top of the file."""

    name: ClassVar[str] = "choose-layout"
    needs: ClassVar[Level] = Level.GRAPH
    leaves: ClassVar[Level] = Level.GRAPH

    def run(self, module: Module, cx: PassContext) -> bool:
        workers = [_Worker(block, cx.target) for body in module.bodies for block in blocks_of(body.block)]
        for worker in workers:
            worker.run()
        return any(worker.changed for worker in workers)


class _Worker:
    """One run over a block, in order: a group's operands have their layouts before the group is looked at."""

    def __init__(self, block: Block, target: Target) -> None:
        self.block = block
        self.target = target
        self.lanes = target.facts.vector_bits // 32
        self.changed = False
        self.made: dict[tuple[Value, Layout | None], Value] = {}

    def run(self) -> None:
        for op in list(self.block.ops):
            if isinstance(op, graph_flow.Group):
                self.group(op)
        self.returned(self.block.terminator)

    def group(self, group: graph_flow.Group) -> None:
        for arg, outer in zip(group.body.block.args, group.operands, strict=True):
            arg.type = outer.type
        self.infer_again(group)
        root = root_of(group)
        if isinstance(root, graph_nn.Conv):
            self.conv(group, root)
        elif isinstance(root, WinogradConv | WinogradInput):
            self.winograd(group, root)
        elif isinstance(root, WinogradOutput):
            self.results(group, True)
        elif isinstance(root, WinogradProducts):
            columns = tensor_type(root.h).shape[2]
            if isinstance(columns, int) and columns % root.panel == 0:  # the kernel stores whole panels
                self.set_operand(group, root.h, winograd_layout(root.window, root.panel))
            self.results(group, False)
        elif isinstance(root, graph_nn.MatMul):
            self.matmul(group, root)
        elif isinstance(root, StrassenMatMul):
            columns = tensor_type(root.u).shape[2]
            if isinstance(columns, int) and columns % root.panel == 0:  # the kernel stores whole panels
                self.set_operand(group, root.u, strassen_layout(root.panel))
            self.results(group, False)
        elif isinstance(root, graph_recurrent.Recurrence):
            self.recurrence(group, root)
        elif isinstance(root, IMAGE_ROOTS):
            self.image(group, root)
        else:
            self.follower(group, root)

    # -- kinds of groups ---------------------------------------------------------------------------------------------

    def conv(self, group: graph_flow.Group, root: graph_nn.Conv) -> None:
        kind = conv_kind(root, self.lanes)
        x = tensor_type(root.x)
        source = outer_of(group, root.x)
        have = tensor_type(source).layout or Layout(tuple(range(x.rank)))
        halo = halo_for(root)
        # a plain image is read as it is, unless it must be copied anyway, for its halo
        copied = bool(halo) and not _serves(have, Layout(have.order, have.blocks, halo), x.rank)
        whole = isinstance(x.shape[1], int) and x.shape[1] % self.lanes == 0
        may_block = kind == "dense" and (bool(have.blocks) or (copied and whole))
        blocked_input = kind in ("depthwise", "grouped") or may_block
        wanted = blocked_image(x.rank, self.lanes, halo) if blocked_input else Layout(tuple(range(x.rank)), (), halo)
        if not _serves(have, wanted, x.rank):
            self.set_operand(group, root.x, wanted)
        block = self.lanes if blocked_input else 1
        self.set_operand(group, root.w, weight_layout(root, kind, block, self.lanes))
        self.results(group, kind != "plain" and not self.leaves_plain(group, root))

    def leaves_plain(self, group: graph_flow.Group, root: graph_nn.Conv) -> bool:
        """Whether a convolution with channels in lanes stores a plain image.

        It is only returned, the lanes are full, and what else the group reads is no image: that would have to be read
        across the grain.
        """
        kind = tensor_type(root.result)
        channels = kind.shape[1]
        returned = all(op is self.block.ops[-1] for value in group.results for op, _ in value.uses)
        whole = isinstance(channels, int) and channels % self.lanes == 0
        others = [v for v in group.operands if v is not outer_of(group, root.x) and v is not outer_of(group, root.w)]
        scales = all(tensor_type(v).shape[-1:] in ((), (1,)) for v in others)
        return kind.scalar.bits == 32 and returned and whole and scales

    def winograd(self, group: graph_flow.Group, root: WinogradConv | WinogradInput) -> None:
        wanted = blocked_image(4, self.lanes, winograd_halo(root))
        if not _serves(tensor_type(outer_of(group, root.x)).layout, wanted, 4):
            self.set_operand(group, root.x, wanted)
        if isinstance(root, WinogradInput):
            self.results(group, False)
            return
        rows_apart = 0  # of arrays that winograd.kernel lays so
        columns = panel_columns(root.part, rows_apart, tensor_type(root.u).shape[2], self.target)
        self.set_operand(group, root.u, panel_layout(3, columns))
        self.results(group, True)

    def image(self, group: graph_flow.Group, root: Op) -> None:
        x = root.operands[0]
        kind = tensor_type(x)
        few = isinstance(kind.shape[1], int) and kind.shape[1] < self.lanes // 2
        if not is_image(kind) or not kind.scalar.is_float or (few and kind.layout is None):
            self.follower(group, root)
            return
        halo = halo_for(root) if isinstance(root, graph_nn.ConvTranspose) else ()
        wanted = blocked_image(kind.rank, self.lanes, halo)
        if not _serves(tensor_type(outer_of(group, x)).layout, wanted, kind.rank):
            self.set_operand(group, x, wanted)
        if isinstance(root, graph_nn.ConvTranspose):
            if root.groups != 1:
                self.results(group, True)
                return
            blocks = ((0, self.lanes), (1, self.lanes))
            self.set_operand(group, root.operands[1], Layout((1, 0, *range(2, kind.rank)), blocks))
        self.results(group, True)

    def follower(self, group: graph_flow.Group, root: Op | None) -> None:
        """Element-wise groups and a few others take over the layout of the images that they read."""
        follows = root is None or isinstance(root, FOLLOWERS)
        images = [v for v in group.operands if (tensor_type(v).layout or Layout(())).blocks == ((1, self.lanes),)]
        ranks = {tensor_type(v).rank for v in (*images, *group.results)}
        alike = follows and bool(images) and len(ranks) == 1 and self._keeps_channels(group, root)
        if alike:
            self.results(group, True)
            return
        self.results(group, False)

    def _keeps_channels(self, group: graph_flow.Group, root: Op | None) -> bool:
        block = group.body.block
        if isinstance(root, graph_shape.Concat):
            sizes = [tensor_type(v).shape[1] for v in root.operands]
            return root.axis == 1 and all(isinstance(s, int) and s % self.lanes == 0 for s in sizes)
        if isinstance(root, graph_nn.Reduce):
            return 1 not in root.axes and root.keepdims
        if isinstance(root, graph_shape.Resize):
            return root.sizes[1] == tensor_type(root.x).shape[1]
        if root is not None:
            return True
        if (part := slice_of(group)) is not None:
            start = part.starts[1]
            return isinstance(start, int) and start % self.lanes == 0 and (part.steps or (1, 1))[1] == 1
        return all(op.spec.has(ELEMENTWISE) or isinstance(op, graph_shape.Constant) for op in block.ops[:-1])

    def matmul(self, group: graph_flow.Group, root: graph_nn.MatMul) -> None:
        a, b = tensor_type(root.a), tensor_type(root.b)
        columns = panel_columns(a.shape[-2], a.shape[-1] * a.scalar.bytes, b.shape[-1], self.target)
        weight = outer_of(group, root.b).defined_by(graph_shape.Constant) is not None
        if 1 in b.shape[-2:] or (a.shape[-2] == 1 and not weight):  # read once, if at all: a copy would cost more
            self.results(group, False)
            return
        if b.scalar.is_float and b.scalar.bits <= 32:
            self.set_operand(group, root.b, panel_layout(b.rank, columns))
        elif _is_dot(root) and not _fits_one_group(b.shape[-2]):
            self.set_operand(group, root.b, panel_layout(b.rank, columns, group=4))
        self.results(group, False)

    def recurrence(self, group: graph_flow.Group, root: graph_recurrent.Recurrence) -> None:
        for weights in root.recurrent_weights():
            lanes = self.target.facts.vector_bits // max(32, tensor_type(weights).scalar.bits)
            self.set_operand(group, weights, recurrent_layout(lanes))
        self.results(group, False)

    def returned(self, end: Op) -> None:
        """What leaves the block is plain."""
        for number, value in enumerate(end.operands):
            if isinstance(value.type, TensorType) and value.type.layout is not None:
                end.set_operand(number, self.relayout(end, value, None))
                self.changed = True

    # -- changes -----------------------------------------------------------------------------------------------------

    def results(self, group: graph_flow.Group, blocked: bool) -> None:
        """Choose the layouts of a group's results."""
        for number, value in enumerate(group.results):
            kind = tensor_type(value)
            placed = Placement(value, self.lanes).layout(blocked and is_image(kind))
            yielded = group.body.block.terminator.operands[number]
            self.place(group, yielded, placed)
        for value, laid_out in zip(group.results, group.infer(), strict=True):
            self.changed |= value.type != laid_out
            value.type = laid_out

    def place(self, group: graph_flow.Group, yielded: Value, layout: Layout | None) -> None:
        """Lay out what a group yields, and with it the values of the same shape that lead there from its root."""
        kind = tensor_type(yielded)
        plain = Layout(tuple(range(kind.rank)))
        for op in group.body.block.ops[:-1]:
            if "layout" in op.spec.attrs and not isinstance(op, graph_shape.Relayout) and op.results[0].type == kind:
                self.set_layout(op, layout or plain)
        root = root_of(group)
        if root is not None and "layout" in root.spec.attrs and tensor_type(root.results[0]).shape == kind.shape:
            self.set_layout(root, layout or plain)
        self.infer_again(group)

    def set_layout(self, op: Op, layout: Layout) -> None:
        self.changed |= op.attrs.get("layout") != layout
        op.attrs["layout"] = layout

    def infer_again(self, group: graph_flow.Group) -> None:
        for op in group.body.block.ops[:-1]:
            for value, inferred in zip(op.results, op.infer(), strict=True):
                value.type = inferred

    def set_operand(self, group: graph_flow.Group, inner: Value, layout: Layout | None) -> None:
        """Have the group read `inner` (an argument, or what it computes first) in `layout`."""
        if inner.owner is not group.body.block:
            self.pull_out(group, inner, layout)
            self.changed = True
            return
        number = inner.index
        outer = group.operands[number]
        if tensor_type(outer).layout == (None if layout is None or layout.is_plain else layout):
            return
        self.changed = True
        laid = self.relayout(group, outer, layout)
        group.set_operand(number, laid)
        inner.type = laid.type
        self.infer_again(group)

    def relayout(self, before: Op, value: Value, layout: Layout | None) -> Value:
        """`value` in `layout`: another constant, or a group that copies."""
        key = (value, layout)
        if key in self.made:
            return self.made[key]
        constant, source = value.defined_by(graph_shape.Constant), value.defined_by(graph_flow.Group)
        made: Op
        if source is not None and layout is not None and value.has_one_use() and only_casts(source):
            end = source.body.block.terminator
            laid = graph_shape.Relayout(end.operands[0], layout=layout, loc=source.loc)
            source.body.block.insert_before(end, laid)
            end.set_operand(0, laid.result)
            value.type = laid.result.type
            return value
        if constant is not None:
            kind = tensor_type(value).with_layout(layout)
            made = graph_shape.Constant(value=constant.value, type=kind, loc=constant.loc)
            (constant.parent or self.block).insert_after(constant, made)
        else:
            made = copy_group(value, layout, before)
            anchor = value.defining_op
            if anchor is None or anchor.parent is not self.block:  # only the branch that reads it so needs it
                self.block.insert(0, made)
            else:
                self.block.insert_after(anchor, made)
        self.made[key] = made.result
        return made.result

    def pull_out(self, group: graph_flow.Group, inner: Value, layout: Layout | None) -> None:
        """Move the ops that compute `inner` out of the group into one of their own, which stores it in `layout`."""
        ops = _slice(inner)
        args = [v for v in group.body.block.args if any(v in op.operands for op in ops)]
        body = Block([a.type for a in args], [a.hint for a in args])
        mapping = dict(zip(args, body.args, strict=True))
        for op in ops:
            body.append(op.clone(mapping))
        laid = body.append(graph_shape.Relayout(mapping[inner], layout=layout, loc=ops[-1].loc))
        body.append(graph_flow.Yield(laid.result))
        made = graph_flow.Group(
            *(group.operands[a.index] for a in args), kernel="copy", regions=[Region([body])], loc=ops[-1].loc
        )
        self.block.insert_before(group, made)
        made.result.hint = inner.hint
        argument = group.body.block.add_arg(made.result.type, inner.hint)
        group.set_operands([*group.operands, made.result])
        inner.replace_all_uses_with(argument)
        for op in reversed(ops):
            if not op.has_uses():
                op.erase()
        self.drop_unused(group)
        self.infer_again(group)

    def drop_unused(self, group: graph_flow.Group) -> None:
        args = group.body.block.args
        for number in reversed(range(len(args))):
            if not args[number].uses:
                operands = list(group.operands)
                del operands[number]
                group.set_operands(operands)
                group.body.block.remove_arg(number)


def only_casts(group: graph_flow.Group) -> bool:
    """Whether a group gives one value, a cast of another: in another layout it is a copy that casts on the way."""
    ops = group.body.block.ops[:-1]
    return len(group.results) == 1 and bool(ops) and all(isinstance(op, graph_math.Cast) for op in ops)


def _is_dot(root: graph_nn.MatMul) -> bool:
    """Whether a product is one of bytes whose sums are int32: what dot instructions compute."""
    a, b = tensor_type(root.a).scalar, tensor_type(root.b).scalar
    return a.is_integer and b.is_integer and a.bits == b.bits == 8 and tensor_type(root.result).scalar == SI32


def _fits_one_group(inner: Dim) -> bool:
    """Whether a sum has no more terms than one dot instruction takes: there is nothing to loop over in groups."""
    return isinstance(inner, int) and inner <= 4


def _serves(have: Layout | None, wanted: Layout, rank: int) -> bool:
    """Whether memory laid out as `have` can be read as `wanted`: the same blocks, and a halo at least as wide."""
    have = have or Layout(tuple(range(rank)))
    if have.blocks != wanted.blocks or have.order != wanted.order:
        return False
    return all(have.halo_of(a)[side] >= wanted.halo_of(a)[side] for a in range(rank) for side in (0, 1))


def _slice(value: Value) -> list[Op]:
    """The ops that compute `value`, in program order."""
    seen: dict[Op, None] = {}

    def visit(v: Value) -> None:
        op = v.defining_op
        if op is None or op in seen:
            return
        for operand in op.operands:
            visit(operand)
        seen[op] = None

    visit(value)
    return list(seen)


def copy_group(value: Value, layout: Layout | None, like: Op) -> graph_flow.Group:
    """A group that copies `value` into `layout`."""
    body = Block([value.type])
    copied = body.append(graph_shape.Relayout(body.args[0], layout=layout, loc=like.loc))
    body.append(graph_flow.Yield(copied.result))
    made = graph_flow.Group(value, kernel="relayout", regions=[Region([body])], loc=like.loc)
    made.result.hint = value.hint
    return made


def root_of(group: graph_flow.Group) -> Op | None:
    """The op of a group that is not computed where it is read."""
    return next((op for op in group.body.block.ops[:-1] if not is_inlined(op)), None)


def outer_of(group: graph_flow.Group, inner: Value) -> Value:
    """The operand of the group behind an argument (or the value itself, if the group computes it)."""
    return group.operands[inner.index] if inner.owner is group.body.block else inner
