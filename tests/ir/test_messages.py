"""Messages with numbers: what the compiler fills in and what an artefact is given to fill in say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlc.errors import InternalError
from dlc.ir.messages import DETAIL, DIMENSION, encoded, escaped, filled

DIMS = {"n": 3, "batch size": 10**15, "späť": 0, "m.x": -7}
SLOTS = {name: number * 77 for number, name in enumerate(DIMS)}  # some need more than seven bits

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="".join(map(chr, range(32)))))
fields = st.sampled_from(["{0}", "{1}", *(f"{{={name}}}" for name in DIMS)])
messages = st.lists(texts.map(escaped) | fields, max_size=8).map("".join)
numbers = st.integers(-(2**63), 2**63 - 1)


def decoded(content: bytes, details: tuple[int, int], dims: dict[int, int]) -> str:
    """What dlc_message makes of a message; the library's own is compared in tests/codegen/test_bind.py."""
    assert content.count(0) == 1 and content[-1] == 0
    out, at = bytearray(), 0
    while content[at]:
        if content[at] == DETAIL:
            out += str(details[content[at + 1] & 127]).encode()
            at += 2
        elif content[at] == DIMENSION:
            out += str(dims[content[at + 1] & 127 | (content[at + 2] & 127) << 7]).encode()
            at += 3
        else:
            out.append(content[at])
            at += 1
    return out.decode()


@given(messages, numbers, numbers)
def test_what_is_filled_in_is_what_is_encoded(message: str, first: int, second: int) -> None:
    values = {SLOTS[name]: value for name, value in DIMS.items()}
    expected = filled(message, (first, second), DIMS)
    assert decoded(encoded(message, SLOTS), (first, second), values) == expected


@given(texts)
def test_a_users_text_stays_as_it_is(text: str) -> None:
    assert filled(escaped(text), (), {}) == text
    assert encoded(escaped(text), {}) == text.encode() + b"\0"


def test_control_characters_become_spaces() -> None:
    assert encoded("a\tb\n\x01{0}", {}) == b"a b  " + bytes((DETAIL, 0x80)) + b"\0"


@pytest.mark.parametrize("field", ["{}", "{2}", "{0:x}", "{0!r}", "{n}"])
def test_other_fields_are_our_mistake(field: str) -> None:
    for use in (lambda: filled(field, (1, 2), {"n": 1}), lambda: encoded(field, {"n": 1})):
        with pytest.raises(InternalError, match="a message has the field"):
            use()
