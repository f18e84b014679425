"""`stackctl load`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from stackctl.commands import complete
from stackctl.commands.options import FORMAT
from stackctl.commands.session import Session, pass_session
from stackctl.errors import UsageError
from stackctl.ui.console import print_json

if TYPE_CHECKING:
    from stackctl.clients.load import Outcome
    from stackctl.project.project import Project

_DEFAULT = "rust-core-engine"
_MOST_REQUESTS = 100_000
_MOST_AT_ONCE = 200
_PERCENTILES = (50, 90, 95, 99, 100)


@click.command(
    epilog="\b\nExamples:\n  stackctl load\n  stackctl load python-ai-service --requests 5000 --concurrency 50\n"
    "  stackctl load http://127.0.0.1:8080/api/portfolio --format json"
)
@click.argument(
    "target", default=_DEFAULT, metavar="[SERVICE|URL]", shell_complete=complete.published
)
@click.option(
    "-n",
    "--requests",
    type=click.IntRange(1, _MOST_REQUESTS),
    default=1000,
    show_default=True,
    metavar="N",
    help="Number of requests.",
)
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1, _MOST_AT_ONCE),
    default=10,
    show_default=True,
    metavar="N",
    help="Number of concurrent requests.",
)
@FORMAT
@pass_session
@click.pass_context
def load(
    ctx: click.Context,
    session: Session,
    target: str,
    requests: int,
    concurrency: int,
    output: str,
) -> None:
    """Send requests to a service and measure its responses. Exits with 1 if a response is not a 2xx.

    The requests go to the health page of SERVICE (default: rust-core-engine), or to a URL at one of the stack's
    addresses, which `stackctl status` lists.
    """
    import asyncio

    from stackctl.clients.load import put
    from stackctl.ui.progress import Spinner

    url = _url(session.running, target)
    session.require_running(*_asked(session.running, url))
    with Spinner(session.err, f"{requests} requests to {url}, {concurrency} at a time"):
        outcome = asyncio.run(put(url, requests=requests, concurrency=concurrency))
    found = _found(url, requests, concurrency, outcome)
    if output == "json":
        print_json(found)
    else:
        _print(session, found)
    if not outcome.ok:
        ctx.exit(1)


def _url(project: Project, target: str) -> str:
    """Return the URL to request. Raises UsageError for an unknown service or a URL outside the stack."""
    settings = project.settings
    import httpx

    from stackctl.services.catalog import PUBLISHED_PORTS, HttpProbe

    if "://" not in target:
        (service,) = project.select((target,))
        if service.name == _DEFAULT:
            return _application(project)
        probe = service.probe
        if service.name not in PUBLISHED_PORTS or not isinstance(probe, HttpProbe) or probe.via:
            raise UsageError(
                f"{target} has no health page on this machine",
                remedy="choose another service, or the URL of a page",
            )
        return settings.url(target) + probe.path
    own = {urlsplit(settings.url(service)).netloc for service in PUBLISHED_PORTS}
    try:
        asked = httpx.URL(target)
    except httpx.InvalidURL as error:
        raise UsageError(f"{target!r} is not a URL: {error}") from None
    netloc = asked.netloc.decode().replace("localhost", "127.0.0.1")
    if asked.scheme != "http" or asked.userinfo or netloc not in own:
        raise UsageError(
            f"{target} is not an address of this stack", remedy="see `stackctl status`"
        )
    return target


def _asked(project: Project, url: str) -> list[str]:
    """Return the services that are published at a URL's address."""
    from stackctl.services.catalog import PUBLISHED_PORTS

    netloc = urlsplit(url).netloc.replace("localhost", "127.0.0.1")
    return [
        name for name in PUBLISHED_PORTS if urlsplit(project.settings.url(name)).netloc == netloc
    ]


def _application(project: Project) -> str:
    """Return the URL on which `verify` puts load, of the demo or of an attached bot-core."""
    from stackctl.verify.context import application_load

    found = application_load(project, project.present())
    if found is None:
        raise UsageError(
            f"{_DEFAULT} cannot be reached from this machine",
            remedy="publish its port, or choose another service",
        )
    return found.url + found.path


def _found(url: str, requests: int, concurrency: int, outcome: Outcome) -> dict[str, Any]:
    latencies = {}
    for percent in _PERCENTILES:
        seconds = outcome.percentile(percent)
        name = "max" if percent == 100 else f"p{percent}"
        latencies[name] = None if seconds is None else round(seconds * 1000, 3)
    return {
        "url": url,
        "requests": requests,
        "concurrency": concurrency,
        "seconds": round(outcome.seconds, 3),
        "requests_per_second": round(outcome.rate, 1),
        "latency_ms": latencies,
        "answers": dict(outcome.answers.most_common()),
        "ok": outcome.ok,
    }


def _outcome_name(outcome: str) -> str:
    """Return an outcome as a row's label: a status, or a kind of failure."""
    return f"HTTP {outcome}" if outcome.isdecimal() else outcome


def _print(session: Session, found: dict[str, Any]) -> None:
    from rich.table import Table

    session.out.print(
        f"{found['requests']} requests to {found['url']}, {found['concurrency']} at a time,"
        f" in {found['seconds']:.1f} s",
        soft_wrap=True,
        markup=False,
    )
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_row("requests/s", f"{found['requests_per_second']:.1f}")
    for name, milliseconds in found["latency_ms"].items():
        table.add_row(name, "none" if milliseconds is None else f"{milliseconds:.1f} ms")
    for answer, number in found["answers"].items():
        style = "green" if answer.startswith("2") else "red"
        table.add_row(_outcome_name(answer), str(number), style=style)
    session.out.print(table)
