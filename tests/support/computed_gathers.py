"""Finding kernels that compute where they read: a quotient or a remainder for each element, not for each row."""

from __future__ import annotations

from collections.abc import Iterator

from dlc.codegen.emit.memory import linear_offset
from dlc.ir.core import Block, Module, Op, Value
from dlc.ir.dialects import arith, buf, loop, vec
from dlc.ir.expr import Expr
from dlc.ir.expr_atoms import Compound


def computed_gathers(module: Module, rows: bool = False) -> list[str]:
    """The kernels in which the place of a read holds a quotient or a remainder of an innermost loop's variable; with
    `rows`, also of those around it, by what is no number. What the layout of a buffer turns back into a sum is none."""
    kernels = [func for func in module.funcs.values() if func not in module.bodies]
    return [func.name for func in kernels if any(is_computed(op, rows) for op in func.walk())]


def is_computed(op: Op, rows: bool) -> bool:
    place = place_of(op)
    if place is None:
        return False
    expr, indices = place
    names = {f"d{n}": value for n, value in enumerate(indices)}
    divisions = (atom for atom in atoms(expr) if isinstance(atom, Compound) and atom.kind in ("//", "%"))
    return any(is_costly(atom, names, rows) for atom in divisions)


def place_of(op: Op) -> tuple[Expr, list[Value]] | None:
    """Where an op reads, or what index it computes, over its index operands."""
    if isinstance(op, arith.Index):
        return op.expr, op.operands
    if isinstance(op, buf.Load | vec.Load | vec.Gather):
        return linear_offset(op.buffer, op.at), op.indices
    return None


def atoms(expr: Expr) -> Iterator[object]:
    """All atoms, those inside of others as well."""
    for monomial, _ in expr.terms:
        for atom in monomial:
            yield atom
            if isinstance(atom, Compound):
                yield from atoms(atom.left)
                yield from atoms(atom.right)


def is_costly(atom: Compound, names: dict[str, Value], rows: bool) -> bool:
    loops = [found for name in atom.names() if name in names and (found := around(names[name])) is not None]
    return any(is_innermost(each) or (rows and not atom.right.is_const) for each in loops)


def around(value: Value) -> loop.For | None:
    """The loop whose variable a value is."""
    parent = value.owner.parent if isinstance(value.owner, Block) else None
    found = parent.parent if parent is not None else None
    return found if isinstance(found, loop.For) else None


def is_innermost(op: loop.For) -> bool:
    return not any(isinstance(each, loop.For) for each in op.block.walk())
