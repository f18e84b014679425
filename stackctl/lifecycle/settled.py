"""Detects whether everything is as the last successful `up` left it, so that Compose need not run.

`up` records two digests: of all its inputs, and of the containers that it left running. If both are unchanged, it only
has to check that every service is ready. In case of doubt, everything is done again.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl import __version__
from stackctl.config.registry import LOCK_FILE
from stackctl.docker.engine import Engine
from stackctl.docker.inventory import HASH_LABEL, SCRATCH_LABEL
from stackctl.docker.models import PROJECT_LABEL, Inspected, ListedContainer, listed
from stackctl.errors import StackctlError, UsageError
from stackctl.images.choice import Choice, Resolved
from stackctl.lifecycle.requested import requested_state
from stackctl.project import config_volumes
from stackctl.project.project import Project, ProjectState, UpRequest
from stackctl.render.rendering import Rendering
from stackctl.services.releases import Versions
from stackctl.util import paths

_RECORD = "settled.json"
_SOURCES = ("compose", "demo", "images", "infrastructure", "standins")
"""The sources of the rendered configuration and of the local images."""
_OWN_RECORDS = frozenset({_RECORD, "chaos.json", "loaded.json", "lock"})
"""Files of the state folder that do not affect what runs."""
_READS_MORE = re.compile(r"\$|\b(?:env_file|extends|include|build|file)\b")
"""Matches what makes Compose read more than the override file itself: the environment, or other files."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of an `up` on its command line."""

    request: UpRequest
    choice: Choice
    versions: Versions | None


@dataclass(frozen=True, slots=True)
class Settled:
    """What an `up` that found everything unchanged reports from the record."""

    resolved: Resolved
    rendering: Rendering
    containers: Mapping[str, ListedContainer]
    """By service."""


def recall(project: Project, asked: Asked, engine: Engine) -> Settled | None:
    """Return what the last successful `up` recorded if nothing has changed since; None if a full `up` is needed.

    `engine` is the engine of the recorded state.
    """
    try:
        record = project.state.read_json(_RECORD)
    except StackctlError:
        return None
    if not record:
        return None
    state = project.choices
    if not _comparable(project, state) or not _repeats(project, state, asked.request):
        return None
    if record.get("inputs") != _inputs(project, state, asked, engine):
        return None
    containers = _containers(engine)
    if containers is None or record.get("containers") != _digest(containers):
        return None
    try:
        return Settled(
            Resolved(record["images"], {}, None, state.pins),
            Rendering(
                channels=tuple(record["channels"]),
                left_out={name: tuple(lacks) for name, lacks in record["left_out"].items()},
                changed=(),
                alerts_left_out=(),
                panels_left_out=(),
            ),
            {one.service: one for one in map(listed, containers)},
        )
    except (KeyError, TypeError, AttributeError):
        return None


def record(
    project: Project, asked: Asked, engine: Engine, resolved: Resolved, rendering: Rendering
) -> None:
    """Record the result of a successful `up`, unless the next one could not compare it."""
    state = project.choices
    containers = _containers(engine) if _comparable(project, state) else None
    if containers is None:
        (project.state.folder / _RECORD).unlink(missing_ok=True)
        return
    project.state.write_json(
        _RECORD,
        {
            "inputs": _inputs(project, state, asked, engine),
            "containers": _digest(containers),
            "images": resolved.name,
            "channels": rendering.channels,
            "left_out": rendering.left_out,
        },
    )


def _comparable(project: Project, state: ProjectState) -> bool:
    """Return whether all inputs are known: what bot-core's own files and some overrides refer to is not.

    Neither is whether cAdvisor still cannot read the containers.
    """
    if state.joined or state.unseen or config_volumes.kept(project.state):
        return False
    override = _text(Path(state.override)) if state.override else b""
    return override is not None and not _READS_MORE.search(override.decode(errors="replace"))


def _repeats(project: Project, state: ProjectState, request: UpRequest) -> bool:
    """Return whether a request asks for the stack that is running."""
    try:
        wanted = requested_state(project.settings, request, state)
    except UsageError:
        return False
    return all(
        getattr(wanted, name) == getattr(state, name)
        for name in ("request", "demo", "network", "app_files", "override")
    )


def _inputs(project: Project, state: ProjectState, asked: Asked, engine: Engine) -> str:
    """Digest all inputs of `up`; the digest is keyed, because they include secrets."""
    digest = hmac.new(project.secrets.fingerprint_key, digestmod=hashlib.sha256)
    for part in _parts(project, state, asked, engine):
        content = part if isinstance(part, bytes) else part.encode()
        digest.update(b"%d:%b" % (len(content), content))
    return digest.hexdigest()


def _parts(
    project: Project, state: ProjectState, asked: Asked, engine: Engine
) -> Iterator[str | bytes]:
    yield __version__
    yield f"{asked.choice} {asked.versions}"
    yield str(engine.endpoint)
    for name, value in sorted(project.settings.values.items()):
        secret = value.text is not None and not isinstance(value.text, str)
        text = project.settings.secret(name) if secret else None
        yield f"{name}={text.reveal() if text else value.text}"
    # Size and time are enough for the sources, as they are for make: a rewritten file counts as changed.
    package = Path(__file__).resolve().parent.parent
    for folder in (package, *(paths.root() / name for name in _SOURCES)):
        for path, status in _files(folder):
            if path.suffix != ".pyc":
                yield f"{path} {status.st_size} {status.st_mtime_ns}"
    for path, status in _files(project.state.folder):
        if path.relative_to(project.state.folder).as_posix() not in _OWN_RECORDS:
            yield f"{path} {status.st_mode}"
            yield _text(path) or b""
    for path in (Path(LOCK_FILE), *([Path(state.override)] if state.override else [])):
        yield _text(path) or b""


def _containers(engine: Engine) -> list[Inspected] | None:
    """Return the project's containers; None if the engine does not list them, or one of them needs an `up`."""
    listing = engine.listing()
    if listing is None:
        return None
    if any(_labels(one).get(SCRATCH_LABEL) == engine.project for one in listing):
        return None
    own = [one for one in listing if _labels(one).get(PROJECT_LABEL) == engine.project]
    return own if own and all(map(_runs, own)) else None


def _digest(containers: Iterable[Inspected]) -> str:
    """Digest what an `up` goes by.

    The engine lists an image's ID instead of its name once the name refers to another image.
    """
    described = sorted(
        [
            one["Id"],
            one["Names"],
            one["Image"],
            one["ImageID"],
            _labels(one).get(HASH_LABEL),
            _networks(one),
        ]
        for one in containers
    )
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def _labels(container: Inspected) -> Mapping[str, str]:
    return container.get("Labels") or {}


def _runs(container: Inspected) -> bool:
    return container["State"] == "running" and "unhealthy" not in container["Status"]


def _networks(container: Inspected) -> list[tuple[str, str]]:
    networks: Mapping[str, Mapping[str, Any]] = container["NetworkSettings"]["Networks"] or {}
    return sorted((name, endpoint["NetworkID"]) for name, endpoint in networks.items())


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the files below a folder, each with its status, always in the same order."""
    for top, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(top, name)
            with contextlib.suppress(FileNotFoundError):
                yield path, path.stat()


def _text(path: Path) -> bytes | None:
    """Return a file's content; None where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return None
