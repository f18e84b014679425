"""Collects for a dry run what a real `up` learns as it goes: files, configuration hashes, Grafana's password.

The configuration is rendered into a temporary folder that only this user can enter, because the dry run must neither
change nor create the project's state folder.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from stackctl.docker.engine import Engine
from stackctl.errors import ServiceError
from stackctl.images import sets
from stackctl.lifecycle import attach, demo_data, grafana
from stackctl.lifecycle.attach import Missing
from stackctl.project import engine_overrides
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.project import Project, ProjectState
from stackctl.project.secrets import STORE
from stackctl.project.state import StateFolder, write_atomic
from stackctl.render import logs
from stackctl.render.configuration import quoted, render
from stackctl.render.rendering import Rendering

GrafanaPassword = Literal["keep", "set", "unknown"]
"""What happens to Grafana's admin password; `unknown` while Grafana does not answer."""

_RENDERED = ("config", "secrets", "compose.env", "join.yml")
"""What `up` renders in the state folder."""


@dataclass(frozen=True, slots=True)
class FileChanges:
    """Files that `up` would write or remove, by their path in the state folder."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether any file would change."""
        return bool(self.added or self.changed or self.removed)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The outcome of preparing an `up` without changing anything."""

    rendering: Rendering
    files: FileChanges
    hashes: Mapping[str, str]
    """Compose service → hash of its configuration."""
    dependencies: Mapping[str, frozenset[str]]
    """Compose service → the services that it depends on."""
    images: Mapping[str, str | None]
    """Compose service → ID of the image that it would run; None if the image does not exist locally."""
    stale_volumes: tuple[str, ...]
    """Configuration volumes that no service would mount any longer."""
    grafana_password: GrafanaPassword
    missing: tuple[Missing, ...]
    """Services of bot-core that were not found where the settings expect them."""
    fingerprint: str
    """Fingerprint of the password that the demo's MongoDB would use."""


def rehearse(project: Project, state: ProjectState, metrics: ContainerMetrics) -> Rehearsal:
    """Render a state's configuration into a temporary folder, and collect the rest without changing anything.

    Raises StackctlError if the configuration cannot be rendered, if Compose cannot read it, or if the engine does not
    answer.
    """
    settings = project.settings
    with _scratch_copy(project) as scratch:
        monitored = scratch.present(state)
        rendering = render(
            settings,
            scratch.secrets,
            scratch.state,
            images=sets.variables_of(settings, state),
            releases=state.releases,
            present=monitored,
        )
        attach.write_join_file(scratch.state, state)
        _name_paths(scratch.state, config=project.state.config, secrets=project.state.secrets)
        files = compare(scratch.state.folder, project.state.folder)
        # Compose reads the env files among the secrets; the configuration it only mounts, so its path is enough.
        _name_paths(scratch.state, config=project.state.config, secrets=scratch.state.secrets)
        engine = scratch.engine(state)
        copies = engine_overrides.write_files(
            engine, engine.info(), settings, project.state, metrics, into=scratch.state.folder
        )
        configuration = attach.configuration(engine, state)
        references = sets.references(settings, state.images, state.releases, pins=state.pins)
        ids = {one: engine.image_id(one) for one in {*references.values()}}
        return Rehearsal(
            rendering=rendering,
            files=files,
            hashes=engine.configuration_hashes(configuration),
            dependencies={
                name: frozenset(service.get("depends_on") or ())
                for name, service in configuration["services"].items()
            },
            images={name: ids[one] for name, one in references.items()},
            stale_volumes=tuple(
                name
                for name in engine.copies()
                if name not in {f"{project.name}_{one.volume}" for one in copies}
            ),
            grafana_password=_grafana_password(engine, scratch),
            missing=attach.absent(engine, state, monitored) if state.joined else (),
            fingerprint=scratch.secrets.fingerprint(demo_data.PASSWORD),
        )


def compare(new: Path, old: Path) -> FileChanges:
    """Return how the rendered files in `new` differ from those in `old`, which need not exist."""
    after, before = _rendered(new), _rendered(old)
    return FileChanges(
        added=tuple(sorted(after.keys() - before.keys())),
        changed=tuple(
            sorted(name for name in after.keys() & before.keys() if after[name] != before[name])
        ),
        removed=tuple(sorted(before.keys() - after.keys())),
    )


def _rendered(folder: Path) -> dict[str, bytes]:
    tops = [folder / name for name in _RENDERED]
    files = [path for top in tops for path in (top, *top.rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@contextmanager
def _scratch_copy(project: Project) -> Iterator[Project]:
    """Yield the project with a temporary state folder, with its generated secrets and Loki's index date."""
    with tempfile.TemporaryDirectory(prefix="stackctl-plan-") as name:
        folder = Path(name) / project.name
        folder.mkdir()
        # Read the original first, so that an error about a damaged file names it and not its copy.
        project.state.read_json(STORE)
        with suppress(FileNotFoundError):
            shutil.copyfile(project.state.folder / STORE, folder / STORE)
        logs.copy_tsdb_day(project.state, StateFolder(folder))
        yield Project(project.settings, StateFolder(folder))


def _name_paths(scratch: StateFolder, *, config: Path, secrets: Path) -> None:
    """Replace the paths of configuration and secrets in a scratch compose.env."""
    paths = {"STACKCTL_CONFIG": str(config), "STACKCTL_SECRETS": str(secrets)}
    lines = [
        f"{name}={quoted(paths[name])}" if name in paths else line
        for line in scratch.compose_env.read_text(encoding="utf-8").splitlines()
        for name in [line.partition("=")[0]]
    ]
    write_atomic(scratch.compose_env, "\n".join(lines) + "\n")


def _grafana_password(engine: Engine, project: Project) -> GrafanaPassword:
    container = engine.containers().get("grafana")
    if container is not None and container.running:
        with suppress(ServiceError):
            return "set" if asyncio.run(grafana.login(project)) == "refused" else "keep"
        return "unknown"
    # Grafana's first start sets the current password; later starts keep the one in its data.
    return "unknown" if f"{project.name}_grafana_data" in engine.volumes() else "keep"
