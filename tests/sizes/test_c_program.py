"""The same sizes from a C program without Python: `dlc_bind` says what Python says, `dlc_run` takes nothing else."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import dlc
from dlc.errors import UserError
from tests.sizes import rows_operands, rows_shapes
from tests.sizes.rows import Row

pytestmark = pytest.mark.isa("x86-64")
COMPILER = shutil.which("cc") or shutil.which("gcc")
NAMES = (
    "Add",
    "Concat",
    "ScatterElements",
    "statistics of BatchNormalization",
    "scales per axis",
    "channels of ConvTranspose",
    "image too small for a network",
    "TopK of too few",
    "Split into other parts",
    "states and lengths of LSTM",
    "OneHot",
    "MatMul",
    "Expand to a shape that does not fit",
)
ROWS = [row for row in (*rows_shapes.ROWS, *rows_operands.ROWS) if row.name in NAMES]


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, compiled; skips where there is no C compiler."""
    if COMPILER is None:
        pytest.skip("there is no C compiler (Debian: gcc libc6-dev)")
    program = tmp_path_factory.mktemp("c") / "caller"
    source = Path(__file__).with_name("main.c")
    subprocess.run(
        [COMPILER, "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Werror", "-O1", str(source), "-o", str(program), "-ldl"],
        check=True,
    )
    return program


def called(program: Path, library: Path, row: Row, shapes: dict[str, tuple[int, ...]]) -> list[str]:
    module = dlc.load(library)
    ranks = [",".join(str(len(each.shape)) for each in specs) for specs in (module.inputs, module.outputs)]
    sizes = [str(size) for spec in module.inputs for size in shapes[spec.name]]
    done = subprocess.run([program, library, *ranks, *sizes], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{row.name}: ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout.splitlines()


def test_there_are_at_least_ten_operators() -> None:
    assert len(ROWS) == len(NAMES) >= 10


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_c_program_gets_the_same_errors(row: Row, caller: Path, tmp_path: Path) -> None:
    library = tmp_path / "model.so"
    ready = dlc.compile(row.proto, cache=False)
    ready.save(library)
    for shapes in row.right:
        lines = called(caller, library, row, dict(shapes))
        assert lines[:3] == ["early -1", "bind 0", "run 0"]
        found = [tuple(map(int, line.split()[1:])) for line in lines[3:]]
        assert found == [array.shape for array in ready.run(row.feeds(shapes)).values()]
    for shapes, parts in row.wrong:
        early, bound, message, after = called(caller, library, row, dict(shapes))
        assert early == "early -1"
        assert bound != "bind 0"
        assert all(part in message for part in parts), message
        assert after == "run -1"
        with pytest.raises(UserError) as caught:
            ready.run(row.feeds(shapes))
        assert str(caught.value) == message
