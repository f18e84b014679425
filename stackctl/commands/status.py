"""`stackctl status`."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from stackctl.commands.options import FORMAT, WATCH
from stackctl.commands.session import Session, pass_session
from stackctl.ui.console import print_json
from stackctl.ui.watch import watch

if TYPE_CHECKING:
    from rich.table import Table

    from stackctl.docker.models import Usage

_WIDE = 120
_RECENT_SECONDS = 60
_STYLES = {"running": "green", "exited": "red", "dead": "red", "restarting": "red"}


@click.command(
    epilog="\b\nExamples:\n  stackctl status\n  stackctl status --watch 5\n  stackctl status --format json"
)
@FORMAT
@WATCH
@pass_session
@click.pass_context
def status(ctx: click.Context, session: Session, output: str, every: float | None) -> None:
    """Show each service's state, readiness, uptime, CPU, memory, address and image.

    Exits with 1 if a service is not ready.
    """
    if every is not None:
        watch(session.out, every, output, lambda: _table(session, _rows(session)))
    rows = _rows(session)
    if output == "json":
        print_json([row.__dict__ for row in rows])
    else:
        session.out.print(_table(session, rows))
    if any(row.ready != "ready" for row in rows):
        ctx.exit(1)


@dataclass(frozen=True)
class Row:
    """A service in the output of `status`; `uptime` is in seconds, memory in bytes.

    `cpu_percent` is the mean over the last `cpu_window_seconds`, in percent of one CPU.
    """

    service: str
    image: str
    standin: bool
    state: str
    ready: str
    uptime: float | None
    cpu_percent: float | None
    cpu_window_seconds: float | None
    memory: int | None
    memory_limit: int | None
    url: str | None
    health_check: str | None
    """The result of the container's last health check, if it failed."""


def _rows(session: Session) -> list[Row]:
    import asyncio

    from stackctl.project import resource_usage
    from stackctl.readiness.probes import probe_once
    from stackctl.services.catalog import PUBLISHED_PORTS

    project = session.running
    engine = project.engine()
    containers = engine.containers()
    running = [state.name for state in containers.values() if state.running]
    prometheus = containers.get("prometheus")
    url = project.settings.url("prometheus") if prometheus and prometheus.running else None

    async def ask() -> tuple[dict[str, Usage], dict[str, str]]:
        return await asyncio.gather(
            resource_usage.measure(engine, url, running),
            probe_once(project.services, engine, project.settings, containers),
        )

    usage, answers = asyncio.run(ask())
    now = dt.datetime.now(dt.UTC)
    rows = []
    for service in project.services:
        state = containers.get(service.name)
        used = usage.get(state.name) if state else None
        rows.append(
            Row(
                service=service.name,
                image=state.image if state else "",
                standin=bool(state and state.standin),
                state=state.status if state else "absent",
                ready=answers[service.name],
                uptime=(now - state.started).total_seconds()
                if state and state.running and state.started
                else None,
                cpu_percent=used.cpu_percent if used else None,
                cpu_window_seconds=used.window if used else None,
                memory=used.memory_bytes if used else None,
                memory_limit=used.memory_limit_bytes if used else None,
                url=project.settings.url(service.name)
                if service.name in PUBLISHED_PORTS and service.profile in {"monitoring", "demo"}
                else None,
                health_check=project.redacted(str(state.failed_check))
                if state and state.running and state.failed_check
                else None,
            )
        )
    return rows


def _table(session: Session, rows: list[Row]) -> Table:
    """Return the table; it omits the images on a terminal with fewer than 120 columns."""
    from rich.table import Table
    from rich.text import Text

    wide = session.out.width >= _WIDE
    table = Table(box=None, pad_edge=False)
    for heading, right in (
        ("service", False),
        ("state", False),
        ("ready", False),
        ("up", True),
        ("CPU %", True),
        ("memory", True),
        ("address", False),
        *((("image", False),) if wide else ()),
    ):
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(
            row.service + (" *" if row.standin else ""),
            Text(row.state, style=_STYLES.get(row.state, "yellow")),
            Text(
                "yes" if row.ready == "ready" else row.ready,
                style="green" if row.ready == "ready" else "red",
            ),
            _uptime(row.uptime),
            "" if row.cpu_percent is None else f"{row.cpu_percent:.1f}",
            _memory(row),
            (row.url or "").removeprefix("http://"),
            *((row.image,) if wide else ()),
        )
    notes = [f"{row.service}: {row.health_check}" for row in rows if row.health_check]
    if any(row.standin for row in rows):
        notes.append("* stand-in for the real program")
    notes += _windows(rows)
    if notes:
        table.caption = Text("\n".join(notes))
        table.caption_justify = "left"
    return table


def _windows(rows: list[Row]) -> list[str]:
    """Return a note on the time over which the CPU usage is averaged."""
    windows = {row.service: row.cpu_window_seconds for row in rows if row.cpu_window_seconds}
    recent = [name for name, seconds in windows.items() if seconds <= _RECENT_SECONDS]
    others = [name for name in windows if name not in recent]
    if not others:
        return ["CPU %: mean over the last minute"] if recent else []
    if not recent:
        return ["CPU %: mean since each container started"]
    return [f"CPU %: mean over the last minute; since the container started: {', '.join(others)}"]


def _uptime(seconds: float | None) -> str:
    if seconds is None:
        return ""
    hours, rest = divmod(int(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{left:02}s"


def _memory(row: Row) -> str:
    if row.memory is None or row.memory_limit is None:
        return ""
    mib = 1024 * 1024
    return f"{row.memory / mib:.0f}/{row.memory_limit / mib:.0f}M"
