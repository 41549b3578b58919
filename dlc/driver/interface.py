"""What a lowered model asks of its inputs' sizes, and computes of them, for `dlc_bind` (codegen/emit/bind.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dlc.codegen.emit.bind import Guard, InputSites, Interface, Size
from dlc.codegen.emit.found import input_checks
from dlc.codegen.emit.main import ErrorSites
from dlc.errors import InternalError, UserError
from dlc.ir.core import Func, Module, Value
from dlc.ir.dialects import run
from dlc.ir.dim_names import plain_shape
from dlc.ir.expr import Dim, Expr, as_dim, as_expr, const, maximum
from dlc.ir.guards import declared_types, pairs_of
from dlc.ir.messages import escaped
from dlc.ir.requirements import AT_LEAST, decided
from dlc.ir.scratch import scratch_bytes
from dlc.ir.size_bounds import NO_BOUND, at_most, upper_bounds
from dlc.ir.types import BufferType, TensorType, Type
from dlc.passes.lower.checks import dimension_origins, given, with_value
from dlc.passes.lower.plan_memory import byte_size

MOST_BYTES = (1 << 63) - 1


def interface(module: Module, symbols: Sequence[str], sites: ErrorSites) -> Interface:
    """The interface of a model; its messages join those of `sites`. Raises UserError for sizes beyond 63 bits."""
    inputs = tuple(input_sites(module.main, sites))
    made = [body_interface(module, body, symbols, inputs, sites) for body in module.bodies]
    return replace(made[0], pairs=pairs_of(module.main), general=made[1]) if len(made) > 1 else made[0]


def body_interface(
    module: Module, body: Func, symbols: Sequence[str], inputs: Sequence[InputSites], sites: ErrorSites
) -> Interface:
    """What one body asks of sizes and computes of them."""
    uppers = upper_bounds(body)
    origins = dimension_origins(body)
    arena = as_expr(body.attrs["workspace"])  # type: ignore[arg-type]  # plan-memory has set it
    if arena.is_const and arena.value > MOST_BYTES:
        raise UserError(f"the intermediate results of the model need {arena.value} bytes, more than 63 bits can say")
    results = [shape(arg.type) for arg in body.args if getattr(arg.type, "space", "") == "output"]
    guards = tuple(input_guards(body, sites, origins))
    sizes = (*run_sizes(body, sites, origins), *amounts(module, body, sites, origins))
    memory = TOO_LARGE.format("the memory of all intermediate results")
    too_large = sites.add(f"{memory}{given(arena.symbols(), origins)}")
    return Interface(
        symbols=symbols, inputs=inputs, results=results,
        most=[tuple(as_dim(at_most(dim, uppers) or NO_BOUND) for dim in each) for each in results],
        workspace=Size(arena, too_large), messages=sites.messages, scratch=scratch_bytes(module),
        uppers=uppers, guards=guards, sizes=sizes,
    )  # fmt: skip


TOO_LARGE = "{} is more than 63 bits can say"


def shape(kind: Type) -> tuple[Dim, ...]:
    if not isinstance(kind, TensorType | BufferType):
        raise InternalError(f"{kind} is no tensor")
    return kind.shape


def input_sites(main: Func, sites: ErrorSites) -> Iterator[InputSites]:
    for name, kind in zip(main.listed("inputs"), declared_types(main), strict=True):
        dims = shape(kind)
        names = sorted({symbol for dim in dims for symbol in as_expr(dim).symbols()})
        known = f" with {', '.join(map(with_value, names))}" if names else ""
        text = escaped(f"input '{name}' must have shape {plain_shape(dims)}")
        yield InputSites(dims, sites.add(f"{text}{known}: dimension {{0}} is {{1}}"))


def input_guards(main: Func, sites: ErrorSites, origins: dict[str, str]) -> Iterator[Guard]:
    for check in input_checks(main):
        where = given(check.left.symbols() | check.right.symbols(), origins)
        text = f"'{check.loc}': a size that follows from those of the inputs"
        too_large = sites.add(f"{escaped(TOO_LARGE.format(text))}{where}")
        yield Guard(check, sites.codes[check], too_large)


def run_sizes(main: Func, sites: ErrorSites, origins: dict[str, str]) -> Iterator[Size]:
    """Sizes of the buffers that no guard has asked for already, then their bytes; each once."""
    uppers = upper_bounds(main)
    asked = {check.left for check in input_checks(main) if check.relation == AT_LEAST and check.right == 0}
    inside = {op.result for op in main.walk() if isinstance(op, run.Alloc) and op.parent is not main.block}
    buffers = [*main.args, *(op.result for op in main.block.ops if isinstance(op, run.Alloc | run.View)), *inside]
    seen: set[Expr] = set(asked)
    for buffer in buffers:
        kind = buffer.type
        if not isinstance(kind, BufferType):
            raise InternalError(f"{kind} is no buffer")
        dims = [most for dim in kind.shape if (most := at_most(dim, uppers)) is not None]
        if buffer in inside:  # of a branch: whether its sizes fit is asked for where it is taken
            dims = [maximum(dim, const(0)) for dim in dims]
        numbers = [(dim, "a size of {}, {{0}}, is negative or") for dim in dims if decided(dim, AT_LEAST) is not True]
        for expr, what in (*numbers, (byte_size(kind, uppers), "the memory of {} is")):
            if expr is None or expr.is_const or expr in seen:
                continue
            seen.add(expr)
            text = what.format(named(buffer))
            yield Size(expr, sites.add(f"{text} more than 63 bits can say{given(expr.symbols(), origins)}"))


def amounts(module: Module, body: Func, sites: ErrorSites, origins: dict[str, str]) -> Iterator[Size]:
    """How much each call has to do, which bounds its loops; each amount once."""
    uppers = upper_bounds(body)
    seen: set[Expr] = set()
    for call in (op for op in body.block.ops if isinstance(op, run.Call)):
        operations = module.funcs[call.kernel].attrs.get("operations")
        most = at_most(operations, uppers) if isinstance(operations, Expr) else None
        if most is not None and not most.is_const and most not in seen:
            seen.add(most)
            name = escaped(f"'{call.loc}'")
            text = f"{name}: the number of its operations is more than 63 bits can say"
            yield Size(most, sites.add(f"{text}{given(most.symbols(), origins)}"))


def named(buffer: Value) -> str:
    """What a buffer is to the user, as part of a message."""
    if (op := buffer.defining_op) is not None:
        return escaped(f"the result of '{op.loc}'")
    return escaped(f"{'output' if getattr(buffer.type, 'space', '') == 'output' else 'input'} '{buffer.hint}'")
