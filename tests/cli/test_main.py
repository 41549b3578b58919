"""The command as a whole: help, exit codes, what is imported, and how it ends when it is cut short."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from dlc import __version__
from dlc.cli.feeds import interrupts_held_back
from dlc.cli.main import COMMANDS, cli
from tests.cli.support import ROOT, invoke, refused, start, succeed

COMPILER = frozenset({
    "onnx", "llvmlite", "lark", "dlc.ir", "dlc.passes", "dlc.codegen", "dlc.driver", "dlc.frontends",
})  # fmt: skip


def test_version_is_the_package_s() -> None:
    assert succeed("--version") == f"dlc {__version__}\n"


def test_help_lists_every_command() -> None:
    text = succeed("--help")
    assert all(f"  {name} " in text for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None and command.name == name
    assert f"dlc {name}" in succeed(name, "--help")


@pytest.mark.parametrize("name", ["verify"])
def test_what_is_not_there_yet_says_so(name: str) -> None:
    assert f"dlc {name} is not there yet" in refused(name, "model.onnx", "--against", "reference")


def test_without_a_command_comes_the_help() -> None:
    result = invoke()
    assert result.exit_code == 1
    assert "dlc: error: " not in result.output
    assert "Commands:" in result.stderr


def test_unknown_command_is_named() -> None:
    assert "no such command 'frobnicate'" in refused("frobnicate")


def modules_after(program: str) -> set[str]:
    """What a fresh interpreter has imported after a program that prints nothing else to stderr."""
    text = f"import sys\n{program}\nimport json\nprint(json.dumps(list(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", text], check=True, capture_output=True, text=True, cwd=ROOT)
    return set(json.loads(done.stderr))


def test_help_imports_no_dependency_but_click() -> None:
    loaded = modules_after("from dlc.cli.main import cli\ncli(['--help'], standalone_mode=False)")
    assert loaded.isdisjoint(COMPILER | {"numpy", "rich"})


def test_running_a_compiled_model_imports_no_compiler(relu_library: Path) -> None:
    loaded = modules_after(
        f"from dlc.cli.main import cli\ncli(['run', {str(relu_library)!r}, '--random'], standalone_mode=False)"
    )
    assert loaded.isdisjoint(COMPILER)


def test_module_is_the_command() -> None:
    process = start("--version")
    assert process.communicate()[0] == f"dlc {__version__}\n"
    assert process.returncode == 0


def test_output_that_nobody_reads_ends_quietly(relu: Path) -> None:
    process = start("dump", relu)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait() == 141
    process.stderr.close()


def test_interrupt_ends_quietly(relu_library: Path) -> None:
    process = start("bench", relu_library, "--seconds", "60")
    maps = Path(f"/proc/{process.pid}/maps")
    deadline = time.monotonic() + 30
    while relu_library.name not in maps.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors.strip() == ""


def test_an_interrupt_waits_for_imports_that_would_swallow_it() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts_held_back():
        signal.raise_signal(signal.SIGINT)
        reached.append("the end")
    assert reached == ["the end"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_nothing_about_progress_when_piped(relu: Path) -> None:
    result = invoke("compile", relu)
    assert result.exit_code == 0
    assert result.stderr == ""
