"""`make bench`: measures stackctl against docker compose on one stack, and writes docs/BENCHMARKS.md.

Everything is from one run on one machine; what the document says of goals is computed from it.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import functools
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from stackctl.config.load import load
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.project.resource_usage import measure
from stackctl.services.catalog import PUBLISHED_PORTS
from stackctl.util import paths
from tests.bench.measure import Command, Figures, in_turn, phases, ratios
from tests.e2e.conftest import free_offset
from tests.support.imports import ALLOWED, excess, loaded_by

PROJECT = "stackctl-bench"
DOCUMENT = Path("docs/BENCHMARKS.md")
_TARGETS = (10, 50, 200)
_SETTLING_SECONDS = 30
"""After the start, before the stack is at rest."""
_REST_SECONDS = 60
"""The time that `status` takes the mean of, too."""
_GROUPS = 5
_MIB = 1024 * 1024
_STEPS = (
    "checking this machine",
    "choosing the images",
    "starting the containers",
    "waiting for readiness",
)
"""What `up` says that it does, in this order."""


@dataclass(frozen=True)
class Bench:
    """The stack that is measured."""

    folder: Path
    settings: Settings

    @property
    def environment(self) -> dict[str, str]:
        return {"STACKCTL_STATE_DIR": str(self.folder)}

    @property
    def state(self) -> Path:
        return self.folder / PROJECT

    def stackctl(self, *arguments: str) -> list[str]:
        """Return a call of the installed command, as a user makes it."""
        options = ["-p", PROJECT, "--env-file", str(self.folder / "bench.env")]
        return [str(Path(sys.executable).with_name("stackctl")), *options, *arguments]

    def compose(self, *arguments: str) -> list[str]:
        """Return a call of docker compose on the same files with the same .env."""
        files = [
            "-f",
            str(paths.compose() / "docker-compose.yml"),
            "-f",
            str(paths.compose() / "demo.yml"),
        ]
        options = ["-p", PROJECT, "--env-file", str(self.state / "compose.env"), *files]
        return [
            "docker",
            "compose",
            *options,
            "--profile",
            "monitoring",
            "--profile",
            "demo",
            *arguments,
        ]

    def call(self, arguments: list[str]) -> None:
        subprocess.run(
            arguments,
            env={**os.environ, **self.environment},
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def command(self, name: str, arguments: list[str], *, cold: bool = False) -> Command:
        down = functools.partial(self.call, self.compose("down"))
        return Command(name, arguments, self.environment, down if cold else lambda: None)

    def asking(self, *arguments: str) -> Command:
        """Return a call that asks the services once: on a busy machine one of them may answer too late."""
        return replace(self.command(arguments[0], self.stackctl(*arguments)), codes=(0, 1))


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="runs of each slow command")
    runs = parser.parse_args().runs
    folder = Path(tempfile.mkdtemp(prefix="stackctl-bench-"))
    offset = free_offset()
    env_file = folder / "bench.env"
    env_file.write_text(
        "".join(f"{port.setting}={port.default + offset}\n" for port in PUBLISHED_PORTS.values())
    )
    bench = Bench(folder, load(project=PROJECT, env_file=env_file, environ={}))
    load_before = os.getloadavg()[0]
    try:
        bench.call(bench.stackctl("up", "--images", "local"))
        sections: list[str] = []
        for measured in (
            start_up(bench, 3 * runs),
            up(bench, runs),
            steps(bench, runs),
            down(bench, runs),
            asking(bench, runs),
            imports(bench),
            rest(bench),
            rules(bench),
            growth(bench, runs),
        ):
            sections += measured
            # What was measured is not lost with what comes after it.
            DOCUMENT.write_text("\n".join([*_head(runs, load_before), *sections]) + "\n")
    finally:
        bench.call(bench.stackctl("down", "--volumes", "--yes"))
        shutil.rmtree(folder)
    print(f"wrote {DOCUMENT}")


def _say(what: str) -> None:
    print(f"measuring {what}", flush=True)


def _head(runs: int, load_before: float) -> Iterator[str]:
    memory = psutil.virtual_memory().total / 1024**3
    yield "# Benchmarks"
    yield ""
    yield (
        f"Written by `make bench` on {dt.datetime.now(dt.UTC):%Y-%m-%d}, from one run on a machine with"
        f" {os.cpu_count()} processors and {memory:.0f} GiB, Python {sys.version_info.major}.{sys.version_info.minor},"
        " on the local image set with the demo."
    )
    yield ""
    yield (
        f"Compared commands ran alternately, at least {runs} times each after a warm-up. A ratio is the median of the"
        " pairs, with their smallest and largest value in parentheses. Times are medians; such a machine is noisy, so"
        " compare ratios, not seconds. A goal is met if the median meets it."
    )
    if load_before > (os.cpu_count() or 1):
        yield ""
        yield (
            f"**The machine was shared.** Before the first run its load average was {load_before:.1f}: other work took"
            " the processors, so that all times are longer than on a machine of one's own, and a command that computes"
            " loses more than one that waits for the engine."
        )


def _table(title: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _against(one: Figures, other: Figures, goal: float | None) -> tuple[str, ...]:
    least, median, largest = ratios(one, other)
    verdict = "" if goal is None else f"at most {goal:g}: {'met' if median <= goal else 'missed'}"
    return (
        f"{one.seconds:.2f} s",
        f"{other.seconds:.2f} s",
        f"{median:.2f} ({least:.2f} to {largest:.2f})",
        verdict,
    )


def start_up(bench: Bench, runs: int) -> Iterator[str]:
    """The time until a command has said something about itself."""
    _say("start-up")
    stackctl = str(Path(sys.executable).with_name("stackctl"))
    version = Command("docker compose version", ["docker", "compose", "version"], {})
    rows = []
    for option in ("--help", "--version"):
        one, other = in_turn([Command(option, [stackctl, option], {}), version], runs)
        rows.append((f"`stackctl {option}`", *_against(one, other, 1.0)))
    yield from _table(
        "Start-up against `docker compose version`",
        ("command", "stackctl", "compose", "ratio", "goal"),
        rows,
    )


def up(bench: Bench, runs: int) -> Iterator[str]:
    """Bringing the stack up, from nothing but images and volumes, and where everything runs."""
    whole, compose = bench.stackctl("up"), bench.compose("up", "-d", "--wait")
    until = [sys.executable, "-S", "-E", str(Path(__file__).with_name("until_it_answers.py"))]
    broker = [*until, f"{bench.settings.url('rabbitmq')}/metrics"]
    answering = ["sh", "-c", f"{shlex.join(compose)} && exec {shlex.join(broker)}"]
    _say("up, cold")
    one, other, all_answer = in_turn(
        [
            bench.command("stackctl up", whole, cold=True),
            bench.command("compose up", compose, cold=True),
            bench.command("compose up, RabbitMQ", answering, cold=True),
        ],
        runs,
        # The first `up` was one.
        warm_up=0,
    )
    _say("up, warm")
    warm, warm_other = in_turn(
        [bench.command("stackctl up", whole), bench.command("compose up", compose)], runs
    )
    yield from _table(
        "`stackctl up` against `docker compose up -d --wait` on the same files",
        ("", "stackctl", "compose", "ratio", "goal"),
        [
            ("cold, until every service answers", *_against(one, all_answer, 1.05)),
            ("cold, until compose itself returns", *_against(one, other, None)),
            ("warm", *_against(warm, warm_other, 0.7)),
        ],
    )
    yield ""
    yield (
        "*Cold* starts without containers, with existing images and volumes. Compose waits for its health checks, and"
        " treats a container without one as ready once it runs. RabbitMQ has none, because a check would start a second"
        " Erlang machine, and it is the last to respond: in the first row Compose is followed by a loop that requests"
        " RabbitMQ's metrics, in the second row by nothing. stackctl returns when every service has responded: Loki"
        " with a line that can be read back, RabbitMQ with its metrics, MongoDB through its exporter. *Warm* changes"
        " nothing: stackctl compares its inputs and the containers with what the last `up` left, and queries every"
        " service, while Compose only compares."
    )


def steps(bench: Bench, runs: int) -> Iterator[str]:
    """Where the time of an `up` goes, by what it says that it does."""
    _say("the steps of up")
    tables = {}
    for kind, cold in (("cold", True), ("warm", False)):
        command = bench.command(f"stackctl up, {kind}", bench.stackctl("up"), cold=cold)
        tables[kind] = [phases(command, _STEPS) for _ in range(runs)]
    rows = []
    for step in ("start", *_STEPS):
        cells = []
        for taken in tables.values():
            known = [one[step] / sum(one.values()) for one in taken if step in one]
            seconds = [one[step] for one in taken if step in one]
            cells += (
                [f"{statistics.median(seconds):.2f} s", f"{100 * statistics.median(known):.0f} %"]
                if known
                else ["", ""]
            )
        rows.append((step, *cells))
    yield from _table("The steps of `stackctl up`", ("step", "cold", "", "warm", ""), rows)
    yield ""
    yield (
        "Start is Python, the imports and the settings; choosing the images includes rendering. Docker Compose is at"
        " work while the containers are started. An `up` that finds nothing to change only waits for readiness."
    )


def down(bench: Bench, runs: int) -> Iterator[str]:
    """Stopping the stack, and how long each container takes to end when it is asked to."""
    _say("down")
    # Until every service is ready: RabbitMQ heeds no signal while it boots.
    restore = functools.partial(bench.call, bench.stackctl("up"))
    one, other = in_turn(
        [
            replace(bench.command(name, arguments), before=restore)
            for name, arguments in (
                ("stackctl down", bench.stackctl("down")),
                ("compose down", bench.compose("down")),
            )
        ],
        runs,
        warm_up=0,
    )
    low, high = one.spread
    yield from _table(
        "`stackctl down` against `docker compose down`",
        ("stackctl", "spread", "compose", "ratio", "goal"),
        [
            (
                f"{one.seconds:.2f} s",
                f"{low:.2f} to {high:.2f} s",
                f"{other.seconds:.2f} s",
                f"{ratios(one, other)[1]:.2f}",
                f"at most 4 s: {'met' if one.seconds <= 4 else 'missed'}",
            )
        ],
    )
    bench.call(bench.stackctl("up"))
    taken = {}
    for service, state in Engine(PROJECT, [bench.state / "compose.env"]).containers().items():
        began = time.perf_counter()
        bench.call(["docker", "stop", state.name])
        taken[service] = time.perf_counter() - began
    bench.call(bench.stackctl("up"))
    slowest = sorted(taken.items(), key=lambda pair: -pair[1])
    yield ""
    yield (
        f"Stopped one by one, each of the {len(taken)} containers ends on the signal that it is sent; the slowest are "
        + ", ".join(f"{name} ({seconds:.2f} s)" for name, seconds in slowest[:_GROUPS])
        + ". A container that heeds no signal would take 10 s."
    )


def imports(bench: Bench) -> Iterator[str]:
    """The modules that each command loads, against its budget (tests/support/imports.py)."""
    _say("imports")
    rows = []
    for command in ALLOWED:
        arguments = [command] if command.startswith("-") else bench.stackctl(command)[1:]
        if command == "verify":
            arguments += ["--timeout", "0"]
        loaded, _ = loaded_by(arguments, bench.environment)
        over = excess(command, loaded)
        libraries = sorted({name.partition(".")[0] for name in loaded} & ALLOWED[command])
        rows.append(
            (
                f"`stackctl {command}`",
                str(len(loaded)),
                ", ".join(libraries),
                f"over it: {', '.join(sorted(over))}" if over else "kept",
            )
        )
    bench.call(bench.stackctl("up"))
    yield from _table(
        "What a command loads", ("command", "modules", "of its budget it loads", "budget"), rows
    )


def asking(bench: Bench, runs: int) -> Iterator[str]:
    """`verify` and `status` of a stack at rest, and what stackctl itself takes of the memory."""
    _say("verify and status")
    verify, status, again, listed = in_turn(
        [
            bench.asking("verify", "--timeout", "0"),
            bench.asking("status"),
            bench.command("up", bench.stackctl("up")),
            bench.command("ps", bench.compose("ps")),
        ],
        runs,
    )
    yield from _table(
        "`stackctl verify` and `status` of a warm stack",
        ("command", "time", "spread", "goal"),
        [
            (
                f"`stackctl {name}`",
                f"{one.seconds:.2f} s",
                f"{one.spread[0]:.2f} to {one.spread[1]:.2f} s",
                f"under {goal} s: {'met' if one.seconds < goal else 'missed'}",
            )
            for name, one, goal in (("verify", verify, 0.8), ("status", status, 0.6))
        ],
    )
    yield ""
    yield "`verify` asks all quick checks, each once."
    watched = {
        "stackctl verify": verify,
        "stackctl status": status,
        "stackctl up": again,
        "docker compose ps": listed,
    }
    yield from _table(
        "Memory of the command itself",
        ("command", "largest resident set", "against `docker compose ps`"),
        [
            (
                f"`{name}`",
                f"{one.peak_bytes / _MIB:.0f} MiB",
                f"{one.peak_bytes / listed.peak_bytes:.2f}",
            )
            for name, one in watched.items()
        ],
    )


def rest(bench: Bench) -> Iterator[str]:
    """What each service takes while nobody asks for anything but the demo's own traffic."""
    _say(f"the stack at rest, for {_REST_SECONDS} s")
    engine = Engine(PROJECT, [bench.state / "compose.env"])
    limits = _cpu_limits(bench)
    names = {state.name: service for service, state in engine.containers().items()}
    time.sleep(_SETTLING_SECONDS + _REST_SECONDS)
    found = asyncio.run(measure(engine, bench.settings.url("prometheus"), list(names)))
    rows = [
        (
            names[name],
            f"{used.cpu_percent:.1f} %",
            f"{used.cpu_percent / limits[names[name]]:.0f} %",
            f"{used.memory_bytes / _MIB:.0f} MiB",
            f"{100 * used.memory_bytes / used.memory_limit_bytes:.0f} %",
        )
        for name, used in sorted(found.items(), key=lambda pair: -pair[1].memory_bytes)
    ]
    total_cpu = sum(used.cpu_percent for used in found.values())
    total_memory = sum(used.memory_bytes for used in found.values())
    rows.append(("**all**", f"{total_cpu:.1f} %", "", f"{total_memory / _MIB:.0f} MiB", ""))
    yield from _table(
        f"The stack at rest, over {_REST_SECONDS} s",
        ("service", "of one processor", "of its limit", "memory", "of its limit"),
        rows,
    )


def rules(bench: Bench) -> Iterator[str]:
    """What of each interval the evaluation of the rule groups takes."""
    _say("the evaluation of rules")
    groups = httpx.get(f"{bench.settings.url('prometheus')}/api/v1/rules").json()["data"]["groups"]
    by_cost = sorted(groups, key=lambda one: -one["evaluationTime"] / one["interval"])
    cost = sum(one["evaluationTime"] / one["interval"] for one in groups)
    yield from _table(
        "Evaluation of the rules",
        ("group", "rules", "interval", "last evaluation", "of the interval"),
        [
            (
                one["name"],
                str(len(one["rules"])),
                f"{one['interval']:.0f} s",
                f"{1000 * one['evaluationTime']:.1f} ms",
                f"{100 * one['evaluationTime'] / one['interval']:.2f} %",
            )
            for one in by_cost[:_GROUPS]
        ]
        + [
            (
                f"**all {len(groups)}**",
                str(sum(len(one["rules"]) for one in groups)),
                "",
                "",
                f"{100 * cost:.2f} %",
            )
        ],
    )


def _cpu_limits(bench: Bench) -> dict[str, float]:
    """Return each service's limit in processors."""
    services: dict[str, Any] = {}
    for name in ("docker-compose.yml", "demo.yml"):
        services |= yaml.safe_load((paths.compose() / name).read_text())["services"]
    return {
        name: float(body["deploy"]["resources"]["limits"]["cpus"])
        for name, body in services.items()
    }


def growth(bench: Bench, runs: int) -> Iterator[str]:
    """How the answers' time grows with the number of scrape targets, all of them one light exporter."""
    fragment = bench.state / "config" / "prometheus" / "scrape-configs" / "bench.yml"
    rows = []
    first: tuple[float, float] | None = None
    for number in _TARGETS:
        _say(f"{number} more targets")
        targets = [
            {
                "targets": ["alertmanager:9093"],
                "labels": {"service": "bench", "number": str(one)},
            }
            for one in range(number)
        ]
        jobs = {"scrape_configs": [{"job_name": "bench", "static_configs": targets}]}
        fragment.write_text(yaml.safe_dump(jobs))
        reload = f"{bench.settings.url('prometheus')}/-/reload"
        httpx.post(reload, timeout=30).raise_for_status()
        bench.call(bench.stackctl("verify", "prometheus.targets", "--timeout", "120"))
        verify, status = in_turn(
            [
                bench.asking("verify", "--timeout", "0"),
                bench.asking("status"),
            ],
            runs,
        )
        first = first or (verify.seconds, status.seconds)
        rows.append(
            (
                str(number),
                f"{verify.seconds:.2f} s",
                f"{verify.seconds / first[0]:.2f}",
                f"{status.seconds:.2f} s",
                f"{status.seconds / first[1]:.2f}",
            )
        )
    yield from _table(
        "With more scrape targets",
        ("targets in addition to the stack's own", "verify", "against 10", "status", "against 10"),
        rows,
    )


if __name__ == "__main__":
    main()
