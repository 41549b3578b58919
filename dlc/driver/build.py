"""From the loop level to the shared library: kernels to objects (many of them in helper processes), weights, link."""

from __future__ import annotations

import gc
from collections.abc import Callable, Container, Sequence
from functools import reduce

from dlc.codegen.artifact import FORMAT, write_artifact
from dlc.codegen.elf.writer import Output
from dlc.codegen.emit.bind import emit_bind
from dlc.codegen.emit.kernel import EmittedKernel, emit_kernel, module_text
from dlc.codegen.emit.main import emit_main, error_sites
from dlc.driver.interface import interface
from dlc.driver.pipeline import Lowered, Options, derived_dims, input_dims, named_dims
from dlc.driver.watch import UNWATCHED, Watch, ignore_step
from dlc.driver.weights import PackedWeights
from dlc.driver.workers import Objects
from dlc.errors import InternalError
from dlc.ir.core import BODIES, Func, Module, Op
from dlc.ir.dialects import run
from dlc.ir.dim_names import name_of, readable, symbol_in
from dlc.ir.expr import Dim, Expr, as_expr, maximum
from dlc.ir.guards import pairs_of
from dlc.ir.scratch import scratch_bytes
from dlc.ir.teams import has_teams, team_offsets
from dlc.ir.types import BufferType, TensorType, Type
from dlc.target import Target

BATCH = 20_000

def body_ops(module: Module) -> list[Op]:
    return [op for body in module.bodies for op in body.walk()]


def kernel_funcs(module: Module) -> list[Func]:
    return [func for name, func in module.funcs.items() if name not in BODIES]


class Codegen:
    """Machine code in the making: kernels become text here, in this order, and text becomes objects beside.

    Texts have about `BATCH` characters: each is worth an LLVM module of its own, and LLVM soon has one to work on.
    """

    def __init__(self, target: Target, step: Callable[[], None] = ignore_step) -> None:
        self.target = target
        self.objects = Objects(target, step)
        self._names: list[str] = []
        self._batch: list[EmittedKernel] = []

    def __enter__(self) -> Codegen:
        return self

    def __exit__(self, *_: object) -> None:
        self.objects.close()

    def kernel(self, func: Func, dims: tuple[str, ...]) -> None:
        """Take a kernel, which may use `dims`: those of the whole model, or the first of them."""
        emitted = emit_kernel(func, dims, self.target)
        if has_teams(func):
            self.objects.add_teams()
        self._names.append(func.name)
        self._batch.append(emitted)
        if sum(len(each.text) for each in self._batch) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        if self._batch:
            self.objects.add(module_text(self._batch, self.target))
            self._batch = []

    def main(self, module: Module) -> None:
        """Take what is left of a lowered model: the kernels that nobody has given yet, and `dlc_main`."""
        symbols = named_dims(module)
        for func in kernel_funcs(module)[len(self._names) :]:
            self.kernel(func, symbols)
        if self._names != [func.name for func in kernel_funcs(module)]:
            raise InternalError("kernels were emitted that the model does not have")
        self._flush()
        self.objects.add(main_text(module, symbols), opt=0)  # calls, in order: there is nothing to optimize


def main_text(module: Module, symbols: Sequence[str]) -> str:
    """LLVM text of `dlc_main`, and of what a caller asks for before it."""
    sites = error_sites(module)
    work: dict[Op, Expr] = {op: work_of(op, module) for op in body_ops(module) if isinstance(op, run.Call)}
    teams = {func.name: team_offsets(func)[1] for func in kernel_funcs(module) if has_teams(func)}
    main = emit_main(module.bodies, symbols, sites.codes, scratch_bytes(module), work, teams)
    return declared_once(main + emit_bind(interface(module, symbols, sites)))


def declared_once(text: str) -> str:
    """LLVM text without the second of two equal declarations."""
    seen: set[str] = set()
    lines = []
    for line in text.split("\n"):
        if line.startswith("declare "):
            if line in seen:
                continue
            seen.add(line)
        lines.append(line)
    return "\n".join(lines)


def work_of(call: run.Call, module: Module) -> Expr:
    """Operations, and bytes read or written that take as long as two; what counts no operations fills a halo."""
    counted = module.funcs[call.kernel].attrs.get("operations")
    return counted + 2 * buffer_bytes(call) if isinstance(counted, Expr) else as_expr(0)


def build_artifact(
    lowered: Lowered,
    options: Options,
    path: Output,
    watch: Watch = UNWATCHED,
    codegen: Codegen | None = None,
) -> None:
    """Write the shared library of a lowered model to `path`, whole or not at all. `codegen` may have kernels."""
    target = options.target
    with codegen or Codegen(target, watch.step) as codegen, PackedWeights(lowered.module) as weights:
        codegen.main(lowered.module)
        watch.stage("code generation", codegen.objects.waiting)
        description = metadata(lowered, target)
        if codegen.objects.waiting and gc.isenabled():
            gc.collect(0)  # LLVM is at work anyway, and Python would look for garbage right after the compilation
        objects = codegen.objects.finish()
        watch.stage("link", 1)
        write_artifact(
            path, objects=objects, metadata=description, weights=weights, weights_bytes=weights.total,
            machine=target.arch, teams=any(map(has_teams, kernel_funcs(lowered.module))),
        )  # fmt: skip


def metadata(lowered: Lowered, target: Target) -> dict[str, object]:
    """What the runtime needs to know about the model."""
    main, *others = lowered.module.bodies
    second: dict[str, object] = {}
    if others:
        pairs = [[dim(left), dim(right)] for left, right in pairs_of(main)]
        second = {"pairs": pairs, "general_calls": calls(lowered.module, others[0])}
    found = input_dims(lowered.module), derived_dims(lowered.module)
    symbols, derived = ([name_of(each) for each in names] for names in found)
    names = {*symbols, *derived}
    return {
        "format": FORMAT,
        "machine": target.arch,
        "features": list(target.features),
        "symbols": symbols,
        "derived": derived,
        "inputs": [spec(name, kind, names) for name, kind in lowered.inputs],
        "outputs": [spec(name, kind, names) for name, kind in lowered.outputs],
        "workspace": dim(arena(lowered.module)),
        "scratch": scratch_bytes(lowered.module),
        "kernels": [func.name for func in kernel_funcs(lowered.module)],
        "extra": {
            "target": str(target), "weights": main.attrs["weights"], "operators": lowered.graph_ops,
            "calls": calls(lowered.module, main), **second, "schedules": schedules(lowered.module),
        },
    }  # fmt: skip


def arena(module: Module) -> Expr:
    """The bytes of the intermediate results, whichever body runs."""
    return reduce(maximum, (as_expr(body.attrs["workspace"]) for body in module.bodies))  # type: ignore[arg-type]


def calls(module: Module, body: Func) -> list[list[int | str]]:
    """What a profile says of each call: kernel, node, arithmetic operations, bytes of the buffers, and the operations
    of the chosen algorithm.
    """
    made: list[list[int | str]] = []
    for op in body.block.ops:
        if isinstance(op, run.If | run.Loop):  # its kernels have no stamps of their own
            made.append([op.name.removeprefix("run."), str(op.loc), 0, 0, 0])
        if isinstance(op, run.Call):
            attrs = module.funcs[op.kernel].attrs
            plain = attrs.get("operations", 0)
            made.append([op.kernel, str(op.loc), dim(plain), dim(buffer_bytes(op)), dim(attrs.get("performed", plain))])
    return made


def buffer_bytes(call: run.Call) -> Expr:
    """The size of all that a call may read and write."""
    total = as_expr(0)
    for kind in (value.type for value in call.operands):
        if isinstance(kind, BufferType):
            total = total + kind.elements * kind.element.bytes
    return total


def schedules(module: Module) -> dict[str, dict[str, object]]:
    """Per kernel the schedule that was taken, the parameters that were chosen, and what they were predicted to cost."""
    return {
        func.name: {name: value for name, value in func.attrs.items() if isinstance(value, int | float | str)}
        for func in kernel_funcs(module)
    }


def spec(name: str, kind: Type, names: Container[str]) -> dict[str, object]:
    if not isinstance(kind, TensorType):
        raise InternalError(f"{name!r} is a {kind}, not a tensor")
    return {"name": name, "dtype": kind.scalar.dtype.name, "shape": [shown_dim(d, names) for d in kind.shape]}


def shown_dim(value: Dim, names: Container[str]) -> int | str:
    """As `dlc.runtime.spec` has it: a name as it is, in brackets an expression that reads like one of the names."""
    if isinstance(value, int):
        return value
    if (symbol := symbol_in(value)) is not None:
        return name_of(symbol)
    text = readable(value)
    while text in names:
        text = f"({text})"
    return text


def dim(value: object) -> int | str:
    if isinstance(value, Expr):
        return value.value if value.is_const else readable(value)
    if isinstance(value, int):
        return value
    raise InternalError(f"{value!r} is not a dimension")
