"""Restoring: what is replaced when, and what a failure leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest

from stackctl.backup.archive import BadBackup
from stackctl.docker.engine import EngineInfo
from stackctl.docker.run import SCRATCH_LABEL
from stackctl.errors import EngineError, StackctlError
from stackctl.project import unfinished_restore
from stackctl.project.project import ProjectState
from tests.support.backups import GRAFANA, LOKI, NAMES, OLD, Docker, Restoring, Stack
from tests.support.engine import container


def test_the_volumes_are_replaced_by_fresh_ones_that_compose_owns(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = dict(OLD)
    restoring(whole)
    assert restoring.asked == [[NAMES["loki_data"]]]
    assert docker.volumes == {
        NAMES["grafana_data"]: GRAFANA,
        NAMES["loki_data"]: LOKI,
        # The backup does not have it, so it stays.
        NAMES["prometheus_data"]: b"old",
    }
    assert docker.labels[NAMES["loki_data"]] == {
        "com.docker.compose.project": "bot-core",
        "com.docker.compose.volume": "loki_data",
        "com.docker.compose.version": "2.26.1",
    }
    unfinished_restore.refuse(restoring.stack.project.state)


def test_a_restore_needs_the_stack_down(stack: Stack, docker: Docker, whole: Path) -> None:
    docker.volumes = dict(OLD)
    with pytest.raises(StackctlError) as caught:
        Restoring(stack)(whole)
    assert caught.value.remedy == "stackctl down"
    assert docker.volumes == OLD


def test_a_restore_does_not_mind_containers_that_are_not_this_stacks(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    theirs = container("redis", attached=True, project="bot")
    restoring.stack.engine.states["redis"] = theirs
    restoring(whole)
    assert docker.volumes[NAMES["loki_data"]] == LOKI
    restoring.stack.engine.states["promtail"] = container("promtail")
    with pytest.raises(StackctlError, match="has 1 containers"):
        restoring(whole)
    assert restoring.stack.engine.done == []


def test_a_damaged_file_is_found_before_anything_is_asked_or_touched(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = dict(OLD)
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 1
    whole.write_bytes(content)
    with pytest.raises(BadBackup):
        restoring(whole)
    assert restoring.asked == []
    assert docker.volumes == OLD


def test_a_no_changes_nothing(restoring: Restoring, docker: Docker, whole: Path) -> None:
    docker.volumes = dict(OLD)
    restoring.refuse = True
    with pytest.raises(click.Abort):
        restoring(whole)
    assert docker.volumes == OLD


def test_a_restore_with_podman_is_refused_before_anything_is_touched(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = dict(OLD)
    known = restoring.stack.engine.engine_info
    assert isinstance(known, EngineInfo)
    restoring.stack.engine.engine_info = replace(known, podman=True)
    with pytest.raises(StackctlError, match="Podman") as caught:
        restoring(whole)
    assert caught.value.remedy
    assert docker.volumes == OLD


TRIAL = "bot-core_loki_data-trial"


def fail_at(*volumes: str, error: BaseException | type[BaseException]) -> Callable[[str], None]:
    """Make a failure of writing to one of these volumes."""

    def fail(volume: str) -> None:
        if volume in volumes:
            raise error

    return fail


@pytest.mark.parametrize("error", [KeyboardInterrupt, EngineError("no space left on device")])
@pytest.mark.parametrize("at", [TRIAL, NAMES["grafana_data"]])
def test_a_restore_that_fails_before_all_is_known_to_fit_changes_nothing(
    restoring: Restoring,
    docker: Docker,
    whole: Path,
    at: str,
    error: BaseException | type[BaseException],
) -> None:
    docker.volumes = dict(OLD)
    docker.on_write = fail_at(at, error=error)
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - whichever it is
        restoring(whole)
    assert caught.value is error or caught.type is error
    assert docker.volumes == OLD
    unfinished_restore.refuse(restoring.stack.project.state)


def test_a_restore_that_fails_when_a_part_is_replaced_is_told_and_can_be_done_again(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    state = restoring.stack.project.state
    docker.volumes = dict(OLD)
    docker.on_write = fail_at(NAMES["loki_data"], error=EngineError("the engine has gone"))
    with pytest.raises(EngineError):
        restoring(whole)
    assert TRIAL not in docker.volumes
    with pytest.raises(StackctlError, match="a restore was interrupted"):
        unfinished_restore.refuse(state)
    # Nor does one that fails earlier the next time strike that out.
    docker.on_write = fail_at(TRIAL, error=EngineError("no space left on device"))
    with pytest.raises(EngineError):
        restoring(whole)
    with pytest.raises(StackctlError, match="a restore was interrupted"):
        unfinished_restore.refuse(state)
    docker.on_write = lambda _: None
    restoring(whole)
    assert docker.volumes[NAMES["loki_data"]] == LOKI
    unfinished_restore.refuse(state)


def test_a_trial_goes_before_its_volume_is_replaced_and_is_marked_for_removal(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    docker.volumes = {**OLD, TRIAL: b"of one that was killed"}
    seen: dict[str, set[str]] = {}
    docker.on_write = lambda volume: seen.update({volume: set(docker.volumes)})
    restoring(whole)
    assert NAMES["loki_data"] in seen[TRIAL]
    assert TRIAL not in seen[NAMES["loki_data"]]
    assert TRIAL not in docker.volumes
    assert SCRATCH_LABEL in docker.labels[TRIAL]


@pytest.mark.parametrize("which", ["others", "in_use"])
def test_a_volume_of_somebody_elses_is_refused_before_anything_is_asked_or_touched(
    restoring: Restoring, docker: Docker, whole: Path, which: str
) -> None:
    docker.volumes = dict(OLD)
    if which == "others":
        docker.others = {NAMES["loki_data"]}
    else:
        docker.in_use = {NAMES["loki_data"]: ["their-loki"]}
    with pytest.raises(StackctlError, match="bot-core_loki_data is") as caught:
        restoring(whole)
    assert caught.value.remedy
    assert "\n" not in caught.value.line
    assert restoring.asked == []
    assert docker.volumes == OLD


def test_a_restore_that_was_killed_is_told_until_it_is_done_again_or_its_volumes_are_gone(
    restoring: Restoring, docker: Docker, whole: Path
) -> None:
    state = restoring.stack.project.state
    docker.volumes = {NAMES["loki_data"]: b"half"}
    unfinished_restore.begin(state, [NAMES["loki_data"], NAMES["grafana_data"]])
    with pytest.raises(StackctlError, match=r"interrupted: bot-core_loki_data may be incomplete"):
        unfinished_restore.refuse(state)
    docker.volumes.clear()
    unfinished_restore.refuse(state)
    docker.volumes = {NAMES["loki_data"]: b"half"}
    restoring(whole)
    unfinished_restore.refuse(state)


def test_data_of_other_programs_is_told(restoring: Restoring, docker: Docker, whole: Path) -> None:
    restoring.stack.project.keep(ProjectState(images="local"))
    restoring(whole)
    assert (
        "loki_data was written by image-of-loki_data; this project runs stackctl/loki:local"
        in restoring.said
    )
