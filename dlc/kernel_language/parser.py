"""Text of the kernel language to its syntax tree."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lark import Lark, Token, Transformer, UnexpectedInput, v_args
from lark.tree import Meta

from dlc.errors import UserError
from dlc.kernel_language import syntax as s

if TYPE_CHECKING:
    Rules = Transformer[Token, tuple[s.Definition, ...]]
else:
    Rules = Transformer

Items = list[Any]  # what the parts of a rule have become: the grammar says what they are
Names = tuple[str, ...]
Rule = Callable[[Rules, Meta, Items], s.Node]


@cache
def _grammar() -> Lark:
    text = files("dlc.kernel_language").joinpath("grammar.lark").read_text()
    return Lark(text, parser="lalr", lexer="contextual", propagate_positions=True, maybe_placeholders=True)


def parse_kernels(text: str, file: str) -> tuple[s.Definition, ...]:
    """Parse one kernel file. Raises UserError with file, line, column and what was expected."""
    try:
        tree = _grammar().parse(text)
    except UnexpectedInput as problem:
        wanted = sorted(getattr(problem, "accepts", None) or getattr(problem, "expected", None) or ())
        expected = f", expected one of {', '.join(wanted[:8])}" if wanted else ""
        line = text.splitlines()[problem.line - 1].strip() if 0 < problem.line <= len(text.splitlines()) else ""
        place = f"{file}:{problem.line}:{problem.column}"
        raise UserError(f"{place}: cannot read {line!r} of the kernel file{expected}") from None
    return tuple(replace(definition, file=file) for definition in _ToSyntax().transform(tree))


def _line(meta: Meta) -> int:
    return 0 if meta.empty else meta.line


def _folded(meta: Meta, items: Items) -> s.Node:
    """left (op right)* as nested binary nodes, leftmost innermost."""
    result: s.Node = items[0]
    for at in range(1, len(items), 2):
        result = s.Binary(_line(meta), str(items[at]), result, items[at + 1])
    return result


def _logic(kind: str) -> Rule:
    def build(self: Rules, meta: Meta, items: Items) -> s.Node:
        result: s.Node = items[0]
        for item in items[1:]:
            result = s.Binary(_line(meta), kind, result, item)
        return result

    return build


def _plain(kind: str) -> Rule:
    """An action that only names loops."""

    def build(self: Rules, meta: Meta, items: Items) -> s.Node:
        return s.Action(_line(meta), kind, tuple(str(item) for item in items if isinstance(item, Token)))

    return build


@v_args(meta=True)
class _ToSyntax(Rules):
    def start(self, meta: Meta, items: Items) -> tuple[s.Definition, ...]:
        return tuple(items)

    def names(self, meta: Meta, items: Items) -> Names:
        return tuple(map(str, items))

    def parameters(self, meta: Meta, items: Items) -> tuple[Names, Names]:
        return (items[0] or (), items[1] or ())

    def condition(self, meta: Meta, items: Items) -> s.Node:
        found: s.Node = items[0]
        return found

    def block(self, meta: Meta, items: Items) -> tuple[s.Node, ...]:
        return tuple(items)

    schedule_block = arguments = ranges = block

    def function(self, meta: Meta, items: Items) -> s.Function:
        name, (operands, attributes), condition, body = items
        if not isinstance(body, tuple):
            body = (s.Give(body.line, body),)
        return s.Function(_line(meta), str(name), operands, attributes, condition, body)

    def kernel(self, meta: Meta, items: Items) -> s.Kernel:
        name, (operands, attributes), results, condition, body = items
        return s.Kernel(_line(meta), str(name), operands, attributes, results, condition, body)

    def schedule(self, meta: Meta, items: Items) -> s.Schedule:
        return s.Schedule(_line(meta), str(items[0]), items[1], items[2])

    def let(self, meta: Meta, items: Items) -> s.Let:
        return s.Let(_line(meta), str(items[0]), items[1])

    def assign(self, meta: Meta, items: Items) -> s.Assign:
        return s.Assign(_line(meta), str(items[0]), items[1])

    def store(self, meta: Meta, items: Items) -> s.Store:
        return s.Store(_line(meta), str(items[0]), items[1] or (), items[2])

    def for_loop(self, meta: Meta, items: Items) -> s.For:
        return s.For(_line(meta), items[0], items[1])

    def branch(self, meta: Meta, items: Items) -> s.If:
        otherwise = items[2] if len(items) > 2 and items[2] is not None else ()
        return s.If(_line(meta), items[0], items[1], otherwise if isinstance(otherwise, tuple) else (otherwise,))

    def while_loop(self, meta: Meta, items: Items) -> s.While:
        return s.While(_line(meta), items[0], items[1])

    def give(self, meta: Meta, items: Items) -> s.Give:
        return s.Give(_line(meta), items[0])

    def plain_range(self, meta: Meta, items: Items) -> s.Range:
        lower, upper = (None, items[1]) if items[2] is None else (items[1], items[2])
        return s.Range(_line(meta), str(items[0]), lower, upper, False)

    def splat_range(self, meta: Meta, items: Items) -> s.Range:
        lower, upper = (None, items[1]) if items[2] is None else (items[1], items[2])
        return s.Range(_line(meta), str(items[0]), lower, upper, True)

    def each(self, meta: Meta, items: Items) -> s.Each:
        return s.Each(_line(meta), tuple(str(n) for n in items[:-2] if n), items[-2], items[-1])

    def conditional(self, meta: Meta, items: Items) -> s.Conditional:
        return s.Conditional(_line(meta), *items)

    or_expr = _logic("or")
    and_expr = _logic("and")

    def negation(self, meta: Meta, items: Items) -> s.Unary:
        return s.Unary(_line(meta), "not", items[0])

    def comparison(self, meta: Meta, items: Items) -> s.Node:
        return _folded(meta, items)

    sum = product = comparison

    def minus(self, meta: Meta, items: Items) -> s.Node:
        if isinstance(items[0], s.Number):
            return s.Number(_line(meta), -items[0].value)
        return s.Unary(_line(meta), "-", items[0])

    def index(self, meta: Meta, items: Items) -> s.Index:
        return s.Index(_line(meta), items[0], items[1] or ())

    def cut(self, meta: Meta, items: Items) -> s.Cut:
        return s.Cut(_line(meta), *items)

    def number(self, meta: Meta, items: Items) -> s.Number:
        text = str(items[0])
        is_integer = text.isdigit() or text.startswith("0x")
        return s.Number(_line(meta), int(text, 0) if is_integer else float(text))

    def string(self, meta: Meta, items: Items) -> s.Text:
        return s.Text(_line(meta), str(items[0])[1:-1])

    def name(self, meta: Meta, items: Items) -> s.Name:
        return s.Name(_line(meta), str(items[0]))

    def list(self, meta: Meta, items: Items) -> s.ListOf:
        return s.ListOf(_line(meta), items[0] or ())

    def comprehension(self, meta: Meta, items: Items) -> s.Comprehension:
        return s.Comprehension(_line(meta), items[0], tuple(str(n) for n in items[1:-1] if n), items[-1])

    def call(self, meta: Meta, items: Items) -> s.Call:
        return s.Call(_line(meta), str(items[0]), items[1] or ())

    def reduction(self, meta: Meta, items: Items) -> s.Reduction:
        return s.Reduction(_line(meta), str(items[0]), items[1], items[2])

    def splat(self, meta: Meta, items: Items) -> s.Splat:
        return s.Splat(_line(meta), items[0])

    def named(self, meta: Meta, items: Items) -> s.Named:
        return s.Named(_line(meta), str(items[0]), items[1])

    # -- schedule actions

    def when_action(self, meta: Meta, items: Items) -> s.When:
        return s.When(_line(meta), items[0], items[1], items[2] or ())

    def parameter(self, meta: Meta, items: Items) -> s.Parameter:
        return s.Parameter(_line(meta), str(items[0]), items[1], items[2])

    def split(self, meta: Meta, items: Items) -> s.Action:
        name, amount, outer, inner, tail = items
        return s.Action(_line(meta), "split", (str(name), str(outer), str(inner)), amount, str(tail or "peel"))

    def vectorize(self, meta: Meta, items: Items) -> s.Action:
        return s.Action(_line(meta), "vectorize", (str(items[0]),), items[1])

    order = _plain("order")
    unroll = _plain("unroll")
    fuse = _plain("fuse")
    parallel = _plain("parallel")
    prefetch = _plain("prefetch")
    contract = _plain("contract")
    turn = _plain("turn")
    auto = _plain("auto")
