"""Guards of the graph level as checks of the loop level, with messages that say which input to change."""

from __future__ import annotations

from collections.abc import Iterable

from dlc.ir.core import Func
from dlc.ir.dialects import run
from dlc.ir.dialects.graph_flow import Require
from dlc.ir.dim_names import in_expression, readable, symbol_in
from dlc.ir.expr import Dim, as_expr
from dlc.ir.guards import declared_types
from dlc.ir.messages import escaped, value_of
from dlc.ir.needed_size import needed_size
from dlc.ir.requirements import AT_LEAST


def checks(main: Func) -> list[run.Check]:
    """The checks for the guards of `main`, in order."""
    origins = dimension_origins(main)
    return [check_for(op, origins) for op in main.block.ops if isinstance(op, Require)]


def check_for(op: Require, origins: dict[str, str]) -> run.Check:
    return run.Check(
        left=as_expr(op.left), right=as_expr(op.right), relation=op.relation, message=message(op, origins), loc=op.loc
    )


def dimension_origins(main: Func) -> dict[str, str]:
    """Per named dimension the input that gives it its value, in words."""
    origins: dict[str, str] = {}
    for name, kind in zip(main.listed("inputs"), declared_types(main), strict=False):
        for axis, dim in enumerate(getattr(kind, "shape", ())):
            if (symbol := symbol_in(dim)) is not None:
                origins.setdefault(symbol, f"dimension {axis} of input '{name}'")
    return origins


def message(op: Require, origins: dict[str, str]) -> str:
    """What is said where a guard fails: the node, what it needs, what came, where it comes from, and what would do."""
    got = side(op.left, 0)
    if op.relation != AT_LEAST or not as_expr(op.right).is_const:
        got += f" and {side(op.right, 1)}"
    elif op.right != 0:
        got += ", at least {1} is needed"
    needs = escaped(f"{op.what} '{op.loc}': {op.text}")
    names = as_expr(op.left).symbols() | as_expr(op.right).symbols()
    size = needed_size(as_expr(op.left) - as_expr(op.right), op.relation) if names <= origins.keys() else None
    change = f" must be {size}" if size is not None else ""
    return f"{needs}, got {got}{given(names, origins)}{change}"


def side(dim: Dim, number: int) -> str:
    said = as_expr(dim).is_const or as_expr(dim).is_symbol  # by the number itself, or behind it
    return f"{{{number}}}" if said else f"{escaped(readable(dim))} = {{{number}}}"


def with_value(symbol: str) -> str:
    """``n = 3``: a named dimension with its value."""
    return f"{escaped(in_expression(symbol))} = {value_of(symbol)}"


def given(names: Iterable[str], origins: dict[str, str]) -> str:
    """The values of named dimensions, and the inputs to change."""
    where = [f"{with_value(name)} ({escaped(origins.get(name, 'found at run time'))})" for name in sorted(names)]
    return f"; {', '.join(where)}" if where else ""
