"""`record`: a frozen dataclass that is cheap to define.

The decorator of the standard library compiles six methods for every class, half a millisecond each class, which adds up
to half the time that importing dlc takes. Here only `__init__` is compiled, when the first instance is made; the other
methods are closures over the fields' names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

C = TypeVar("C", bound=type)


@dataclass_transform(frozen_default=True, eq_default=True, field_specifiers=(field,))
def record(cls: C) -> C:
    """Make `cls` a frozen dataclass: `fields`, `replace`, `match` and comparison work as for any other.

    Its bases may be records and other frozen dataclasses.
    """
    bases = [vars(base)["__dataclass_params__"] for base in cls.__mro__[1:] if "__dataclass_params__" in vars(base)]
    if not all(params.frozen for params in bases):
        raise TypeError(f"the record {cls.__name__} inherits from a dataclass that is not frozen")
    for params in bases:
        params.frozen = False  # or dataclass would refuse to inherit: it would write the methods that refuse assignment
    cls.__doc__ = cls.__doc__ or cls.__name__  # or dataclass would compute the signature to have one
    dataclass(init=False, repr=False, eq=False)(cls)
    for params in [*bases, vars(cls)["__dataclass_params__"]]:
        params.frozen = True  # so that frozen dataclasses may inherit from it
    names = tuple(each.name for each in fields(cls))
    contents = getter(tuple(each.name for each in fields(cls) if each.compare))
    methods: dict[str, Callable[..., object]] = {
        "__init__": first_init(cls),
        "__repr__": lambda self: f"{cls.__qualname__}({', '.join(f'{n}={getattr(self, n)!r}' for n in names)})",
        "__eq__": lambda self, other: contents(self) == contents(other) if type(other) is cls else NotImplemented,
        "__hash__": lambda self: hash(contents(self)),
    }
    for name, method in methods.items():
        if name not in cls.__dict__ or (name == "__hash__" and cls.__dict__[name] is None):
            setattr(cls, name, method)
    for name, refuse in (("__setattr__", refuse_assignment), ("__delattr__", refuse_deletion)):
        setattr(cls, name, refuse)
    return cls


def getter(names: tuple[str, ...]) -> Callable[[object], object]:
    """The values of fields, as something to compare and to hash."""
    return attrgetter(*names) if names else lambda _: ()


def first_init(cls: type) -> Callable[..., None]:
    """An `__init__` that compiles the real one, puts it in its own place and calls it."""

    def __init__(self: object, *args: object, **named: object) -> None:  # noqa: N807 - becomes the method
        real = compiled_init(cls)
        type.__setattr__(cls, "__init__", real)
        real(self, *args, **named)

    return __init__


def compiled_init(cls: type) -> Callable[..., None]:
    """The `__init__` that dataclass would have made."""
    scope: dict[str, Any] = {}
    parameters, lines = [], []
    for each in fields(cls):
        value = each.name
        if each.default is not MISSING:
            scope[f"default_{each.name}"] = each.default
            parameters.append(f"{each.name}=default_{each.name}")
        elif each.default_factory is not MISSING:
            scope["missing"], scope[f"make_{each.name}"] = MISSING, each.default_factory
            parameters.append(f"{each.name}=missing")
            value = f"make_{each.name}() if {each.name} is missing else {each.name}"
        else:
            parameters.append(each.name)
        lines.append(f" own[{each.name!r}] = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append(" self.__post_init__()")
    head = f"def __init__({', '.join(['self', *parameters])}):\n own = self.__dict__\n"
    exec(head + "\n".join(lines), scope)
    made: Callable[..., None] = scope["__init__"]
    return made


def refuse_assignment(self: object, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def refuse_deletion(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
