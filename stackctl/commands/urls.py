"""`stackctl urls`."""

from __future__ import annotations

import click

from stackctl.commands.options import FORMAT
from stackctl.commands.session import Session, pass_session
from stackctl.ui.console import print_json


@click.command(epilog="\b\nExamples:\n  stackctl urls\n  stackctl urls --format json")
@FORMAT
@pass_session
def urls(session: Session, output: str) -> None:
    """Show the services' addresses and how to log in to Grafana."""
    if output == "json":
        print_json(_addresses(session))
    else:
        print_urls(session)


def print_urls(session: Session) -> None:
    """Print the address of every service with a web page, and where to find Grafana's password."""
    from rich.table import Table

    table = Table.grid(padding=(0, 3))
    for service, address in _addresses(session).items():
        table.add_row(service, address)
    session.out.print(table)
    session.out.print(f"\n{login(session)}", markup=False, soft_wrap=True)


def login(session: Session) -> str:
    """Return how to log in to Grafana: where to find the password, never the password itself."""
    project = session.running
    if project.secrets.is_generated("GRAFANA_PASSWORD"):
        where = f"is in {project.state.secrets / 'grafana_password'}"
    else:
        where = f"is GRAFANA_PASSWORD ({project.settings.values['GRAFANA_PASSWORD'].origin})"
    return f"Grafana login: user admin, the password {where}"


def _addresses(session: Session) -> dict[str, str]:
    project = session.running
    return {
        service.name: project.settings.url(service.name) + service.page.rstrip("/")
        for service in project.services
        if service.page is not None and service.profile not in {"application", "attached"}
    }
