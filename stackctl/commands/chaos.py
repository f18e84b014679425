"""`stackctl chaos`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from stackctl.chaos.faults import FAULTS, Fault
from stackctl.commands.common import DURATION, Session, pass_session
from stackctl.errors import UsageError

if TYPE_CHECKING:
    from stackctl.chaos.drill import Stage, Timeline
    from stackctl.chaos.journal import Journal
    from stackctl.stack.engine import Engine

_STAGES: dict[Stage, str] = {
    "fault": "fault in place",
    "pending": "pending in Prometheus",
    "firing": "firing in Prometheus",
    "alertmanager": "arrived in Alertmanager",
    "healed": "healed",
    "resolved": "resolved in both",
}


@click.group(
    epilog="\b\nExamples:\n  stackctl chaos stop rust-core-engine --expect ServiceDown\n"
    "  stackctl chaos pause python-ai-service --for 90s\n  stackctl chaos list\n  stackctl chaos heal"
)
def chaos() -> None:
    """Break a service on purpose, see that the alert comes, and heal it.

    A fault is healed on every way out: success, failure, Ctrl-C, SIGTERM. After a kill -9 of stackctl itself the
    journal still has it: every command says so, and `chaos heal` and `down` heal it.
    """


def _command(fault: Fault) -> click.Command:
    @click.command(
        fault.name,
        help=f"Do {fault.name} to SERVICE: {fault.help}. Then heal it.",
        epilog=f"\b\nExamples:\n  stackctl chaos {fault.name} rust-core-engine --expect ServiceDown\n"
        f"  stackctl chaos {fault.name} python-ai-service --for 30s",
    )
    @click.argument("service")
    @click.option(
        "--expect",
        "alert",
        metavar="ALERT",
        help="Wait until this alert fires; heal; wait until it is resolved.",
    )
    @click.option(
        "--for",
        "duration",
        type=DURATION,
        metavar="DURATION",
        help="How long (30s without --expect).",
    )
    @click.option(
        "--timeout",
        type=DURATION,
        metavar="DURATION",
        help="With --expect: longest wait for the alert, and for its end (its `for` and 90 s).",
    )
    @pass_session
    def run(
        session: Session,
        service: str,
        alert: str | None,
        duration: float | None,
        timeout: float | None,
    ) -> None:
        from stackctl.chaos.journal import Journal
        from stackctl.stack import services

        services.select([service])
        if alert and duration is not None:
            raise UsageError(
                "--for goes without --expect", remedy="with --expect the alert decides when to heal"
            )
        project = session.project
        engine, journal = project.engine(), Journal(project.state)
        if alert:
            _drill(session, fault, service, alert, engine, journal, timeout)
        else:
            _hold(session, fault, service, engine, journal, 30.0 if duration is None else duration)

    return run


for _fault in FAULTS.values():
    chaos.add_command(_command(_fault))


def _hold(
    session: Session, fault: Fault, service: str, engine: Engine, journal: Journal, seconds: float
) -> None:
    from stackctl.chaos.faults import injected

    with injected(engine, journal, fault, service):
        session.err.print(f"{fault.name} of {service} for {seconds:.0f} s; Ctrl-C heals it at once")
        time.sleep(seconds)
    session.out.print(f"{fault.name} of {service} healed")


def _drill(
    session: Session,
    fault: Fault,
    service: str,
    alert: str,
    engine: Engine,
    journal: Journal,
    timeout: float | None,
) -> None:
    import asyncio

    from stackctl.chaos import drill
    from stackctl.clients.alertmanager import AlertmanagerClient
    from stackctl.clients.prometheus import PrometheusClient

    settings = session.project.settings

    async def run(
        reached: Callable[[Stage, float], None], waiting: Callable[[str], None]
    ) -> Timeline:
        async with (
            PrometheusClient(settings.url("prometheus")) as prometheus,
            AlertmanagerClient(settings.url("alertmanager")) as alertmanager,
        ):
            return await drill.run(
                fault,
                service,
                alert,
                engine=engine,
                journal=journal,
                prometheus=prometheus,
                alertmanager=alertmanager,
                timeout=timeout,
                reached=reached,
                waiting=waiting,
            )

    with session.err.status(f"{fault.name} of {service}") as spinner:

        def reached(stage: Stage, seconds: float) -> None:
            session.out.print(f"{seconds:7.1f} s  {_STAGES[stage]}")

        asyncio.run(run(reached, spinner.update))
    session.out.print(f"{alert} of {service} fired and is resolved.", style="green")


@chaos.command("list", epilog="\b\nExamples:\n  stackctl chaos list")
@pass_session
def list_(session: Session) -> None:
    """List the faults there are, and those that are open."""
    from rich.table import Table

    from stackctl.chaos.journal import Journal

    table = Table.grid(padding=(0, 2))
    for fault in FAULTS.values():
        table.add_row(fault.name, fault.help)
    session.out.print(table)
    open_faults = Journal(session.project.state).open_faults()
    session.out.print()
    for record in open_faults:
        session.out.print(
            f"open: {record.describe()}{' (nobody will heal it)' if record.abandoned else ''}"
        )
    if not open_faults:
        session.out.print("No open fault.")


@chaos.command(epilog="\b\nExamples:\n  stackctl chaos heal")
@pass_session
def heal(session: Session) -> None:
    """Heal every open fault of this project, whoever did it."""
    from stackctl.chaos.faults import heal_all
    from stackctl.chaos.journal import Journal

    project = session.project
    healed = heal_all(project.engine(demo=True), Journal(project.state))
    for record in healed:
        session.out.print(f"healed: {record.describe()}")
    if not healed:
        session.out.print("No open fault.")
