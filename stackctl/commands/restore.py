"""`stackctl restore`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.commands.options import FILE, confirm
from stackctl.commands.session import Session, pass_session

if TYPE_CHECKING:
    from stackctl.backup.archive import Manifest


@click.command(
    epilog="\b\nExamples:\n  stackctl down; stackctl restore monday.tar.gz; stackctl up\n"
    "  stackctl -p other restore --yes monday.tar.gz"
)
@click.argument("file", type=FILE)
@click.option("-y", "--yes", is_flag=True, help="Replace data without asking for confirmation.")
@pass_session
def restore(session: Session, file: Path, yes: bool) -> None:
    """Replace the project's data with that of a backup. The stack must be stopped.

    FILE is verified completely before anything changes. The old data is kept until the new data is unpacked, so Docker
    needs disk space for both; a restore that fails before then changes nothing.
    """
    from stackctl.backup.restore import restore as restore_data

    project = session.project

    def ask(manifest: Manifest, replaced: list[str]) -> None:
        if replaced and not yes:
            confirm(
                f"This permanently replaces {', '.join(replaced)} with the data of {manifest.project}"
                f" from {manifest.time:%Y-%m-%d %H:%M} UTC. Continue?"
            )

    def say(text: str) -> None:
        session.err.print(text, markup=False, soft_wrap=True)

    manifest = restore_data(project, file, confirm=ask, say=say)
    session.out.print(
        f"{len(manifest.volumes)} volumes restored from the backup of {manifest.project}"
        f" of {manifest.time:%Y-%m-%d %H:%M} UTC. Next: stackctl up",
        soft_wrap=True,
    )
