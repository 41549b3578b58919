"""The algebra of integer expressions against brute force."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlc.ir.expr import (
    ZERO,
    Compound,
    Expr,
    as_dim,
    as_expr,
    bounds,
    ceil_div,
    const,
    maximum,
    minimum,
    product,
    simplify,
    split_multiples,
    sym,
)
from dlc.ir.expr_text import parse_expr

SYMBOLS = ("d0", "d1", "n")
small = st.integers(-12, 12)
divisors = st.integers(1, 9)


class Reference:
    """An expression and what it means, built side by side."""

    def __init__(self, expr, value):
        self.expr = expr
        self.value = value

    def combine(self, other, build, compute):
        return Reference(build(self.expr, other.expr), lambda env: compute(self.value(env), other.value(env)))


def leaf_constant(value):
    return Reference(const(value), lambda env: value)


def leaf_symbol(name):
    return Reference(sym(name), lambda env: env[name])


leaves = st.builds(leaf_constant, small) | st.sampled_from(SYMBOLS).map(leaf_symbol)

OPERATIONS = {
    "+": (lambda a, b: a + b, lambda a, b: a + b),
    "-": (lambda a, b: a - b, lambda a, b: a - b),
    "*": (lambda a, b: a * b, lambda a, b: a * b),
    "min": (minimum, min),
    "max": (maximum, max),
}
BY_CONSTANT = {
    "//": (lambda a, b: a // b, lambda a, b: a // b),
    "%": (lambda a, b: a % b, lambda a, b: a % b),
}


def compose(parts):
    plain = st.builds(
        lambda a, b, kind: a.combine(b, *OPERATIONS[kind]), parts, parts, st.sampled_from(list(OPERATIONS))
    )
    divisor = (divisors | st.integers(-5, -1)).map(leaf_constant)
    divided = st.builds(
        lambda a, b, kind: a.combine(b, *BY_CONSTANT[kind]), parts, divisor, st.sampled_from(list(BY_CONSTANT))
    )
    return plain | divided


references = st.recursive(leaves, compose, max_leaves=8)
environments = st.fixed_dictionaries(dict.fromkeys(SYMBOLS, small))


@given(references, environments)
def test_building_keeps_the_value(reference, env):
    assert reference.expr.evaluate(env) == reference.value(env)


@given(references)
def test_text_reads_back_as_the_same_expression(reference):
    again = parse_expr(str(reference.expr))
    assert again == reference.expr
    assert str(again) == str(reference.expr)
    assert hash(again) == hash(reference.expr)


@given(references)
def test_terms_are_in_normal_form(reference):
    check_normal(reference.expr)


def check_normal(expr):
    assert isinstance(expr, Expr)
    assert all(factor for _, factor in expr.terms)
    monomials = [monomial for monomial, _ in expr.terms]
    assert len(set(monomials)) == len(monomials)
    assert () not in monomials[:-1]
    for monomial in monomials:
        for atom in monomial:
            if isinstance(atom, Compound):
                check_normal(atom.left)
                check_normal(atom.right)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.lists(st.sampled_from(SYMBOLS), max_size=3)), max_size=5), st.randoms()
)
def test_equal_polynomials_are_equal_however_they_are_built(terms, random):
    def total(order):
        result = ZERO
        for factor, names in order:
            piece = const(factor)
            for name in random.sample(names, len(names)):
                piece = piece * sym(name)
            result = result + piece
        return result

    assert total(terms) == total(random.sample(terms, len(terms)))


@given(references, st.sampled_from(SYMBOLS), references, environments)
def test_substitution_then_evaluation_is_evaluation_with_the_value(reference, name, inner, env):
    substituted = reference.expr.substitute({name: inner.expr})
    assert substituted.evaluate(env) == reference.expr.evaluate(env | {name: inner.value(env)})


def test_substitution_is_simultaneous():
    swapped = (sym("a") + sym("b") * 2).substitute({"a": sym("b"), "b": sym("a")})
    assert swapped == sym("b") + sym("a") * 2


ranges = st.tuples(st.integers(-6, 6), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def points(limits):
    for values in itertools.product(*(range(low, high + 1) for low, high in limits.values())):
        yield dict(zip(limits, values, strict=True))


@given(references, st.fixed_dictionaries(dict.fromkeys(SYMBOLS, ranges)))
def test_simplify_and_bounds_hold_at_every_point_of_the_ranges(reference, limits):
    simpler = simplify(reference.expr, limits)
    low, high = bounds(reference.expr, limits)
    for env in points(limits):
        value = reference.value(env)
        assert simpler.evaluate(env) == value
        assert low is None or low <= value
        assert high is None or value <= high


half_open = st.one_of(
    st.tuples(st.integers(-4, 4), st.none()), st.tuples(st.none(), st.integers(-4, 4)), st.just((None, None))
)


@given(
    references,
    st.fixed_dictionaries(dict.fromkeys(SYMBOLS, ranges | half_open)),
    st.lists(small, min_size=3, max_size=3),
)
def test_simplify_holds_where_ranges_are_open(reference, limits, offsets):
    env = {}
    for (name, (low, high)), offset in zip(limits.items(), offsets, strict=True):
        inside = (
            offset if low is None and high is None else low + abs(offset) if low is not None else high - abs(offset)
        )
        env[name] = inside if low is None or high is None else min(inside, high)
    assert simplify(reference.expr, limits).evaluate(env) == reference.value(env)
    low, high = bounds(reference.expr, limits)
    assert low is None or low <= reference.value(env)
    assert high is None or reference.value(env) <= high


@given(references, divisors, environments)
def test_split_multiples_gives_quotient_and_rest(reference, divisor, env):
    quotient, rest = split_multiples(reference.expr, divisor)
    assert quotient * divisor + rest == reference.expr
    assert 0 <= rest.constant < divisor
    assert (quotient * divisor + rest).evaluate(env) == reference.value(env)


@given(st.integers(2, 64))
def test_quotient_and_rest_of_a_split_loop_give_the_index_back(factor):
    outer, inner = sym("outer"), sym("inner")
    limits = {"inner": (0, factor - 1)}
    index = outer * factor + inner
    assert simplify(index // factor, limits) == outer
    assert simplify(index % factor, limits) == inner


@given(small, divisors)
def test_ceil_div(value, divisor):
    assert ceil_div(value, divisor) == -(-value // divisor)


@given(references, references, st.sampled_from(["//", "%"]), environments)
def test_division_by_an_expression(left, right, kind, env):
    if right.value(env) == 0 or right.expr.is_const:
        return
    quotient = left.expr // right.expr if kind == "//" else left.expr % right.expr
    wanted = left.value(env) // right.value(env) if kind == "//" else left.value(env) % right.value(env)
    assert quotient.evaluate(env) == wanted
    assert parse_expr(str(quotient)) == quotient


@given(st.text(max_size=8))
def test_any_name_can_be_a_symbol(name):
    expr = sym(name) * 3 + 1
    assert parse_expr(str(expr)) == expr
    assert not set(str(sym(name))) & set("<>[]\n")


@given(st.text(alphabet='d01+-*/%(), minax"', max_size=12))
def test_what_does_not_parse_is_a_value_error(text):
    with contextlib.suppress(ValueError, ZeroDivisionError):
        parse_expr(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("d0*16+3", "d0 * 16 + 3"),
        ("3 + d0 - d0", "3"),
        ("(d0 + 1) * (d0 - 1)", "d0 * d0 - 1"),
        ("(d0 * 16 + 5) // 16", "d0"),
        ("(d0 * 16 + d1) % 16", "(d1 % 16)"),
        ("min(d0 + 2, d0)", "d0"),
        ("max(8, 3)", "8"),
        ("-d1 + d0 * 0 - 2", "-d1 - 2"),
        ("(n * 4) // n", "4"),
        ("n % n", "0"),
    ],
)
def test_normal_forms(text, printed):
    assert str(parse_expr(text)) == printed


@pytest.mark.parametrize("text", ["", "d0 +", "(d0", "d0 d1", "min(d0)", "3 $ 4", "d0 ** 2"])
def test_malformed_text_is_refused(text):
    with pytest.raises(ValueError, match=r"unexpected|expected"):
        parse_expr(text)


@pytest.mark.parametrize("kind", ["//", "%"])
def test_a_constant_zero_divisor_is_refused(kind):
    with pytest.raises(ZeroDivisionError):
        parse_expr(f"d0 {kind} 0")


def test_a_constant_expression_equals_and_hashes_like_its_value():
    assert const(7) == 7
    assert hash(const(7)) == hash(7)
    assert {const(7), 7, ZERO, 0} == {7, 0}


def test_dims():
    assert as_dim(const(3)) == 3 and isinstance(as_dim(const(3)), int)
    assert as_dim("n") == sym("n")
    assert product([2, sym("n"), 3]) == sym("n") * 6
    assert as_expr(4).is_const and not as_expr("n").is_const
