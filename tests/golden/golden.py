"""Golden files: cases of IR text that say themselves what is done with them and what must come out.

A file is split into cases by lines ``// -----``. Lines that mean something, at the top for all cases or in one case:

    // dlc-opt: fold-pad,fold-batch-norm     the passes to run; none: the text is parsed, verified and printed;
                                          ``--exact`` at the end: as with this option of the compiler
    // dlc-level: graph                      the level that the case must satisfy, where there are no passes
    // dlc-target: x86-64-v4                 the machine the passes ask about
    // CHECK: …                              FileCheck lines, matched against the printed result
    // ERROR: …                              part of a message; there must be exactly as many messages as such lines

Cases of the folder `dialects` hold functions as they print. The line ``dlc 1`` may be left out, and so may the module
around functions.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

from filecheck.finput import FInput
from filecheck.matcher import Matcher
from filecheck.options import Options
from filecheck.parser import Parser, pattern_for_opts

from dlc.errors import DlcError
from dlc.ir.compare import compare
from dlc.ir.core import Module
from dlc.ir.levels import Level, satisfies
from dlc.ir.parser import parse_module
from dlc.ir.printer import print_module
from dlc.ir.verify import verify
from dlc.passes.base import CompileOptions, Pass, PassContext
from dlc.passes.manager import Checks, PassManager
from dlc.passes.table import parse_pipeline
from dlc.target import Target

FOLDER = Path(__file__).parent
SPLIT = re.compile(r"^[ \t]*// -----[^\n]*\n", re.MULTILINE)
DIRECTIVE = re.compile(r"^[ \t]*// (dlc-\w+|ERROR):[ \t]*(.*?)[ \t]*$", re.MULTILINE)
CHECK = re.compile(r"// CHECK(-\w+)*(\{LITERAL\})?:")
HEADER = re.compile(r"^dlc \d+", re.MULTILINE)
MODULE = re.compile(r"^[ \t]*module @", re.MULTILINE)


@dataclass(frozen=True)
class GoldenCase:
    """One case of a file: `line` is where it begins."""

    path: Path
    line: int
    text: str
    settings: dict[str, str]
    errors: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.path.relative_to(FOLDER)}:{self.line}"

    @property
    def passes(self) -> tuple[Pass, ...]:
        return parse_pipeline(self.settings.get("dlc-opt", "").split(" --")[0])

    @property
    def options(self) -> CompileOptions:
        return CompileOptions(exact=" --exact" in self.settings.get("dlc-opt", ""))

    @property
    def has_checks(self) -> bool:
        return CHECK.search(self.text) is not None


def cases_of(path: Path) -> list[GoldenCase]:
    """The cases of a file. What stands before the first op or module of the first case holds for all."""
    cases: list[GoldenCase] = []
    shared: dict[str, str] = {}
    line = 1
    for text in SPLIT.split(path.read_text("utf-8")):
        found = DIRECTIVE.findall(text)
        settings = {key: value for key, value in found if key != "ERROR"}
        shared = shared if cases else settings
        errors = tuple(value for key, value in found if key == "ERROR")
        cases.append(GoldenCase(path, line, text, shared | settings, errors))
        line += text.count("\n") + 1
    return cases


def all_cases(folder: Path = FOLDER) -> list[GoldenCase]:
    return [case for path in sorted(folder.rglob("*.dlc")) for case in cases_of(path)]


def check_case(case: GoldenCase) -> None:
    """Run a case. Raises AssertionError with what differs."""
    if case.errors:
        check_errors(case)
        return
    module = parse_case(case)
    problems = [*verify(module), *level_problems(case, module)]
    assert not problems, "\n".join(map(str, problems))
    check_round_trip(module)
    if case.path.parent.name == "dialects":
        check_printed_form(case, module)
    if case.passes:
        run_passes(case, module)
        check_round_trip(module)
    if case.has_checks:
        check_file(case, print_module(module))


def parse_case(case: GoldenCase) -> Module:
    text = case.text if MODULE.search(case.text) else f"module @case {{ {case.text}\n}}"
    text = text if HEADER.search(text) else f"dlc 1 {text}"
    return parse_module(text, source=str(case))


def run_passes(case: GoldenCase, module: Module) -> None:
    passes = case.passes
    target = Target.parse(case.settings.get("dlc-target", "x86-64-v3"))
    manager = PassManager(passes, Checks(verify=True, changed_flag=True), start=passes[0].needs)
    manager.run(module, PassContext(target, module.pool, case.options))


def level_problems(case: GoldenCase, module: Module) -> list[object]:
    level = case.settings.get("dlc-level")
    return [*satisfies(module, Level(level))] if level else []


def check_round_trip(module: Module) -> None:
    text = print_module(module)
    again = parse_module(text, module.pool)
    assert compare(again, module) is None
    assert print_module(again) == text


def check_printed_form(case: GoldenCase, module: Module) -> None:
    """The functions of the case are written as they print, but for comments, empty lines and indentation."""
    written = [line.strip() for line in case.text.split("\n") if line.strip() and not line.strip().startswith("//")]
    printed = [line.strip() for line in print_module(module).split("\n")[3:-2]]
    assert "\n".join(written) == "\n".join(printed)


def check_errors(case: GoldenCase) -> None:
    """Each ERROR line is part of one message, and there are no others."""
    messages = messages_of(case)
    for wanted in case.errors:
        found = next((message for message in messages if wanted in message), None)
        assert found is not None, f"expected: {wanted}\ngot: " + ("\n     ".join(messages) or "no error")
        messages.remove(found)
    assert not messages, "not expected: " + "\n".join(messages)


def messages_of(case: GoldenCase) -> list[str]:
    try:
        module = parse_case(case)
        problems = [*verify(module), *level_problems(case, module)]
        if not problems and case.passes:
            run_passes(case, module)
    except DlcError as error:
        return [str(error)]
    return [str(problem) for problem in problems]


def check_file(case: GoldenCase, output: str) -> None:
    """Match the CHECK lines of the case against `output`, in process."""
    options = Options(match_filename=str(case))
    parser = Parser(options, io.StringIO(case.text), *pattern_for_opts(options))
    matcher = Matcher(options, FInput(str(case), output), parser)
    matcher.stderr = io.StringIO()
    assert matcher.run() == 0, f"{matcher.stderr.getvalue()}\nthe output was:\n{output}"
