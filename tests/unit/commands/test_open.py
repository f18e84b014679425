"""`open`: the right page, in a browser or without one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stackctl.project.project import ProjectState, open_project
from tests.support.cli import run_here, stackctl
from tests.support.http import Server, serving

pytestmark = pytest.mark.usefixtures("own_folders", "no_engine")


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def grafana(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving({}) as server:
        monkeypatch.setenv("GRAFANA_PORT", str(urlsplit(server.url).port))
        yield server


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A browser that writes down what it was given."""
    seen, program = tmp_path / "seen", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(program))
    return seen


# Python looks for a browser once in the life of a process, so that these have one of their own.
@pytest.mark.thorough
def test_the_browser_gets_the_page(grafana: Server, browser: Path) -> None:
    done = stackctl("open")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{grafana.url}/\n"
    assert browser.read_text() == done.stdout
    assert "No browser" not in done.stderr
    assert "user admin, the password is in" in done.stderr


@pytest.mark.thorough
def test_a_dashboard(grafana: Server, browser: Path) -> None:
    assert stackctl("open", "grafana", "--dashboard", "system-overview").returncode == 0
    assert browser.read_text() == f"{grafana.url}/d/system-overview\n"


@pytest.mark.thorough
def test_without_a_browser_the_address_is_printed(
    grafana: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER", "/nonexistent/browser")
    done = stackctl("open", env={"PATH": "/nonexistent"})
    assert (done.returncode, done.stdout) == (0, f"{grafana.url}/\n")
    assert "No browser found" in done.stderr


def test_where_nothing_listens_the_browser_is_left_alone(browser: Path) -> None:
    done = run_here("open", "prometheus", env={"PROMETHEUS_PORT": "9"})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "stackctl: cannot connect to prometheus at http://127.0.0.1:9;"
        " look for the reason with `stackctl logs prometheus`\n"
    )
    assert not browser.exists()


def test_what_has_no_page_where_it_is_attached_is_not_offered(browser: Path) -> None:
    project = open_project(name=None, env_file=None)
    project.keep(ProjectState(demo=False, network="net"))
    done = run_here("open", "rust-core-engine")
    assert done.returncode == 2
    assert done.stderr == (
        "stackctl: rust-core-engine has no web page; known: prometheus, alertmanager, grafana\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["grafan"], "did you mean grafana?"),
        (["loki"], "loki has no web page; known: prometheus, "),
        (["--dashboard", "system-overvue"], "did you mean system-overview?"),
        (["prometheus", "--dashboard", "system-overview"], "--dashboard requires grafana"),
    ],
)
def test_wrong_names(arguments: list[str], says: str, browser: Path) -> None:
    done = run_here("open", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not browser.exists()
