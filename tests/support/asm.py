"""Reading assembly: which loops are innermost, and what in them touches the stack."""

from __future__ import annotations

import re

LABEL = re.compile(r"^(\.L\w+):")
JUMP = re.compile(r"^\s*(?:j\w+|b(?:\.\w+)?|cbn?z\s+\w+,|tbn?z\s+\w+,\s*#\d+,)\s+(\.L\w+)\b")
COMMENT = re.compile(r"\s*(?:#(?!\d|0x|-)|//).*$")  # a number after # is AArch64's immediate
STACK = re.compile(r"\(%rsp\b|\[sp\b")
FRAME = {"(%rbp": re.compile(r"^\s*movq\s+%rsp, %rbp"), "[x29": re.compile(r"^\s*(?:mov|add)\s+x29, sp")}


def inner_loops(asm_text: str) -> list[list[str]]:
    """The instructions of each loop that holds no other loop, in order."""
    lines = [COMMENT.sub("", line) for line in asm_text.splitlines()]
    labels = {found[1]: number for number, line in enumerate(lines) if (found := LABEL.match(line))}
    spans = []
    for number, line in enumerate(lines):
        found = JUMP.match(line)
        if found and labels.get(found[1], number + 1) <= number:
            spans.append((labels[found[1]], number))
    inner = [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]
    return [[line for line in lines[start : end + 1] if is_instruction(line)] for start, end in sorted(set(inner))]


def is_instruction(line: str) -> bool:
    return line[:1] in " \t" and bool(line.strip()) and not line.strip().startswith(".")


def stack_accesses(loop: list[str], asm_text: str = "") -> list[str]:
    """The instructions of a loop that read or write the stack; `asm_text` tells whether there is a frame pointer."""
    frames = [text for text, setting in FRAME.items() if any(map(setting.match, asm_text.splitlines()))]
    return [line for line in loop if STACK.search(line) or any(text in line for text in frames)]


def spills(asm_text: str) -> list[str]:
    """Stack accesses of all innermost loops."""
    return [line.strip() for loop in inner_loops(asm_text) for line in stack_accesses(loop, asm_text)]
