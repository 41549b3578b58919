"""All LLVM text of a model as one module: what `--emit llvm|asm|obj` and `dlc dump` show.

The library is made from several modules, so that they can be compiled at the same time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from dlc.codegen.emit.kernel import EmittedKernel, emit_kernel, module_text
from dlc.driver.build import kernel_funcs, main_text
from dlc.driver.pipeline import named_dims
from dlc.ir.core import Module
from dlc.target import Target

DECLARED = re.compile(r"declare .*?@([\w.$-]+)\(.*")


def model_text(module: Module, target: Target) -> str:
    """Every kernel and `dlc_main`. The pool of threads and the weights remain to be linked."""
    symbols = named_dims(module)
    kernels = [emit_kernel(func, symbols, target) for func in kernel_funcs(module)]
    main = main_text(module, symbols)
    return with_triple(joined(kernels, main, target), target)


def function_text(module: Module, names: Sequence[str], target: Target) -> str:
    """Some functions only; "main" is `dlc_main`."""
    symbols = named_dims(module)
    kernels = [emit_kernel(func, symbols, target) for func in kernel_funcs(module) if func.name in names]
    main = main_text(module, symbols) if "main" in names else ""
    return with_triple(joined(kernels, main, target), target)


def joined(kernels: Sequence[EmittedKernel], main: str, target: Target) -> str:
    """One module: nothing is declared twice, nor declared and defined."""
    known = {kernel.name for kernel in kernels}
    lines = []
    for line in f"{module_text(kernels, target)}{main}".split("\n"):
        found = DECLARED.match(line)
        if found is None or found[1] not in known:
            lines.append(line)
        if found is not None:
            known.add(found[1])
    return "\n".join(lines)


def with_triple(text: str, target: Target) -> str:
    return f'target triple = "{target.triple}"\n\n{text}'
