"""`stackctl runbook`."""

from __future__ import annotations

import click

from stackctl.commands import complete
from stackctl.commands.session import Session, pass_session
from stackctl.ui.console import print_markdown


@click.command(epilog="\b\nExamples:\n  stackctl runbook ServiceDown\n  stackctl runbook")
@click.argument("alert", required=False, shell_complete=complete.alerts)
@click.option("--raw", is_flag=True, help="Print the Markdown as it is.")
@pass_session
def runbook(session: Session, alert: str | None, raw: bool) -> None:
    """Show what to do about ALERT; without one, list the runbooks with their alerts."""
    from stackctl.alerts import runbooks

    if alert is None:
        alerts: dict[str, list[str]] = {}
        for name, file in runbooks.by_alert().items():
            alerts.setdefault(file, []).append(name)
        for file, names in sorted(alerts.items()):
            session.out.print(f"{file}: {', '.join(names)}")
        return
    text = runbooks.text(alert)
    if raw:
        click.echo(text, nl=False)
    else:
        print_markdown(session.out, text)
