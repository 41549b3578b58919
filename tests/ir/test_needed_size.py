"""What a message says of a size: it is what the requirement needs, at every size that is tried."""

import re

import pytest

from dlc.ir.expr import maximum, minimum, sym
from dlc.ir.expr_text import parse_expr
from dlc.ir.needed_size import needed_size
from dlc.ir.requirements import AT_LEAST, EQUAL, ONE_OR_EQUAL

N = sym("n")
SAID = {
    "n - 100": "at least 100", "2 * n - 7": "at least 4", "((n + 1) // 2) - 3": "at least 5", "100 - n": "at most 100",
    "9 - 4 * n": "at most 2", "3 - n // 5": "at most 19", "n * n - 50": "at least 8", "n - 100 + n // 3": "at least 75",
}  # fmt: skip


@pytest.mark.parametrize("text", SAID)
def test_bounds_are_exact(text: str) -> None:
    surplus = parse_expr(text)
    assert needed_size(surplus, AT_LEAST) == SAID[text]
    bound = int(SAID[text].split()[-1])
    for size in range(300):
        assert (surplus.evaluate({"n": size}) >= 0) == (size >= bound if "least" in SAID[text] else size <= bound)


def test_extremes() -> None:
    assert needed_size(minimum(N, N // 2 + 4) - 9, AT_LEAST) == "at least 10"
    assert needed_size(maximum(N - 5, 3) - 9, AT_LEAST) == "at least 14"


@pytest.mark.parametrize(("text", "said"), [("n - 6", "6"), ("12 - 3 * n", "4"), ("2 * n - 7", None), ("n + 1", None)])
def test_equal_sizes(text: str, said: str | None) -> None:
    assert needed_size(parse_expr(text), EQUAL) == said


@pytest.mark.parametrize("text", ["n - m", "n % 4 - 1", "n - 3 * (n // 4) - 9", "n * (7 - n)", "7", "(n // 2) * 2 - n"])
def test_what_cannot_be_said_in_a_few_words_is_left_out(text: str) -> None:
    said = needed_size(parse_expr(text), AT_LEAST)
    assert said is None or re.fullmatch("at (least|most) [0-9]+", said) is None


def test_no_size_is_said_where_none_or_all_would_do() -> None:
    assert needed_size(-N - 1, AT_LEAST) is None
    assert needed_size(N - 4, ONE_OR_EQUAL) is None
