"""Small models written in LLVM IR by hand, to test the linker, the pool and the runtime without the compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlc.codegen.artifact import FORMAT, write_artifact
from dlc.codegen.emit.bind import InputSites, Interface, Size, emit_bind
from dlc.codegen.emit.effects import FAIL
from dlc.codegen.llvm_backend import compile_object
from dlc.codegen.pool import TARGETS
from dlc.ir.dialects.shape_rules import shape_text
from dlc.ir.expr import Dim, Expr, as_dim
from dlc.ir.expr_text import parse_expr
from dlc.ir.size_bounds import at_most

CHUNK = 16


INPUT_MESSAGES = 6  # the codes up to this one are those of inputs that do not fit; unused ones say nothing
INDEX_MESSAGE = "index {0} is out of range, there are {1} rows"  # code 7


def spec(name: str, shape: Sequence[int | str], dtype: str = "float32") -> dict[str, object]:
    return {"name": name, "dtype": dtype, "shape": list(shape)}


def description(machine: str = "x86-64", **changes: object) -> dict[str, object]:
    """Metadata of a model with one input x and one output y of 64 floats."""
    base: dict[str, object] = {
        "format": FORMAT, "machine": machine, "features": [], "symbols": [], "derived": [],
        "inputs": [spec("x", (64,))], "outputs": [spec("y", (64,))], "workspace": 4096, "scratch": 0,
        "kernels": ["add_weights"],
    }
    return {**base, **changes}


def interface(metadata: Mapping[str, Any], uppers: Mapping[str, str], messages: Sequence[str]) -> Interface:
    """What `dlc_bind` does for a description; `uppers`: the most that derived sizes can be."""
    most = {name: expr(upper) for name, upper in uppers.items()}
    texts = ["" for _ in range(INPUT_MESSAGES)]
    inputs = []
    for number, each in enumerate(metadata["inputs"]):
        shape = dims(each["shape"])
        texts[number] = f"input '{each['name']}' must have shape {shape_text(shape)}: dimension {{0}} is {{1}}"
        inputs.append(InputSites(shape, number + 1))
    texts += messages
    results = [dims(each["shape"]) for each in metadata["outputs"]]
    sizes = []
    for each, shape in zip(metadata["outputs"], results, strict=True):
        for dim in (at_most(dim, most) for dim in shape if isinstance(dim, Expr)):
            texts.append(f"output '{each['name']}': a size of it, {{0}}, is negative or too large")
            sizes.append(Size(dim, len(texts)))
    texts.append("the workspace is too large")
    return Interface(
        symbols=[*metadata["symbols"], *metadata["derived"]], inputs=inputs, results=results,
        most=[tuple(as_dim(at_most(dim, most)) for dim in shape) for shape in results],
        workspace=Size(expr(metadata["workspace"]), len(texts)), messages=texts, scratch=metadata["scratch"],
        uppers=most, sizes=sizes,
    )  # fmt: skip


def with_interface(text: str, asked: Interface) -> str:
    """The text of a model, and what callers ask before a run."""
    failing = "" if "@dlc_fail(" in text else f"declare hidden {FAIL}\n"
    return f"{failing}{text}\n{emit_bind(asked)}"


def dims(shape: Sequence[int | str]) -> tuple[Dim, ...]:
    return tuple(as_dim(expr(dim)) for dim in shape)


def expr(text: int | str) -> Expr:
    return parse_expr(str(text))


def write_model(
    path: Path, text: str, metadata: Mapping[str, Any], weights: np.ndarray | None = None, *, machine: str = "x86-64",
    uppers: Mapping[str, str] | None = None, messages: Sequence[str] = (INDEX_MESSAGE,),
    described: Mapping[str, object] | None = None,
) -> Path:
    """Compile the text, which defines dlc_main, and write the artefact.

    `messages` are those of the codes from 7 on; `described` is what the artefact says of itself, if not the truth.
    """
    target = TARGETS[machine]
    pieces = [] if weights is None else [(0, weights)]
    size = 0 if weights is None else weights.nbytes
    text = with_interface(text, interface(metadata, uppers or {}, messages))
    write_artifact(
        path, objects=[compile_object(text, target.triple, target.cpu, "")], metadata=described or metadata,
        weights=pieces, weights_bytes=size, machine=machine,
    )
    return path


# y[i] = x[i] * 0.1 + weights[i], 16 elements a chunk, 64 elements.
ADD_WEIGHTS = """
@dlc_weights = external hidden global [0 x float]
declare hidden i32 @dlc_parallel(ptr, ptr, ptr, ptr, i64)

define hidden i32 @add_weights(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch) nounwind {
entry:
  %x = load ptr, ptr %buffers
  %y_at = getelementptr ptr, ptr %buffers, i64 1
  %y = load ptr, ptr %y_at
  %from = mul i64 %begin, 16
  %to = mul i64 %end, 16
  br label %loop
loop:
  %i = phi i64 [ %from, %entry ], [ %next, %loop ]
  %xi = getelementptr float, ptr %x, i64 %i
  %wi = getelementptr float, ptr @dlc_weights, i64 %i
  %yi = getelementptr float, ptr %y, i64 %i
  %a = load float, ptr %xi
  %w = load float, ptr %wi
  %m = fmul float %a, 0x3FB99999A0000000
  %s = fadd float %m, %w
  store float %s, ptr %yi
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %to
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}

define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  %code = call i32 @dlc_parallel(ptr %ctx, ptr @add_weights, ptr %dims, ptr %buffers, i64 4)
  ret i32 %code
}
"""

# The buffer numbered @@to@@ becomes buffer 0: dims[0] * dims[1] items of @@item@@ bytes.
COPY = """
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  %d1_at = getelementptr i64, ptr %dims, i64 1
  %d0 = load i64, ptr %dims
  %d1 = load i64, ptr %d1_at
  %count = mul i64 %d0, %d1
  %bytes = mul i64 %count, @@item@@
  %x = load ptr, ptr %buffers
  %y_at = getelementptr ptr, ptr %buffers, i64 @@to@@
  %y = load ptr, ptr %y_at
  call void @llvm.memcpy.p0.p0.i64(ptr %y, ptr %x, i64 %bytes, i1 false)
  ret i32 0
}
"""


def copy_text(to: int, item: int = 4) -> str:
    """A model that copies its first input to the buffer of that number."""
    return COPY.replace("@@to@@", str(to)).replace("@@item@@", str(item))


# y = the elements of x (dims[0] of them) that are greater than zero; dims[1] = how many.
POSITIVES = """
define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
entry:
  %n = load i64, ptr %dims
  %x = load ptr, ptr %buffers
  %y_at = getelementptr ptr, ptr %buffers, i64 1
  %y = load ptr, ptr %y_at
  br label %head
head:
  %i = phi i64 [ 0, %entry ], [ %i2, %next ]
  %k = phi i64 [ 0, %entry ], [ %k2, %next ]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %done
body:
  %xi = getelementptr float, ptr %x, i64 %i
  %yk = getelementptr float, ptr %y, i64 %k
  %a = load float, ptr %xi
  %positive = fcmp ogt float %a, 0.0
  br i1 %positive, label %store, label %next
store:
  store float %a, ptr %yk
  br label %next
next:
  %one = zext i1 %positive to i64
  %k2 = add i64 %k, %one
  %i2 = add i64 %i, 1
  br label %head
done:
  %d1_at = getelementptr i64, ptr %dims, i64 1
  store i64 %k, ptr %d1_at
  ret i32 0
}
"""

# Fails with code 7 for the first element of x that is negative: detail = (index, 64).
CHECKED = """
declare hidden i32 @dlc_parallel(ptr, ptr, ptr, ptr, i64)
declare hidden i32 @dlc_fail(ptr, i32, i32, i64, i64)
define hidden i32 @check(ptr %ctx, ptr %dims, ptr %buffers, i64 %begin, i64 %end, ptr %scratch) nounwind {
entry:
  %x = load ptr, ptr %buffers
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %good ]
  %xi = getelementptr float, ptr %x, i64 %i
  %a = load float, ptr %xi
  %bad = fcmp olt float %a, 0.0
  br i1 %bad, label %fail, label %good
good:
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %end
  br i1 %more, label %loop, label %done
fail:
  %code = call i32 @dlc_fail(ptr %ctx, i32 7, i32 0, i64 %i, i64 64)
  ret i32 %code
done:
  ret i32 0
}
define hidden i32 @dlc_main(ptr %ctx, ptr %dims, ptr %buffers, ptr %workspace) nounwind {
  %code = call i32 @dlc_parallel(ptr %ctx, ptr @check, ptr %dims, ptr %buffers, i64 64)
  ret i32 %code
}
"""
