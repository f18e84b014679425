"""`stackctl alerts drill`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from stackctl.commands import complete
from stackctl.commands.options import FORMAT
from stackctl.commands.session import Session, pass_session
from stackctl.errors import UsageError
from stackctl.services.channels import CHANNELS
from stackctl.ui.console import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from stackctl.config.settings import Settings
    from stackctl.verify.alert_drill import Drilled, DrillReport


@click.command(
    short_help="Send test alerts and check their delivery.",
    epilog="\b\nExamples:\n  stackctl alerts drill\n  stackctl alerts drill TradingHalted HighDailyLossLimit\n"
    "  stackctl alerts drill TradingHalted --channel slack",
)
@click.argument("alerts", nargs=-1, metavar="[ALERT]…", shell_complete=complete.alerts)
@click.option(
    "--channel",
    "keys",
    multiple=True,
    type=click.Choice([channel.key for channel in CHANNELS if channel.notifies_people]),
    help="Allow messages to this real channel (repeatable). Every configured channel must be allowed.",
)
@FORMAT
@pass_session
@click.pass_context
def drill(
    ctx: click.Context,
    session: Session,
    alerts: tuple[str, ...],
    keys: tuple[str, ...],
    output: str,
) -> None:
    """Send alerts through Alertmanager, firing and then resolved, and check that each is delivered as routed.

    Without ALERT, all alerts are sent, which takes no longer: about a minute. Labels and texts are those of the alerts'
    unit tests. The label `drill` marks them, and a separate value of the label `cluster` keeps them from inhibiting or
    joining real alerts. Messages begin with [drill ...]. The demo's notification-sink receives and shows the messages
    of channels that are not configured; for real channels, Alertmanager's counters are checked. Exits with 1 if an
    alert is not delivered as routed.
    """
    import asyncio

    from stackctl.alerts.examples import examples
    from stackctl.ui.progress import Spinner
    from stackctl.verify import alert_drill
    from stackctl.verify.context import open_context

    chosen = examples(alerts)
    project = session.running
    _require_consent(project.settings, keys)
    session.require_running("alertmanager")

    async def run() -> DrillReport:
        async with open_context(project, lambda *_: None) as context:
            if context.sink is None and not context.real_channels:
                raise UsageError(
                    "no channel is configured, and the demo's notification-sink is not running",
                    remedy="configure a channel; `stackctl config` lists the settings",
                )
            return await alert_drill.drill(context, chosen, spinner.update)

    with Spinner(session.err, f"sending {len(chosen)} alerts") as spinner:
        report = asyncio.run(run())
    if output == "json":
        print_json(
            {
                "passed": report.passed,
                "seconds": round(report.seconds, 1),
                "problems": report.problems,
                "alerts": [
                    {
                        "alert": one.alert,
                        "severity": one.labels.get("severity", ""),
                        "receivers": list(one.receivers),
                        "delivered_to": _deliveries(one),
                        "silenced_by": list(one.silenced_by),
                        "problems": one.problems,
                    }
                    for one in report.alerts
                ],
            }
        )
    else:
        _show(session.out, report)
    ctx.exit(0 if report.passed else 1)


def _require_consent(settings: Settings, keys: tuple[str, ...]) -> None:
    """Raise UsageError if a real channel would be notified without consent, or an allowed one is not configured."""
    from stackctl.verify.context import configured

    ready = {one.key: one for one in configured(settings)}
    for channel in CHANNELS:
        if channel.key in keys and channel.key not in ready:
            raise UsageError(
                f"{channel.name} is not configured",
                remedy=f"set {', '.join(settings.missing(channel.required))}",
            )
    unasked = [one for key, one in ready.items() if key not in keys]
    if unasked:
        raise UsageError(
            f"the drill would notify real channels: {', '.join(one.describe(settings) for one in unasked)}",
            remedy=f"allow it with {' '.join(f'--channel {one.key}' for one in unasked)}",
        )


def _deliveries(drilled: Drilled) -> list[str]:
    return sorted(" ".join(key) for key in drilled.expected.elements())


def _show(out: Console, report: DrillReport) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("alert", "severity"):
        table.add_column(heading, no_wrap=True)
    for heading in ("delivered to", "result"):
        table.add_column(heading, overflow="fold")
    for one in report.alerts:
        if one.problems:
            result = Text("; ".join(one.problems), style="red")
        elif one.silenced_by:
            result = Text("silenced", style="yellow")
        else:
            result = Text("ok" if one.expected else "notifies nobody", style="green")
        table.add_row(
            one.alert, one.labels.get("severity", ""), ", ".join(_deliveries(one)), result
        )
    out.print(table)
    for problem in report.problems:
        out.print(Text(problem, style="red"))
    noun = "alert" if len(report.alerts) == 1 else "alerts"
    failed = sum(bool(one.problems) for one in report.alerts)
    silenced = sum(bool(one.silenced_by) for one in report.alerts)
    outcome = f"{failed} not delivered as routed" if failed else "all delivered as routed"
    out.print(
        f"{len(report.alerts)} {noun} in {report.seconds:.0f} s: {outcome}"
        f"{f', {silenced} silenced' if silenced else ''}"
    )
