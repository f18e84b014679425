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
    """Back up the data of Grafana, Alertmanager, Loki and Prometheus to FILE, a tar.gz archive.

    Each service in turn is stopped while its data is copied, and then started again. The folder of FILE needs space
    for the largest of them, uncompressed. If FILE is -, the backup is written to stdout, and the folder for temporary
    files needs that space.
    FILE is readable by you only, because it contains Grafana's users and all logs.
    """
    from rich.filesize import decimal

    from stackctl.backup.save import save
    from stackctl.readiness.observer import Observer
    from stackctl.ui.progress import Display

    to_stdout = str(file) == "-"
    if to_stdout and sys.stdout.isatty():
        raise UsageError("cannot write a backup to a terminal", remedy="name a file, or use a pipe")
    target: Path | IO[bytes] = sys.stdout.buffer if to_stdout else file
    with Display(session.err) as display:
        observer = Observer(display.step, display.note, display.progress)
        manifest = save(session.running, target, force=force, observer=observer)
    parts = ", ".join(f"{one.name} ({decimal(one.size)})" for one in manifest.volumes)
    if to_stdout:
        session.err.print(f"Backup written to stdout: {parts}.", soft_wrap=True)
    else:
        session.out.print(
            f"Backup written to {file} ({decimal(file.stat().st_size)}): {parts}.", soft_wrap=True
        )
