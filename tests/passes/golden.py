"""Running golden files: cases split by ``// -----``, each with its passes and FileCheck lines.

    // dlc-opt: fold-constants, simplify-algebra
    // CHECK: graph.constant
    func @main(…) -> … { … }

A case that holds only functions gets the module around them.
"""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser, pattern_for_opts

from dlc.ir.core import Module
from dlc.ir.parser import parse_module
from dlc.ir.printer import PrintOptions, print_module
from dlc.ir.verify import verify_or_raise
from dlc.passes.base import CompileOptions, PassContext
from dlc.passes.manager import Checks, PassManager
from dlc.passes.table import parse_pipeline
from dlc.target import Target

COMMAND = re.compile(r"^// dlc-opt:\s*(.+?)\s*(--exact)?\s*$", re.MULTILINE)
TARGET = Target.parse("x86-64-v3")


@dataclass(frozen=True)
class Case:
    """One case of a golden file."""

    file: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}-{self.number}"

    @property
    def passes(self) -> str:
        found = COMMAND.search(self.text)
        assert found is not None, f"{self}: no line '// dlc-opt: PASSES'"
        return found[1]

    @property
    def exact(self) -> bool:
        found = COMMAND.search(self.text)
        return found is not None and found[2] is not None


def cases(folder: Path) -> list[Case]:
    """All cases of all files in a folder; the first case's command holds for those that have none."""
    found = []
    for path in sorted(folder.glob("*.dlc")):
        texts = path.read_text().split("// -----\n")
        first = COMMAND.search(texts[0])
        for number, text in enumerate(texts):
            command = f"{first[0]}\n" if first and not COMMAND.search(text) else ""
            found.append(Case(path.stem, number, command + text))
    return found


def parse_case(case: Case) -> Module:
    text = case.text
    if not re.search(r"^dlc \d", text, re.MULTILINE):
        text = f"dlc 1\nmodule @case {{\n{text}\n}}\n"
    module = parse_module(text, source=str(case))
    verify_or_raise(module, f"{case} before the pass")
    return module


def run_case(case: Case, module: Module) -> tuple[str, bool]:
    """The text after the passes, and whether any of them changed something."""
    cx = PassContext(TARGET, module.pool, CompileOptions(exact=case.exact))
    passes = parse_pipeline(case.passes)
    records = PassManager(passes, Checks(changed_flag=True), start=passes[0].needs).run(module, cx)
    return print_module(module, PrintOptions(locations="loc(" in case.text)), any(record.changed for record in records)


def check_text(case: Case, output: str) -> None:
    """Fail unless the output matches the CHECK lines."""
    options = Options(match_filename=str(case))
    parser = Parser(options, io.StringIO(case.text), *pattern_for_opts(options))
    report = io.StringIO()
    with redirect_stdout(report), redirect_stderr(report):
        code = Matcher(options, FInput(str(case), output), parser).run()
    assert code == 0, f"{case}: {report.getvalue()}\n{output}"
