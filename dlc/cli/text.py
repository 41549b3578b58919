"""IR as `dlc dump` shows it: what the user asked for of it, kernels with their schedule above them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dlc.cli.files import seconds_text
from dlc.ir.core import BODIES, Attribute, Func, Module, Op
from dlc.ir.dialects import graph_flow, run
from dlc.ir.printer import Names, Printer, PrintOptions, func_lines, print_module

SHOWN_NAMES = 4
LABELS = frozenset({"schedule", "considered"})
COSTS = re.compile(r"cost|predicted|seconds")


@dataclass(frozen=True)
class Filter:
    """What to show: an op (``conv``, ``graph.conv``), a kernel (``conv_3``) or a node; ``*`` stands for anything."""

    text: str

    def takes(self, *names: str) -> bool:
        return any(name == self.text or fnmatchcase(name, self.text) for name in names)

    def takes_op(self, op: Op) -> bool:
        names = [op.name, op.name.partition(".")[2], *op.loc.names]
        if isinstance(op, graph_flow.Group):
            names.append(op.kernel)
        return self.takes(*names)

    def takes_any(self, op: Op) -> bool:
        return any(map(self.takes_op, op.walk()))


def calls_of(module: Module) -> dict[str, list[run.Call]]:
    """The calls of each kernel in all bodies."""
    found: dict[str, list[run.Call]] = {}
    for op in (op for body in module.bodies for op in body.block.ops):
        if isinstance(op, run.Call):
            found.setdefault(op.kernel, []).append(op)
    return found


def chosen_functions(module: Module, wanted: Filter) -> list[str]:
    """The functions of the loop level that a filter takes: by name, by what they hold, by the nodes they compute."""
    calls = calls_of(module)
    exact = [name for name in module.funcs if name == wanted.text]
    return exact or [
        name for name, func in module.funcs.items()
        if name not in BODIES and (
            wanted.takes(name, name.rpartition("_")[0])
            or any(wanted.takes_op(call) for call in calls.get(name, ()))
            or any(wanted.takes_op(op) for op in func.walk())
        )
    ]  # fmt: skip


def chosen_ops(module: Module, wanted: Filter, kernels: dict[Op, str]) -> list[Op]:
    """The ops of the graph level that a filter takes; `kernels` names the kernel that each group becomes."""
    ops = [op for body in module.bodies for op in body.block.ops]
    exact = [op for op in ops if kernels.get(op) == wanted.text]
    return exact or [op for op in ops if wanted.takes_any(op) or (op in kernels and wanted.takes(kernels[op]))]


def kernels_of_groups(graph: Module, lowered: Module) -> dict[Op, str]:
    """The kernel that each group of `graph` became: groups and calls have the same order, copies stand between."""
    found: dict[Op, str] = {}
    for before, after in zip(graph.bodies, lowered.bodies, strict=True):
        calls = iter([op for op in after.block.ops if isinstance(op, run.Call)])
        for op in before.block.ops:
            if isinstance(op, graph_flow.Group):
                stem = op.kernel.replace(".", "_")
                call = next((c for c in calls if c.kernel.rpartition("_")[0] == stem and c.loc == op.loc), None)
                if call is not None:
                    found[op] = call.kernel
    return found


def is_lowered(module: Module) -> bool:
    calls = (op for body in module.bodies for op in body.block.ops if isinstance(op, run.Call))
    return len(module.funcs) > len(module.bodies) or any(calls)


# -- text --------------------------------------------------------------------------------------------------------------


def module_lines(module: Module, wanted: Filter | None = None) -> list[str]:
    """The text of a module, or of what a filter takes of it; above each kernel its schedule."""
    if is_lowered(module):
        lines = [*loop_lines(module, wanted)]
        return lines[1:] if wanted is not None and lines else lines  # no empty line before the first kernel
    if wanted is None:
        return print_module(module).split("\n")[:-1]
    return graph_op_lines(module, chosen_ops(module, wanted, {}), {})


def graph_op_lines(module: Module, ops: list[Op], kernels: dict[Op, str]) -> list[str]:
    lines: list[str] = []
    for body in module.bodies:
        printer = Printer(Names(body.body), module.pool, PrintOptions())
        for op in (op for op in ops if op.parent is body.block):
            lines += [f"// kernel {kernels[op]}"] if op in kernels else []
            lines += printer.op_lines(op, "")
    return lines


def loop_lines(module: Module, wanted: Filter | None) -> Iterator[str]:
    calls = calls_of(module)
    names = list(module.funcs) if wanted is None else chosen_functions(module, wanted)
    frame = Module(module.pool, name=module.name, attrs=module.attrs)
    text = print_module(frame).split("\n")
    if wanted is None:
        yield from text[:-2]
    for name in names:
        func = module.funcs[name]
        yield from ("" if name in BODIES else f"  {line}" for line in kernel_notes(func, calls.get(name, [])))
        yield from func_lines(func, module.pool, PrintOptions())
    if wanted is None:
        yield from text[-2:-1]


def kernel_notes(func: Func, calls: list[run.Call]) -> Iterator[str]:
    """Comments above a kernel: its schedule, what the schedule chose, what that was expected to cost, who calls it."""
    yield ""
    parts = [f"kernel {func.name}"]
    if "schedule" in func.attrs:
        parts.append(f"schedule {func.attrs['schedule']}")
    parts += [f"{key} = {value_text(key, value)}" for key, value in func.attrs.items() if key not in LABELS]
    yield f"// {'; '.join(parts)}"
    considered = func.attrs.get("considered")
    if isinstance(considered, tuple):
        yield f"// considered: {'; '.join(map(str, considered))}"
    nodes = list(dict.fromkeys(name for call in calls for name in call.loc.names))
    if calls:
        more = f" and {len(nodes) - SHOWN_NAMES} more" if len(nodes) > SHOWN_NAMES else ""
        listed = f": {', '.join(nodes[:SHOWN_NAMES])}{more}" if nodes else ""
        yield f"// called {'once' if len(calls) == 1 else f'{len(calls)} times'}{listed}"


def value_text(key: str, value: Attribute) -> str:
    if isinstance(value, float) and COSTS.search(key):
        return seconds_text(value)
    return str(value)
