"""A model of one op, compiled as any other, but for memory: each buffer and scratch array of its own lies by itself."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

from dlc.codegen.emit import kernel as kernel_emitter
from dlc.codegen.emit import steps as main_emitter
from dlc.driver import build as driver_build
from dlc.driver import interface as driver_interface
from dlc.driver.build import build_artifact
from dlc.driver.pipeline import Lowered, Options, input_dims, named_types, passes_for, run_passes
from dlc.ir import teams
from dlc.ir.core import Block, Builder, Func, Location, Module, Op, Region, Value
from dlc.ir.dialects import buf, run
from dlc.ir.dialects.func import Return
from dlc.ir.dialects.graph_shape import Relayout
from dlc.ir.expr import Expr
from dlc.ir.guards import declared_types, insert_guards, pairs_of
from dlc.ir.pool import ConstantPool
from dlc.ir.scratch import byte_size
from dlc.ir.size_bounds import elements_at_most, upper_bounds
from dlc.ir.types import BufferType, TensorType
from dlc.passes.lower.plan_memory import FLUSH_END, PAGE, PlanMemory
from dlc.target import Target
from tests.guards.memory import pages

NODE = "node_1"  # what errors must name
Make = Callable[..., Op]
Region2 = tuple[int, int]  # offset, bytes
_numbers = itertools.count()


def module_of(types: Sequence[TensorType], names: Sequence[str], make: Make, used: int) -> Module:
    """`main` with these inputs; the op takes the first `used`, the others only give symbols their values."""
    block = Block()
    args = [block.add_arg(kind, name) for kind, name in zip(types, names, strict=True)]
    op = Builder(block, loc=Location((NODE,))).insert(make(*args[:used]))
    op.loc = Location((NODE,))
    results = [plain(value, block) for value in op.results]
    block.append(Return(*results))
    func = Func("main", Region([block]), tuple(value.type for value in results))
    func.attrs["inputs"] = tuple(names)
    func.attrs["outputs"] = tuple(f"y{n}" for n in range(len(results)))
    module = Module(ConstantPool())
    module.add(func)
    return module


def plain(value: Value, block: Block) -> Value:
    """What `main` may return: a result in row-major order."""
    laid_out = isinstance(value.type, TensorType) and value.type.layout is not None
    return Builder(block).insert(Relayout(value)).result if laid_out else value


@dataclass(frozen=True)
class Built:
    """An artefact, and where its buffers lie."""

    path: Path
    flush: str
    bodies: tuple[Func, ...]  # of the loop level
    symbols: tuple[str, ...]  # of the inputs
    scratch: tuple[Region2, ...]  # within the scratch memory of a thread
    scratch_bytes: int  # of each thread

    def body(self, numbers: Mapping[str, int]) -> Func:
        """The one that a run of these sizes takes."""
        equal = all(left.evaluate(numbers) == right.evaluate(numbers) for left, right in pairs_of(self.bodies[0]))
        return self.bodies[0 if equal else 1]

    def arena(self, numbers: Mapping[str, int]) -> int:
        size = self.body(numbers).attrs["workspace"]
        assert isinstance(size, Expr)
        return size.evaluate(numbers)

    def workspace(self, numbers: Mapping[str, int], threads: int) -> int:
        """The bytes that dlc_bind must ask for."""
        return self.arena(numbers) + threads * self.scratch_bytes

    def regions(self, numbers: Mapping[str, int], threads: int) -> tuple[Region2, ...]:
        """What of the workspace may be touched."""
        body = self.body(numbers)
        uppers = upper_bounds(body)
        found = []
        for op in body.block.ops:
            if isinstance(op, run.Alloc) and isinstance(op.offset, Expr) and isinstance(op.type, BufferType):
                size = elements_at_most(op.type.shape, uppers) * op.type.element.bytes
                found.append((op.offset.evaluate(numbers), size.evaluate(numbers)))
        base = self.arena(numbers)
        for thread in range(threads):
            found += [(base + thread * self.scratch_bytes + offset, size) for offset, size in self.scratch]
        return tuple(found)


class ScratchApart:
    """Stands in for `dlc.ir.scratch`: every array of every kernel has pages of its own, none lies on the stack."""

    def __init__(self, flush: str) -> None:
        self.flush = flush
        self.known: dict[Func, dict[buf.Scratch, int]] = {}
        self.regions: list[Region2] = []
        self.end = PAGE

    def offsets(self, func: Func) -> tuple[dict[buf.Scratch, int], int]:
        if func not in self.known:
            self.known[func] = {}
            for op in func.walk():
                if isinstance(op, buf.Scratch) and not op.shared:
                    size = byte_size(op)
                    place = self.end + (pages(size) - size if self.flush == FLUSH_END else 0)
                    self.known[func][op] = place
                    self.regions.append((place, size))
                    self.end += pages(size) + PAGE
        return self.known[func], self.end

    def bytes(self, module: Module) -> int:
        for func in module.funcs.values():
            self.offsets(func)
        return self.end if self.regions else 0


@contextmanager
def taken_apart(flush: str) -> Iterator[ScratchApart]:
    """Scratch memory apart, no gaps between teams, and every kernel shared among the threads, however small."""
    scratch = ScratchApart(flush)
    with ExitStack() as stack:
        stack.enter_context(patch.object(kernel_emitter, "scratch_offsets", scratch.offsets))
        stack.enter_context(patch.object(kernel_emitter, "STACK_BYTES", -1))
        stack.enter_context(patch.object(driver_build, "scratch_bytes", scratch.bytes))
        stack.enter_context(patch.object(driver_interface, "scratch_bytes", scratch.bytes))
        stack.enter_context(patch.object(main_emitter, "WORTH_SHARING", 0))
        stack.enter_context(patch.object(teams, "GAP_BYTES", 0))
        yield scratch


def lowered(module: Module, level: int, flush: str) -> Lowered:
    options = Options(Target.parse("host"), opt_level=level)
    passes = tuple(replace(each, apart=flush) if isinstance(each, PlanMemory) else each for each in passes_for(options))
    main = module.main
    inputs = [
        (str(name), kind) for name, kind in zip(main.listed("inputs"), declared_types(main), strict=True)
    ]  # fmt: skip
    outputs = named_types(main.listed("outputs"), module.bodies[-1].terminator.operands)
    records = run_passes(module, passes, options, verify=True)
    return Lowered(module, inputs, outputs, records)


def built(module: Module, level: int, flush: str, folder: Path) -> Built:
    """Guards, passes and machine code for the module, which this changes. Raises what the compiler raises."""
    insert_guards(module)
    path = folder / f"model{next(_numbers)}.so"
    with taken_apart(flush) as scratch:
        found = lowered(module, level, flush)
        build_artifact(found, Options(Target.parse("host"), opt_level=level), path)
    size = scratch.bytes(module)
    return Built(path, flush, module.bodies, input_dims(module), tuple(scratch.regions), size)
