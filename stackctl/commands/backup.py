"""`stackctl backup`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import click

from stackctl.commands.session import Session, pass_session
from stackctl.errors import UsageError


@click.command(
    epilog="\b\nExamples:\n  stackctl backup monday.tar.gz\n  stackctl backup --force latest.tar.gz\n"
    "  stackctl backup - | ssh backups.example 'cat > monday.tar.gz'"
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-f", "--force", is_flag=True, help="Replace FILE if it exists.")
@pass_session
def backup(session: Session, file: Path, force: bool) -> None:
    """Write the data of Grafana, Alertmanager, Loki and Prometheus to FILE, a gzip'd tar.

    One after the other is stopped while its data is copied, and started again. FILE's folder needs room for the
    largest of them unpacked. With - the backup goes to stdout, and the folder for temporary files needs that room.
    Only you can read FILE: it holds Grafana's users and whatever is in the logs.
    """
    from rich.filesize import decimal

    from stackctl.backup.save import save
    from stackctl.readiness.observer import Observer
    from stackctl.ui.progress import Display

    to_stdout = str(file) == "-"
    if to_stdout and sys.stdout.isatty():
        raise UsageError(
            "a backup is not written to a terminal", remedy="name a file, or send - into a pipe"
        )
    target: Path | IO[bytes] = sys.stdout.buffer if to_stdout else file
    with Display(session.err) as display:
        observer = Observer(display.step, display.note, display.progress)
        manifest = save(session.running, target, force=force, observer=observer)
    parts = ", ".join(f"{one.name} ({decimal(one.size)})" for one in manifest.volumes)
    if to_stdout:
        session.err.print(f"written to stdout, with {parts}.", soft_wrap=True)
    else:
        session.out.print(f"{file}: {decimal(file.stat().st_size)}, with {parts}.", soft_wrap=True)
