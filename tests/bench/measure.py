"""Runs commands as whole processes, in turn, and keeps what each took."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import psutil

_SAMPLE_SECONDS = 0.01


@dataclass(frozen=True)
class Command:
    """A command by the name that the tables give it; `before` brings about what it starts from, untimed."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    before: Callable[[], None] = lambda: None
    codes: Collection[int] = (0,)
    """The exit codes with which it has done what is measured."""


@dataclass(frozen=True)
class Run:
    """One run: seconds from outside, and the largest resident set of the process itself, in bytes."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class Figures:
    """The runs of one command."""

    runs: tuple[Run, ...]

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(run.seconds for run in self.runs)

    @property
    def spread(self) -> tuple[float, float]:
        """The quickest and the slowest."""
        return min(run.seconds for run in self.runs), max(run.seconds for run in self.runs)

    @property
    def peak_bytes(self) -> float:
        """The median."""
        return statistics.median(run.peak_bytes for run in self.runs)


def ratios(one: Figures, other: Figures) -> tuple[float, float, float]:
    """Return the least, the median and the largest of the ratios of runs that were made one after the other."""
    pairs = [a.seconds / b.seconds for a, b in zip(one.runs, other.runs, strict=True)]
    return min(pairs), statistics.median(pairs), max(pairs)


def in_turn(commands: Sequence[Command], count: int, *, warm_up: int = 1) -> list[Figures]:
    """Run the commands A B A B …, so that a machine whose speed drifts treats them alike.

    Raises AssertionError with what a command said where it fails: a failed run measures nothing.
    """
    runs: list[list[Run]] = [[] for _ in commands]
    for number in range(warm_up + count):
        for place, command in enumerate(commands):
            command.before()
            done = _run(command)
            if number >= warm_up:
                runs[place].append(done)
    return [Figures(tuple(one)) for one in runs]


def _run(command: Command) -> Run:
    began = time.perf_counter()
    process = subprocess.Popen(
        command.arguments,
        env={**os.environ, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    # The kernel's own figure at the end would be the largest of all its children too: the docker command's.
    watched = psutil.Process(process.pid)
    peak = 0
    while process.poll() is None:
        try:
            peak = max(peak, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        try:
            process.wait(_SAMPLE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
    seconds = time.perf_counter() - began
    assert process.stdout is not None
    said = process.stdout.read().decode(errors="replace")
    assert process.returncode in command.codes, (
        f"{command.name}: exit {process.returncode}\n{said[-2000:]}"
    )
    return Run(seconds, peak)


def phases(command: Command, steps: Sequence[str]) -> dict[str, float]:
    """Run a command that prints its steps on stderr, a line each; give the seconds that each took, "start" first."""
    command.before()
    began = time.perf_counter()
    process = subprocess.Popen(
        command.arguments,
        env={**os.environ, **command.environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    marks = [("start", began)]
    said = []
    for line in process.stderr:
        said.append(line)
        if line.strip() in steps:
            marks.append((line.strip(), time.perf_counter()))
    process.wait()
    ends = [*(mark for _, mark in marks[1:]), time.perf_counter()]
    assert process.returncode == 0, f"{command.name}: {''.join(said)[-2000:]}"
    return {name: end - start for (name, start), end in zip(marks, ends, strict=True)}
