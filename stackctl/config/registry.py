"""All settings, one row each: the name in .env and the environment, the default, the parser, and the purpose.

A new setting is a new row in the group of its heading. Settings for a service's port and image come from the catalog
of services.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import get_args

from stackctl.services.applications import APPLICATIONS, parse_target
from stackctl.services.catalog import IMAGES, PUBLISHED_PORTS, image_variable
from stackctl.services.channels import CHANNELS
from stackctl.services.releases import Versions
from stackctl.values import parsers
from stackctl.values.setting import Setting

DEFAULT_PROJECT = "bot-core"

OVERRIDE_FILE = "stackctl.override.yml"
"""A Compose file of this name in the current folder is merged over all others."""

LOCK_FILE = "stackctl.lock"
"""The file of this name in the current folder pins the images."""

SECRET_FILE = "_FILE"  # noqa: S105 - the end of a name
"""The suffix of a setting that names a secret's file, as in the images on Docker Hub."""

GENERATED_SECRETS = (
    "GRAFANA_PASSWORD",
    "REDIS_EXPORTER_PASSWORD",
    "RABBITMQ_PASSWORD",
    "MONGODB_PASSWORD",
)
"""Passwords that stackctl generates on the first `up` unless they are set."""

DEFAULT_RUNBOOKS = "https://github.com/bot-core/bot-core/blob/main/docs/runbooks"
"""Base URL of the runbooks in the rules, before rendering."""

_ON_CALL_LENGTH = 300
"""The maximum length: messages show the whole text, and Slack's templates truncate longer ones."""

_IMAGES = (
    *(
        Setting(image_variable(name), None, parsers.image, "image to use for this service instead")
        for name in IMAGES
    ),
    Setting(
        "STACKCTL_VERSIONS",
        "auto",
        partial(parsers.one_of, get_args(Versions)),
        "image releases: plan, current, or auto (the plan's unless the engine requires a current one)",
    ),
    Setting(
        "STACKCTL_REGISTRY_MIRROR",
        None,
        parsers.mirror,
        "registry from which to pull all upstream images",
    ),
    Setting(
        "DEMO_BASE_IMAGE",
        "python:3.12-slim",
        parsers.image,
        "base image of the demo's image (upstream set)",
    ),
    Setting(
        "STACKCTL_PYPI_MIRROR",
        None,
        parsers.index,
        "package index for the demo's libraries (upstream set)",
    ),
)


def _bot_core() -> Iterator[Setting]:
    yield Setting(
        "STACKCTL_ATTACH",
        None,
        parsers.network,
        "network of a running bot-core to join (up --attach)",
    )
    yield Setting(
        "STACKCTL_APP_FILES",
        None,
        parsers.text,
        f"bot-core's own Compose files, separated by {os.pathsep} (up --app-file)",
    )
    for one in APPLICATIONS.values():
        if one.credentials is not None:
            continue
        yield Setting(
            one.setting,
            one.target,
            partial(parse_target, one),
            f"address of {one.name} without the demo, or none",
        )
        if one.health is not None:
            yield Setting(
                one.health_setting,
                one.health,
                parsers.path,
                f"health path of {one.name} without the demo",
            )


_CREDENTIALS = (
    Setting(
        "MONGODB_EXPORTER_URI",
        None,
        parsers.mongodb_uri,
        "MongoDB address with credentials",
        secret=True,
    ),
    *(
        Setting(
            name,
            None,
            parsers.grafana_password if name == "GRAFANA_PASSWORD" else parsers.text,
            "password; generated if not set",
            secret=True,
        )
        for name in GENERATED_SECRETS
    ),
)

_ON_CALL = (
    Setting(
        "RUNBOOK_KILL_SWITCH",
        None,
        partial(parsers.command, longest=_ON_CALL_LENGTH),
        "command or page that stops trading; shown in runbooks and critical trading alerts",
    ),
    Setting(
        "RUNBOOK_CONTACTS",
        None,
        partial(parsers.line, longest=_ON_CALL_LENGTH),
        "whom to call; shown in runbooks and critical alerts",
    ),
    Setting(
        "RUNBOOK_BASE_URL",
        DEFAULT_RUNBOOKS,
        parsers.base_url,
        "base URL of the runbooks that alerts link to",
    ),
)

_STACK = (
    Setting(
        "STACKCTL_BIND_ADDRESS",
        "127.0.0.1",
        parsers.address,
        "address on which to publish all ports",
    ),
    Setting(
        "STACKCTL_HOST",
        None,
        parsers.host_or_address,
        "host in the services' addresses, if it is not the engine's",
    ),
    Setting(
        "STACKCTL_COPY_FILES",
        "false",
        parsers.flag,
        "copy configuration and secrets into volumes, as is always done for a remote engine",
    ),
    Setting(
        "STACKCTL_DOCKER_SOCKET",
        None,
        parsers.socket_path,
        "the engine's socket on its own machine, if it is not detected",
    ),
    Setting(
        "STACKCTL_CONTAINERD_SOCKET",
        None,
        parsers.socket_path,
        "containerd's socket on the engine's machine, if it is not detected",
    ),
    Setting(
        "STACKCTL_PROXY",
        None,
        parsers.proxy,
        "proxy for notifications and for probes of external addresses",
    ),
    Setting(
        "STACKCTL_NO_PROXY",
        None,
        parsers.no_proxy,
        "comma-separated hosts, domains and networks to reach without the proxy",
    ),
    Setting(
        "STACKCTL_CA_BUNDLE",
        None,
        parsers.certificates,
        "PEM file of additional certificate authorities to trust",
    ),
    Setting("PROMETHEUS_RETENTION_TIME", "90d", parsers.duration, "how long to keep metrics"),
    Setting("PROMETHEUS_RETENTION_SIZE", "50GB", parsers.size, "maximum disk space for metrics"),
    Setting(
        "PROMETHEUS_ADMIN_API",
        "false",
        parsers.flag,
        "allow everyone who reaches Prometheus to delete series and take snapshots",
    ),
    Setting(
        "STACKCTL_KUBERNETES",
        "false",
        parsers.flag,
        "scrape the Kubernetes cluster in which Prometheus runs",
    ),
    Setting("BINANCE_API_URL", None, parsers.url, "address that the binance-api job probes"),
)


def _with_files(rows: Iterable[Setting]) -> Iterator[Setting]:
    for row in rows:
        yield row
        if row.secret:
            yield Setting(
                f"{row.name}{SECRET_FILE}",
                None,
                parsers.text,
                f"file that contains {row.name}",
            )


GROUPS: Mapping[str, tuple[Setting, ...]] = {
    heading: tuple(_with_files(rows))
    for heading, rows in {
        "Ports on this machine": [
            Setting(
                port.setting, str(port.default), parsers.port, f"port of {service} on this machine"
            )
            for service, port in PUBLISHED_PORTS.items()
        ],
        "Notifications": [row for channel in CHANNELS for row in channel.settings],
        "On call": _ON_CALL,
        "Images": _IMAGES,
        "Your own bot-core": tuple(_bot_core()),
        "Passwords and credentials": _CREDENTIALS,
        "The stack": _STACK,
    }.items()
}
"""Heading → its settings."""

SETTINGS: Mapping[str, Setting] = {row.name: row for rows in GROUPS.values() for row in rows}
