"""The kernel that zeroes the halo of a buffer, so that convolutions can read past the border of their image."""

from __future__ import annotations

from dlc.errors import InternalError
from dlc.ir.core import UNKNOWN, Block, Func, Region
from dlc.ir.dialects import arith, buf
from dlc.ir.dialects.func import Return
from dlc.ir.expr import Expr, as_expr, const
from dlc.ir.types import Layout, TensorType
from dlc.kernel_language.library import Library
from dlc.passes.loop.automatic import schedule_automatically
from dlc.passes.lower.elaborate import Elaborator
from dlc.passes.lower.frame import Binding, Frame, Tensor
from dlc.passes.lower.scalars import Scalar, as_index
from dlc.passes.lower.schedule import finish
from dlc.target import Target


def halo_slabs(kind: TensorType) -> list[tuple[int, Expr, Expr]]:
    """(axis of the buffer, lower, upper) of each slab of the halo."""
    layout = kind.layout or Layout(tuple(range(kind.rank)))
    shape = layout.physical_shape(kind.shape)
    slabs = []
    for position, axis in enumerate(layout.order):
        before, after = layout.halo_of(axis)
        extent = as_expr(shape[position])
        if before:
            slabs.append((position, const(0), const(before)))
        if after:
            slabs.append((position, extent - after, extent))
    return slabs


def _read(tensor: Tensor, index: list[Expr]) -> Scalar:
    raise InternalError(f"the halo's kernel reads {tensor.name!r}")


def _write(tensor: Tensor, index: list[Expr], value: object) -> None:
    raise InternalError(f"the halo's kernel writes {tensor.name!r} itself")


def halo_kernel(kind: TensorType, name: str, library: Library, target: Target) -> Func:
    """A function of one buffer, laid out as `kind`, that stores zeros in the halo."""
    elaborator = Elaborator(library, Binding(_read, _write), UNKNOWN)
    block = Block([kind.buffer("output")], ["y"])
    emit = elaborator.emit
    emit.block = block
    shape = kind.buffer().shape
    slabs = halo_slabs(kind)
    first = min(position for position, _, _ in slabs)
    outer = [(f"o{n}", f"o{n}", const(0), as_expr(shape[n])) for n in range(first)]

    def slab(frame: Frame) -> None:
        for position, lower, upper in slabs:
            inner = [
                (f"s{n}", f"s{n}", lower if n == position else const(0), upper if n == position else as_expr(shape[n]))
                for n in range(first, len(shape))
            ]
            elaborator.nested(inner, frame, store)

    def store(frame: Frame) -> None:
        index = tuple(as_index(frame.find(f"o{n}" if n < first else f"s{n}")) for n in range(len(shape)))
        operands, at = emit.localized(index)
        zero = emit.add(arith.Constant(value=0.0 if kind.scalar.is_float else 0, type=kind.scalar))
        emit.add(buf.Store(zero.result, block.args[0], *operands, at=at))

    elaborator.nested(outer, Frame({}, "halo"), slab)
    emit.block = block
    emit.add(Return())
    func = Func(name, Region([block]))
    schedule_automatically(func, target.facts.vector_bits // max(32, kind.scalar.bits), fill=False)
    finish(func)
    return func
