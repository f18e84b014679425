"""`stackctl snapshot`."""

from __future__ import annotations

from pathlib import Path

import click

from stackctl.commands import complete
from stackctl.commands.options import FILE
from stackctl.commands.session import Session, pass_session


@click.command(
    epilog="\b\nExamples:\n  stackctl snapshot system-overview\n"
    "  stackctl snapshot api-performance --from now-6h -o incident.html\n"
    "  stackctl snapshot trading-performance --from 2026-05-01T12:00 --to 2026-05-01T13:00"
)
@click.argument("dashboard", shell_complete=complete.dashboards)
@click.option(
    "-o",
    "--output",
    type=FILE,
    metavar="FILE",
    help="Output file (default: DASHBOARD-TIME.html in the current folder).",
)
@click.option(
    "--from", "start", default="now-1h", show_default=True, metavar="TIME", help="Start time."
)
@click.option("--to", "end", default="now", show_default=True, metavar="TIME", help="End time.")
@pass_session
def snapshot(session: Session, dashboard: str, output: Path | None, start: str, end: str) -> None:
    """Save DASHBOARD with its data as one HTML file, to keep or to attach to a ticket.

    DASHBOARD is a uid, such as system-overview. The file needs neither network nor Grafana. TIME is now, now-90m,
    now-7d, or a date and time in UTC.
    """
    import datetime as dt

    from stackctl.snapshot.take import take

    session.require_running("prometheus")
    shot = take(session.running, dashboard, start=start, end=end, now=dt.datetime.now(dt.UTC))
    path = output or Path(f"{shot.dashboard.uid}-{shot.times.end:%Y%m%dT%H%M%SZ}.html")
    shot.write(path)
    session.out.print(f"{path}: {shot.describe()}", markup=False, soft_wrap=True)
