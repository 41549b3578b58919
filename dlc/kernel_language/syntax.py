"""The syntax tree of the kernel language. Frozen; `line` is for messages."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    line: int = field(compare=False)


# -- expressions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number(Node):
    value: int | float


@dataclass(frozen=True, slots=True)
class Text(Node):
    value: str


@dataclass(frozen=True, slots=True)
class Name(Node):
    name: str


@dataclass(frozen=True, slots=True)
class ListOf(Node):
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Comprehension(Node):
    body: Node
    names: tuple[str, ...]
    source: Node


@dataclass(frozen=True, slots=True)
class Splat(Node):
    """``*e`` among arguments: the members of a list."""

    body: Node


@dataclass(frozen=True, slots=True)
class Named(Node):
    """``name = e`` among arguments."""

    name: str
    body: Node


@dataclass(frozen=True, slots=True)
class Unary(Node):
    kind: str
    operand: Node


@dataclass(frozen=True, slots=True)
class Binary(Node):
    kind: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    condition: Node
    then: Node
    otherwise: Node


@dataclass(frozen=True, slots=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Index(Node):
    """``x[i, *r]``: an element of a tensor, or a member of a list."""

    base: Node
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Cut(Node):
    """``l[a:b]``: a part of a list."""

    base: Node
    lower: Node | None
    upper: Node | None


@dataclass(frozen=True, slots=True)
class Range(Node):
    """``name: extent``, ``name: lower .. upper``, or with ``*`` the same on lists."""

    name: str
    lower: Node | None
    upper: Node
    splat: bool


@dataclass(frozen=True, slots=True)
class Reduction(Node):
    kind: str
    ranges: tuple[Range, ...]
    body: Node


# -- statements --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Let(Node):
    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class Assign(Node):
    """``name := value``: give a variable (from `let name = var(…)`) a new value."""

    name: str
    value: Node


@dataclass(frozen=True, slots=True)
class Store(Node):
    name: str
    arguments: tuple[Node, ...]
    value: Node


@dataclass(frozen=True, slots=True)
class For(Node):
    ranges: tuple[Range, ...]
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Each(Node):
    """Statements repeated at compile time for the members of a list."""

    names: tuple[str, ...]
    source: Node
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class If(Node):
    condition: Node
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class While(Node):
    condition: Node
    body: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Give(Node):
    """The value of a function."""

    value: Node


# -- schedule actions --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class When(Node):
    condition: Node
    then: tuple[Node, ...]
    otherwise: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Parameter(Node):
    """A number of the schedule with its analytic default and the values that a search may try."""

    name: str
    default: Node
    choices: Node


@dataclass(frozen=True, slots=True)
class Action(Node):
    """One schedule primitive with the loops it names and its number."""

    kind: str
    loops: tuple[str, ...]
    amount: Node | None = None
    tail: str = "peel"


# -- definitions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Function(Node):
    """A scalar function, inlined where it is called."""

    name: str
    parameters: tuple[str, ...]
    attributes: tuple[str, ...]
    condition: Node | None
    body: tuple[Node, ...]
    file: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Kernel(Node):
    """What an operator computes: operands and attributes, results, statements."""

    name: str
    operands: tuple[str, ...]
    attributes: tuple[str, ...]
    results: tuple[str, ...]
    condition: Node | None
    body: tuple[Node, ...]
    file: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Schedule(Node):
    """How the kernel of the same name is arranged on a machine for which the condition holds."""

    name: str
    condition: Node | None
    actions: tuple[Node, ...]
    file: str = field(default="", compare=False)


Definition = Function | Kernel | Schedule
