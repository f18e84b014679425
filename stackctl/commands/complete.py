"""Shell completion of arguments. To be fast, it reads no settings and queries no service."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import click

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def _completer(names: Callable[[], Iterable[str]]) -> Completer:
    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return complete


def _services() -> Iterable[str]:
    from stackctl.services.catalog import SERVICES

    return SERVICES


def _pages() -> Iterable[str]:
    from stackctl.services.catalog import SERVICES

    return [service.name for service in SERVICES.values() if service.page is not None]


def _published() -> Iterable[str]:
    from stackctl.services.catalog import PUBLISHED_PORTS

    return PUBLISHED_PORTS


def _settings() -> Iterable[str]:
    from stackctl.config.registry import SETTINGS

    return SETTINGS


def _alerts() -> Iterable[str]:
    from stackctl.alerts import runbooks

    return sorted(runbooks.by_alert())


def _dashboards() -> Iterable[str]:
    from stackctl.util import paths

    return paths.dashboards()


def _checks() -> Iterable[str]:
    from stackctl.verify.runner import CHECKS, SECTIONS

    return [*SECTIONS, *(check.id for check in CHECKS)]


def _topics() -> Iterable[str]:
    from stackctl import topics
    from stackctl.commands import COMMANDS

    return sorted({*topics.names(), *COMMANDS})


alerts = _completer(_alerts)
checks = _completer(_checks)
dashboards = _completer(_dashboards)
pages = _completer(_pages)
published = _completer(_published)
services = _completer(_services)
settings = _completer(_settings)
topics = _completer(_topics)
