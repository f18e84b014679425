"""`stackctl images`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.commands.options import FILE, FORMAT, VERSIONS
from stackctl.commands.session import Session, pass_session
from stackctl.ui.console import print_json

if TYPE_CHECKING:
    from stackctl.images.lockfile import Lock
    from stackctl.project.project import Project
    from stackctl.services.catalog import SetName
    from stackctl.services.releases import Releases, Versions

_SET = click.option(
    "--set",
    "set_name",
    type=click.Choice(["local", "upstream"]),
    help="Image set (default: the one that `stackctl up` would use).",
)


@click.group(
    epilog="\b\nExamples:\n  stackctl images list\n  stackctl images build\n"
    "  stackctl images save team.bundle\n  stackctl images lock --check"
)
def images() -> None:
    """List, build, pull, lock and transfer the images of both sets."""


@images.command(
    "list", epilog="\b\nExamples:\n  stackctl images list\n  stackctl images list --format json"
)
@VERSIONS
@FORMAT
@pass_session
def list_(session: Session, output: str, versions: Versions | None) -> None:
    """List the images of both sets, and show which exist on this machine and which are in stackctl.lock."""
    from rich.table import Table

    from stackctl.images import lockfile, releases
    from stackctl.images.resolve import inventory

    project = session.project
    lock = lockfile.read()
    chosen = releases.settle(project, versions, lock=lock)
    rows = inventory(project.whole_engine(), project.settings, chosen, lock)
    if output == "json":
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    locked = f"locked ({lock.set})" if lock else "locked"
    for heading in ("image", "upstream", "present", "local", "present", locked):
        table.add_column(heading, overflow="fold")
    for row in rows:
        local = f"{row['local']} (stand-in)" if row["standin"] else str(row["local"])
        table.add_row(
            str(row["name"]),
            str(row["upstream"]),
            "yes" if row["upstream_present"] else "no",
            local,
            "yes" if row["local_present"] else "no",
            str(row["locked"]),
        )
    session.out.print(table)


@images.command(
    epilog="\b\nExamples:\n  stackctl images build\n  stackctl images build --versions current"
)
@VERSIONS
@pass_session
def build(session: Session, versions: Versions | None) -> None:
    """Build the local set from Debian packages. Unchanged images are not rebuilt.

    The current releases are built from Debian's next suite.
    """
    from stackctl.images import build, lockfile, releases, sets
    from stackctl.ui.progress import Display

    project = session.project
    chosen = releases.settle(project, versions, lock=lockfile.read())
    with Display(session.err) as display:
        build.build(project.whole_engine(), chosen, display.step)
    session.out.print(f"{len(sets.catalogue(chosen))} images built.")


@images.command(
    epilog="\b\nExamples:\n  stackctl images outdated\n  stackctl images outdated --format json"
)
@FORMAT
@pass_session
def outdated(session: Session, output: str) -> None:
    """Compare both releases of each image, and the running one, with the newest release in its registry.

    Nothing is pulled. If a registry cannot be reached, its images are shown without a newest release.
    """
    from dataclasses import asdict

    from rich.table import Table

    from stackctl.images import newer

    project = session.project
    containers = project.whole_engine().containers()
    running = {name: one.image for name, one in containers.items() if one.running}
    rows = newer.compare(project.settings, running)
    if output == "json":
        print_json([{**asdict(row), "outdated": row.outdated} for row in rows])
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("image", "plan", "current", "newest", "running"):
            table.add_column(heading, overflow="fold")
        for row in rows:
            newest = f"{row.newest} (newer)" if row.outdated else row.newest or "unknown"
            runs = ", ".join(row.running) or "-"
            table.add_row(row.name, row.plan or "-", row.current or "-", newest, runs)
        session.out.print(table)
    for failure in sorted({row.failure for row in rows if row.failure}):
        session.err.print(failure, style="yellow", markup=False, soft_wrap=True)


@images.command(
    epilog="\b\nExamples:\n  stackctl images pull\n"
    "  STACKCTL_REGISTRY_MIRROR=mirror.example:5000 stackctl images pull"
)
@VERSIONS
@pass_session
@click.pass_context
def pull(ctx: click.Context, session: Session, versions: Versions | None) -> None:
    """Pull the upstream set, three images at a time, by the digests in stackctl.lock if it exists.

    Temporary failures are retried. Exits with 1 if an image could not be pulled.
    """
    from stackctl.images import lockfile, releases, transfer
    from stackctl.ui.progress import Display

    project = session.project
    lock = lockfile.read()
    with Display(session.err) as display:
        done = transfer.pull(
            project.whole_engine(),
            project.settings,
            releases.settle(project, versions, lock=lock),
            demo=project.choices.demo,
            lock=lock,
            say=display.step,
        )
    failed = [one for one in done if one.failure]
    session.out.print(f"{len(done) - len(failed)} of {len(done)} images are present.")
    for one in failed:
        session.err.print(
            f"cannot pull {one.reference}: {one.failure}",
            style="red",
            markup=False,
            soft_wrap=True,
        )
    if failed:
        session.err.print(
            "Check the network, or set STACKCTL_REGISTRY_MIRROR, and try again.", soft_wrap=True
        )
        ctx.exit(1)


@images.command(
    epilog="\b\nExamples:\n  stackctl images save team.bundle\n"
    "  stackctl images save --set upstream --force team.bundle"
)
@click.argument("file", type=FILE)
@_SET
@VERSIONS
@click.option("-f", "--force", is_flag=True, help="Replace FILE if it exists.")
@pass_session
def save(
    session: Session,
    file: Path,
    set_name: SetName | None,
    versions: Versions | None,
    force: bool,
) -> None:
    """Save the images of a set to FILE, for machines without access to a registry.

    FILE is the output of `docker save` compressed with zstd, so `docker load` reads it too. Shared layers are stored
    once. An interrupted save leaves no FILE.
    """
    from rich.filesize import decimal

    from stackctl.backup.archive import refuse_existing
    from stackctl.images import lockfile, releases, transfer
    from stackctl.ui.progress import Display

    refuse_existing(file, force=force)
    project = session.project
    lock = lockfile.read()
    chosen = releases.settle(project, versions, lock=lock)
    with Display(session.err) as display:
        manifest = transfer.save(
            project.whole_engine(),
            project.settings,
            file,
            name=set_name or _set_in_use(project, chosen, lock),
            releases=chosen,
            demo=project.choices.demo,
            lock=lock,
            say=display.step,
        )
    session.out.print(
        f"{file}: {decimal(file.stat().st_size)}, {len(manifest.images)} images of the {manifest.set} set.",
        soft_wrap=True,
    )


@images.command(epilog="\b\nExamples:\n  stackctl images load team.bundle; stackctl up")
@click.argument("file", type=FILE)
@pass_session
def load(session: Session, file: Path) -> None:
    """Load the images from a file that `stackctl images save` wrote.

    FILE is verified completely before anything is loaded. Nothing is loaded if all images are already present.
    """
    from stackctl.images import build, transfer
    from stackctl.ui.progress import Display

    with Display(session.err) as display:
        manifest, loaded = transfer.load(session.project.whole_engine(), file, say=display.step)
    present = len(manifest.images) - loaded
    session.out.print(
        f"{loaded} images of the {manifest.set} set loaded, {present} were already present."
    )
    if manifest.set == "local" and manifest.inputs not in build.known_inputs():
        session.err.print(
            f"These images were built from other sources, of stackctl {manifest.stackctl}, so `up` would build its"
            " own. Use the same stackctl here, or lock these with `stackctl images lock --set local`.",
            style="yellow",
            soft_wrap=True,
        )


@images.command(
    epilog="\b\nExamples:\n  stackctl images lock\n  stackctl images lock --set upstream\n"
    "  stackctl images lock --check"
)
@_SET
@VERSIONS
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing; exit with 1 unless all images match the lock file.",
)
@pass_session
@click.pass_context
def lock(
    ctx: click.Context,
    session: Session,
    set_name: SetName | None,
    versions: Versions | None,
    check: bool,
) -> None:
    """Record the digest and content of each image in stackctl.lock in the current folder, to commit and share.

    With this file `stackctl up` pulls images by digest, even if their tags have moved, and refuses built or loaded
    images that differ from the locked ones. To update it, remove stackctl.lock, then run `images pull` and
    `images lock` again.
    """
    from stackctl.errors import StackctlError
    from stackctl.images import lockfile, releases

    project = session.project
    engine = project.whole_engine()
    demo = project.choices.demo
    kept = lockfile.read()
    chosen = releases.settle(project, versions, lock=kept)
    if not check:
        name = set_name or _set_in_use(project, chosen, kept)
        taken = lockfile.take(engine, project.settings, name, chosen, demo=demo, previous=kept)
        changed = lockfile.write(taken)
        session.out.print(
            f"{lockfile.FILE}: {len(taken.images)} images of the {name} set"
            f"{'' if changed else ', unchanged'}."
        )
        return
    if kept is None:
        raise StackctlError(
            f"no {lockfile.FILE} in the current folder",
            remedy="create it with `stackctl images lock`",
        )
    problems = list(
        kept.problems(engine, project.settings, set_name or kept.set, chosen, demo=demo, here=True)
    )
    for problem in problems:
        session.err.print(problem.line, style="red", markup=False, soft_wrap=True)
    if problems:
        ctx.exit(1)
    session.out.print(f"{len(kept.images)} images of the {kept.set} set match {lockfile.FILE}.")


def _set_in_use(project: Project, releases: Releases, lock: Lock | None) -> SetName:
    from stackctl.images.resolve import present_set

    choices = project.choices
    settled = choices.images or (lock.set if lock else None)
    return settled or present_set(
        project.whole_engine(), project.settings, releases, demo=choices.demo
    )
