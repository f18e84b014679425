"""What `images outdated` makes of the tags that registries have."""

from __future__ import annotations

import json

import pytest

from stackctl.images import newer
from stackctl.services.releases import table
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container
from tests.support.http import Reply, Request, as_json, serving


@pytest.mark.parametrize(
    ("tag", "tags", "wanted"),
    [
        (
            "v3.14.0",
            ["v3.9.0", "v3.14.0", "v3.15.1", "v3.15.2-rc.0", "3.99.0", "v4", "main"],
            "v3.15.1",
        ),
        ("8.0-alpine", ["8.0-alpine", "8.2-alpine", "9.0", "9.0-alpine3.22", "8"], "8.2-alpine"),
        ("13.1.2", ["13.1.2-security-01", "13.1.2", "13.0.9"], "13.1.2"),
        ("0.60.5", ["v0.61.0", "latest"], None),
        ("latest", ["latest", "1.0"], None),
    ],
)
def test_the_newest_is_of_the_same_kind(tag: str, tags: list[str], wanted: str | None) -> None:
    assert newer.newest(tag, tags) == wanted


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, own_folders: None) -> MemoryEngine:
    engine = MemoryEngine(container("prometheus", image="prom/prometheus:v2.48.0"))
    monkeypatch.setattr("stackctl.project.project.Project.engine", lambda *_: engine)
    return engine


@pytest.mark.usefixtures("engine")
def test_a_newer_release_is_named_beside_the_table_and_what_runs() -> None:
    def answer(request: Request) -> Reply:
        return as_json({"tags": ["v2.48.0", "v3.14.0", "v3.99.0"]})

    routes = {"/v2/prom/prometheus/tags/list": answer, "/v2/prom/alertmanager/tags/list": answer}
    with serving(dict(routes)) as server:
        env = {
            "STACKCTL_REGISTRY_MIRROR": server.url.removeprefix("http://"),
            "LOKI_IMAGE": "own:1",
        }
        done = run_here("images", "outdated", "--format", "json", env=env)
        shown = run_here("images", "outdated", env=env)
    assert done.returncode == shown.returncode == 0, done.stderr
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    # What the settings name, and what is built here, is nobody's release.
    assert rows.keys() == table().keys() - {"loki", "demo"}
    assert rows["prometheus"] == {
        "name": "prometheus",
        "plan": "v2.48.0",
        "current": "v3.14.0",
        "running": ["prom/prometheus:v2.48.0"],
        "newest": "v3.99.0",
        "failure": None,
        "outdated": True,
    }
    assert rows["redis"]["newest"] is None
    assert not rows["redis"]["outdated"]
    assert "HTTP 404 for library/redis" in rows["redis"]["failure"]
    assert "v3.99.0 (newer)" in shown.stdout
    assert "HTTP 404 for library/redis" in shown.stderr


@pytest.mark.usefixtures("engine")
def test_a_registry_that_is_away_is_one_line() -> None:
    done = run_here("images", "outdated", env={"STACKCTL_REGISTRY_MIRROR": "127.0.0.1:1"})
    assert done.returncode == 0
    assert done.stderr.count("registry 127.0.0.1:1: connection failed") == 1
    assert "unknown" in done.stdout
