"""`stackctl chaos`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from stackctl.chaos.faults import FAULTS, Fault, owner_of
from stackctl.commands import complete
from stackctl.commands.options import DURATION
from stackctl.commands.session import Session, pass_session
from stackctl.errors import UsageError

if TYPE_CHECKING:
    from stackctl.chaos.journal import Journal
    from stackctl.chaos.timeline import Stage, Timeline
    from stackctl.docker.engine import Engine

_STAGES: dict[Stage, str] = {
    "fault": "fault injected",
    "pending": "pending in Prometheus",
    "firing": "firing in Prometheus",
    "alertmanager": "received by Alertmanager",
    "channel": "notification delivered",
    "healed": "recovered",
    "resolved": "resolved in Prometheus and Alertmanager",
    "channel-resolved": "resolution delivered",
}


@click.group(
    epilog="\b\nExamples:\n  stackctl chaos stop rust-core-engine --expect ServiceDown\n"
    "  stackctl chaos pause python-ai-service --for 90s\n  stackctl chaos fill memory redis --dry-run\n"
    "  stackctl chaos list\n  stackctl chaos heal"
)
def chaos() -> None:
    """Inject a fault into a service, check that its alert fires, and recover the service.

    Before a fault the service must be ready and the expected alert must not be active. A container that does not belong
    to this stack, but is monitored on a network that `up --attach` joined, is only affected with --attached.

    The service is recovered however the command ends: success, failure, Ctrl-C, SIGTERM or a closed terminal. If
    stackctl itself is killed, the fault stays in a journal: every command reports it, and `chaos heal` and `down`
    recover the service.
    """


class _Text(click.ParamType[str]):
    """Text that must match a pattern and is passed on unchanged."""

    def __init__(self, name: str, pattern: str, example: str) -> None:
        self.name = name
        self._pattern = pattern
        self._example = example

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not re.fullmatch(self._pattern, value):
            self.fail(f"{value!r} is not {self._example}", param, ctx)
        return value


_OPTIONS: Mapping[str, tuple[_Text, str]] = {
    "delay": (
        _Text("delay", r"\d{1,5}ms|\d{1,2}s", "a delay such as 300ms or 2s"),
        "Delay added to every packet that leaves the container.",
    ),
    "loss": (
        _Text("percent", r"(100|\d{1,2}(\.\d+)?)%", "a share such as 5%"),
        "Share of these packets to drop.",
    ),
    "share": (
        # At 100% the kernel would kill the service instead of putting it under pressure.
        _Text("percent", r"([1-9]|[1-8]\d|9[0-7])%", "a share from 1% to 97%"),
        "Share of the container's memory limit to use.",
    ),
    "size": (
        _Text("size", r"[1-9]\d{0,5}(MiB|GiB)", "a size such as 200MiB or 1GiB"),
        "Size of the file. At least 1 GiB of the disk stays free.",
    ),
}
"""The options of faults, by their names in `Fault.options`."""

_ADVICE = {
    "disconnect": "python-ai-service --for 30s",
    "fill disk": "prometheus --size 1GiB --for 5m",
    "fill memory": "redis --expect ContainerMemoryNearLimit",
    "restart": "kong",
    "slow": "rust-core-engine --delay 800ms --loss 10% --for 2m",
}


def _command(fault: Fault) -> click.Command:
    held = fault.seconds > 0
    params = [
        click.Option([f"--{name}"], type=type_, default=default, show_default=True, help=text)
        for name, default in fault.options.items()
        if name in _OPTIONS
        for type_, text in [_OPTIONS[name]]
    ]
    if held:
        how_long = f"Duration of the fault (default without --expect: {fault.seconds:.0f}s)."
        params.append(
            click.Option(["--for", "duration"], type=DURATION, metavar="DURATION", help=how_long)
        )
    example = _ADVICE.get(fault.name, "rust-core-engine --expect ServiceDown")

    @click.command(
        fault.name.split()[-1],
        params=params,
        short_help=f"{fault.help}.",
        help=f"{fault.help}{', then recover it' if held else ''}.",
        epilog=f"\b\nExamples:\n  stackctl chaos {fault.name} {example}\n"
        f"  stackctl chaos {fault.name} {example} --dry-run",
    )
    @click.argument("service", shell_complete=complete.services)
    @click.option(
        "--expect",
        "alert",
        metavar="ALERT",
        shell_complete=complete.alerts,
        help="Wait until this alert fires, recover the service, and wait until the alert is resolved.",
    )
    @click.option(
        "--timeout",
        type=DURATION,
        metavar="DURATION",
        help="With --expect: longest wait for the alert and for its resolution (default: its `for` plus 90 s).",
    )
    @click.option(
        "--dry-run", is_flag=True, help="Only print what would be done, and how it would be undone."
    )
    @click.option(
        "--force",
        is_flag=True,
        help="Continue even if the service is not ready or the expected alert is already active.",
    )
    @click.option(
        "--attached",
        is_flag=True,
        help="Allow a container of the attached bot-core, which does not belong to this stack.",
    )
    @pass_session
    def run(
        session: Session,
        /,
        service: str,
        alert: str | None,
        timeout: float | None,
        dry_run: bool,
        force: bool,
        attached: bool,
        duration: float | None = None,
        **options: str,
    ) -> None:
        import asyncio

        from stackctl.chaos.journal import Journal
        from stackctl.chaos.steady import require_ready

        project = session.running
        (target,) = project.select((service,))
        if alert and duration is not None:
            raise UsageError(
                "--for cannot be combined with --expect",
                remedy="omit it: with --expect the fault lasts until the alert fires",
            )
        chosen = replace(fault, options={**fault.options, **options}, attached=attached)
        seconds = fault.seconds if duration is None else duration
        engine, journal = project.engine(), Journal(project.state)
        if dry_run:
            plan = chosen.lasting(seconds).plan(engine, journal, service)
            until = f"until {alert} is delivered" if alert else f"{seconds:.0f} s"
            for line in (
                *(
                    [f"note:  {service} does not belong to this stack: {owner_of(plan.container)}"]
                    if plan.container.attached
                    else []
                ),
                f"check: {service} must be ready{f', and {alert} must not be active' if alert else ''}",
                f"fault: {plan.does}",
                *([f"lasts: {until}"] if alert or held else []),
                f"heal:  {plan.heals}",
                "Dry run: nothing was changed.",
            ):
                session.out.print(line, soft_wrap=True, markup=False)
            return
        chosen.target(engine, journal, service)
        if not force:
            asyncio.run(require_ready(engine, project.settings, target))
        if alert:
            _drill(session, chosen, service, alert, engine, journal, timeout, force=force)
        else:
            _hold(session, chosen, service, engine, journal, seconds)

    return run


_fill = click.Group(
    "fill",
    help="Fill the memory or a volume of a service, within limits.",
    epilog="\b\nExamples:\n  stackctl chaos fill memory redis --expect ContainerMemoryNearLimit\n"
    "  stackctl chaos fill disk prometheus --size 1GiB --for 5m",
)
chaos.add_command(_fill)

for _fault in FAULTS.values():
    (_fill if _fault.name.startswith("fill ") else chaos).add_command(_command(_fault))


def _hold(
    session: Session, fault: Fault, service: str, engine: Engine, journal: Journal, seconds: float
) -> None:
    from stackctl.chaos.faults import injected
    from stackctl.ui.progress import Spinner
    from stackctl.util.signals import sleep

    with (
        Spinner(session.err, f"{fault.name} of {service}") as spinner,
        injected(engine, journal, fault.lasting(seconds), service),
    ):
        if seconds:
            spinner.print(
                session.err,
                f"{fault.name} of {service} for {seconds:.0f} s; press Ctrl-C to recover it now",
            )
            sleep(seconds)
    session.out.print(f"recovered from {fault.name} of {service}")


def _drill(
    session: Session,
    fault: Fault,
    service: str,
    alert: str,
    engine: Engine,
    journal: Journal,
    timeout: float | None,
    *,
    force: bool,
) -> None:
    import asyncio

    from stackctl.chaos import drill
    from stackctl.clients.alertmanager import AlertmanagerClient
    from stackctl.clients.prometheus import PrometheusClient
    from stackctl.clients.sink import SinkClient
    from stackctl.ui.progress import Spinner
    from stackctl.verify.context import destinations

    settings = session.running.settings
    # The demo's sink shows every message only if no real channel is configured.
    where = destinations(settings)
    seen = session.running.choices.demo and not where
    if where:
        session.err.print(
            f"{alert} will notify real channels: {where}", style="yellow", soft_wrap=True
        )
    begun: list[Timeline] = []

    async def run(
        reached: Callable[[Stage, float], None], waiting: Callable[[str], None]
    ) -> Timeline:
        async with (
            PrometheusClient(settings.url("prometheus")) as prometheus,
            AlertmanagerClient(settings.url("alertmanager")) as alertmanager,
            SinkClient(settings.url("notification-sink")) as sink,
        ):
            return await drill.run(
                fault,
                service,
                alert,
                engine=engine,
                journal=journal,
                prometheus=prometheus,
                alertmanager=alertmanager,
                sink=sink if seen else None,
                timeout=timeout,
                begun=begun.append,
                reached=reached,
                waiting=waiting,
                force=force,
            )

    with Spinner(session.err, f"{fault.name} of {service}") as spinner:

        def reached(stage: Stage, seconds: float) -> None:
            spinner.print(session.out, f"{seconds:7.1f} s  {_STAGES[stage]}")

        try:
            asyncio.run(run(reached, spinner.update))
        finally:
            for span in (span for timeline in begun for span in timeline.spans()):
                style = "yellow" if span.slow else "dim"
                spinner.print(session.out, f"{span.name}: {span.describe()}", style=style)
    session.out.print(f"{alert} of {service} fired and was resolved.", style="green")


@chaos.command(
    "list",
    short_help="List available and open faults.",
    epilog="\b\nExamples:\n  stackctl chaos list",
)
@pass_session
def list_(session: Session) -> None:
    """List the available faults, the open faults, and services that do not belong to this stack."""
    from rich.table import Table

    from stackctl.chaos.journal import Journal

    table = Table.grid(padding=(0, 2))
    for fault in FAULTS.values():
        table.add_row(fault.name, fault.help)
    session.out.print(table)
    project = session.running
    open_faults = Journal(project.state).open_faults()
    session.out.print()
    for record in open_faults:
        session.out.print(f"open: {record.describe()}{' (abandoned)' if record.abandoned else ''}")
    if not open_faults:
        session.out.print("No open faults.")
    foreign_containers = [one.name for one in project.services if one.profile == "attached"]
    if foreign_containers:
        session.out.print(
            f"Only with --attached, because they do not belong to this stack: {', '.join(foreign_containers)}.",
            soft_wrap=True,
        )


@chaos.command(epilog="\b\nExamples:\n  stackctl chaos heal")
@pass_session
@click.pass_context
def heal(ctx: click.Context, session: Session) -> None:
    """Recover from every open fault of this project."""
    from stackctl.chaos.faults import heal_all
    from stackctl.chaos.journal import Journal

    project = session.running
    journal = Journal(project.state)
    healed = heal_all(project.whole_engine(), journal)
    for record in healed:
        session.out.print(f"recovered: {record.describe()}")
    # The session has already reported them.
    if journal.unreadable():
        ctx.exit(1)
    if not healed:
        session.out.print("No open faults.")
