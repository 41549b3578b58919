"""Text of the kernel language to its syntax tree: definitions, statements and schedule actions by recursive descent.

Not by a generated parser: building its tables takes longer than compiling a small model, and no cache can spare the
first compilation that.
"""

from __future__ import annotations

from collections.abc import Callable

from dlc.kernel_language import syntax as s
from dlc.kernel_language.expressions import ExpressionParser

TAILS = ("peel", "block", "guard", "even")


def parse_kernels(text: str, file: str, first_line: int = 1) -> tuple[s.Definition, ...]:
    """Parse a kernel file, or the part of one that begins at a line.

    Raises UserError with file, line, column and what was expected.
    """
    parser = Parser(text, file, first_line)
    found = []
    while parser.next.kind != "end":
        found.append(parser.definition())
    return tuple(found)


class Parser(ExpressionParser):
    """definition = function | kernel | schedule; see each method for its rule."""

    def definition(self) -> s.Definition:
        line = self.next.line
        match self.expect("fn", "kernel", "schedule"):
            case "fn":
                return self.function(line)
            case "kernel":
                return self.kernel(line)
            case _:
                return self.schedule(line)

    def function(self, line: int) -> s.Function:
        """fn NAME parameters condition? (block | = expr)"""
        name, (operands, attributes), condition = self.word(), self.parameters(), self.condition()
        if self.next.text == "{":
            body = self.block()
        else:
            self.expect("=", "{")
            value = self.expression()
            body = (s.Give(value.line, value),)
        return s.Function(line, name, operands, attributes, condition, body, self.file)

    def kernel(self, line: int) -> s.Kernel:
        """kernel NAME parameters -> names condition? block"""
        name, (operands, attributes) = self.word(), self.parameters()
        self.expect("->")
        return s.Kernel(line, name, operands, attributes, self.names(), self.condition(), self.block(), self.file)

    def schedule(self, line: int) -> s.Schedule:
        """schedule NAME condition? { action* }"""
        return s.Schedule(line, self.word(), self.condition(), self.actions(), self.file)

    def parameters(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """( names? (; names)? )"""
        self.expect("(")
        operands = () if self.next.text in (";", ")") else self.names()
        attributes = self.names() if self.accept(";") else ()
        self.expect(")")
        return operands, attributes

    def condition(self) -> s.Node | None:
        return self.expression() if self.accept("when") else None

    # -- statements

    def block(self) -> tuple[s.Node, ...]:
        """{ statement* }"""
        self.expect("{")
        found = []
        while not self.accept("}"):
            found.append(self.statement())
        return tuple(found)

    def statement(self) -> s.Node:
        rule = STATEMENTS.get(self.next.text)
        line = self.next.line
        if rule is not None:
            self.take()
            return rule(self, line)
        if self.next.kind != "name":
            self.fail("a statement", "'}'")
        name = self.name()
        if self.accept(":="):
            return s.Assign(line, name, self.expression())
        self.expect("[", ":=")
        arguments = self.arguments("]")
        self.expect("]")
        self.expect("=")
        return s.Store(line, name, arguments, self.expression())

    def let(self, line: int) -> s.Let:
        """let NAME = expr"""
        name = self.name()
        self.expect("=")
        return s.Let(line, name, self.expression())

    def for_loop(self, line: int) -> s.For:
        """for ranges block"""
        return s.For(line, self.ranges(), self.block())

    def each(self, line: int) -> s.Each:
        """each names in expr block"""
        names = self.names()
        self.expect("in")
        return s.Each(line, names, self.expression(), self.block())

    def branch(self, line: int) -> s.If:
        """if expr block (else (block | if …))?"""
        condition, then = self.expression(), self.block()
        otherwise: tuple[s.Node, ...] = ()
        if self.accept("else"):
            inner = self.next.line
            otherwise = (self.branch(inner),) if self.accept("if") else self.block()
        return s.If(line, condition, then, otherwise)

    def while_loop(self, line: int) -> s.While:
        """while expr block"""
        return s.While(line, self.expression(), self.block())

    def give(self, line: int) -> s.Give:
        """give expr"""
        return s.Give(line, self.expression())

    # -- schedule actions

    def actions(self) -> tuple[s.Node, ...]:
        """{ action* }"""
        self.expect("{")
        found = []
        while not self.accept("}"):
            line, rule = self.next.line, ACTIONS.get(self.next.text)
            if rule is None:
                self.fail(*sorted(ACTIONS), "'}'")
            self.take()
            found.append(rule(self, line))
        return tuple(found)

    def loop(self) -> str:
        """The name of a loop, which may have parts: n.o.i"""
        if self.next.kind != "name" or self.next.text in ACTIONS:
            self.fail("the name of a loop")
        return self.take().text

    def when_action(self, line: int) -> s.When:
        """when expr { action* } (else { action* })?"""
        condition, then = self.expression(), self.actions()
        return s.When(line, condition, then, self.actions() if self.accept("else") else ())

    def parameter(self, line: int) -> s.Parameter:
        """param NAME = expr in expr"""
        name = self.name()
        self.expect("=")
        default = self.expression()
        self.expect("in")
        return s.Parameter(line, name, default, self.expression())

    def split(self, line: int) -> s.Action:
        """split LOOP by expr into LOOP LOOP (peel | block | guard | even)?"""
        name = self.loop()
        self.expect("by")
        amount = self.expression()
        self.expect("into")
        outer, inner = self.loop(), self.loop()
        tail = self.take().text if self.next.text in TAILS else TAILS[0]
        return s.Action(line, "split", (name, outer, inner), amount, tail)

    def vectorize(self, line: int) -> s.Action:
        """vectorize LOOP by expr"""
        name = self.loop()
        self.expect("by")
        return s.Action(line, "vectorize", (name,), self.expression())

    def share(self, line: int) -> s.Action:
        """share LOOP+ by expr"""
        loops = [self.loop()]
        while not self.accept("by"):
            loops.append(self.loop())
        return s.Action(line, "share", tuple(loops), self.expression())

    def spread(self, line: int) -> s.Action:
        """spread LOOP+"""
        return s.Action(line, "spread", self.loops())

    def prefetch(self, line: int) -> s.Action:
        """prefetch NAME along LOOP (over LOOP)?"""
        loops = [self.loop()]
        self.expect("along")
        loops.append(self.loop())
        if self.accept("over"):
            loops.append(self.loop())
        return s.Action(line, "prefetch", tuple(loops))

    def order(self, line: int) -> s.Action:
        """order LOOP+"""
        return s.Action(line, "order", self.loops())

    def loops(self) -> tuple[str, ...]:
        """LOOP+"""
        loops = [self.loop()]
        while self.next.kind == "name" and self.next.text not in ACTIONS:
            loops.append(self.loop())
        return tuple(loops)


def plain(kind: str, *words: str) -> Callable[[Parser, int], s.Action]:
    """The rule of an action that only names loops: LOOP, and each of the words followed by another; "" is none."""

    def rule(parser: Parser, line: int) -> s.Action:
        loops = [parser.loop()]
        for word in words:
            if word:
                parser.expect(word)
            loops.append(parser.loop())
        return s.Action(line, kind, tuple(loops))

    return rule


STATEMENTS: dict[str, Callable[[Parser, int], s.Node]] = {
    "let": Parser.let, "for": Parser.for_loop, "each": Parser.each, "if": Parser.branch, "while": Parser.while_loop,
    "give": Parser.give,
}  # fmt: skip

ACTIONS: dict[str, Callable[[Parser, int], s.Node]] = {
    "let": Parser.let,
    "when": Parser.when_action,
    "param": Parser.parameter,
    "split": Parser.split,
    "vectorize": Parser.vectorize,
    "order": Parser.order,
    "unroll": plain("unroll"),
    "share": Parser.share,
    "spread": Parser.spread,
    "parallel": plain("parallel"),
    "zigzag": plain("zigzag"),
    "fuse": plain("fuse", "", "into"),
    "prefetch": Parser.prefetch,
    "contract": plain("contract", "in"),
    "turn": lambda _, line: s.Action(line, "turn", ()),
    "auto": lambda _, line: s.Action(line, "auto", ()),
}
