"""From a model file to the loop level: the importer and the passes, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any

from dlc.driver.watch import UNWATCHED, Watch
from dlc.errors import UserError
from dlc.frontends.load import load_model
from dlc.ir.core import Func, Module, Value
from dlc.ir.expr import Expr
from dlc.ir.guards import declared_types
from dlc.ir.pool import content_key
from dlc.ir.size_bounds import upper_bounds
from dlc.ir.types import Array, Type
from dlc.passes.base import CompileOptions, Pass, PassContext, ignore_kernel
from dlc.passes.graph.choose_layout import ChooseLayout
from dlc.passes.graph.eliminate_dead_code import EliminateDeadCode
from dlc.passes.lower.lower_graph import LowerGraph
from dlc.passes.lower.plan_memory import PlanMemory
from dlc.passes.manager import Checks, Dump, PassManager, PassRecord
from dlc.passes.pipelines import graph_pipeline
from dlc.record import record
from dlc.target import Target


@record
class Options:
    """What a compilation depends on besides the model."""

    target: Target
    input_shapes: tuple[tuple[str, tuple[int | str, ...]], ...] | None = None
    opt_level: int = 3
    disable: tuple[str, ...] = ()
    exact: bool = False
    overridable: tuple[str, ...] = ()
    input_values: tuple[tuple[str, Array], ...] = ()
    max_trips: int = 0

    def key(self) -> str:
        values = [(name, array.dtype, array.shape, content_key(array)) for name, array in self.input_values]
        parts = self.target, self.input_shapes, self.opt_level, self.disable, self.exact, self.overridable, values
        parts = (*parts, self.max_trips)  # type: ignore[assignment]
        return "|".join(map(str, parts))


@record(frozen=False)
class Lowered:
    """A model at the loop level, with what the metadata of the artefact needs from the graph level."""

    module: Module
    inputs: list[tuple[str, Type]]
    outputs: list[tuple[str, Type]]
    records: list[PassRecord]
    files: tuple[str, ...] = ()
    graph_ops: dict[str, int] = field(default_factory=dict)


def passes_for(options: Options) -> tuple[Pass, ...]:
    """The whole pipeline from the imported graph to the loop level. Raises UserError for a pass that is needed."""
    if "choose-layout" in options.disable:
        raise UserError("the pass choose-layout cannot be left out: convolutions need the halos that it gives images")
    return (
        *graph_pipeline(options.opt_level, options.disable),
        ChooseLayout(),  # after fusion: one choice per kernel. Never left out: convolutions rely on its halos
        EliminateDeadCode(),  # constants that are now laid out otherwise
        LowerGraph(options.max_trips),
        PlanMemory(),  # last: every buffer exists
    )


def imported_module(source: Any, options: Options) -> Module:
    """The graph level as imported, before any pass."""
    shapes = None if options.input_shapes is None else {name: list(shape) for name, shape in options.input_shapes}
    return load_model(
        source, input_shapes=shapes, input_values=dict(options.input_values),
        overridable=options.overridable,
    )  # fmt: skip


Ready = Callable[[Func, tuple[str, ...]], None]  # a kernel, and the names of the dimensions that it may use, in order


def lowered_module(
    source: Any, options: Options, dump: Dump | None = None, verify: bool = False, watch: Watch = UNWATCHED,
    ready: Ready = ignore_kernel,
) -> Lowered:  # fmt: skip
    """Import `source` and run the passes; `ready` gets each kernel as soon as it is finished."""
    passes = passes_for(options)  # first: a wrong name among them need not wait for the import
    watch.stage("import", 1)
    module = imported_module(source, options)
    main = module.main
    inputs = [(str(name), kind) for name, kind in zip(main.listed("inputs"), declared_types(main), strict=True)]
    outputs = named_types(main.listed("outputs"), module.bodies[-1].terminator.operands)  # right for both bodies
    ops: dict[str, int] = {}
    for op in main.block.ops:
        ops[op.name] = ops.get(op.name, 0) + 1
    watch.stage("passes", 1)
    given = input_dims(module)
    records = run_passes(
        module, passes, options, dump, verify, watch.reproducers, lambda kernel, sizes: ready(kernel, (*given, *sizes))
    )
    files = (str(source), *module.files) if isinstance(source, str | Path) else ()
    return Lowered(module, inputs, outputs, records, files, ops)


def named_dims(module: Module) -> tuple[str, ...]:
    """The symbols of the inputs, then the sizes that kernels find out, each in the order of their first mention: the
    index into `dims`.
    """
    return (*input_dims(module), *derived_dims(module))


def derived_dims(module: Module) -> tuple[str, ...]:
    """The sizes that kernels find out, in whichever body."""
    return tuple(dict.fromkeys(name for body in module.bodies for name in upper_bounds(body)))


def input_dims(module: Module) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for kind in declared_types(module.main):
        for dim in getattr(kind, "shape", ()):
            if isinstance(dim, Expr):
                found |= dict.fromkeys(sorted(dim.symbols()))
    derived = derived_dims(module)
    return tuple(name for name in found if name not in derived)


def named_types(names: Sequence[object], values: Sequence[Value]) -> list[tuple[str, Type]]:
    return [(str(name), value.type) for name, value in zip(names, values, strict=True)]


def run_passes(
    module: Module, passes: tuple[Pass, ...], options: Options, dump: Dump | None = None, verify: bool = False,
    reproducers: Path | None = None, lowered: Ready = ignore_kernel,
) -> list[PassRecord]:  # fmt: skip
    """Run passes on a module with the context that the options ask for."""
    chosen = CompileOptions(options.opt_level, options.exact)
    context = PassContext(options.target, module.pool, chosen, lowered=lowered)
    manager = PassManager(passes, Checks(verify=verify, reproducers=reproducers), dump)
    return list(manager.run(module, context))
