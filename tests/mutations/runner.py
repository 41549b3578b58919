"""Runs mutants in a process of their own, many in each, and notices whatever happens to it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutations.corpus import ROOT

SECONDS = 20  # of processor time for one mutant: others may be at work on the machine
MOST_SECONDS = 90  # on the clock, should it wait for something
MEGABYTES = 2048
ENOUGH = 900  # MB that a worker may hold between two mutants; one that holds more is replaced
ALLOWED = ("ok", "refused", "refused when run", "compiled")


@dataclass(frozen=True)
class Result:
    kind: str
    number: int
    outcome: str  # one of ALLOWED, or: crash, timeout, memory
    message: str
    phase: str = ""  # compiling or running, where it matters
    seconds: float = 0
    peak: int = 0  # MB

    @property
    def is_fault(self) -> bool:
        return self.outcome not in ALLOWED

    def __str__(self) -> str:
        """With the command that repeats it."""
        return (
            f"{self.outcome} while {self.phase}, {self.seconds:.1f} s, {self.peak} MB: "
            f"python -m tests.mutations {self.kind} {self.number}\n{self.message}"
        )


class Worker:
    """One process; `ask` may be called until it says something that is not allowed."""

    def __init__(self) -> None:
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.mutations.worker"], cwd=ROOT, env=environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=self.errors,
        )  # fmt: skip
        self.resident = 0
        self.unread = b""

    def ask(self, kind: str, number: int) -> Result:
        assert self.process.stdin is not None
        started, used = time.monotonic(), self.processor_seconds()
        self.process.stdin.write(f"{kind} {number}\n".encode())
        self.process.stdin.flush()
        phase, peak = "compiling", 0
        while True:
            line = self.line()
            peak = max(peak, self.memory())
            seconds = self.processor_seconds() - used
            if line == b"":
                return Result(kind, number, "crash", self.last_words(), phase, seconds, peak)
            if line is not None:
                answer = json.loads(line)
                peak, self.resident = max(peak, answer["peak"]), answer["resident"]
                if answer["outcome"] == "running":
                    phase = "running"
                    continue
                outcome = answer["outcome"] if peak <= MEGABYTES else "memory"
                return Result(kind, number, outcome, answer["message"], phase, seconds, peak)
            late = seconds > SECONDS or time.monotonic() - started > MOST_SECONDS
            if late or peak > MEGABYTES:
                self.process.send_signal(signal.SIGABRT)  # the fault handler says where it is
                outcome = "timeout" if late else "memory"
                return Result(kind, number, outcome, self.last_words(), phase, seconds, peak)

    def line(self) -> bytes | None:
        """What the worker said, nothing if it has ended, None if it says nothing for a moment."""
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        if b"\n" not in self.unread:
            if not select.select([pipe], [], [], 0.05)[0]:
                return None
            found = os.read(pipe, 1 << 20)
            self.unread += found
            if not found:
                return b""
        line, newline, rest = self.unread.partition(b"\n")
        if not newline:
            return None
        self.unread = rest
        return line

    def memory(self) -> int:
        """What the process holds now, in MB."""
        try:
            return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") >> 20
        except (OSError, IndexError):  # it has ended
            return 0

    def processor_seconds(self) -> float:
        """What all threads of the process have used."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            return 0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def last_words(self) -> str:
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.errors.seek(0)
        text = self.errors.read().decode(errors="replace").strip()
        return f"exit status {code}\n{text[-9000:]}"

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.errors.close()


def run(mutants: Iterable[tuple[str, int]]) -> Iterator[Result]:
    """What became of each mutant."""
    worker = Worker()
    try:
        for kind, number in mutants:
            result = worker.ask(kind, number)
            yield result
            if result.is_fault or worker.resident > ENOUGH:
                worker.close()
                worker = Worker()
    finally:
        worker.close()
