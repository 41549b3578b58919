"""The syntax tree of the kernel language. Frozen; `line` is for messages."""

from __future__ import annotations

from dataclasses import field

from dlc.record import record


@record
class Node:
    line: int = field(compare=False)


# -- expressions -------------------------------------------------------------------------------------------------------


@record
class Number(Node):
    value: int | float


@record
class Text(Node):
    value: str


@record
class Name(Node):
    name: str


@record
class ListOf(Node):
    items: tuple[Node, ...]


@record
class Comprehension(Node):
    body: Node
    names: tuple[str, ...]
    source: Node


@record
class Splat(Node):
    """``*e`` among arguments: the members of a list."""

    body: Node


@record
class Named(Node):
    """``name = e`` among arguments."""

    name: str
    body: Node


@record
class Unary(Node):
    kind: str
    operand: Node


@record
class Binary(Node):
    kind: str
    left: Node
    right: Node


@record
class Conditional(Node):
    condition: Node
    then: Node
    otherwise: Node


@record
class Call(Node):
    name: str
    arguments: tuple[Node, ...]


@record
class Index(Node):
    """``x[i, *r]``: an element of a tensor, or a member of a list."""

    base: Node
    arguments: tuple[Node, ...]


@record
class Cut(Node):
    """``l[a:b]``: a part of a list."""

    base: Node
    lower: Node | None
    upper: Node | None


@record
class Range(Node):
    """``name: extent``, ``name: lower .. upper``, or with ``*`` the same on lists."""

    name: str
    lower: Node | None
    upper: Node
    splat: bool


@record
class Steps(Node):
    """``{ statement* }`` that ends with `give`: what a reduction does on the way to each of its terms."""

    body: tuple[Node, ...]


@record
class Reduction(Node):
    kind: str
    ranges: tuple[Range, ...]
    body: Node


# -- statements --------------------------------------------------------------------------------------------------------


@record
class Let(Node):
    name: str
    value: Node


@record
class Assign(Node):
    """``name := value``: give a variable (from `let name = var(…)`) a new value."""

    name: str
    value: Node


@record
class Store(Node):
    name: str
    arguments: tuple[Node, ...]
    value: Node


@record
class For(Node):
    ranges: tuple[Range, ...]
    body: tuple[Node, ...]


@record
class Each(Node):
    """Statements repeated at compile time for the members of a list."""

    names: tuple[str, ...]
    source: Node
    body: tuple[Node, ...]


@record
class If(Node):
    condition: Node
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@record
class While(Node):
    condition: Node
    body: tuple[Node, ...]


@record
class Give(Node):
    """The value of a function, or a term of a reduction."""

    value: Node


# -- schedule actions --------------------------------------------------------------------------------------------------


@record
class When(Node):
    condition: Node
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@record
class Parameter(Node):
    """A number of the schedule with its analytic default and the values that a search may try."""

    name: str
    default: Node
    choices: Node


@record
class Action(Node):
    """One schedule primitive with the loops it names and its number."""

    kind: str
    loops: tuple[str, ...]
    amount: Node | None = None
    tail: str = "peel"


# -- definitions -------------------------------------------------------------------------------------------------------


@record
class Function(Node):
    """A scalar function, inlined where it is called."""

    name: str
    parameters: tuple[str, ...]
    attributes: tuple[str, ...]
    condition: Node | None
    body: tuple[Node, ...]
    file: str = field(default="", compare=False)


@record
class Kernel(Node):
    """What an operator computes: operands and attributes, results, statements."""

    name: str
    operands: tuple[str, ...]
    attributes: tuple[str, ...]
    results: tuple[str, ...]
    condition: Node | None
    body: tuple[Node, ...]
    file: str = field(default="", compare=False)


@record
class Schedule(Node):
    """How the kernel of the same name is arranged on a machine for which the condition holds."""

    name: str
    condition: Node | None
    actions: tuple[Node, ...]
    file: str = field(default="", compare=False)


Definition = Function | Kernel | Schedule
