"""`stackctl runbook`."""

from __future__ import annotations

import click

from stackctl.commands import complete
from stackctl.commands.session import Session, pass_session
from stackctl.ui.console import print_document, print_markdown


@click.command(
    epilog="\b\nExamples:\n  stackctl runbook ServiceDown\n  stackctl runbook DISK_SPACE_LOW\n"
    "  stackctl runbook"
)
@click.argument("alert", required=False, shell_complete=complete.alerts)
@click.option("--raw", is_flag=True, help="Print the Markdown source.")
@pass_session
def runbook(session: Session, alert: str | None, raw: bool) -> None:
    """Show the runbook of ALERT, how to stop trading, and whom to call.

    ALERT may also be the name of a runbook. Without ALERT, list the runbooks and the alerts that each covers.
    Set RUNBOOK_KILL_SWITCH and RUNBOOK_CONTACTS to include your own procedure and contacts.
    """
    from stackctl.alerts import runbooks

    if alert is None:
        for one in runbooks.all_runbooks():
            print_document(f"{one.name}: {one.title}\n  {', '.join(one.alerts)}")
        return
    settings = session.untouched_project.settings
    on_call = runbooks.OnCall(settings["RUNBOOK_KILL_SWITCH"], settings["RUNBOOK_CONTACTS"])
    text = runbooks.text(alert, on_call)
    if raw:
        click.echo(text, nl=False)
    else:
        print_markdown(session.out, text)
