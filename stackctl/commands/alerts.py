"""`stackctl alerts`."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

import click

from stackctl.commands import complete
from stackctl.commands.alert_drill import drill
from stackctl.commands.options import DURATION, FORMAT, WATCH
from stackctl.commands.preview import preview
from stackctl.commands.session import Session, pass_session
from stackctl.errors import ServiceError, UsageError
from stackctl.ui.console import print_json
from stackctl.ui.watch import watch
from stackctl.util.environment import user_name

if TYPE_CHECKING:
    from rich.console import RenderableType

    from stackctl.alerts.active import ActiveAlert
    from stackctl.clients.alertmanager import AlertmanagerClient, Matcher, Receiver
    from stackctl.clients.prometheus import PrometheusClient

T = TypeVar("T")

_STYLES = {"firing": "red", "pending": "yellow"}
_SEVERITIES = ("critical", "warning", "info")
_CONFIG = "/etc/alertmanager/alertmanager.yml"


@click.group(
    invoke_without_command=True,
    epilog="\b\nExamples:\n  stackctl alerts\n  stackctl alerts --watch 5\n  stackctl alerts rules\n"
    "  stackctl alerts route severity=critical component=trading\n"
    "  stackctl alerts preview TradingHalted --channel slack\n"
    "  stackctl alerts drill\n"
    "  stackctl alerts silence add HighCPUUsage --for 2h --comment 'load test'\n"
    "  stackctl alerts silence list",
)
@FORMAT
@WATCH
@pass_session
@click.pass_context
def alerts(ctx: click.Context, session: Session, output: str, every: float | None) -> None:
    """Show active alerts, rules and routing, and manage silences."""
    if ctx.invoked_subcommand is not None:
        if every is not None:
            raise UsageError("--watch is only for active alerts", remedy="omit it")
        if output != "table":
            raise UsageError(
                f"--format before {ctx.invoked_subcommand!r} applies to active alerts",
                remedy=f"put it after {ctx.invoked_subcommand!r}",
            )
    elif every is not None:
        watch(session.out, every, output, lambda: _table(_active(session)))
    elif output == "json":
        print_json(
            [
                {
                    "alert": row.name,
                    "state": row.state,
                    "severity": row.severity,
                    "service": row.service,
                    "since": row.since.isoformat() if row.since else None,
                    "receivers": row.receivers,
                    "summary": row.summary,
                }
                for row in _active(session)
            ]
        )
    else:
        session.out.print(_table(_active(session)))


def _active(session: Session) -> list[ActiveAlert]:
    from stackctl.alerts import active as model

    async def ask(
        prometheus: PrometheusClient, alertmanager: AlertmanagerClient
    ) -> list[model.ActiveAlert]:
        held, received = await asyncio.gather(prometheus.alerts(), alertmanager.alerts())
        return model.active(held, received)

    return _ask(session, ask, "prometheus", "alertmanager")


def _table(rows: list[ActiveAlert]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return Text("No active alerts.", style="green")
    table = Table(box=None, pad_edge=False)
    for heading in ("alert", "state", "severity", "since"):
        table.add_column(heading, no_wrap=True)
    for heading in ("receivers", "summary"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row.name,
            Text(row.state, style=_STYLES.get(row.state, "dim")),
            row.severity,
            _ago(row.since),
            ", ".join(row.receivers),
            Text(row.summary),
        )
    return table


@alerts.command(
    epilog="\b\nExamples:\n  stackctl alerts rules\n  stackctl alerts rules --format json"
)
@FORMAT
@pass_session
def rules(session: Session, output: str) -> None:
    """Show the number of alerting rules by group and severity, and how many are pending or firing."""
    from stackctl.alerts import active as model

    async def ask(prometheus: PrometheusClient, _: AlertmanagerClient) -> list[model.RuleCount]:
        return model.count(await prometheus.rule_groups())

    rows = _ask(session, ask, "prometheus")
    if output == "json":
        found = [
            {"group": row.group, "severities": row.severities, "states": row.states} for row in rows
        ]
        print_json(found)
        return
    from rich.table import Table

    severities = Counter[str]()
    states = Counter[str]()
    for row in rows:
        severities += row.severities
        states += row.states
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("group", footer="total")
    for name in _SEVERITIES:
        table.add_column(name, justify="right", footer=str(severities[name]))
    for name in ("pending", "firing"):
        table.add_column(name, justify="right", footer=str(states[name]))
    for row in rows:
        counts = [row.severities[name] for name in _SEVERITIES]
        counts += [row.states["pending"], row.states["firing"]]
        table.add_row(row.group, *map(str, counts))
    session.out.print(table)


alerts.add_command(preview)
alerts.add_command(drill)


@alerts.command(epilog="\b\nExamples:\n  stackctl alerts route severity=critical component=trading")
@click.argument("labels", nargs=-1, required=True, metavar="LABEL=VALUE…")
@pass_session
def route(session: Session, labels: tuple[str, ...]) -> None:
    """Show which receivers and channels are notified of an alert with these labels.

    The running Alertmanager evaluates its routing tree. Time intervals are ignored, so a route that is muted now is
    included.
    """
    parsed = [one for text in labels for one in _labels(text)]
    session.require_running("alertmanager")
    engine = session.running.engine()
    command = ["amtool", "config", "routes", "test", f"--config.file={_CONFIG}", *parsed]
    container = engine.containers()["alertmanager"]
    receivers = engine.execute(container.id, command).strip()
    channels = _channels(session)
    for name in receivers.split(","):
        session.out.print(f"{name}: {', '.join(channels.get(name, ())) or 'no channel'}")


@alerts.group(
    epilog="\b\nExamples:\n  stackctl alerts silence add HighCPUUsage --for 2h --comment 'load test'\n"
    "  stackctl alerts silence list\n  stackctl alerts silence expire 0f3a…"
)
def silence() -> None:
    """Add, list and expire silences."""


@silence.command(
    "list",
    epilog="\b\nExamples:\n  stackctl alerts silence list\n  stackctl alerts silence list --format json",
)
@FORMAT
@pass_session
def list_(session: Session, output: str) -> None:
    """List active and pending silences."""

    from stackctl.clients.matchers import written

    async def ask(_: PrometheusClient, alertmanager: AlertmanagerClient) -> list[dict[str, str]]:
        return [
            {
                "id": one.id,
                "state": one.status.state,
                "matchers": ",".join(map(written, one.matchers)),
                "until": one.ends_at.isoformat(timespec="seconds"),
                "by": one.created_by,
                "comment": one.comment,
            }
            for one in await alertmanager.silences()
            if one.status.state != "expired"
        ]

    rows = _ask(session, ask)
    if output == "json":
        print_json(rows)
        return
    for row in rows:
        session.out.print(
            f"{row['id']}  {row['matchers']}, until {row['until']}, by {row['by']}: {row['comment']}",
            soft_wrap=True,
            markup=False,
        )
    if not rows:
        session.out.print("No silences.")


@silence.command(
    epilog="\b\nExamples:\n  stackctl alerts silence add HighCPUUsage --for 2h --comment 'load test'\n"
    "  stackctl alerts silence add service=kong severity=~'warning|info' --for 30m"
)
@click.argument(
    "matchers", nargs=-1, required=True, metavar="MATCHER…", shell_complete=complete.alerts
)
@click.option(
    "--for",
    "duration",
    type=DURATION,
    required=True,
    metavar="DURATION",
    help="Duration, such as 90s or 2h.",
)
@click.option("--comment", default="by stackctl", show_default=True, help="Reason for the silence.")
@pass_session
def add(session: Session, matchers: tuple[str, ...], duration: float, comment: str) -> None:
    """Silence alerts that match every MATCHER: an alert's name, or LABEL=VALUE (also !=, =~, !~).

    A value may be in double quotes, as amtool has it, and several matchers in braces, such as
    '{service="kong",severity=~"w.*"}'.
    """
    parsed = [one for text in matchers for one in _matchers(text)]
    now = dt.datetime.now(dt.UTC)

    async def ask(_: PrometheusClient, alertmanager: AlertmanagerClient) -> str:
        return await alertmanager.silence(
            parsed,
            starts_at=now,
            ends_at=now + dt.timedelta(seconds=duration),
            created_by=user_name(),
            comment=comment,
        )

    try:
        session.out.print(_ask(session, ask))
    except ServiceError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        raise UsageError(
            f"Alertmanager rejected the silence: {error.message}", remedy="correct the matcher"
        ) from None


def _matchers(text: str) -> list[Matcher]:
    from stackctl.clients.matchers import parse

    try:
        return parse(text)
    except ValueError as reason:
        raise UsageError(
            f"{text!r} is not a matcher: {reason}",
            remedy="use LABEL=VALUE, !=, =~ or !~, or an alert's name",
        ) from None


@silence.command(epilog="\b\nExamples:\n  stackctl alerts silence expire 0f3a…")
@click.argument("silence_id", metavar="ID")
@pass_session
def expire(session: Session, silence_id: str) -> None:
    """End a silence now."""

    async def ask(_: PrometheusClient, alertmanager: AlertmanagerClient) -> None:
        await alertmanager.expire(silence_id)

    try:
        _ask(session, ask)
    except ServiceError as error:
        if error.status not in {404, 422}:
            raise
        raise UsageError(
            f"unknown silence {silence_id}", remedy="see `stackctl alerts silence list`"
        ) from None
    session.out.print(f"silence {silence_id} expired")


def _ask(
    session: Session,
    ask: Callable[[PrometheusClient, AlertmanagerClient], Awaitable[T]],
    *services: str,
) -> T:
    """Query these services, by default Alertmanager. Raises NotRunning if they are not running."""
    from stackctl.clients.alertmanager import AlertmanagerClient
    from stackctl.clients.prometheus import PrometheusClient

    settings = session.running.settings

    async def run() -> T:
        async with (
            PrometheusClient(settings.url("prometheus")) as prometheus,
            AlertmanagerClient(settings.url("alertmanager")) as alertmanager,
        ):
            return await ask(prometheus, alertmanager)

    session.require_running(*(services or ("alertmanager",)))
    return asyncio.run(run())


def _labels(text: str) -> list[str]:
    """Return labels in a notation that every amtool accepts. Raises UsageError if they are not LABEL=VALUE."""
    from stackctl.clients.matchers import written

    found = _matchers(text) if "=" in text else []
    if not found or any(one.is_regex or not one.is_equal for one in found):
        raise UsageError(f"{text!r} is not LABEL=VALUE")
    return list(map(written, found))


def _channels(session: Session) -> dict[str, list[str]]:
    """Return the channels of each receiver in Alertmanager's loaded configuration."""
    from stackctl.services.channels import CHANNELS

    async def ask(_: PrometheusClient, alertmanager: AlertmanagerClient) -> list[Receiver]:
        return await alertmanager.receiver_configs()

    return {
        receiver.name: [
            channel.name for channel in CHANNELS if channel.configurations(receiver.settings)
        ]
        for receiver in _ask(session, ask)
    }


def _ago(since: dt.datetime | None) -> str:
    if since is None:
        return ""
    seconds = int((dt.datetime.now(dt.UTC) - since).total_seconds())
    return f"{seconds // 60}m{seconds % 60:02}s"
