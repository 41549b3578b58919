"""What is proved of expressions by cases holds at all sizes; what facts simplify stays equal where they hold."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlc.ir.expr import Expr, const, maximum, minimum, sym
from dlc.ir.expr_cases import assuming, facts_of, never_negative
from dlc.ir.expr_text import parse_expr

N, M = sym("n"), sym("m")
SIZES = [{"n": n, "m": m} for n, m in itertools.product((0, 1, 2, 3, 5, 8), repeat=2)]


def joined(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    pairs = st.tuples(inner, inner)
    return st.one_of(
        pairs.map(lambda p: p[0] + p[1]), pairs.map(lambda p: p[0] - p[1]), pairs.map(lambda p: minimum(*p)),
        pairs.map(lambda p: maximum(*p)), st.tuples(inner, st.integers(2, 4)).map(lambda p: p[0] // p[1]),
    )  # fmt: skip


exprs = st.recursive(st.sampled_from((N, M)) | st.integers(-4, 4).map(const), joined, max_leaves=7)


@given(exprs)
def test_what_is_proved_holds(expr: Expr) -> None:
    if never_negative(expr):
        assert all(expr.evaluate(sizes) >= 0 for sizes in SIZES)


@given(exprs, exprs)
def test_what_a_fact_decides_is_equal_where_it_holds(expr: Expr, fact: Expr) -> None:
    simpler = assuming(expr, (fact,))
    for sizes in SIZES:
        if fact.evaluate(sizes) >= 0:
            assert simpler.evaluate(sizes) == expr.evaluate(sizes)


@given(exprs)
def test_facts_of_an_equation_hold_where_it_does(surplus: Expr) -> None:
    for sizes in SIZES:
        if surplus.evaluate(sizes) == 0:
            assert all(fact.evaluate(sizes) >= 0 for fact in facts_of(surplus, equal=True))


@pytest.mark.parametrize(
    "text",
    [
        "min(8, n) - min(5, n)", "n - (n + 1) // 2", "n - min(4, n) + 2 - 3 * ((n - min(4, n) + 2) // 3)",
        "n - min(1, n) + 1 - 2 * (min(5, n) // 2)", "min(min(1024, n + m), n + m) - min(1024, n)",
    ],
)  # fmt: skip
def test_what_slices_need_is_proved(text: str) -> None:
    assert never_negative(parse_expr(text))
    assert not never_negative(parse_expr(text) - 1)


def test_a_table_as_long_as_what_is_read_of_it() -> None:
    facts = facts_of(N - minimum(N, 512), equal=True)
    assert facts == (512 - N,)
    assert assuming(minimum(N, 512) + minimum(N, 600), facts) == N * 2
    assert assuming(minimum(N, 100), facts) == minimum(N, 100)
    both = (1024 - N - M,)
    assert assuming(minimum(N + M, 1024) - minimum(N, 1024), both) == M
