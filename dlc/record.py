"""`record`: a frozen dataclass that is cheap to define; `@record(frozen=False)`: one whose fields can be assigned.

The decorator of the standard library compiles six methods for every class and describes every field, half a millisecond
each class, which adds up to half the time that importing dlc takes. Here only `__init__` is compiled, once several
instances have been made (of most classes a compilation needs one or two); the other methods are closures over the
fields' names, and the standard library describes the fields when somebody asks for them (`fields`, `replace`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, FrozenInstanceError, dataclass, field
from inspect import get_annotations
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

C = TypeVar("C", bound=type)
FEW = 16  # instances: making them one by one takes about as long as compiling `__init__`
Specs = dict[str, "Field[Any]"]  # per field its default and the like


@overload
def record(cls: C) -> C: ...
@overload
def record(*, frozen: bool = True, eq: bool = True) -> Callable[[C], C]: ...
@dataclass_transform(frozen_default=True, eq_default=True, field_specifiers=(field,))
def record(cls: C | None = None, *, frozen: bool = True, eq: bool = True) -> C | Callable[[C], C]:
    """Make `cls` a dataclass: `fields`, `replace`, `match` and comparison work as for any other.

    The bases of a frozen one may be records and other frozen dataclasses. Without `eq` instances are equal to none but
    themselves; those that are neither frozen nor without `eq` have no hash.
    """
    if cls is None:
        return lambda each: declared(each, frozen, eq)
    return declared(cls, frozen, eq)


def declared(cls: C, frozen: bool, eq: bool) -> C:
    bases = [vars(base)["__dataclass_params__"] for base in cls.__mro__[1:] if "__dataclass_params__" in vars(base)]
    if frozen and not all(params.frozen for params in bases):
        raise TypeError(f"the record {cls.__name__} inherits from a dataclass that is not frozen")
    specs = {**inherited(cls), **own_specs(cls)}
    names = tuple(specs)
    methods: dict[str, Callable[..., object]] = {
        "__init__": first_init(cls, specs, frozen),
        "__repr__": lambda self: f"{cls.__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})",
    }
    if eq:
        contents = getter(tuple(name for name, spec in specs.items() if spec.compare))
        methods["__eq__"] = lambda self, other: (
            contents(self) == contents(other) if type(other) is cls else NotImplemented
        )
        if frozen:
            methods["__hash__"] = lambda self: hash(contents(self))
    for name, method in methods.items():
        if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
            setattr(cls, name, method)
    attributes: dict[str, object] = {
        "__match_args__": names,
        "__dataclass_fields__": Described(specs),
        "__dataclass_params__": vars(FROZEN if frozen else OPEN)["__dataclass_params__"],
    }
    if frozen:
        attributes |= {"__setattr__": refuse_assignment, "__delattr__": refuse_deletion}
    elif eq and "__hash__" not in vars(cls):
        attributes["__hash__"] = None  # as for any class that compares by contents that may change
    for name, value in attributes.items():
        setattr(cls, name, value)
    return cls


@dataclass(frozen=True, init=False, repr=False, eq=False)
class FROZEN:
    """What inherits from a frozen record is told the same as by a frozen dataclass."""


@dataclass(init=False, repr=False, eq=False)
class OPEN:
    """The same for one that is not."""


def own_specs(cls: type) -> Specs:
    """The fields that the class itself declares; their defaults become attributes of the class."""
    found: Specs = {}
    for name, kind in get_annotations(cls).items():
        if str(kind).startswith(("ClassVar", "typing.ClassVar")):
            continue
        given = cls.__dict__.get(name, MISSING)
        spec = given if isinstance(given, Field) else field(default=given)
        if isinstance(given, Field):
            if spec.default is MISSING:
                delattr(cls, name)
            else:
                setattr(cls, name, spec.default)
        found[name] = spec
    return found


def inherited(cls: type) -> Specs:
    """The fields of all bases, those of the first ones last: they win."""
    found: Specs = {}
    for base in reversed(cls.__mro__[1:]):
        own = vars(base).get("__dataclass_fields__")
        found |= own.specs if isinstance(own, Described) else own or {}
    return found


class Described:
    """The fields of a record as the standard library describes them."""

    def __init__(self, specs: Specs) -> None:
        self.specs = specs
        self._fields: Specs | None = None

    def __get__(self, _: object, owner: type) -> Specs:
        if self._fields is None:
            copies = {name: field(default=spec.default, compare=spec.compare) if spec.default_factory is MISSING else
                      field(default_factory=spec.default_factory, compare=spec.compare)
                      for name, spec in self.specs.items()}
            twin = type(owner.__name__, (), {**copies, "__annotations__": dict.fromkeys(copies, object), "__doc__": ""})
            self._fields = vars(dataclass(init=False, repr=False, eq=False)(twin))["__dataclass_fields__"]
        return self._fields


def getter(names: tuple[str, ...]) -> Callable[[object], object]:
    """The values of fields, as something to compare and to hash."""
    return attrgetter(*names) if names else lambda _: ()


def first_init(cls: type, specs: Specs, frozen: bool) -> Callable[..., None]:
    """An `__init__` for a few instances: then, or if the arguments do not fit, it has the real one compiled, puts that
    in its own place and calls it.
    """
    made = 0

    def __init__(self: object, *args: object, **named: object) -> None:  # noqa: N807 - becomes the method
        nonlocal made
        made += 1
        values = arranged(specs, args, named) if made <= FEW else None
        if values is None:
            real = compiled_init(cls, specs, frozen)
            type.__setattr__(cls, "__init__", real)
            real(self, *args, **named)
            return
        if frozen:
            vars(self).update(values)
        else:
            for name, value in values.items():
                setattr(self, name, value)
        if hasattr(cls, "__post_init__"):
            self.__post_init__()  # type: ignore[attr-defined]

    return __init__


def arranged(specs: Specs, args: tuple[object, ...], named: dict[str, object]) -> dict[str, object] | None:
    """A value for each field, in order; None if the arguments are not such as `__init__` takes."""
    given = dict(zip(specs, args, strict=False)) | named
    if len(given) != len(args) + len(named) or not given.keys() <= specs.keys():
        return None
    values: dict[str, object] = {}
    for name, each in specs.items():
        if name in given:
            values[name] = given[name]
        elif each.default is not MISSING:
            values[name] = each.default
        elif each.default_factory is not MISSING:
            values[name] = each.default_factory()
        else:
            return None
    return values


def compiled_init(cls: type, specs: Specs, frozen: bool) -> Callable[..., None]:
    """The `__init__` that dataclass would have made."""
    scope: dict[str, Any] = {}
    parameters, lines = [], []
    for name, each in specs.items():
        value = name
        if each.default is not MISSING:
            scope[f"default_{name}"] = each.default
            parameters.append(f"{name}=default_{name}")
        elif each.default_factory is not MISSING:
            scope["missing"], scope[f"make_{name}"] = MISSING, each.default_factory
            parameters.append(f"{name}=missing")
            value = f"make_{name}() if {name} is missing else {name}"
        else:
            parameters.append(name)
        lines.append(f" own[{name!r}] = {value}" if frozen else f" self.{name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    head = f"def __init__({', '.join(['self', *parameters])}):\n"
    exec(head + (" own = self.__dict__\n" if frozen else "") + "\n".join([*lines, " pass"]), scope)
    made: Callable[..., None] = scope["__init__"]
    return made


def refuse_assignment(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def refuse_deletion(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
