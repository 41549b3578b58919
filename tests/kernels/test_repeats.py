"""Scalar functions that are called again are copied: to the ops that elaborating them anew would come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlc.ir.core import Block, Location, Value
from dlc.ir.expr import Expr
from dlc.ir.types import F32, SI32, ScalarType
from dlc.kernel_language.library import Library
from dlc.passes.lower.elaborate import Elaborator
from dlc.passes.lower.frame import Binding, Tensor
from dlc.passes.lower.scalars import Scalar

FUNCTIONS = """
fn squared(x) = x * x
fn both(a, b) = squared(a) - squared(b)
fn pair(l; k) = [l[0] * k + 1, if k == 2 then l[1] else -l[1]]
fn first(a, b) = a
fn placed(a, i) = a + cast(i + 1, type(a))
"""


def unreadable(tensor: Tensor, index: list[Expr]) -> Scalar:
    raise AssertionError(f"{tensor.name} is read")


def unwritable(tensor: Tensor, index: list[Expr], value: object) -> None:
    raise AssertionError(f"{tensor.name} is written")


class Calls:
    """Calls of the functions above on the arguments of a block, and what they emit."""

    def __init__(self, folder: Path, types: list[ScalarType], remember: bool) -> None:
        (folder / "f.kernel").write_text(FUNCTIONS)
        library = Library([folder / "f.kernel"])
        self.elaborator = Elaborator(library, Binding(unreadable, unwritable), Location())
        self.elaborator.emit.block = self.block = Block(types)
        self.remember = remember
        self.scalars = [Scalar(arg) for arg in self.block.args]

    def __call__(self, name: str, *arguments: object, **attributes: object) -> object:
        if not self.remember:
            self.elaborator.recordings.clear()
        return self.elaborator.function(name, list(arguments), attributes)

    def text(self, given: list[object]) -> list[object]:
        """The ops so far with numbers for their values (-1: a loop variable), and the values given."""
        numbers: dict[Value, int] = {arg: n for n, arg in enumerate(self.block.args)}
        told: list[object] = []
        for op in self.block.ops:
            told.append((op.name, op.attrs, [numbers.get(v, -1) for v in op.operands], [v.type for v in op.results]))
            numbers |= {value: len(numbers) + n for n, value in enumerate(op.results)}

        def numbered(value: object) -> object:
            if isinstance(value, Scalar):
                return ("value", numbers[value.value])
            return [numbered(v) for v in value] if isinstance(value, list) else value

        return [*told, numbered(given)]


def emitted(folder: Path, remember: bool) -> list[object]:
    call = Calls(folder, [F32, F32, F32, SI32, SI32], remember)
    a, b, c, n, m = call.scalars
    given = [
        call("both", a, b), call("both", b, c), call("both", c, a),
        call("both", a, a),  # one scalar twice: not the pattern of two
        call("both", b, c),
        call("both", n, m), call("both", m, n),  # another type
        call("pair", [a, b], k=2), call("pair", [b, c], k=2), call("pair", [b, c], k=3), call("pair", [c, b], k=2.0),
        call("first", a, b), call("first", c, b), call("first", a, 1), call("first", b, 2),
    ]  # fmt: skip
    for place in (0, 1):
        given.append(call("placed", a, call.elaborator.open_loop(f"i{place}", Expr(()), Expr((((), 4),)))[1] * place))
    return call.text(given)


def test_copies_are_what_elaborating_anew_comes_to(tmp_path: Path) -> None:
    assert emitted(tmp_path, remember=True) == emitted(tmp_path, remember=False)


@pytest.mark.parametrize(("name", "kept"), [("both", True), ("placed", False)])
def test_only_arithmetic_on_the_scalars_of_a_call_is_kept(tmp_path: Path, name: str, kept: bool) -> None:
    call = Calls(tmp_path, [F32, F32], remember=True)
    variable = call.elaborator.open_loop("i", Expr(()), Expr((((), 4),)))[1]
    call(name, call.scalars[0], call.scalars[1] if kept else variable)
    assert any(key[0] == name for key in call.elaborator.recordings if isinstance(key, tuple)) == kept
