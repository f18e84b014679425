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
    "fault": "fault in place",
    "pending": "pending in Prometheus",
    "firing": "firing in Prometheus",
    "alertmanager": "arrived in Alertmanager",
    "channel": "told to a channel",
    "healed": "healed",
    "resolved": "resolved in both",
    "channel-resolved": "its end told to a channel",
}


@click.group(
    epilog="\b\nExamples:\n  stackctl chaos stop rust-core-engine --expect ServiceDown\n"
    "  stackctl chaos pause python-ai-service --for 90s\n  stackctl chaos fill memory redis --dry-run\n"
    "  stackctl chaos list\n  stackctl chaos heal"
)
def chaos() -> None:
    """Break a service on purpose, see that the alert comes, and heal it.

    Before a fault the service must be ready, and the expected alert must not be active. A container that is not this
    stack's, but watched on a network that `up --attach` joined, is left alone unless you give --attached.

    A fault is healed on every way out: success, failure, Ctrl-C, SIGTERM, a closed terminal. After a kill -9 of
    stackctl itself the journal still has it: every command says so, and `chaos heal` and `down` heal it.
    """


class _Text(click.ParamType[str]):
    """Text of one form, given on as it is written."""

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
        "Added to every packet that leaves the container.",
    ),
    "loss": (
        _Text("percent", r"(100|\d{1,2}(\.\d+)?)%", "a share such as 5%"),
        "How many of these packets are lost.",
    ),
    "share": (
        # At the whole of it the kernel would kill the service instead of pressing it.
        _Text("percent", r"([1-9]|[1-8]\d|9[0-7])%", "a share from 1% to 97%"),
        "How much of the container's memory limit is to be in use.",
    ),
    "size": (
        _Text("size", r"[1-9]\d{0,5}(MiB|GiB)", "a size such as 200MiB or 1GiB"),
        "How large the file is. 1 GiB of the disk stays free in any case.",
    ),
}
"""What can be chosen about a fault, by the names in `Fault.options`."""

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
        how_long = f"How long ({fault.seconds:.0f}s without --expect)."
        params.append(
            click.Option(["--for", "duration"], type=DURATION, metavar="DURATION", help=how_long)
        )
    example = _ADVICE.get(fault.name, "rust-core-engine --expect ServiceDown")

    @click.command(
        fault.name.split()[-1],
        params=params,
        help=f"Do {fault.name} to SERVICE: {fault.help}.{' Then heal it.' if held else ''}",
        epilog=f"\b\nExamples:\n  stackctl chaos {fault.name} {example}\n"
        f"  stackctl chaos {fault.name} {example} --dry-run",
    )
    @click.argument("service", shell_complete=complete.services)
    @click.option(
        "--expect",
        "alert",
        metavar="ALERT",
        shell_complete=complete.alerts,
        help="Wait until this alert fires; heal; wait until it is resolved.",
    )
    @click.option(
        "--timeout",
        type=DURATION,
        metavar="DURATION",
        help="With --expect: longest wait for the alert, and for its end (its `for` and 90 s).",
    )
    @click.option(
        "--dry-run", is_flag=True, help="Only say what would be done and how it would be healed."
    )
    @click.option(
        "--force",
        is_flag=True,
        help="Go on if the service is not ready, or the expected alert is active already.",
    )
    @click.option(
        "--attached",
        is_flag=True,
        help="Do it to a container that is not this stack's too: one of the bot-core that `up --attach` joined.",
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
                "--for goes without --expect", remedy="with --expect the alert decides when to heal"
            )
        chosen = replace(fault, options={**fault.options, **options}, attached=attached)
        seconds = fault.seconds if duration is None else duration
        engine, journal = project.engine(), Journal(project.state)
        if dry_run:
            plan = chosen.lasting(seconds).plan(engine, journal, service)
            until = f"until {alert} is in Alertmanager" if alert else f"for {seconds:.0f} s"
            for line in (
                *(
                    [f"note:  not this stack's: {owner_of(plan.container)}"]
                    if plan.container.attached
                    else []
                ),
                f"first: {service} must be ready{f' and {alert} not active' if alert else ''}",
                f"fault: {plan.does}",
                *([f"held:  {until}"] if alert or held else []),
                f"heal:  {plan.heals}",
                "Nothing was done.",
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
    help="Press a service within its own limits.",
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
                f"{fault.name} of {service} for {seconds:.0f} s; Ctrl-C heals it at once",
            )
            sleep(seconds)
    session.out.print(f"{fault.name} of {service} healed")


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
    # The demo's sink shows what is sent only where it stands in the place of every channel.
    where = destinations(settings)
    seen = session.running.choices.demo and not where
    if where:
        session.err.print(f"{alert} goes to real channels: {where}", style="yellow", soft_wrap=True)
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
    session.out.print(f"{alert} of {service} fired and is resolved.", style="green")


@chaos.command("list", epilog="\b\nExamples:\n  stackctl chaos list")
@pass_session
def list_(session: Session) -> None:
    """List the faults there are, those that are open, and the services that are not this stack's."""
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
        session.out.print(
            f"open: {record.describe()}{' (nobody will heal it)' if record.abandoned else ''}"
        )
    if not open_faults:
        session.out.print("No open fault.")
    foreign_containers = [one.name for one in project.services if one.profile == "attached"]
    if foreign_containers:
        session.out.print(
            f"Only with --attached, as they are not this stack's: {', '.join(foreign_containers)}.",
            soft_wrap=True,
        )


@chaos.command(epilog="\b\nExamples:\n  stackctl chaos heal")
@pass_session
@click.pass_context
def heal(ctx: click.Context, session: Session) -> None:
    """Heal every open fault of this project, whoever did it."""
    from stackctl.chaos.faults import heal_all
    from stackctl.chaos.journal import Journal

    project = session.running
    journal = Journal(project.state)
    healed = heal_all(project.whole_engine(), journal)
    for record in healed:
        session.out.print(f"healed: {record.describe()}")
    # The session has said which.
    if journal.unreadable():
        ctx.exit(1)
    if not healed:
        session.out.print("No open fault.")
