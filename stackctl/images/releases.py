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
    """Return the releases that the project should run: those requested, else those of the settings.

    `auto` keeps those that the project was started with or, before its first `up`, those in the lock. Only `auto`
    queries the engine; if it does not answer, no release is ruled out.
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

    `auto` keeps the `previous` ones, except for images whose plan's release the engine has `ruled_out`.
    """
    if versions == "plan":
        return PLAN
    if versions == "current":
        return current()
    return Releases(previous.current.union(ruled_out))


def unservable(info: EngineInfo) -> tuple[str, ...]:
    """Return the images whose plan's release does not work with this engine.

    cAdvisor 0.47 looks up layers in the engine's own image store, and finds no containers with containerd's store.
    Promtail uses an API version that new engines reject, but the socket proxy rewrites the version.
    """
    return ("cadvisor",) if info.containerd_store else ()
