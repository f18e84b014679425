"""The network settings for image builds: proxies and additional certificate authorities."""

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
    """Return a Compose file that adds labels, proxies and certificate authorities to the builds of another file.

    `labels` maps each service to build to its labels; None builds all of them without labels.
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
    """Return the build arguments for the proxies in the environment.

    Empty if the docker command's configuration contains proxies, which Compose passes itself
    (docs.docker.com/engine/cli/proxy). Proxies on this machine's loopback are left out, because a build cannot reach
    them. Builders predefine these arguments, and keep them out of the image and its history.
    """
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        # Docker itself reports a broken configuration.
        if client_config().get("proxies"):
            return {}
    found = {name: os.environ.get(name) or os.environ.get(name.upper()) for name in PROXIES}
    usable = {name: value for name, value in found.items() if value and not _is_local(value)}
    exceptions = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    if usable and exceptions:
        usable["no_proxy"] = exceptions
    # Some programs read one spelling, some the other.
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
