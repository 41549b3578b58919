"""Expressions of the kernel language, from the loosest binding to the tightest.

    expr        if expr then expr else expr  |  or_expr
    or_expr     and_expr (or and_expr)*
    and_expr    not_expr (and not_expr)*
    not_expr    not not_expr  |  comparison
    comparison  sum ((== != < <= > >=) sum)?
    sum         product ((+ -) product)*
    product     NAME(ranges) (product | block)  |  unary ((* // / %) unary)*
    unary       - unary  |  atom ([arguments] | [expr? : expr?])*
    atom        NUMBER | STRING | NAME | (expr) | [arguments] | [expr for NAME, … in expr] | NAME(arguments)
    arguments   (expr | *expr | NAME = expr), …
    ranges      (*? NAME : expr (.. expr)?), …
"""

from __future__ import annotations

from dlc.kernel_language import syntax as s
from dlc.kernel_language.tokens import Cursor

COMPARISONS = frozenset(("==", "!=", "<=", ">=", "<", ">"))
SUMS = frozenset("+-")
ENDS = frozenset(",)]:")  # an expression is over where one of these follows
PRODUCTS = frozenset(("*", "//", "/", "%"))


class ExpressionParser(Cursor):
    """One method a rule; each takes what it recognizes. They raise UserError."""

    def block(self) -> tuple[s.Node, ...]:
        """Statements between braces, a rule of the parser of statements."""
        raise NotImplementedError

    def expression(self) -> s.Node:
        if self.ahead(1) in ENDS and self.next.kind in ("name", "number"):
            return self.atom()  # as most are: no need to go through all rules
        line = self.next.line
        if not self.accept("if"):
            return self.either()
        condition = self.expression()
        self.expect("then")
        then = self.expression()
        self.expect("else")
        return s.Conditional(line, condition, then, self.expression())

    def either(self) -> s.Node:
        line, left = self.next.line, self.both()
        while self.accept("or"):
            left = s.Binary(line, "or", left, self.both())
        return left

    def both(self) -> s.Node:
        line, left = self.next.line, self.negation()
        while self.accept("and"):
            left = s.Binary(line, "and", left, self.negation())
        return left

    def negation(self) -> s.Node:
        line = self.next.line
        return s.Unary(line, "not", self.negation()) if self.accept("not") else self.comparison()

    def comparison(self) -> s.Node:
        line, left = self.next.line, self.sum()
        if self.next.text in COMPARISONS:
            return s.Binary(line, self.take().text, left, self.sum())
        return left

    def sum(self) -> s.Node:
        line, left = self.next.line, self.product()
        while self.next.text in SUMS:
            left = s.Binary(line, self.take().text, left, self.product())
        return left

    def product(self) -> s.Node:
        line = self.next.line
        if self.at_reduction():
            kind = self.name()
            self.expect("(")
            ranges = self.ranges()
            self.expect(")")
            body = s.Steps(self.next.line, self.block()) if self.next.text == "{" else self.product()
            return s.Reduction(line, kind, ranges, body)
        left = self.unary()
        while self.next.text in PRODUCTS:
            left = s.Binary(line, self.take().text, left, self.unary())
        return left

    def at_reduction(self) -> bool:
        """``sum(k: …`` or ``sum(*k: …``."""
        if self.next.kind != "name" or self.ahead(1) != "(":
            return False
        return self.ahead(4 if self.ahead(2) == "*" else 3) == ":"

    def unary(self) -> s.Node:
        line = self.next.line
        if not self.accept("-"):
            return self.postfix()
        operand = self.unary()
        return s.Number(line, -operand.value) if isinstance(operand, s.Number) else s.Unary(line, "-", operand)

    def postfix(self) -> s.Node:
        line, base = self.next.line, self.atom()
        while self.accept("["):
            base = self.bracket(line, base)
        return base

    def bracket(self, line: int, base: s.Node) -> s.Node:
        """``[i, *r]`` or ``[a:b]`` behind a base, whose opening bracket is taken."""
        if self.accept(":"):
            upper = None if self.next.text == "]" else self.expression()
            self.expect("]")
            return s.Cut(line, base, None, upper)
        arguments = self.arguments("]")
        if len(arguments) == 1 and not isinstance(arguments[0], s.Splat | s.Named) and self.accept(":"):
            upper = None if self.next.text == "]" else self.expression()
            self.expect("]")
            return s.Cut(line, base, arguments[0], upper)
        self.expect("]")
        return s.Index(line, base, arguments)

    def atom(self) -> s.Node:
        token = self.next
        if token.kind == "number":
            text = self.take().text
            is_integer = text.isdigit() or text.startswith("0x")
            return s.Number(token.line, int(text, 0) if is_integer else float(text))
        if token.kind == "string":
            return s.Text(token.line, self.take().text[1:-1])
        if token.kind == "name":
            return self.name_or_call()
        if self.accept("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if not self.accept("["):
            self.fail("an expression")
        return self.list(token.line)

    def name_or_call(self) -> s.Node:
        line, name = self.next.line, self.name()
        if not self.accept("("):
            return s.Name(line, name)
        arguments = self.arguments(")")
        self.expect(")")
        return s.Call(line, name, arguments)

    def list(self, line: int) -> s.Node:
        """The rest of a list or comprehension behind its opening bracket."""
        items = self.arguments("]")
        if len(items) == 1 and self.accept("for"):
            names = self.names()
            self.expect("in")
            source = self.expression()
            self.expect("]")
            return s.Comprehension(line, items[0], names, source)
        self.expect("]")
        return s.ListOf(line, items)

    def arguments(self, closing: str) -> tuple[s.Node, ...]:
        """Arguments up to the closing sign, which stays."""
        if self.next.text == closing:
            return ()
        found = [self.argument()]
        while self.accept(","):
            found.append(self.argument())
        return tuple(found)

    def argument(self) -> s.Node:
        line = self.next.line
        if self.accept("*"):
            return s.Splat(line, self.expression())
        if self.next.kind == "name" and self.ahead(1) == "=":
            name = self.name()
            self.expect("=")
            return s.Named(line, name, self.expression())
        return self.expression()

    def ranges(self) -> tuple[s.Range, ...]:
        found = [self.range()]
        while self.accept(","):
            found.append(self.range())
        return tuple(found)

    def range(self) -> s.Range:
        line, splat, name = self.next.line, self.accept("*"), self.name()
        self.expect(":")
        first = self.expression()
        if self.accept(".."):
            return s.Range(line, name, first, self.expression(), splat)
        return s.Range(line, name, None, first, splat)

    def names(self) -> tuple[str, ...]:
        found = [self.name()]
        while self.accept(","):
            found.append(self.name())
        return tuple(found)
