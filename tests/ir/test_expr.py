"""The algebra of integer expressions against brute force."""

import contextlib
import functools
import itertools
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlc.ir.broadcast import broadcast_size
from dlc.ir.expr import ZERO, Expr, as_dim, as_expr, ceil_div, const, maximum, minimum, product, split_multiples, sym
from dlc.ir.expr_atoms import Compound
from dlc.ir.expr_bounds import bounds
from dlc.ir.expr_text import parse_expr
from dlc.ir.simplify import simplify

SYMBOLS = ("d0", "d1", "n", "m")
SIZES = ("n", "m")  # named dimensions: at least 0
small = st.integers(-12, 12)
sizes = st.integers(0, 12)
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
environments = st.fixed_dictionaries({name: sizes if name in SIZES else small for name in SYMBOLS})


@given(references, environments)
def test_building_keeps_the_value(reference, env):
    assert reference.expr.evaluate(env) == reference.value(env)


def compose_by_sizes(parts):
    """What shapes are made of: also quotients and remainders by polynomials of sizes."""
    by = st.tuples(st.integers(1, 4), st.lists(st.sampled_from(SIZES), max_size=2), st.integers(0, 2)).map(
        lambda of: functools.reduce(
            lambda a, name: a.combine(leaf_symbol(name), operator.mul, operator.mul), of[1], leaf_constant(of[0])
        ).combine(leaf_constant(of[2]), operator.add, operator.add)
    )
    return compose(parts) | st.builds(
        lambda a, b, kind: a.combine(b, *BY_CONSTANT[kind]), parts, by, st.sampled_from(list(BY_CONSTANT))
    )


shapes = st.recursive(leaves, compose_by_sizes, max_leaves=8)


@settings(max_examples=400)
@given(shapes, environments)
def test_division_by_sizes_keeps_the_value(reference, env):
    try:
        wanted = reference.value(env)
    except ZeroDivisionError:  # an axis of no elements: nobody asks for the quotient
        return
    assert reference.expr.evaluate(env) == wanted
    assert parse_expr(str(reference.expr)) == reference.expr


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
    if name in SIZES and inner.value(env) < 0:
        return
    substituted = reference.expr.substitute({name: inner.expr})
    assert substituted.evaluate(env) == reference.expr.evaluate(env | {name: inner.value(env)})


def test_substitution_is_simultaneous():
    swapped = (sym("a") + sym("b") * 2).substitute({"a": sym("b"), "b": sym("a")})
    assert swapped == sym("b") + sym("a") * 2


ranges = st.tuples(st.integers(-6, 6), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))
size_ranges = st.tuples(st.integers(0, 6), st.integers(0, 5)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def points(limits):
    for values in itertools.product(*(range(low, high + 1) for low, high in limits.values())):
        yield dict(zip(limits, values, strict=True))


@settings(max_examples=60)
@given(references, st.fixed_dictionaries({name: size_ranges if name in SIZES else ranges for name in SYMBOLS}))
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


open_sizes = size_ranges | st.tuples(st.integers(0, 4), st.none())


@given(
    references,
    st.fixed_dictionaries({name: open_sizes if name in SIZES else ranges | half_open for name in SYMBOLS}),
    st.lists(small, min_size=4, max_size=4),
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
    if right.value(env) <= 0 or right.expr.is_const:
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


# -- what sizes decide -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("max(0, n)", "n"),
        ("min(0, n)", "0"),
        ("min(1, n + 1)", "1"),
        ("max(n, max(m, n))", "max(m, n)"),
        ("min(m, min(n, m) + 0)", "min(m, n)"),
        ("min(n, n - min(n, 9))", "(-min(9, n) + n)"),
        ("max(n - min(n, 9), 0)", "n - min(9, n)"),
        ("((h + 1) // 2) // 2", "((h + 1) // 4)"),
        ("((h + 1) // 2 + 1) // 2", "((h + 3) // 4)"),
        ("(4 * n + 3) // 8", "(n // 2)"),
        ("(4 * n + 3) % 8", "(n % 2) * 4 + 3"),
        ("(b * 4 * s) // s", "b * 4"),
        ("(b * 4 * s) // (4 * s)", "b"),
        ("(b * 4 * s) // (s * 2 * m)", "((b * 2) // m)"),
        ("(b * s + b) // (s + 1)", "b"),
        ("(b * s + b + s) % (s + 1)", "s"),
        ("n // (n + 1)", "0"),
        ("(d0 // n) * n + d0 % n", "d0"),
        ("(d0 // 4) * 12 + d0 % 4 * 3", "d0 * 3"),
    ],
)
def test_sizes_decide(text, printed):
    found = parse_expr(text)
    assert found == parse_expr(printed)
    assert str(found) == str(parse_expr(printed))
    assert len(str(found)) <= len(printed)


INDEX = {"b'": (0, sym("batch") - 1), "h'": (0, 3), "s'": (0, sym("seq") - 1), "c'": (0, 31)}
B, H, S, C = (sym(name) for name in INDEX)
SEQ = sym("seq")


@pytest.mark.parametrize(
    ("index", "wanted"),
    [
        ((B * 4 + H) // 4, B),
        ((B * SEQ + S) // SEQ, B),
        ((B * SEQ + S) % SEQ, S),
        # (b, h, s, c) joined to (b * h, s, c) and taken apart, with the last two exchanged
        ((((B * 4 + H) * 32 + C) * SEQ + S) // (SEQ * 32), B * 4 + H),
        ((((B * 4 + H) * 32 + C) * SEQ + S) // SEQ % 32, C),
        ((((B * 4 + H) * 32 + C) * SEQ + S) % SEQ, S),
        ((((B * 4 + H) * 32 + C) * SEQ + S) // (SEQ * 32) // 4, B),
        ((((B * 4 + H) * 32 + C) * SEQ + S) // (SEQ * 128), B),
        (((B * SEQ + S) * 128 + H * 32 + C) // (SEQ * 128), B),
        (((B * SEQ + S) * 128 + H * 32 + C) // 128 % SEQ, S),
        ((B * (SEQ + 1) + S) // (SEQ + 1), B),
        ((B * (SEQ + 1) + S + 1) % (SEQ + 1), S + 1),
        (((B * 4 + H) * 32 + C) // 48, ((B * 128 + H * 32 + C) // 48)),
        ((H * 32 + C) // 32, H),
    ],
)
def test_reshapes_that_join_and_split_axes_are_the_plain_index(index, wanted):
    assert simplify(index, INDEX) == wanted


@settings(max_examples=300)
@given(shapes, st.integers(1, 3), st.integers(1, 3), st.integers(0, 3))
def test_simplify_by_extents_that_are_sizes(reference, n, m, shift):
    """d0 runs below n, d1 below n * m + shift."""
    limits = {"d0": (0, sym("n") - 1), "d1": (0, sym("n") * sym("m") + (shift - 1))}
    simpler = simplify(reference.expr, limits)
    low, high = bounds(reference.expr, limits)
    for d0, d1 in itertools.product(range(n), range(n * m + shift)):
        env = {"n": n, "m": m, "d0": d0, "d1": d1}
        with contextlib.suppress(ZeroDivisionError):
            value = reference.value(env)
            assert simpler.evaluate(env) == value
            assert low is None or low <= value
            assert high is None or value <= high


# -- broadcast ---------------------------------------------------------------------------------------------------------


members_of_broadcasts = st.sampled_from([sym("n"), sym("m"), sym("k"), sym("n") + 1, const(1), sym("n") * 2])


@given(st.lists(members_of_broadcasts, min_size=1, max_size=4), st.fixed_dictionaries(dict.fromkeys("nmk", sizes)))
def test_broadcast_sizes(parts, env):
    def number(a, b):
        return max(a, b) * min(1, a, b)

    total = functools.reduce(broadcast_size, parts)
    assert total.evaluate(env) == functools.reduce(number, [each.evaluate(env) for each in parts])


@given(st.lists(st.sampled_from([sym("n"), sym("m"), sym("k"), const(1)]), min_size=2, max_size=5), st.randoms())
def test_a_broadcast_says_each_size_once(parts, random):
    total = functools.reduce(broadcast_size, parts)
    again = functools.reduce(broadcast_size, random.sample(parts, len(parts)), total)
    assert again == total
