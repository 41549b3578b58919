"""A mutant by its kind and number: always the same model with the same changes."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.mutations.byte_mutations import mutated_bytes
from tests.mutations.structural import mutated_graph, mutated_operator

MAKERS = {"bytes": mutated_bytes, "structural": mutated_graph, "operator": mutated_operator}


@dataclass(frozen=True)
class Mutant:
    kind: str
    number: int
    model: str
    data: bytes
    changes: tuple[str, ...]
    opt_level: int

    def __str__(self) -> str:
        return f"{self.kind} {self.number} ({self.model}, opt_level {self.opt_level}: {'; '.join(self.changes)})"


def mutant(kind: str, number: int) -> Mutant:
    rng = random.Random(f"{kind} {number}")
    model, data, changes = MAKERS[kind](rng)
    return Mutant(kind, number, model, data, tuple(changes), rng.choice((3, 3, 3, 3, 3, 3, 2, 1, 0, 0)))
