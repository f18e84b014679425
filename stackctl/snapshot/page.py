"""The page: a self-contained HTML file without scripts and network requests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import cache

import jinja2

from stackctl import __version__
from stackctl.snapshot.dashboard import Dashboard
from stackctl.snapshot.timerange import TimeRange
from stackctl.snapshot.views import COLUMN, View


def render(dashboard: Dashboard, views: Sequence[View], times: TimeRange, project: str) -> str:
    """Return the page's HTML. The template engine escapes all external text."""
    return _template().render(
        dashboard=dashboard,
        views=views,
        times=times,
        project=project,
        version=__version__,
        column=COLUMN,
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stackctl.snapshot", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["utc"] = _utc
    return environment.get_template("page.html.jinja")


def _utc(time: dt.datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S}"
