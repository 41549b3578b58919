"""Text of the kernel language to its syntax tree."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib.resources import files

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from dlc.errors import UserError
from dlc.kernel_language import syntax as s


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
        raise UserError(f"{file}:{problem.line}:{problem.column}: cannot read {line!r} of the kernel file{expected}") from None
    definitions = _ToSyntax().transform(tree)
    return tuple(replace(d, file=file) for d in definitions)


def _line(meta: object) -> int:
    return getattr(meta, "line", 0)


def _folded(meta: object, children: list[object]) -> s.Node:
    """left (op right)* as nested binary nodes, leftmost innermost."""
    result = children[0]
    for at in range(1, len(children), 2):
        result = s.Binary(_line(meta), str(children[at]), result, children[at + 1])  # type: ignore[arg-type]
    return result  # type: ignore[return-value]


def _logic(kind: str):  # type: ignore[no-untyped-def]
    def build(self: object, meta: object, children: list[s.Node]) -> s.Node:
        result = children[0]
        for child in children[1:]:
            result = s.Binary(_line(meta), kind, result, child)
        return result

    return build


@v_args(meta=True)
class _ToSyntax(Transformer):  # type: ignore[type-arg]
    def start(self, meta, items):  # type: ignore[no-untyped-def]
        return list(items)

    def names(self, meta, items):  # type: ignore[no-untyped-def]
        return tuple(map(str, items))

    def parameters(self, meta, items):  # type: ignore[no-untyped-def]
        return (items[0] or (), items[1] or ())

    def condition(self, meta, items):  # type: ignore[no-untyped-def]
        return items[0]

    def block(self, meta, items):  # type: ignore[no-untyped-def]
        return tuple(items)

    schedule_block = arguments = ranges = block

    def function(self, meta, items):  # type: ignore[no-untyped-def]
        name, (operands, attributes), condition, body = items
        if not isinstance(body, tuple):
            body = (s.Give(body.line, body),)
        return s.Function(_line(meta), str(name), operands, attributes, condition, body)

    def kernel(self, meta, items):  # type: ignore[no-untyped-def]
        name, (operands, attributes), results, condition, body = items
        return s.Kernel(_line(meta), str(name), operands, attributes, results, condition, body)

    def schedule(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Schedule(_line(meta), str(items[0]), items[1], items[2])

    def let(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Let(_line(meta), str(items[0]), items[1])

    def assign(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Assign(_line(meta), str(items[0]), items[1])

    def store(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Store(_line(meta), str(items[0]), items[1] or (), items[2])

    def for_loop(self, meta, items):  # type: ignore[no-untyped-def]
        return s.For(_line(meta), items[0], items[1])

    def branch(self, meta, items):  # type: ignore[no-untyped-def]
        otherwise = items[2] if len(items) > 2 and items[2] is not None else ()
        return s.If(_line(meta), items[0], items[1], otherwise if isinstance(otherwise, tuple) else (otherwise,))

    def while_loop(self, meta, items):  # type: ignore[no-untyped-def]
        return s.While(_line(meta), items[0], items[1])

    def give(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Give(_line(meta), items[0])

    def plain_range(self, meta, items):  # type: ignore[no-untyped-def]
        lower, upper = (None, items[1]) if items[2] is None else (items[1], items[2])
        return s.Range(_line(meta), str(items[0]), lower, upper, False)

    def splat_range(self, meta, items):  # type: ignore[no-untyped-def]
        lower, upper = (None, items[1]) if items[2] is None else (items[1], items[2])
        return s.Range(_line(meta), str(items[0]), lower, upper, True)

    def each(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Each(_line(meta), tuple(str(n) for n in items[:-2] if n), items[-2], items[-1])

    def conditional(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Conditional(_line(meta), *items)

    or_expr = _logic("or")
    and_expr = _logic("and")

    def negation(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Unary(_line(meta), "not", items[0])

    def comparison(self, meta, items):  # type: ignore[no-untyped-def]
        return _folded(meta, items)

    sum = product = comparison

    def minus(self, meta, items):  # type: ignore[no-untyped-def]
        if isinstance(items[0], s.Number):
            return s.Number(_line(meta), -items[0].value)
        return s.Unary(_line(meta), "-", items[0])

    def index(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Index(_line(meta), items[0], items[1] or ())

    def cut(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Cut(_line(meta), *items)

    def number(self, meta, items):  # type: ignore[no-untyped-def]
        text = str(items[0])
        is_integer = text.isdigit() or text.startswith("0x")
        return s.Number(_line(meta), int(text, 0) if is_integer else float(text))

    def string(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Text(_line(meta), str(items[0])[1:-1])

    def name(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Name(_line(meta), str(items[0]))

    def list(self, meta, items):  # type: ignore[no-untyped-def]
        return s.ListOf(_line(meta), items[0] or ())

    def comprehension(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Comprehension(_line(meta), items[0], tuple(str(n) for n in items[1:-1] if n), items[-1])

    def call(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Call(_line(meta), str(items[0]), items[1] or ())

    def reduction(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Reduction(_line(meta), str(items[0]), items[1], items[2])

    def splat(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Splat(_line(meta), items[0])

    def named(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Named(_line(meta), str(items[0]), items[1])

    # -- schedule actions

    def when_action(self, meta, items):  # type: ignore[no-untyped-def]
        return s.When(_line(meta), items[0], items[1], items[2] or ())

    def parameter(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Parameter(_line(meta), str(items[0]), items[1], items[2])

    def split(self, meta, items):  # type: ignore[no-untyped-def]
        name, amount, outer, inner, tail = items
        return s.Action(_line(meta), "split", (str(name), str(outer), str(inner)), amount, str(tail or "peel"))

    def vectorize(self, meta, items):  # type: ignore[no-untyped-def]
        return s.Action(_line(meta), "vectorize", (str(items[0]),), items[1])

    def _plain(kind):  # type: ignore[no-untyped-def,misc]
        def build(self, meta, items):  # type: ignore[no-untyped-def]
            return s.Action(_line(meta), kind, tuple(str(i) for i in items if isinstance(i, Token)))

        return build

    order = _plain("order")  # type: ignore[call-arg]
    unroll = _plain("unroll")  # type: ignore[call-arg]
    fuse = _plain("fuse")  # type: ignore[call-arg]
    parallel = _plain("parallel")  # type: ignore[call-arg]
    prefetch = _plain("prefetch")  # type: ignore[call-arg]
    contract = _plain("contract")  # type: ignore[call-arg]
    auto = _plain("auto")  # type: ignore[call-arg]
