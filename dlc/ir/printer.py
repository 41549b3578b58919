"""IR as text. Every op prints in one form; what is broken prints too, with ``<<…>>`` in place of what is missing.

An op: ``%y = graph.conv(%x, %w) {pads = [1, 1]} : (tensor<…>, tensor<…>) -> tensor<…> loc("Conv_7")``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dlc.ir.attrs import attribute_text, quoted, same, symbol_text
from dlc.ir.core import Attribute, Block, Func, Location, Module, Op, Region, Value
from dlc.ir.dense import Form, dense_form, dense_text
from dlc.ir.opdef import REQUIRED
from dlc.ir.pool import ConstantPool, DenseRef
from dlc.ir.types import Type
from dlc.record import record

FORMAT_VERSION = 1
DANGLING = "%<<dangling>>"
NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.]")


@record
class PrintOptions:
    """`elide` leaves out the contents of constants and does not parse."""

    locations: bool = True
    elide: bool = False


class Names:
    """The printed name of each value of a function: its hint, made unique, else a number."""

    def __init__(self, body: Region) -> None:
        self._names: dict[Value, str] = {}
        self._taken: set[str] = set()
        self._suffix: dict[str, int] = {}
        self._numbers = 0
        for block in body.blocks:
            self._name_block(block)

    def of(self, value: Value) -> str:
        return self._names.get(value, DANGLING)

    def _name_block(self, block: Block) -> None:
        for arg in block.args:
            self._name(arg)
        for op in block.ops:
            for result in op.results:
                self._name(result)
            for region in op.regions:
                for inner in region.blocks:
                    self._name_block(inner)

    def _name(self, value: Value) -> None:
        if value in self._names:
            return
        self._names[value] = f"%{self._unique(clean_hint(value.hint))}"

    def _unique(self, base: str | None) -> str:
        if base is None:
            self._numbers += 1
            return str(self._numbers - 1)
        name = base
        while name in self._taken:
            number = self._suffix[base] = self._suffix.get(base, 0) + 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name


def clean_hint(hint: str | None) -> str | None:
    """The hint as an identifier; a number is no name."""
    if not hint:
        return None
    name = NOT_IN_NAMES.sub("_", hint)
    return f"_{name}" if name.isdigit() else name


class Printer:
    """Prints the ops of one function."""

    def __init__(self, names: Names, pool: ConstantPool, options: PrintOptions) -> None:
        self.names = names
        self.pool = pool
        self.options = options
        self._type_texts: dict[Type, str] = {}

    def block_lines(self, block: Block, indent: str) -> Iterator[str]:
        for op in block.ops:
            yield from self.op_lines(op, indent)

    def op_lines(self, op: Op, indent: str) -> Iterator[str]:
        if not op.regions:
            yield f"{indent}{self.head(op)}{self.tail(op)}"
            return
        yield f"{indent}{self.head(op)} ({{"
        for number, region in enumerate(op.regions):
            if number:
                yield f"{indent}}}, {{"
            yield from self.region_lines(region, f"{indent}  ")
        yield f"{indent}}}){self.tail(op)}"

    def region_lines(self, region: Region, indent: str) -> Iterator[str]:
        for number, block in enumerate(region.blocks):
            bare = number == 0 and block.ops and not block.args
            yield from (self.block_lines if bare else self.labelled_lines)(block, indent)

    def labelled_lines(self, block: Block, indent: str) -> Iterator[str]:
        yield f"{indent}^bb({self.params(block.args)}):" if block.args else f"{indent}^bb:"
        yield from self.block_lines(block, f"{indent}  ")

    def line(self, op: Op) -> str:
        """The op on one line, regions left out."""
        return f"{self.head(op)}{' ({…})' if op.regions else ''}{self.tail(op)}"

    def head(self, op: Op) -> str:
        results = f"{', '.join(map(self.names.of, op.results))} = " if op.results else ""
        attrs = self.attrs(declared_attrs(op), dense_form(op.attrs, [value.type for value in op.results]))
        return f"{results}{op.name}({', '.join(map(self.names.of, op.operands))}){attrs and ' '}{attrs}"

    def tail(self, op: Op) -> str:
        operands = ", ".join(self.type_text(value.type) for value in op.operands)
        loc = location_text(op.loc) if self.options.locations else ""
        return f" : ({operands}) -> {self.type_list(value.type for value in op.results)}{loc}"

    def params(self, args: Iterable[Value]) -> str:
        return ", ".join(f"{self.names.of(arg)}: {self.type_text(arg.type)}" for arg in args)

    def attrs(self, attrs: Iterable[tuple[str, Attribute]], form: Form | None) -> str:
        def dense(ref: DenseRef) -> str:
            return "dense<...>" if self.options.elide else dense_text(ref, self.pool, form)

        pairs = [f"{key} = {attribute_text(value, dense)}" for key, value in attrs]
        return f"{{{', '.join(pairs)}}}" if pairs else ""

    def type_list(self, types: Iterable[Type]) -> str:
        texts = [self.type_text(each) for each in types]
        return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"

    def type_text(self, of: Type) -> str:
        text = self._type_texts.get(of)
        if text is None:
            text = self._type_texts[of] = str(of)
        return text


def declared_attrs(op: Op) -> Iterator[tuple[str, Attribute]]:
    """The attributes that differ from their defaults, in declared order, then those that are not declared."""
    for key, definition in op.spec.attrs.items():
        if key in op.attrs and (definition.default is REQUIRED or not same(op.attrs[key], definition.default)):
            yield key, op.attrs[key]
    for key, value in op.attrs.items():
        if key not in op.spec.attrs:
            yield key, value


def location_text(loc: Location) -> str:
    return f" loc({', '.join(map(quoted, loc.names))})" if loc else ""


# -- whole functions and modules --------------------------------------------------------------------------------------


def func_lines(func: Func, pool: ConstantPool, options: PrintOptions) -> Iterator[str]:
    printer = Printer(Names(func.body), pool, options)
    first = func.body.blocks[0] if func.body.blocks else Block()
    attrs = printer.attrs(func.attrs.items(), None)
    yield (
        f"  func {symbol_text(func.name)}({printer.params(first.args)}) -> {printer.type_list(func.results)}"
        f"{attrs and ' attrs '}{attrs} {{"
    )
    yield from printer.block_lines(first, "    ")
    for block in func.body.blocks[1:]:
        yield from printer.labelled_lines(block, "    ")
    yield "  }"


def print_func(func: Func, pool: ConstantPool, options: PrintOptions | None = None) -> str:
    return "\n".join(func_lines(func, pool, options or PrintOptions())) + "\n"


def print_module(module: Module, options: PrintOptions | None = None) -> str:
    """The text of a module; it parses to an equal one unless the module is broken or `options` elide."""
    chosen = options or PrintOptions()
    attrs = Printer(Names(Region()), module.pool, chosen).attrs(module.attrs.items(), None)
    lines = [f"dlc {FORMAT_VERSION}", "", f"module {symbol_text(module.name)}{attrs and ' attrs '}{attrs} {{"]
    for func in module.funcs.values():
        lines += func_lines(func, module.pool, chosen)
    return "\n".join([*lines, "}", ""])


def op_line(op: Op, names: Names | None = None, pool: ConstantPool | None = None) -> str:
    """One op on one line, for messages. Without `names` the values are named from the op's outermost region."""
    held = ConstantPool() if pool is None else pool
    return Printer(names or Names(outermost_region(op)), held, PrintOptions()).line(op)


def outermost_region(op: Op) -> Region:
    """The body of the function that holds the op, or as far up as there is something."""
    while True:
        region = op.parent.parent if op.parent is not None else None
        if region is None:
            return Region()
        if region.parent is None:
            return region
        op = region.parent
