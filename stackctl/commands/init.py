"""`stackctl init`."""

from __future__ import annotations

from pathlib import Path

import click

from stackctl.commands.session import Session, pass_session
from stackctl.errors import StackctlError

_OVERRIDE_MODE = 0o644
"""Anybody may read it: it has no secret in it, and belongs into version control."""


@click.command(
    epilog="\b\nExamples:\n  stackctl init\n  stackctl init --stdout\n  stackctl init --force"
)
@click.option(
    "-f",
    "--force",
    is_flag=True,
    help="Bring a .env that is there up to date: new settings are added, what is set is kept.",
)
@click.option("--stdout", is_flag=True, help="Print the files instead of writing them.")
@pass_session
def init(session: Session, force: bool, stdout: bool) -> None:
    """Write a .env with every setting, and an override of the compose files, into this folder.

    Everything in them is commented out: they change nothing as they stand. An override that is there is never
    written over.
    """
    from stackctl.config import starter
    from stackctl.config.env_file import ENV_FILE, read_env
    from stackctl.config.registry import OVERRIDE_FILE
    from stackctl.project.state import PRIVATE_FILE, write_atomic

    env, override = session.env_file or Path(ENV_FILE), Path(OVERRIDE_FILE)
    existing = [path for path in (env, override) if path.exists()]
    if existing and not force and not stdout:
        raise StackctlError(
            f"{' and '.join(map(str, existing))} {'is' if len(existing) == 1 else 'are'} there already",
            remedy="--force adds what is missing and keeps what is set; --stdout prints",
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
        # A link stays a link: what it leads to is written.
        changed = write_atomic(
            path.resolve(), text, PRIVATE_FILE if path is env else _OVERRIDE_MODE
        )
        session.out.print(
            f"{path}: {'written' if changed else 'up to date'}", markup=False, soft_wrap=True
        )
    if override not in texts:
        session.out.print(f"{override}: yours, kept as it is")
