"""`reload` without Docker: which programs reload depends on what each has read, not on what was just written."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from stackctl.errors import ServiceError
from stackctl.lifecycle import reload
from stackctl.project.state import open_state, write_atomic
from stackctl.services.catalog import SERVICES
from tests.support.cli import run_here

pytestmark = pytest.mark.usefixtures("state_dir", "clean_environment", "no_engine")

PAGERDUTY = {"ALERTMANAGER_PAGERDUTY_KEY": "k"}
"""With it Alertmanager's configuration is another."""


@dataclass
class Programs:
    """The programs that can reload, and a record of their reloads."""

    told: list[str] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)

    def client(self) -> type:
        programs = self

        class Client:
            def __init__(self, service: str, _: str) -> None:
                self.service = service

            async def __aenter__(self) -> Client:
                return self

            async def __aexit__(self, *_: object) -> None:
                pass

            async def reload(self) -> None:
                programs.told.append(self.service)
                if self.service in programs.refusing:
                    raise ServiceError(f"{self.service} does not answer", service=self.service)
                # One that fails must not cut off another that takes its time.
                await asyncio.sleep(0.01)

        return Client


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Programs:
    """A stack that has read what is rendered without any setting."""
    monkeypatch.chdir(tmp_path)
    found = Programs()
    monkeypatch.setattr("stackctl.commands.render.passes_checks", lambda *_: True)
    monkeypatch.setattr(reload, "ReloadClient", found.client())
    assert run_here("render").returncode == 0
    reload.note_started(open_state("bot-core"))
    return found


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("stackctl: ")]


def test_what_has_been_read_is_not_told_again(programs: Programs) -> None:
    assert "nothing has changed" in run_here("reload").stdout
    done = run_here("reload", env=PAGERDUTY)
    assert "alertmanager reloaded" in done.stdout
    assert "nothing has changed" in run_here("reload", env=PAGERDUTY).stdout
    assert programs.told == ["alertmanager"]


def test_what_was_only_rendered_is_told(programs: Programs) -> None:
    assert run_here("render", env=PAGERDUTY).returncode == 0
    assert run_here("reload", env=PAGERDUTY).returncode == 0
    assert programs.told == ["alertmanager"]


def test_after_a_reload_that_failed_the_next_one_tries_again(programs: Programs) -> None:
    programs.refusing = {"alertmanager"}
    state = open_state("bot-core")
    rules = state.config / "prometheus" / "recording-rules" / "system.yml"
    read = rules.read_bytes()
    write_atomic(rules, read + b"# other than what Prometheus has read\n", 0o644)
    reload.note_started(state)
    done = run_here("reload", env=PAGERDUTY)
    assert done.returncode == 1
    assert said(done) == ["stackctl: alertmanager does not answer"]
    # The other one has read its own all the same.
    assert "prometheus reloaded" in done.stdout
    done = run_here("reload", env=PAGERDUTY)
    assert done.returncode == 1
    programs.refusing = set()
    done = run_here("reload", env=PAGERDUTY)
    assert done.returncode == 0
    assert "alertmanager reloaded" in done.stdout
    assert sorted(programs.told) == ["alertmanager", "alertmanager", "alertmanager", "prometheus"]


def test_what_waits_for_up_is_said_until_up(programs: Programs) -> None:
    state = open_state("bot-core")
    write_atomic(state.config / "loki" / "loki-config.yml", "# what Loki was started with\n", 0o644)
    reload.note_started(state)
    for _ in range(2):
        assert "to be applied by `stackctl up`: loki/loki-config.yml" in run_here("reload").stderr
    reload.note_started(state)
    assert "nothing has changed" in run_here("reload").stdout


def test_what_its_reader_finds_by_itself_waits_for_nothing(programs: Programs) -> None:
    state = open_state("bot-core")
    board = state.config / "grafana" / "dashboards" / "system-overview.json"
    write_atomic(board, "{}", 0o644)
    reload.note_started(state)
    done = run_here("reload")
    assert (
        "grafana/dashboards/system-overview.json changed: picked up within seconds" in done.stdout
    )
    assert "stackctl up" not in done.stderr
    assert programs.told == []
    assert "nothing has changed" in run_here("reload").stdout


def test_without_a_record_everything_that_can_be_told_is_told(programs: Programs) -> None:
    (open_state("bot-core").folder / "loaded.json").unlink()
    done = run_here("reload")
    assert done.returncode == 0
    assert sorted(programs.told) == ["alertmanager", "blackbox-exporter", "prometheus"]
    assert "stackctl up" not in done.stderr


def test_a_configuration_that_is_refused_is_one_line(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackctl.commands.render.passes_checks", lambda *_: False)
    done = run_here("reload", env=PAGERDUTY)
    assert done.returncode == 1
    (line,) = said(done)
    assert "nothing was changed" in line
    assert programs.told == []


def test_what_was_read_is_noted_by_file_and_forgotten_with_it(programs: Programs) -> None:
    state = open_state("bot-core")
    kept, gone, other = (state.config / "prometheus" / "targets" / f"{name}.yml" for name in "kgo")
    for path in (kept, gone):
        path.write_text("1")
    reload.note_started(state)
    for path in (kept, other):
        path.write_text("2")
    gone.unlink()
    names = [path.relative_to(state.config).as_posix() for path in (kept, gone, other)]
    assert reload.changed(state) == sorted(names)
    reload.note_read(state, names[:2])
    assert reload.changed(state) == [names[2]]
    reload.note_read(state, names)
    assert reload.changed(state) == []


def test_a_file_that_its_reader_finds_is_not_told_of() -> None:
    for service in ("prometheus", "alertmanager", "blackbox-exporter"):
        folder = SERVICES[service].reloads
        assert folder is not None
        watched = [one.watches for one in SERVICES.values() if one.watches]
        names = [f"{folder}a.yml", *(f"{one}a.yml" for one in watched)]
        assert reload.files_of(service, names) == [f"{folder}a.yml"]
