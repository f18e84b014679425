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
@click.option("-y", "--yes", is_flag=True, help="Do not ask before data is replaced.")
@pass_session
def restore(session: Session, file: Path, yes: bool) -> None:
    """Put the data of a backup in the place of the project's. The stack must be down.

    FILE is checked as a whole before anything is touched. What it replaces stays until the new data has been
    unpacked beside it once, for which Docker's disk needs the room; a restore that fails until then changes nothing.
    """
    from stackctl.backup.restore import restore as restore_data

    project = session.project

    def ask(manifest: Manifest, replaced: list[str]) -> None:
        if replaced and not yes:
            confirm(
                f"This replaces {', '.join(replaced)} for good, by the data of {manifest.project}"
                f" of {manifest.time:%Y-%m-%d %H:%M} UTC. Go on?"
            )

    def say(text: str) -> None:
        session.err.print(text, markup=False, soft_wrap=True)

    manifest = restore_data(project, file, confirm=ask, say=say)
    session.out.print(
        f"{len(manifest.volumes)} volumes restored, as they were in {manifest.project}"
        f" on {manifest.time:%Y-%m-%d at %H:%M} UTC. Next: stackctl up",
        soft_wrap=True,
    )
