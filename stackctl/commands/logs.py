"""`stackctl logs`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from queue import Empty, Queue
from typing import TYPE_CHECKING

import click

from stackctl.commands import complete
from stackctl.commands.options import Finite
from stackctl.commands.session import Session, pass_session
from stackctl.errors import ServiceError, StackctlError, UsageError

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine

_LOOK_SECONDS = 0.2
_AHEAD = 1000
"""How many lines to buffer for a slow reader; after that, the reading threads wait."""
_YEAR_MINUTES = 365 * 24 * 60.0


@click.command(
    epilog="\b\nExamples:\n  stackctl logs rust-core-engine\n  stackctl logs -f python-ai-service nextjs-ui-dashboard\n"
    "  stackctl logs --from loki --filter '|= \"health\"' rust-core-engine"
)
@click.argument("services", nargs=-1, metavar="[SERVICE]...", shell_complete=complete.services)
@click.option(
    "--from",
    "source",
    type=click.Choice(["docker", "loki"]),
    default="docker",
    show_default=True,
    help="Read the containers' logs, or those in Loki.",
)
@click.option(
    "--filter",
    "line_filter",
    default="",
    metavar="LOGQL",
    help="With --from loki: a LogQL pipeline, or a complete query with a selector.",
)
@click.option(
    "--since",
    default=15.0,
    show_default=True,
    type=Finite(min=0.1, max=_YEAR_MINUTES),
    metavar="MINUTES",
    help="With --from loki: how far to look back.",
)
@click.option(
    "-n",
    "--tail",
    default=100,
    show_default=True,
    type=click.IntRange(1, 5000),
    metavar="LINES",
    help="Number of lines to show from the end (docker: for each service; loki: in total).",
)
@click.option("-f", "--follow", is_flag=True, help="Follow new lines (docker only).")
@pass_session
def logs(
    session: Session,
    services: tuple[str, ...],
    source: str,
    line_filter: str,
    since: float,
    tail: int,
    follow: bool,
) -> None:
    """Show the logs of the given services, or of all services."""
    chosen = [
        service.name
        for service in (session.running.select(services) if services else session.running.services)
    ]
    if source == "loki":
        if follow:
            raise UsageError(
                "--follow requires --from docker", remedy="omit --follow or --from loki"
            )
        _from_loki(session, _query(chosen, services, line_filter.strip()), since, tail)
    elif line_filter:
        raise UsageError("--filter requires --from loki", remedy="add --from loki")
    else:
        _from_docker(session, chosen, tail, follow=follow)


def _from_docker(session: Session, services: list[str], tail: int, *, follow: bool) -> None:
    engine = session.running.engine()
    containers = engine.containers()
    missing = [name for name in services if name not in containers]
    if len(missing) == len(services):
        session.require_running(*missing)
        raise UsageError(f"no container for {', '.join(missing)}", remedy="stackctl up")
    present = [name for name in services if name in containers]
    width = max(map(len, present)) if len(present) > 1 else 0
    ids = {name: containers[name].id for name in present}
    lines = _followed(engine, ids, tail) if follow else _read(engine, ids, tail)
    for service, line in lines:
        text = line.decode(errors="replace").rstrip("\n")
        sys.stdout.write(f"{service:{width}} | {text}\n" if width else f"{text}\n")
        sys.stdout.flush()


def _read(engine: Engine, ids: Mapping[str, str], tail: int) -> Iterator[tuple[str, bytes]]:
    """Yield each service's last lines, one service after the other."""
    for service, container in ids.items():
        for _, line in engine.follow_logs(container, lines=tail, follow=False):
            yield service, line


def _followed(engine: Engine, ids: Mapping[str, str], tail: int) -> Iterator[tuple[str, bytes]]:
    """Yield the services' lines as they arrive, until all have ended. Raises EngineError if a log cannot be read."""
    arrived: Queue[tuple[str, bytes] | StackctlError | None] = Queue(_AHEAD)

    def read(service: str) -> None:
        try:
            for _, line in engine.follow_logs(ids[service], lines=tail, follow=True):
                arrived.put((service, line))
        except StackctlError as error:
            arrived.put(error)
        else:
            arrived.put(None)

    for service in ids:
        # Daemon threads, so that Ctrl-C ends the command while they wait for a line.
        threading.Thread(target=read, args=(service,), daemon=True).start()
    still_open = len(ids)
    while still_open:
        try:
            # A signal may not wake a thread that waits for another one, so wait only briefly.
            item = arrived.get(timeout=_LOOK_SECONDS)
        except Empty:
            continue
        if item is None:
            still_open -= 1
        elif isinstance(item, StackctlError):
            raise item
        else:
            yield item


def _query(chosen: list[str], services: tuple[str, ...], line_filter: str) -> str:
    """Return the LogQL query: the services' lines with a pipeline applied, or a complete query as it is."""
    if line_filter.startswith("{"):
        if services:
            raise UsageError(
                f"a filter with a selector, {line_filter}, cannot be combined with SERVICE",
                remedy="omit the services or the selector",
            )
        return line_filter
    return f'{{job=~"{"|".join(chosen)}"}} {line_filter}'.strip()


def _from_loki(session: Session, query: str, since: float, limit: int) -> None:
    import asyncio
    import time

    from stackctl.clients.loki import LokiClient

    now = time.time_ns()
    start = now - int(since * 60e9)

    async def ask() -> list[tuple[int, str, str]]:
        async with LokiClient(session.running.settings.url("loki")) as loki:
            streams = await loki.query_range(query, start=start, end=now, limit=limit)
        return sorted(
            (entry.timestamp, stream.labels.get("job", ""), entry.line)
            for stream in streams
            for entry in stream.entries
        )

    session.require_running("loki")
    try:
        rows = asyncio.run(ask())
    except ServiceError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        raise UsageError(
            f"Loki rejected the query {query}: {error.message}",
            remedy="correct --filter: use a pipeline such as '|= \"health\"', or a selector and a pipeline",
        ) from None
    width = max((len(job) for _, job, _ in rows), default=0)
    for _, job, line in rows:
        # An entry may have several lines, such as a traceback.
        for part in line.split("\n"):
            sys.stdout.write(f"{job:{width}} | {part}\n")
    if not rows:
        session.err.print(f"no lines of {query} in the last {since:g} minutes", markup=False)
