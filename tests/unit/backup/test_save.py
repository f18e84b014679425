"""Saving: what is stopped when, and what a failure leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackctl.backup import data, save
from stackctl.chaos.journal import Journal
from stackctl.errors import EngineError, StackctlError
from stackctl.project.project import ProjectState
from stackctl.readiness.observer import Observer
from stackctl.util import paths, yaml_text
from tests.support.backups import LOKI, NAMES, SILENT, Docker, Stack, read
from tests.support.engine import container


def test_the_volumes_are_those_of_the_compose_file_with_the_services_that_write_them() -> None:
    compose = yaml_text.load((paths.compose() / "docker-compose.yml").read_text())
    mounts = {
        mount.partition(":")[0]: service
        for service, body in compose["services"].items()
        for mount in body.get("volumes", [])
        if isinstance(mount, str)
    }
    assert {name: mounts[name] for name in data.SERVICES} == dict(data.SERVICES)
    # Promtail's positions are about this machine's log files, and mean nothing beside a restored Loki.
    assert set(compose["volumes"]) - set(data.SERVICES) == {"empty", "promtail_positions"}


def test_each_service_is_stopped_for_its_own_volume_only_and_runs_again(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    seen = {}
    docker.on_read = lambda volume: seen.update({volume: stack.running})
    before = stack.running
    manifest = save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert seen == {NAMES[volume]: before - {service} for volume, service in data.SERVICES.items()}
    assert stack.running == before
    assert [one.name for one in manifest.volumes] == list(data.SERVICES)
    assert {one.image for one in manifest.volumes} >= {"stackctl/grafana:local"}
    assert read(tmp_path / "b.tar.gz") == dict.fromkeys(data.SERVICES, LOKI)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, EngineError("cut off")])
def test_however_the_copy_ends_the_service_runs_again_and_no_file_is_left(
    stack: Stack, docker: Docker, tmp_path: Path, error: BaseException | type[BaseException]
) -> None:
    def fail(volume: str) -> None:
        if volume == NAMES["loki_data"]:
            raise error

    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    docker.on_read = fail
    before = stack.running
    folder = tmp_path / "backups"
    folder.mkdir()
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whichever it is
        save.save(stack.project, folder / "b.tar.gz", force=False, observer=SILENT)
    assert caught.value is error or caught.type is error
    assert stack.running == before
    assert Journal(stack.project.state).open_faults() == []
    assert list(folder.iterdir()) == []


def test_what_did_not_run_before_does_not_run_after(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    stack.engine.states["loki"] = container("loki", status="exited")
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert "loki" not in stack.running
    assert ("start", "id-loki") not in stack.engine.done


def test_a_backup_of_a_stack_that_is_down_names_the_images_of_its_set(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    stack.engine.states.clear()
    stack.project.keep(ProjectState(images="local"))
    docker.volumes = {NAMES["loki_data"]: LOKI}
    notes: list[str] = []
    observer = Observer(lambda _: None, notes.append, lambda _: None)
    manifest = save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=observer)
    assert [(one.name, one.image) for one in manifest.volumes] == [
        ("loki_data", "stackctl/loki:local")
    ]
    assert len(notes) == 3
    assert "bot-core_grafana_data does not exist" in notes[0]


def test_no_data_is_said_before_anything_is_stopped(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    with pytest.raises(StackctlError, match="no data yet"):
        save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert stack.engine.done == []


@pytest.mark.parametrize("status", ["paused", "restarting"])
def test_a_service_that_cannot_be_at_rest_is_refused_before_anything_is_stopped(
    stack: Stack, docker: Docker, tmp_path: Path, status: str
) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    stack.engine.states["loki"] = container("loki", status=status)
    with pytest.raises(StackctlError, match=f"loki while it is {status}"):
        save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert stack.engine.done == []


def test_an_open_fault_is_refused_before_anything_is_stopped(
    stack: Stack, docker: Docker, tmp_path: Path
) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    Journal(stack.project.state).begin("disconnect", "promtail", "id-promtail")
    with pytest.raises(StackctlError) as caught:
        save.save(stack.project, tmp_path / "b.tar.gz", force=False, observer=SILENT)
    assert caught.value.remedy == "stackctl chaos heal"
    assert stack.engine.done == []
