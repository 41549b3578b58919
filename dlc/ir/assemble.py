"""Records of parsed text to IR: names become values, small constants go to the pool."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Union

from lark import Token

from dlc.ir.attrs import same
from dlc.ir.core import UNKNOWN, Attribute, Block, Func, Location, Module, Op, Region, Value
from dlc.ir.dense import Form, dense_array, dense_form
from dlc.ir.pool import ConstantPool
from dlc.ir.source import TextError
from dlc.ir.types import Type
from dlc.record import record


@record
class DenseText:
    """The elements of a constant written in place; its type is known when the op is."""

    elements: tuple[bool | int | float | str, ...]


@record
class ArrayText:
    members: tuple[AttrText, ...]


AttrText = Union[Attribute, DenseText, ArrayText]  # noqa: UP007  # `|` cannot take Attribute, a string at run time
AttrList = list[tuple[Token, AttrText]]


class OpText(NamedTuple):
    results: list[Token] | None
    name: Token
    operands: list[Token] | None
    attrs: AttrList | None
    regions: list[list[BlockText]] | None
    operand_types: tuple[Type, ...] | None
    result_types: tuple[Type, ...]
    loc: Location | None


class BlockText(NamedTuple):
    params: list[tuple[Token, Type]]
    ops: list[OpText]


class FuncText(NamedTuple):
    name: str
    params: list[tuple[Token, Type]]
    results: tuple[Type, ...]
    attrs: AttrList
    blocks: list[BlockText]


class ModuleText(NamedTuple):
    name: str
    attrs: AttrList
    funcs: list[FuncText]


def assemble(record: ModuleText, pool: ConstantPool, table: Mapping[str, type[Op]]) -> Module:
    """Build the module. Raises TextError."""
    module = Module(pool, name=record.name, attrs=attributes(record.attrs, None, pool))
    for func in record.funcs:
        if func.name in module.funcs:
            raise TextError(f"there are two functions {func.name!r}", 0)
        module.add(_Assembler(pool, table).func(func))
    return module


def attributes(attrs: AttrList | None, form: Form | None, pool: ConstantPool) -> dict[str, Attribute]:
    built: dict[str, Attribute] = {}
    for key, value in attrs or ():
        if key in built:
            raise TextError(f"attribute {str(key)!r} is given twice", key.start_pos or 0)
        built[str(key)] = _attribute(key, value, form, pool)
    return built


def _attribute(key: Token, value: AttrText, form: Form | None, pool: ConstantPool) -> Attribute:
    if isinstance(value, ArrayText):
        return tuple(_attribute(key, member, form, pool) for member in value.members)
    if not isinstance(value, DenseText):
        return value
    if form is None:
        raise TextError(f"{key} = dense<[…]> needs an op with a type of fixed shape", key.start_pos or 0)
    try:
        return pool.add(dense_array(value.elements, form))
    except ValueError as error:
        raise TextError(f"{key}: {error}", key.start_pos or 0) from None


class _Assembler:
    """One function: its names, and the uses of names that are not defined yet."""

    def __init__(self, pool: ConstantPool, table: Mapping[str, type[Op]]) -> None:
        self.pool = pool
        self.table = table
        self.values: dict[str, Value] = {}
        self.awaited: dict[str, list[tuple[Value, Token]]] = {}  # the verifier judges a use before the definition
        self.nowhere = Block()

    def func(self, record: FuncText) -> Func:
        entry = Block()
        self.add_args(entry, record.params)
        self.add_ops(entry, record.blocks[0].ops)
        rest = [self.block(block) for block in record.blocks[1:]]
        self.resolve()
        return Func(record.name, Region([entry, *rest]), record.results, attributes(record.attrs, None, self.pool))

    def block(self, record: BlockText) -> Block:
        block = Block()
        self.add_args(block, record.params)
        self.add_ops(block, record.ops)
        return block

    def add_args(self, block: Block, params: Iterable[tuple[Token, Type]]) -> None:
        for token, arg_type in params:
            self.define(token, block.add_arg(arg_type))

    def add_ops(self, block: Block, ops: Iterable[OpText]) -> None:
        for each in ops:
            block.append(self.op(each))

    def op(self, record: OpText) -> Op:
        kind = self.table.get(record.name)
        if kind is None:
            raise self.unknown_op(record.name)
        names, types = record.results or [], record.result_types
        if len(names) != len(types):
            raise TextError(f"{record.name}: {len(names)} names for {len(types)} results", record.name.start_pos or 0)
        attrs = attributes(record.attrs, None, self.pool) if record.attrs is None else self.attrs(kind, record)
        op = kind.unchecked(self.operands(record), attrs, types, loc=record.loc or UNKNOWN)
        for token, value in zip(names, op.results, strict=True):
            self.define(token, value)
        for blocks in record.regions or ():
            op.add_region(Region(map(self.block, blocks)))
        return op

    def unknown_op(self, name: Token) -> TextError:
        near = difflib.get_close_matches(name, self.table, 1)
        hint = f"did you mean {near[0]}?" if near else None
        return TextError(f"there is no op {str(name)!r}", name.start_pos or 0, hint)

    def attrs(self, kind: type[Op], record: OpText) -> dict[str, Attribute]:
        stated = {str(key): value for key, value in record.attrs or () if isinstance(value, Type)}
        attrs = attributes(record.attrs, dense_form(stated, record.result_types), self.pool)
        declared = kind.spec.attrs
        return {k: v for k, v in attrs.items() if k not in declared or not same(v, declared[k].default)}

    def operands(self, record: OpText) -> list[Value]:
        tokens, types = record.operands or [], record.operand_types or ()
        if len(tokens) != len(types):
            raise TextError(f"{record.name}: {len(types)} types for {len(tokens)} operands", record.name.start_pos or 0)
        return [self.use(token, stated) for token, stated in zip(tokens, types, strict=True)]

    def use(self, token: Token, stated: Type) -> Value:
        value = self.values.get(token)
        if value is None:
            value = Value(stated, self.nowhere, 0)
            self.awaited.setdefault(str(token), []).append((value, token))
        elif value.type is not stated and value.type != stated:
            raise TextError(f"{token} is of type {value.type}, not {stated}", token.start_pos or 0)
        return value

    def define(self, token: Token, value: Value) -> None:
        name = str(token)
        if name in self.values:
            raise TextError(f"{name} is defined twice", token.start_pos or 0)
        self.values[name] = value
        value.hint = None if name[1:].isdigit() else name[1:]

    def resolve(self) -> None:
        for name, uses in self.awaited.items():
            for placeholder, token in uses:
                if name not in self.values:
                    raise TextError(f"{name} is not defined", token.start_pos or 0)
                placeholder.replace_all_uses_with(self.use(token, placeholder.type))
