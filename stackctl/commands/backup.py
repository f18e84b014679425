"""`stackctl backup`."""

from __future__ import annotations

from pathlib import Path

import click

from stackctl.commands.session import Session, pass_session


@click.command(
    epilog="\b\nExamples:\n  stackctl backup monday.tar.gz\n  stackctl backup --force latest.tar.gz"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-f", "--force", is_flag=True, help="Replace FILE if it exists.")
@pass_session
def backup(session: Session, file: Path, force: bool) -> None:
    """Write the data of Grafana, Alertmanager, Loki and Prometheus to FILE, a gzip'd tar.

    One after the other is stopped while its data is copied, and started again. FILE's folder needs room for the
    largest of them unpacked. Only you can read FILE: it holds Grafana's users and whatever is in the logs.
    """
    from rich.filesize import decimal

    from stackctl.backup.save import save
    from stackctl.readiness.observer import Observer
    from stackctl.ui.progress import Display

    with Display(session.err) as display:
        observer = Observer(display.step, display.note, display.progress)
        manifest = save(session.running, file, force=force, observer=observer)
    parts = ", ".join(f"{one.name} ({decimal(one.size)})" for one in manifest.volumes)
    session.out.print(f"{file}: {decimal(file.stat().st_size)}, with {parts}.", soft_wrap=True)
