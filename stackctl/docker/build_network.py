"""What the builds of images need of this machine's network: its proxies and its further certificate authorities."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stackctl.docker.endpoint import client_config, is_loopback
from stackctl.util.environment import PROXIES

_SECRET = "ca"  # noqa: S105 - a name


def overlay(
    build_file: Path,
    labels: Mapping[str, Mapping[str, str]] | None,
    authorities: Path | None,
) -> dict[str, Any]:
    """Return a Compose file that adds labels, the proxies and the authorities to the builds of another.

    `labels` are by service, of those that are built; None for all, without labels.
    """
    chosen: Iterable[str] = _services(build_file) if labels is None else labels
    build: dict[str, Any] = {"args": proxies()}
    if authorities is not None:
        build["secrets"] = [_SECRET]
    content: dict[str, Any] = {
        "services": {
            name: {"build": {**build, "labels": dict((labels or {}).get(name, {}))}}
            for name in chosen
        }
    }
    if authorities is not None:
        content["secrets"] = {_SECRET: {"file": str(authorities)}}
    return content


def proxies() -> dict[str, str]:
    """Return the build arguments that lead a build through the proxies of the environment.

    None where the docker command's own configuration has proxies, which Compose hands over itself
    (docs.docker.com/engine/cli/proxy), and none on this machine's loopback, which is another inside a build. Every
    builder knows these arguments, and keeps them out of the image and its history.
    """
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        # What a broken configuration means is Docker's to say.
        if client_config().get("proxies"):
            return {}
    found = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in PROXIES}
    usable = {name: value for name, value in found.items() if value and not _is_local(value)}
    exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    if usable and exceptions:
        usable["no_proxy"] = exceptions
    # Programs differ in which spelling they read.
    return {spelt: value for name, value in usable.items() for spelt in (name, name.upper())}


def _is_local(proxy: str) -> bool:
    try:
        host = urlsplit(proxy if "//" in proxy else f"//{proxy}").hostname
    except ValueError:
        return False
    return host is not None and is_loopback(host)


def _services(build_file: Path) -> list[str]:
    from stackctl.util import yaml_text

    return list(yaml_text.load(build_file.read_text(encoding="utf-8"))["services"])
