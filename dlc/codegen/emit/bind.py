"""What a caller asks of a model before it runs: `dlc_bind`, `dlc_shapes`, and the messages of all errors.

    i32 dlc_bind(ptr ctx, ptr shapes, ptr results, ptr workspace_bytes)
    i32 dlc_shapes(ptr ctx, ptr results)

See docs/ABI.md. `dlc_bind` gives the named dimensions their values, evaluates the guards that only need those, and
computes every size that the run will use, all in checked arithmetic. A model without named dimensions compares sizes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from dlc.codegen.context import BODIES_AT, BOUND_AT, COUNT_AT, DIMS_AT, WORKSPACE_AT
from dlc.codegen.emit.checked import Checked, Number
from dlc.codegen.emit.scope import Scope, Writer
from dlc.ir.dialects import run
from dlc.ir.dim_names import symbol_in
from dlc.ir.expr import Dim, Expr, as_expr
from dlc.ir.messages import encoded
from dlc.record import record

Shape = tuple[Dim, ...]


@record
class InputSites:
    """An input as the model declares it, and the error where another size comes."""

    shape: Shape
    code: int


@record
class Size:
    """A number that a run relies on: at least 0, and no more than 63 bits hold."""

    expr: Expr
    code: int


@record
class Guard:
    """A check of input sizes; `too_large` is the error where its numbers leave 63 bits."""

    check: run.Check
    code: int
    too_large: int


@record
class Interface:
    """What `dlc_bind` is made of."""

    symbols: Sequence[str]  # named dimensions in the order of their values, those that kernels find last
    inputs: Sequence[InputSites]
    results: Sequence[Shape]
    most: Sequence[Shape]  # the most that results can grow to: no size that kernels find is in it
    workspace: Size
    messages: Sequence[str] = ()  # of the codes from 1 on
    scratch: int = 0  # bytes that each thread needs behind the workspace
    uppers: Mapping[str, Expr | None] = field(default_factory=dict)  # of the sizes that the run finds, if they have one
    guards: Sequence[Guard] = ()
    sizes: Sequence[Size] = ()
    pairs: Sequence[tuple[Expr, Expr]] = ()  # all equal, or else it is the second body that runs
    general: Interface | None = None  # what that asks and computes


def emit_bind(interface: Interface) -> str:
    """LLVM text: both functions, the number of named dimensions and the messages. `dlc_fail` is declared elsewhere."""
    slots = {symbol: number for number, symbol in enumerate(interface.symbols)}
    texts = b"".join(encoded(message, slots) for message in interface.messages) or b"\0"
    binding, shapes = _Function(), _Function()
    bind_lines(binding, interface, slots)
    shape_lines(shapes, (interface.general or interface).results, slots)  # right for both bodies
    declared = dict.fromkeys([*binding.w.declared, *shapes.w.declared])
    return "\n".join([
        f"@dlc_slots = hidden constant i64 {len(slots)}",
        f"@dlc_text_count = hidden constant i32 {len(interface.messages)}",
        f"@dlc_texts = hidden constant [{len(texts)} x i8] c\"{llvm_string(texts)}\"",
        *(f"declare {each}" for each in declared),
        binding.text("i32 @dlc_bind(ptr %ctx, ptr %shapes, ptr %results, ptr %bytes)"),
        shapes.text("i32 @dlc_shapes(ptr %ctx, ptr %results)"),
    ])  # fmt: skip


def llvm_string(content: bytes) -> str:
    plain = b"\"\\"
    return "".join(chr(each) if 32 <= each < 127 and each not in plain else f"\\{each:02X}" for each in content)


class _Function:
    """A function that is being written: blocks in a row, each left early for an error."""

    def __init__(self) -> None:
        self.w = Writer()
        self.w.scopes.append(Scope(self.w.new_block("entry")))
        self.numbers = Checked(self.w)

    def at(self, base: str, offset: int, kind: str = "i8") -> str:
        return self.w.assign(f"getelementptr {kind}, ptr {base}, i64 {offset}", "at")

    def store(self, value: str, base: str, number: int) -> None:
        self.w.line(f"store i64 {value}, ptr {self.at(base, number, 'i64')}, align 8")

    def load(self, base: str, number: int) -> str:
        return self.w.assign(f"load i64, ptr {self.at(base, number, 'i64')}, align 8", "n")

    def unless(self, holds: str, code: str, first: str, second: str) -> None:
        """Go on where `holds`; else end with the error `code` and its two numbers."""
        if holds == "true":
            return
        failed, following = self.w.new_block("failed"), self.w.new_block("next")
        self.w.line(f"br i1 {holds}, label %{following.label}, label %{failed.label}")
        status = self.w.fresh("status")
        failed.lines.append(
            f"{status} = call i32 @dlc_fail(ptr %ctx, i32 {code}, i32 0, i64 {first}, i64 {second})"
        )
        failed.lines.append(f"ret i32 {status}")
        self.w.scopes[-1].block = following

    def text(self, signature: str) -> str:
        body = "\n".join(f"{b.label}:\n" + "\n".join(f"  {line}" for line in b.lines) for b in self.w.blocks)
        return f"define {signature} nounwind {{\n{body}\n}}\n"


def bind_lines(f: _Function, interface: Interface, slots: Mapping[str, int]) -> None:
    w, numbers = f.w, f.numbers
    w.line("store i64 0, ptr %ctx")
    w.line(f"store i32 0, ptr {f.at('%ctx', BOUND_AT)}")
    dims = f.at("%ctx", DIMS_AT)
    compare_inputs(f, interface.inputs, slots, dims)
    if interface.general is not None:
        holds = numbers.all_equal(interface.pairs)
        equal, general = w.new_block("equal"), w.new_block("general")
        w.line(f"br i1 {holds}, label %{equal.label}, label %{general.label}")
        w.scopes[-1].block, f.numbers = general, numbers.fork()
        body_lines(f, interface.general, slots, dims)
        w.scopes[-1].block, f.numbers = equal, numbers
    body_lines(f, interface, slots, dims)


def body_lines(f: _Function, interface: Interface, slots: Mapping[str, int], dims: str) -> None:
    """What one body asks of sizes, and what the run will use; the end of the function."""
    w, numbers = f.w, f.numbers
    for guard in interface.guards:
        left, right = numbers.number(guard.check.left), numbers.number(guard.check.right)
        holds = numbers.stand_in(guard.check.relation, left, right)
        fail_unless(f, holds, numbers.either(left[1], right[1]), guard.code, guard.too_large, (left, right))
    for name, upper in interface.uppers.items():
        numbers.symbols[name] = "0" if upper is None else numbers.number(upper)[0]
        f.store(numbers.symbols[name], dims, slots[name])
    for size in interface.sizes:
        value = numbers.number(size.expr)
        holds = w.assign(f"icmp sge i64 {value[0]}, 0", "holds")
        fail_unless(f, holds, value[1], size.code, size.code, (value, value))
    workspace_lines(f, interface)
    if interface.uppers:
        for number, dim in enumerate(dim for shape in interface.most for dim in shape):
            f.store(numbers.number(as_expr(dim))[0], "%results", number)
    else:
        w.line("call i32 @dlc_shapes(ptr %ctx, ptr %results)")
    w.line(f"store i32 1, ptr {f.at('%ctx', BOUND_AT)}")
    w.line("ret i32 0")


def fail_unless(f: _Function, holds: str, bad: str, code: int, too_large: int, sides: tuple[Number, Number]) -> None:
    """An error where a condition does not hold, or where its numbers are wrong."""
    which = str(code)
    if bad != "false":
        good = f.w.assign(f"xor i1 {bad}, true", "good")
        holds = f.w.assign(f"and i1 {holds}, {good}", "holds")
        if too_large != code:
            which = f.w.assign(f"select i1 {bad}, i32 {too_large}, i32 {code}", "code")
    f.unless(holds, which, sides[0][0], sides[1][0])


def compare_inputs(f: _Function, inputs: Sequence[InputSites], slots: Mapping[str, int], dims: str) -> None:
    """Give named dimensions the sizes of the first input that has them; then all other sizes must agree."""
    given: list[list[tuple[Dim, str]]] = []
    position = 0
    first: set[str] = set()
    for each in inputs:
        sizes = [f.load("%shapes", position + axis) for axis in range(len(each.shape))]
        position += len(sizes)
        given.append(list(zip(each.shape, sizes, strict=True)))
        for dim, size in given[-1]:
            symbol = symbol_in(dim)
            if symbol is not None and symbol not in f.numbers.symbols:
                f.numbers.symbols[symbol] = size
                f.store(size, dims, slots[symbol])
                first.add(size)
    for each, pairs in zip(inputs, given, strict=True):
        conditions = list(agreements(f, pairs, first))
        if not conditions:
            continue
        holds, axis, size = "true", "-1", "0"
        for number, condition, got in reversed(conditions):  # the first that fails is the one to name
            holds = condition if holds == "true" else f.w.assign(f"and i1 {condition}, {holds}", "holds")
            axis = f.w.assign(f"select i1 {condition}, i64 {axis}, i64 {number}", "axis")
            size = f.w.assign(f"select i1 {condition}, i64 {size}, i64 {got}", "size")
        f.unless(holds, str(each.code), axis, size)


def agreements(
    f: _Function, pairs: Sequence[tuple[Dim, str]], first: set[str]
) -> Iterator[tuple[int, str, str]]:  # fmt: skip
    """(axis, whether its size is the declared one, the size)."""
    for axis, (dim, size) in enumerate(pairs):
        if size in first:
            yield axis, f.w.assign(f"icmp sge i64 {size}, 0", "holds"), size
            continue
        expected, bad = f.numbers.number(as_expr(dim))
        holds = f.w.assign(f"icmp eq i64 {size}, {expected}", "holds")
        if bad != "false":
            holds = f.w.assign(f"select i1 {bad}, i1 false, i1 {holds}", "holds")
        yield axis, holds, size


def workspace_lines(f: _Function, interface: Interface) -> None:
    """The arena, and the scratch memory of all threads behind it."""
    w, bytes_ = f.w, f.numbers.number(interface.workspace.expr)
    if interface.scratch:
        threads = w.assign(f"load i32, ptr {f.at('%ctx', COUNT_AT)}", "threads")
        bodies = w.assign(f"load i32, ptr {f.at('%ctx', BODIES_AT)}", "bodies")
        w.declare("i32 @llvm.smax.i32(i32, i32)")
        places = w.assign(f"call i32 @llvm.smax.i32(i32 {threads}, i32 {bodies})", "places")
        wide = w.assign(f"sext i32 {places} to i64", "places")
        scratch = w.assign(f"mul i64 {wide}, {interface.scratch}", "scratch")
        bytes_ = f.numbers.sum(bytes_, (scratch, "false"))
    if bytes_[1] != "false":
        fail_unless(f, "true", bytes_[1], interface.workspace.code, interface.workspace.code, (bytes_, bytes_))
    w.line(f"store i64 {bytes_[0]}, ptr {f.at('%ctx', WORKSPACE_AT)}, align 8")
    w.line(f"store i64 {bytes_[0]}, ptr %bytes, align 8")


def shape_lines(f: _Function, results: Sequence[Shape], slots: Mapping[str, int]) -> None:
    dims = f.at("%ctx", DIMS_AT)
    for symbol in dict.fromkeys(name for shape in results for dim in shape for name in sorted(as_expr(dim).symbols())):
        f.numbers.symbols[symbol] = f.load(dims, slots[symbol])
    for number, dim in enumerate(dim for shape in results for dim in shape):
        f.store(f.numbers.number(as_expr(dim))[0], "%results", number)
    f.w.line("ret i32 0")
