"""The command `snapshot`, against a server with answers of our own."""

from __future__ import annotations

import html
import json
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner

from stackctl.commands.session import Session
from stackctl.commands.snapshot import snapshot as command
from stackctl.errors import ServiceError
from stackctl.snapshot import dashboard
from stackctl.snapshot.take import Snapshot
from stackctl.snapshot.units import format_value
from stackctl.util import paths
from tests.support.boards import (
    HOUR,
    NOW,
    ONE,
    SHIPPED,
    Document,
    ask,
    board,
    matrix,
    panel,
    render,
    routes,
    streams,
)
from tests.support.http import Answer as Route
from tests.support.http import Reply, Request, Server, as_json, serving


@pytest.fixture
def both() -> Iterator[Callable[..., Server]]:
    """Starts a server that replaces Prometheus and Loki."""
    open_servers = []

    def start(prometheus: Route = ONE, loki: Route | None = None) -> Server:
        context = serving(routes(prometheus, loki or streams("a line", job="kong")))
        open_servers.append(context)
        return context.__enter__()

    yield start
    for context in open_servers:
        context.__exit__(None, None, None)


@pytest.fixture
def run(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, tmp_path: Path, no_engine: None
) -> Callable[..., Any]:
    """Runs the command against a server, in a folder of its own."""

    def invoke(server: Server, *arguments: str) -> Any:
        port = server.url.rpartition(":")[2]
        clean_environment.setenv("PROMETHEUS_PORT", port)
        clean_environment.setenv("LOKI_PORT", port)
        clean_environment.chdir(tmp_path)
        session = Session("bot-core", None)
        if not session.project.state.dashboards.exists():
            shutil.copytree(SHIPPED, session.project.state.dashboards)
        return CliRunner().invoke(command, arguments, obj=session)

    return invoke


@pytest.mark.thorough
@pytest.mark.parametrize("name", paths.dashboards())
def test_every_panel_of_every_dashboard_is_on_the_page(
    name: str, both: Callable[..., Server], run: Callable[..., Any], tmp_path: Path
) -> None:
    labels = {"le": "1", "name": "one", "job": "one"}
    found = both(matrix((labels, [(NOW.timestamp(), "1"), (NOW.timestamp() + 15, "2")])))
    done = run(
        found, name, "-o", "out.html", "--from", "2026-01-02T11:00", "--to", "2026-01-02T12:00"
    )
    assert done.exit_code == 0, done.output
    described = dashboard.load(name, SHIPPED)
    panels = [one for one in described.panels if one.type != "row"]
    assert done.stdout == f"out.html: {len(panels)} panels\n"
    content = (tmp_path / "out.html").read_text()
    document = Document(content)
    assert document.tags.count("section") == len(panels)
    assert document.tags.count("details") == len(panels)
    for one in described.panels:
        assert one.title in document.text
    assert (tmp_path / "out.html").stat().st_mode & 0o777 == 0o600


def value_of(expr: str) -> float:
    """Return each query a value of its own, above those that have words."""
    return 2 + zlib.crc32(expr.encode()) % 9000 / 100


def own_value(request: Request) -> Reply:
    (expr,) = parse_qs(request.body.decode())["query"]
    points = [(NOW.timestamp() - back, str(value_of(expr))) for back in (15, 0)]
    return matrix(({"le": "1", "name": "one", "job": "one", "service": "one"}, points))


@pytest.mark.thorough
@pytest.mark.parametrize("name", paths.dashboards())
def test_every_panel_shows_what_its_own_queries_found(name: str) -> None:
    described = dashboard.load(name, SHIPPED)
    with serving(routes(own_value, streams("a line", job="kong"))) as server:
        answers = ask(described, server)
    sections = render(described, answers).split("<section ")[1:]
    drawn = [pair for pair in zip(described.panels, answers, strict=True) if pair[0].type != "row"]
    for (one, answer), section in zip(drawn, sections, strict=True):
        shown = html.unescape(section.partition("<details>")[0])
        assert one.title in shown
        for found in answer.series if one.type in {"stat", "gauge", "timeseries"} else ():
            looks = one.appearance(found.name)
            assert found.last == value_of(answer.expressions[found.ref_id])
            assert format_value(found.last, looks.unit, looks.decimals) in shown, one.title


def test_without_a_name_the_file_is_called_by_dashboard_and_time(
    both: Callable[..., Server], run: Callable[..., Any], tmp_path: Path
) -> None:
    done = run(both(), "business-metrics", "--to", "2026-01-02T12:00", "--from", "2026-01-02T11:00")
    assert done.exit_code == 0, done.output
    assert [one.name for one in tmp_path.glob("*.html")] == [
        "business-metrics-20260102T120000Z.html"
    ]


def test_the_dashboard_is_the_one_that_was_rendered(
    both: Callable[..., Server], run: Callable[..., Any]
) -> None:
    found = both()
    rendered = Session("bot-core", None).project.state.dashboards
    rendered.mkdir(parents=True)
    told = run(found, "business-metrics", "-o", "out.html")
    assert "business-metrics is not rendered" in str(told.exception)
    (rendered / "business-metrics.json").write_text(
        json.dumps({"uid": "business-metrics", "title": "B", "panels": [panel("stat")]})
    )
    assert run(found, "business-metrics", "-o", "out.html").stdout == "out.html: 1 panels\n"


def test_the_command_says_which_panels_show_nothing(
    both: Callable[..., Server], run: Callable[..., Any], tmp_path: Path
) -> None:
    failing = as_json({"status": "error", "error": "too many samples"}, 422)
    done = run(both(matrix(), failing), "ai-analysis", "-o", "out.html")
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "Analyses per Minute, OpenAI API Requests, Analysis Duration" in said
    assert said.endswith("a query failed for AI Service Log")
    text = Document((tmp_path / "out.html").read_text()).text
    asked = [one for one in dashboard.load("ai-analysis", SHIPPED).panels if one.targets]
    excused = [one for one in asked if one.if_empty("A")]
    assert text.count("No data") == sum(one.type != "logs" for one in asked) - len(excused)
    assert [one.title for one in excused] == ["Active Alerts"]
    assert "No alert is firing" in text
    assert "The query failed: loki at " in text


def test_without_prometheus_there_is_no_page(run: Callable[..., Any], tmp_path: Path) -> None:
    with serving({"/-/ready": Reply(b"starting", 503)}) as server:
        done = run(server, "business-metrics", "-o", "out.html")
    assert isinstance(done.exception, ServiceError)
    assert done.exception.status == 503
    assert not (tmp_path / "out.html").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shot = Snapshot("bot-core", board(), HOUR, [])
    with pytest.raises(Exception, match=r"cannot be written") as caught:
        shot.write(tmp_path / "file" / "out.html")
    assert getattr(caught.value, "remedy", "") == "choose another place with -o"
