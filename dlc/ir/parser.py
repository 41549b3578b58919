"""Text to IR: the grammar, what each of its rules gives, and errors that show the line.

The rules give plain records (`dlc.ir.assemble`), which become IR in a second step.
"""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from dlc.errors import UserError
from dlc.ir.assemble import ArrayText, AttrText, BlockText, DenseText, FuncText, ModuleText, OpText, assemble
from dlc.ir.attrs import SymbolRef
from dlc.ir.core import Location, Module
from dlc.ir.dense import Bits
from dlc.ir.dialects import ALL_DIALECTS, Dialects, op_table
from dlc.ir.expr import Dim, Expr, as_dim
from dlc.ir.expr_text import parse_expr
from dlc.ir.floats import float_from_bits
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.printer import FORMAT_VERSION
from dlc.ir.source import Source, TextError
from dlc.ir.types import (
    SCALAR_NAMES,
    BufferType,
    FunctionType,
    Layout,
    ListType,
    OptionalType,
    QuantizedType,
    ScalarType,
    TensorType,
    TupleType,
    Type,
    VectorType,
)

GRAMMAR = Path(__file__).with_name("grammar.lark")
HEADER = re.compile(r"(?:\s|//[^\n]*\n)*dlc[ \t]+(\d+)\b")
DIM = re.compile(r"(-?\d+|\[[^\[\]]+\])\s*x")

if TYPE_CHECKING:
    Rules = Transformer[Token, object]
else:
    Rules = Transformer

R = TypeVar("R")


def parse_module(
    text: str, pool: ConstantPool | None = None, dialects: Dialects = ALL_DIALECTS, source: str = "<text>"
) -> Module:
    """The module that `text` prints. Constants written in place go to `pool`, those by key are expected there.

    Raises UserError, with line and column of `source`, for what does not parse, names or types that do not fit, and
    ops that no dialect has. What the ops themselves demand is the verifier's business.
    """
    where = Source(text, source)
    header = HEADER.match(text)
    if header is None:
        raise where.error(f"expected 'dlc {FORMAT_VERSION}' in the first line", 0)
    if int(header[1]) != FORMAT_VERSION:
        raise where.error(
            f"this is dlc format {header[1]}, and only format {FORMAT_VERSION} is understood", header.start(1)
        )
    try:
        record = _parse(text, "file")
        if not isinstance(record, ModuleText):
            raise TypeError("the start rule gives a module")
        return assemble(record, ConstantPool() if pool is None else pool, op_table(dialects))
    except TextError as error:
        raise where.error(error.message, error.at, error.hint) from None


def parse_type(text: str) -> Type:
    """The type that `text` prints. Raises UserError."""
    where = Source(text, "<type>")
    try:
        found = _parse(text, "type")
    except TextError as error:
        raise where.error(error.message, error.at, error.hint) from None
    if not isinstance(found, Type):
        raise UserError(f"{text} is not a type")
    return found


def _parse(text: str, start: str) -> object:
    try:
        return grammar().parse(text, start=start)
    except UnexpectedInput as error:
        raise _explained(error) from None


@cache
def grammar() -> Lark:
    return Lark(
        GRAMMAR.read_text("utf-8"), parser="lalr", lexer="contextual", start=["file", "type", "leaf", "layout"],
        transformer=TextRules(), maybe_placeholders=True,
    )  # fmt: skip


def _explained(error: UnexpectedInput) -> TextError:
    if isinstance(error, UnexpectedToken):
        accepted, found = error.accepts or error.expected, str(error.token) or "the end"
    elif isinstance(error, UnexpectedCharacters):
        accepted, found = error.allowed or set(), error.char
    else:
        accepted, found = set(), "the end"
    at = -1 if found == "the end" else error.pos_in_stream or 0
    wanted = sorted({_terminal_text(name) for name in accepted})
    return TextError(f"expected {' or '.join(wanted)}, got {found!r}" if wanted else f"unexpected {found!r}", at)


TERMINAL_TEXTS = {
    "$END": "the end", "INT": "an integer", "FLOAT": "a number", "BITS": "a number", "STRING": "a string",
    "EXPR": "<an expression>", "LAYOUT": "layout<…>", "LEAF": "a type", "SCALAR": "a type", "VALUE": "%value",
    "OP_NAME": "an op", "NAME": "a name", "SYMBOL": "@name", "KEY": "a key", "SHAPE": "a shape",
} | dict.fromkeys(("TENSOR", "BUFFER", "VECTOR", "QUANT", "TUPLE", "LIST", "OPTIONAL", "FN"), "a type")  # fmt: skip


def _terminal_text(name: str) -> str:
    if name in TERMINAL_TEXTS:
        return TERMINAL_TEXTS[name]
    found = next((t for t in grammar().terminals if t.name == name), None)
    return repr(found.pattern.value) if found is not None else name


# -- texts that occur again and again ---------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _leaf(text: str) -> Type | TextError:
    return _quietly(text, "leaf")  # type: ignore[return-value]  # the start rule gives a type


@lru_cache(maxsize=1024)
def _layout(text: str) -> Layout | TextError:
    return _quietly(text, "layout")  # type: ignore[return-value]  # the start rule gives a layout


@lru_cache(maxsize=16384)
def _expr(text: str) -> Expr | TextError:
    try:
        return parse_expr(text)
    except (ValueError, ZeroDivisionError) as error:
        return TextError(str(error), 0)


def _quietly(text: str, start: str) -> object:
    """The value of a text, or the error, so that both can be kept."""
    try:
        return _parse(text, start)
    except TextError as error:
        return error


def _checked(found: R | TextError, at: int) -> R:
    """The value, or its error moved to where the text lies in the file."""
    if isinstance(found, TextError):
        raise TextError(found.message, at + max(found.at, 0))
    return found


def _start(token: Token) -> int:
    return token.start_pos or 0


# -- what each rule of the grammar gives ------------------------------------------------------------------------------


class TypeRules(Rules):
    """Types and layouts."""

    def scalar(self, items: list[Token]) -> ScalarType:
        return SCALAR_NAMES[items[0]]

    def tensor(self, items: list[object]) -> TensorType:
        shape, element, layout = items
        if not isinstance(element, ScalarType | QuantizedType):
            raise TextError(f"a tensor of {element} cannot be", 0)
        dims = _shape(shape)
        if isinstance(layout, Layout) and sorted(layout.order) != list(range(len(dims))):
            raise TextError(f"the order of a layout of rank {len(dims)} must name each axis once", 0)
        return TensorType(dims, element, layout if isinstance(layout, Layout) else None)

    def buffer(self, items: list[object]) -> BufferType:
        shape, element, space = items
        if not isinstance(element, ScalarType):
            raise TextError(f"a buffer of {element} cannot be", 0)
        return BufferType(_shape(shape), element, *([] if space is None else [str(space)]))

    def vector(self, items: list[object]) -> VectorType:
        lanes, element = _shape(items[0]), items[1]
        if not isinstance(element, ScalarType) or len(lanes) != 1 or not isinstance(lanes[0], int):
            raise TextError("a vector has one fixed number of lanes and a scalar type", 0)
        return VectorType(lanes[0], element)

    def quantized(self, items: list[object]) -> QuantizedType:
        storage, *numbers, axis = items
        if not isinstance(storage, ScalarType):
            raise TextError(f"a quantized {storage} cannot be", 0)
        scales = tuple(n for n in numbers if isinstance(n, float))
        zeros = tuple(int(n) for n in numbers if isinstance(n, Token))
        return QuantizedType(storage, scales, zeros, int(axis) if isinstance(axis, Token) else None)

    def layout(self, items: list[object]) -> Layout:
        order, blocks, halo = items
        return Layout(order, blocks or (), halo or ())  # type: ignore[arg-type]  # rules below give tuples

    def order(self, items: list[Token]) -> tuple[int, ...]:
        return tuple(map(int, items))

    def pairs(self, items: list[Token]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(map(int, item.split(":"))) for item in items)

    def leaf_type(self, items: list[Token]) -> Type:
        return _checked(_leaf(str(items[0])), _start(items[0]))

    def tuple_type(self, items: list[tuple[Type, ...] | None]) -> TupleType:
        return TupleType(items[0] or ())

    def list_type(self, items: list[Type]) -> ListType:
        return ListType(items[0])

    def optional_type(self, items: list[Type]) -> OptionalType:
        return OptionalType(items[0])

    def function_type(self, items: list[tuple[Type, ...] | None]) -> FunctionType:
        return FunctionType(items[0] or (), items[1] or ())

    def types(self, items: list[Type]) -> tuple[Type, ...]:
        return tuple(items)

    def one_type(self, items: list[Type]) -> tuple[Type, ...]:
        return (items[0],)

    def several_types(self, items: list[tuple[Type, ...] | None]) -> tuple[Type, ...]:
        return items[0] or ()


def _shape(token: object) -> tuple[Dim, ...]:
    if token is None:
        return ()
    return tuple(as_dim(_checked(_expr(dim.strip("[]")), 0)) for dim in DIM.findall(str(token)))


class ValueRules(TypeRules):
    """Attribute values."""

    def none(self, items: list[Token]) -> None:
        return None

    def true(self, items: list[Token]) -> bool:
        return True

    def false(self, items: list[Token]) -> bool:
        return False

    def integer(self, items: list[Token]) -> int:
        return int(items[0])

    def real(self, items: list[Token]) -> float:
        return float(items[0])

    def integer_as_real(self, items: list[Token]) -> float:
        return float(items[0])

    def real_bits(self, items: list[Token]) -> float:
        try:
            return float_from_bits(items[0])
        except ValueError as error:
            raise TextError(str(error), _start(items[0])) from None

    def bits(self, items: list[Token]) -> Bits:
        return Bits(items[0])

    def string(self, items: list[Token]) -> str:
        return _string(items[0])

    def expr(self, items: list[Token]) -> Expr:
        return _checked(_expr(items[0][1:-1]), _start(items[0]) + 1)

    def layout_attr(self, items: list[Token]) -> Layout:
        inner = items[0][len("layout<") : -1]
        return _checked(_layout(inner), _start(items[0]) + len("layout<"))

    def plain_symbol(self, items: list[Token]) -> str:
        return str(items[0][1:])

    def quoted_symbol(self, items: list[Token]) -> str:
        return _string(items[0])

    def symbol_attr(self, items: list[str]) -> SymbolRef:
        return SymbolRef(items[0])

    def array(self, items: list[AttrText]) -> ArrayText:
        return ArrayText(tuple(items))

    def dense_key(self, items: list[Token]) -> DenseRef:
        return DenseRef(str(items[0]))

    def dense_here(self, items: list[bool | int | float | str]) -> DenseText:
        return DenseText(tuple(items))


def _string(token: Token) -> str:
    try:
        return str(json.loads(token))
    except ValueError as error:
        raise TextError(f"{token} is no string: {error}", _start(token)) from None


class TextRules(ValueRules):
    """Ops, blocks, functions, the module."""

    def values(self, items: list[Token]) -> list[Token]:
        return items

    def regions(self, items: list[list[BlockText]]) -> list[list[BlockText]]:
        return items

    def loc(self, items: list[Token]) -> Location:
        return Location(tuple(map(_string, items)))

    def attr(self, items: list[object]) -> tuple[object, ...]:
        return tuple(items)

    def attrs(self, items: list[tuple[Token, AttrText]]) -> list[tuple[Token, AttrText]]:
        return items

    def op(self, items: list[object]) -> OpText:
        return OpText(*items)  # type: ignore[arg-type]  # as the grammar lists them

    def param(self, items: list[object]) -> tuple[object, ...]:
        return tuple(items)

    def params(self, items: list[tuple[Token, Type]]) -> list[tuple[Token, Type]]:
        return items

    def labelled(self, items: list[object]) -> BlockText:
        return BlockText(items[0] or [], items[1:])  # type: ignore[arg-type]  # the rest are ops

    def region(self, items: list[object]) -> list[BlockText]:
        first, *labelled = _blocks(items)
        return [first, *labelled] if first.ops else labelled

    def func(self, items: list[object]) -> FuncText:
        name, params, results, attrs, *body = items
        return FuncText(name, params or [], results, attrs or [], _blocks(body))  # type: ignore[arg-type]  # as listed

    def module(self, items: list[object]) -> ModuleText:
        return ModuleText(items[0], items[1] or [], items[2:])  # type: ignore[arg-type]  # the rest are functions

    def file(self, items: list[object]) -> object:
        return items[1]


def _blocks(items: list[object]) -> list[BlockText]:
    """The ops before the first label as a block, which may be empty, then the labelled blocks."""
    ops = [item for item in items if isinstance(item, OpText)]
    return [BlockText([], ops), *(item for item in items if isinstance(item, BlockText))]
