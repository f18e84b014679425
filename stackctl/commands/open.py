"""`stackctl open`."""

from __future__ import annotations

import click

from stackctl.commands import complete
from stackctl.commands.session import Session, pass_session
from stackctl.commands.urls import login
from stackctl.errors import ServiceError, UsageError

_DEFAULT = "grafana"
_CONNECT_SECONDS = 2.0


@click.command(
    "open",
    epilog="\b\nExamples:\n  stackctl open\n  stackctl open prometheus\n"
    "  stackctl open --dashboard trading-performance",
)
@click.argument("service", default=_DEFAULT, metavar="[SERVICE]", shell_complete=complete.pages)
@click.option(
    "-d",
    "--dashboard",
    metavar="NAME",
    shell_complete=complete.dashboards,
    help="Grafana dashboard to open, such as system-overview.",
)
@pass_session
def open_(session: Session, service: str, dashboard: str | None) -> None:
    """Open the web page of SERVICE (default: grafana) in the browser, and print its address.

    Without a browser, only the address is printed. Exits with 1 if nothing listens there.
    """
    import webbrowser

    from stackctl.util import paths
    from stackctl.util.suggest import nearest

    (chosen,) = session.running.select((service,))
    if chosen.page is None:
        pages = [one.name for one in session.running.services if one.page is not None]
        raise UsageError(f"{service} has no web page", remedy=f"known: {', '.join(pages)}")
    path = chosen.page
    if dashboard is not None:
        known = paths.dashboards()
        if service != _DEFAULT:
            raise UsageError("--dashboard requires grafana", remedy="omit SERVICE or --dashboard")
        if dashboard not in known:
            raise UsageError(f"unknown dashboard {dashboard!r}", remedy=nearest(dashboard, known))
        path = f"/d/{dashboard}"
    base = session.running.settings.url(service)
    session.require_running(service)
    _reach(service, base)
    click.echo(base + path)
    if service == _DEFAULT:
        session.err.print(login(session), markup=False, soft_wrap=True)
    if not webbrowser.open(base + path):
        session.err.print("No browser found: open the address above yourself.")


def _reach(service: str, base: str) -> None:
    """Raise ServiceError if nothing listens: a browser's error page would not say what to do."""
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(base)
    try:
        socket.create_connection((parts.hostname, parts.port), timeout=_CONNECT_SECONDS).close()
    except OSError:
        raise ServiceError(
            f"cannot connect to {service} at {base}",
            service=service,
            remedy=f"look for the reason with `stackctl logs {service}`",
        ) from None
