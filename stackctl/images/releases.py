"""Decides which release of each image runs."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from typing import TYPE_CHECKING, cast

from stackctl.docker.engine import EngineInfo
from stackctl.errors import EngineError
from stackctl.project.project import Project
from stackctl.services.releases import PLAN, Releases, Versions, current

if TYPE_CHECKING:
    from stackctl.images.lockfile import Lock


def settle(
    project: Project, asked: Versions | None = None, *, lock: Lock | None = None
) -> Releases:
    """Return the releases that the project is to run: those asked for, else those of the settings.

    `auto` keeps what the project was started with, and before its first `up` takes what the lock has. The engine is
    asked only for `auto`; one that does not answer rules nothing out.
    """
    versions = asked or cast("Versions", project.settings["STACKCTL_VERSIONS"])
    state = project.choices
    known = state.releases if state.images is not None or lock is None else lock.releases()
    ruled_out: Collection[str] = ()
    if versions == "auto":
        with contextlib.suppress(EngineError):
            ruled_out = unservable(project.whole_engine().info())
    return choose(versions, previous=known, ruled_out=ruled_out)


def choose(versions: Versions, *, previous: Releases, ruled_out: Collection[str]) -> Releases:
    """Decide on the release of each image.

    `auto` keeps the `previous` ones, but for the images whose plan's release the engine has `ruled_out`.
    """
    if versions == "plan":
        return PLAN
    if versions == "current":
        return current()
    return Releases(previous.current.union(ruled_out))


def unservable(info: EngineInfo) -> tuple[str, ...]:
    """Return the images whose plan's release cannot do its work on this engine.

    cAdvisor 0.47 looks a container's layers up in the engine's own image store; in containerd's it finds no container.
    Promtail insists on an API version that new engines refuse, but the socket proxy hands its requests on under theirs.
    """
    return ("cadvisor",) if info.containerd_store else ()
