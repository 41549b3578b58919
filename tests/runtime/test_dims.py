"""The dimension language: what it computes, and that nothing else gets in."""

import pytest

from dlc.errors import UserError
from dlc.runtime.dims import compile_dim, compile_expr

SLOTS = {"batch": 0, "seq": 1}
VALUES = (3, 10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (7, 7), ("7", 7), ("batch", 3), ("batch * seq + 1", 31), ("-batch", -3), ("(seq - 1) // batch", 3),
        ("-(-seq // batch)", 4), ("seq % batch", 1), ("min(batch, seq, 2)", 2), ("max(batch, seq - 100)", 3),
        ("  2 * (batch + seq) ", 26),
    ],
)
def test_values(text: int | str, value: int) -> None:
    assert compile_expr(text, SLOTS)(VALUES) == value


def test_an_expression_without_names_is_a_constant() -> None:
    assert compile_expr("4 * 16", {}).constant == 64
    assert compile_expr("batch", SLOTS).constant is None
    assert compile_expr("min(batch, seq)", SLOTS).names == {"batch", "seq"}


@pytest.mark.parametrize(
    "text",
    [
        "height", "batch.real", "batch[0]", "__import__('os')", "abs(batch)", "min()", "batch ** 2", "batch / 2", "1.5",
        "True", "'a'", "min(*batch)", "batch < seq", "(batch, seq)",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="does not understand"):
        compile_expr(text, SLOTS)


@pytest.mark.parametrize("text", ["", "1 +", "a b", "x = 1", "lambda: 1", "batch if seq else 1", '"batch'])
def test_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="malformed dimension expression"):
        compile_expr(text, SLOTS)


def test_division_by_zero_is_explained() -> None:
    with pytest.raises(UserError, match=r"seq // batch divides by zero for these input shapes"):
        compile_expr("seq // batch", SLOTS)((0, 4))


ODD = {name: number for number, name in enumerate(("n+1", "n", "min", "batch size", 'a"b', "lambda", "ﬁ", "fi", "3"))}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"n+1" * 10 + n', 11), ("n+1", 12), ('"min" + min("min", 7)', 19), ('"batch size" // 2', 6), ('"a\\"b"', 14),
        ("lambda + 1", 16), ("ﬁ - fi", -1), ('"3" + 3', 21),
    ],
)  # fmt: skip
def test_names_that_are_no_words(text: str, value: int) -> None:
    values = [0, 11, 12, 13, 14, 15, 16, 17, 18]
    assert compile_expr(text, ODD)(values) == value


def test_a_dimension_of_a_shape_is_a_name_first() -> None:
    values = [0, 11, 12, 13, 14, 15, 16, 17, 18]
    assert compile_dim("n+1", ODD)(values) == 0
    assert compile_dim("(n+1)", ODD)(values) == 12
    assert compile_dim("batch size", ODD).names == {"batch size"}
    assert compile_dim(7, ODD).constant == 7
