"""Commands go on with the stack that runs, wherever they are called and whatever the settings there say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stackctl.project.project import ProjectState, open_project
from stackctl.project.running import addresses
from stackctl.services.catalog import PUBLISHED_PORTS
from tests.support.cli import run_here
from tests.support.http import Reply, serving

pytestmark = pytest.mark.usefixtures("own_folders", "no_engine")


def started(**settings: str) -> None:
    """Record a stack of project b that was started with these settings in the folder's .env."""
    Path(".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    project = open_project(name="b", env_file=None)
    project.keep(ProjectState(addresses=addresses(project.settings)))
    Path(".env").unlink()


def test_from_another_folder_the_running_stack_is_meant_and_the_difference_named() -> None:
    started(PROMETHEUS_PORT="19090", GRAFANA_PORT="13001", STACKCTL_BIND_ADDRESS="127.0.0.2")
    done = run_here("-p", "b", "urls", "--format", "json")
    assert json.loads(done.stdout)["prometheus"] == "http://127.0.0.2:19090"
    assert done.stderr == (
        "stackctl: using the addresses of the running project b, which differ from the settings:"
        " PROMETHEUS_PORT=19090, not 9090 (default); GRAFANA_PORT=13001, not 3001 (default);"
        " STACKCTL_BIND_ADDRESS=127.0.0.2, not 127.0.0.1 (default)."
        " To apply the settings, run `stackctl up`\n"
    )


def test_many_differences_are_counted() -> None:
    started(**{port.setting: str(port.default + 20000) for port in PUBLISHED_PORTS.values()})
    done = run_here("-p", "b", "urls")
    assert (
        f"; and {len(PUBLISHED_PORTS) - 3} more. To apply the settings, run `stackctl up`"
        in done.stderr
    )


def test_the_same_settings_and_a_stack_that_never_ran_are_no_difference() -> None:
    started()
    for words in (("-p", "b", "urls"), ("-p", "c", "urls")):
        assert run_here(*words).stderr == ""


def test_how_this_machine_reaches_the_engine_is_decided_here() -> None:
    started(STACKCTL_HOST="engine.example")
    done = run_here("-p", "b", "urls", "--format", "json")
    assert json.loads(done.stdout)["grafana"] == "http://engine.example:3001"
    done = run_here("-p", "b", "urls", "--format", "json", env={"STACKCTL_HOST": "127.0.0.1"})
    assert json.loads(done.stdout)["grafana"] == "http://127.0.0.1:3001"
    assert done.stderr == ""


def test_what_is_sent_goes_to_the_running_stack() -> None:
    silences = Reply(b'{"silenceID": "0f3a"}')
    with serving({"/api/v2/silences": silences}) as ours, serving({}) as other:
        started(ALERTMANAGER_PORT=ours.url.rpartition(":")[2])
        elsewhere = {"ALERTMANAGER_PORT": other.url.rpartition(":")[2]}
        words = ("-p", "b", "alerts", "silence", "add", "X", "--for", "1h")
        done = run_here(*words, env=elsewhere)
    assert done.stdout == "0f3a\n"
    assert (len(ours.requests), len(other.requests)) == (1, 0)
    assert "(environment)" in done.stderr
