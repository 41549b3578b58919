"""Mutations of a model file as a row of bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

from tests.mutations.corpus import chosen, contents, weight_spans

Change = Callable[[bytearray, int, random.Random], str]
INTERESTING = (0x00, 0x01, 0x7F, 0x80, 0xFF, 0x08, 0x0A, 0x12)


def mutated_bytes(rng: random.Random) -> tuple[str, bytes, list[str]]:
    """The model's name, the changed file, and what was changed."""
    name = chosen(rng)
    data = bytearray(contents(name))
    done = []
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        change = rng.choice(CHANGES)
        if data:
            done.append(change(data, min(place(name, rng), len(data) - 1), rng))
    return name, bytes(data), done


def place(name: str, rng: random.Random) -> int:
    """A place in the file, mostly outside of the weights."""
    size = len(contents(name))
    at = rng.randrange(size)
    if rng.random() < 0.15:
        return at
    outside = []
    start = 0
    for first, last in (*weight_spans(name), (size, size)):
        outside.append((start, max(start, first)))
        start = last
    at = rng.randrange(sum(last - first for first, last in outside))
    for first, last in outside:
        if at < last - first:
            return first + at
        at -= last - first
    raise AssertionError("the places outside of the weights were counted wrongly")


def flip_bit(data: bytearray, at: int, rng: random.Random) -> str:
    data[at] ^= 1 << rng.randrange(8)
    return f"flip a bit at {at}"


def overwrite(data: bytearray, at: int, rng: random.Random) -> str:
    count = rng.choice((1, 2, 4, 16))
    data[at : at + count] = bytes(rng.choice(INTERESTING) for _ in range(count))
    return f"overwrite {count} bytes at {at}"


def scramble(data: bytearray, at: int, rng: random.Random) -> str:
    count = rng.choice((1, 2, 8, 64))
    data[at : at + count] = rng.randbytes(count)
    return f"scramble {count} bytes at {at}"


def truncate(data: bytearray, at: int, rng: random.Random) -> str:
    del data[at:]
    return f"cut off at {at}"


def delete(data: bytearray, at: int, rng: random.Random) -> str:
    count = rng.choice((1, 3, 10, 100, 1000))
    del data[at : at + count]
    return f"delete {count} bytes at {at}"


def duplicate(data: bytearray, at: int, rng: random.Random) -> str:
    count = rng.choice((1, 3, 10, 100, 1000))
    data[at:at] = data[at : at + count]
    return f"duplicate {count} bytes at {at}"


def insert(data: bytearray, at: int, rng: random.Random) -> str:
    count = rng.choice((1, 2, 10))
    data[at:at] = rng.randbytes(count)
    return f"insert {count} bytes at {at}"


def splice(data: bytearray, at: int, rng: random.Random) -> str:
    """What follows comes from another model."""
    other = chosen(rng)
    data[at:] = contents(other)[rng.choice((at, rng.randrange(len(contents(other))))) :]
    return f"from {at} on the file {other}"


def transplant(data: bytearray, at: int, rng: random.Random) -> str:
    other = chosen(rng)
    start, count = place(other, rng), rng.choice((4, 40, 400))
    data[at : at + count] = contents(other)[start : start + count]
    return f"{count} bytes at {at} from {other}"


CHANGES: tuple[Change, ...] = (
    flip_bit, flip_bit, flip_bit, overwrite, overwrite, scramble, truncate, delete, duplicate, insert, splice,
    transplant,
)  # fmt: skip
