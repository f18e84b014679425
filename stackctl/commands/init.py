"""`stackctl init`."""

from __future__ import annotations

from pathlib import Path

import click

from stackctl.commands.session import Session, pass_session
from stackctl.errors import StackctlError

_OVERRIDE_MODE = 0o644
"""Readable by everyone: it contains no secrets and belongs in version control."""


@click.command(
    epilog="\b\nExamples:\n  stackctl init\n  stackctl init --stdout\n  stackctl init --force"
)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Update an existing .env: add new settings and keep those that are set.",
)
@click.option("--stdout", is_flag=True, help="Print the files instead of writing them.")
@pass_session
def init(session: Session, force: bool, stdout: bool) -> None:
    """Create a .env with every setting, and an override of the compose files, in the current folder.

    Everything in them is commented out, so they change nothing until you edit them. An existing override is never
    overwritten.
    """
    from stackctl.config import starter
    from stackctl.config.env_file import ENV_FILE, read_env
    from stackctl.config.registry import OVERRIDE_FILE
    from stackctl.project.state import PRIVATE_FILE, write_atomic

    env, override = session.env_file or Path(ENV_FILE), Path(OVERRIDE_FILE)
    existing = [path for path in (env, override) if path.exists()]
    if existing and not force and not stdout:
        raise StackctlError(
            f"{' and '.join(map(str, existing))} already {'exists' if len(existing) == 1 else 'exist'}",
            remedy="add missing settings with --force, which keeps those that are set, or print with --stdout",
        )
    texts = {env: starter.env_text(read_env(env) if force and env in existing else "", str(env))}
    if stdout or override not in existing:
        texts[override] = starter.override_text()
    if stdout:
        click.echo(
            "\n".join(f"## ==> {path} <==\n{text}" for path, text in texts.items()), nl=False
        )
        return
    for path, text in texts.items():
        # Write to the target of a symbolic link, and keep the link.
        changed = write_atomic(
            path.resolve(), text, PRIVATE_FILE if path is env else _OVERRIDE_MODE
        )
        session.out.print(
            f"{path}: {'written' if changed else 'up to date'}", markup=False, soft_wrap=True
        )
    if override not in texts:
        session.out.print(f"{override}: kept")
