"""The text of the kernel language: what it parses to, that only what is asked for is parsed, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlc.errors import UserError
from dlc.kernel_files import kernel_root
from dlc.kernel_language import syntax as s
from dlc.kernel_language.library import Library
from dlc.kernel_language.parser import parse_kernels


def expression(text: str) -> s.Node:
    (function,) = parse_kernels(f"fn f(x) = {text}", "t.kernel")
    assert isinstance(function, s.Function)
    (give,) = function.body
    assert isinstance(give, s.Give)
    return give.value


def name(text: str) -> s.Name:
    return s.Name(1, text)


A, B, C = name("a"), name("b"), name("c")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a - b - c", s.Binary(1, "-", s.Binary(1, "-", A, B), C)),
        ("a + b * c", s.Binary(1, "+", A, s.Binary(1, "*", B, C))),
        ("a // b % c", s.Binary(1, "%", s.Binary(1, "//", A, B), C)),
        ("not a == b and c", s.Binary(1, "and", s.Unary(1, "not", s.Binary(1, "==", A, B)), C)),
        ("a or b and c", s.Binary(1, "or", A, s.Binary(1, "and", B, C))),
        ("if a then b else c", s.Conditional(1, A, B, C)),
        ("-1.5e3", s.Number(1, -1500.0)),
        ("--a", s.Unary(1, "-", s.Unary(1, "-", A))),
        ("0x1F", s.Number(1, 31)),
        ("-inf", s.Number(1, float("-inf"))),
        ("a[b, *c]", s.Index(1, A, (B, s.Splat(1, C)))),
        ("a[]", s.Index(1, A, ())),
        ("a[1:-1]", s.Cut(1, A, s.Number(1, 1), s.Number(1, -1))),
        ("a[:b]", s.Cut(1, A, None, B)),
        ("a[b:]", s.Cut(1, A, B, None)),
        ("[*a, b]", s.ListOf(1, (s.Splat(1, A), B))),
        ("[a for b, c in a]", s.Comprehension(1, A, ("b", "c"), A)),
        ('f(a, kind = "x")', s.Call(1, "f", (A, s.Named(1, "kind", s.Text(1, "x"))))),
        ("sum(k: a) b * c", s.Reduction(1, "sum", (s.Range(1, "k", None, A, False),), s.Binary(1, "*", B, C))),
        ("sum(*k: a .. b) c", s.Reduction(1, "sum", (s.Range(1, "k", A, B, True),), C)),
        ("sum(k: a) { let b = c give b }", s.Reduction(
            1, "sum", (s.Range(1, "k", None, A, False),), s.Steps(1, (s.Let(1, "b", C), s.Give(1, B))))),
        ("max(a, b)", s.Call(1, "max", (A, B))),
        ("(a)", A),
    ],
)
def test_expressions(text: str, expected: s.Node) -> None:
    assert expression(text) == expected


def test_schedule_actions() -> None:
    text = """schedule k when a { split n by 4 into n.o n.i even  order n.o m n.i
      when b { vectorize n.i by lanes } else { unroll m }
      fuse x y into z  prefetch k along n over m  contract a in b  auto }"""
    (schedule,) = parse_kernels(text, "t.kernel")
    assert isinstance(schedule, s.Schedule) and schedule.condition == A
    split, order, when, fuse, prefetch, contract, auto = schedule.actions
    assert split == s.Action(1, "split", ("n", "n.o", "n.i"), s.Number(1, 4), "even")
    assert order == s.Action(1, "order", ("n.o", "m", "n.i"))
    assert when == s.When(
        2, B, (s.Action(2, "vectorize", ("n.i",), name("lanes")),), (s.Action(2, "unroll", ("m",)),)
    )  # fmt: skip
    assert [fuse, prefetch, contract, auto] == [
        s.Action(3, "fuse", ("x", "y", "z")), s.Action(3, "prefetch", ("k", "n", "m")),
        s.Action(3, "contract", ("a", "b")), s.Action(3, "auto", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fn f(x) =", r"t\.kernel:1:10: cannot read 'fn f\(x\) =' .*expected an expression, got the end"),
        ("fn f(x)\n  x", r"t\.kernel:2:3: cannot read 'x' .*expected one of '=', '{', got 'x'"),
        ("fn f(x) = x ?", r"1:13: .*expected a word, a number or a sign, got '\?'"),
        ("kernel k(x) -> y { y[i] }", r"1:25: .*expected '=', got '}'"),
        ("kernel k(x) -> y { let if = 2 }", r"expected a name, got 'if'"),
        ("schedule k { stretch n }", r"1:14: .*expected one of .*'}', got 'stretch'"),
        ("schedule k { split n by 4 into auto b }", r"expected the name of a loop, got 'auto'"),
        ("fn f(x.o) = 1", r"expected a name, got 'x\.o'"),
        ("x", r"expected one of 'fn', 'kernel', 'schedule', got 'x'"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_kernels(text, "t.kernel")


def test_only_what_is_asked_for_is_parsed_and_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "own.kernel"
    path.write_text("# mine\nfn good(x) = x\n\nfn bad(x) = = x\nfn good(x) = x + 1\n")
    library = Library([path])
    assert [each.line for each in library.functions("good")] == [2, 5]
    with pytest.raises(UserError, match=r"own\.kernel:4:13: cannot read 'fn bad\(x\) = = x'"):
        library.functions("bad")


def test_a_file_added_later_is_asked_first(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.kernel").write_text(f"fn f(x) = {number}\nfn f(x) = {number}0\n")
    found = Library([tmp_path / "1.kernel", tmp_path / "2.kernel"]).functions("f")
    assert [each.body[0] for each in found] == [s.Give(1, s.Number(1, n)) for n in (2, 20, 1, 10)]


@pytest.mark.parametrize("path", sorted(kernel_root().glob("*.kernel")), ids=lambda path: path.stem)
def test_the_library_parses_whole(path: Path) -> None:
    assert parse_kernels(path.read_text(), path.name)
