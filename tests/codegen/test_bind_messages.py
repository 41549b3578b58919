"""dlc_message: what it says of an error, and how it cuts it short."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.codegen.emit.bind import InputSites, Interface, Size
from dlc.ir.expr import as_expr, sym
from dlc.ir.messages import filled
from tests.support.bindings import HIGH, LOW, Model

pytestmark = pytest.mark.isa("x86-64")

SYMBOLS = [f"s{n}" for n in range(300)]
MESSAGES = (
    "plain", "{0}", "{1} and {0}", "dimension {=s7}, {=s200} of {=s299}", "Größe {{x}} % %d \\ \" {0}", "",
    "{=s127}{=s128}{=s0}",
)  # fmt: skip


@pytest.fixture(scope="module")
def speaking() -> Model:
    return Model(Interface(
        SYMBOLS, [InputSites(tuple(map(sym, SYMBOLS)), 1)], [], [], Size(as_expr(0), 1), MESSAGES
    ))  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(
    code=st.integers(1, len(MESSAGES)), first=st.integers(LOW, HIGH), second=st.integers(LOW, HIGH),
    size=st.integers(0, 60), start=st.integers(0, HIGH - 300),
)  # fmt: skip
def test_messages_are_written_as_snprintf_does(
    speaking: Model, code: int, first: int, second: int, size: int, start: int
) -> None:
    values = {name: start + n for n, name in enumerate(SYMBOLS)}
    expected = filled(MESSAGES[code - 1], (first, second), values).encode()
    with speaking.context() as context:
        assert context.bind(*values.values()) == 0
        speaking.library.dlc_fail(context.pointer, code, 0, ctypes.c_int64(first), ctypes.c_int64(second))
        assert context.message() == expected.decode()
        buffer = ctypes.create_string_buffer(b"#" * 80, 80)
        assert speaking.library.dlc_message(context.pointer, buffer, ctypes.c_int64(size)) == len(expected)
        written = expected[: max(0, size - 1)] + (b"\0" if size else b"")
        assert buffer.raw == written + b"#" * (80 - len(written))


def test_the_length_can_be_asked_for_without_memory(speaking: Model) -> None:
    with speaking.context() as context:
        speaking.library.dlc_fail(context.pointer, 1, 0, ctypes.c_int64(0), ctypes.c_int64(0))
        assert speaking.library.dlc_message(context.pointer, None, ctypes.c_int64(0)) == len("plain")


@pytest.mark.parametrize("code", [len(MESSAGES) + 1, 1 << 30, -7])
def test_a_code_that_nobody_has_explained(speaking: Model, code: int) -> None:
    with speaking.context() as context:
        speaking.library.dlc_fail(context.pointer, code, 0, ctypes.c_int64(0), ctypes.c_int64(0))
        assert context.message() == "an error without words"
