"""What becomes of data when another release or another set is to open it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from stackctl.config.load import load
from stackctl.docker.inventory import Inventory
from stackctl.docker.models import Inspected
from stackctl.errors import StackctlError
from stackctl.images import sets, writers
from stackctl.images.writers import Writer, writer
from stackctl.lifecycle import plan, stored_data
from stackctl.lifecycle.plan import Observed, VolumeReset, plan_up
from stackctl.lifecycle.stored_data import Move
from stackctl.project.project import Project, ProjectState, open_project
from stackctl.services import catalog
from stackctl.services.catalog import SetName
from stackctl.services.releases import PLAN, Releases, current
from tests.support.facts import inspected, rehearsed

EVERY = frozenset(
    f"bot-core_{one.data.volume}" for one in catalog.SERVICES.values() if one.data is not None
)


@pytest.fixture
def project(own_folders: None) -> Project:
    return open_project(name=None, env_file=None)


def ran(project: Project, images: SetName | None, releases: Releases, *, on_record: bool) -> None:
    """Have the project have run, with a stackctl that did or did not record the writers."""
    project.keep(ProjectState(images=images, releases=releases))
    if on_record:
        references = sets.references(project.settings, images, releases)
        stored_data.record(project, catalog.SERVICES.values(), references)


def moves(
    project: Project,
    images: SetName,
    releases: Releases,
    volumes: frozenset[str] = EVERY,
    containers: Iterable[Inspected] = (),
) -> dict[str, Move]:
    state = ProjectState(images=images, releases=releases)
    observed = Observed(Inventory("bot-core", tuple(containers)), volumes)
    return {one.service: one for one in plan.data_moves(project, state, observed)}


@pytest.mark.parametrize("on_record", [True, False])
@pytest.mark.parametrize("images", ["local", "upstream"])
def test_the_same_again_moves_nothing(project: Project, images: SetName, on_record: bool) -> None:
    ran(project, images, PLAN, on_record=on_record)
    assert moves(project, images, PLAN) == {}


@pytest.mark.parametrize("on_record", [True, False])
def test_forward_is_allowed_and_the_demos_data_is_renewed_where_it_must_be(
    project: Project, on_record: bool
) -> None:
    ran(project, "upstream", PLAN, on_record=on_record)
    found = moves(project, "upstream", current())
    assert {name: (one.step, one.of_demo) for name, one in found.items()} == {
        "prometheus": ("forward", False),
        "alertmanager": ("forward", False),
        "grafana": ("forward", False),
        "loki": ("forward", False),
        "redis": ("forward", True),
        "rabbitmq": ("across", True),
        "mongodb": ("across", True),
    }


@pytest.mark.parametrize("on_record", [True, False])
def test_back_is_refused_with_what_is_lost_and_the_ways_on(
    project: Project, on_record: bool
) -> None:
    ran(project, "upstream", current(), on_record=on_record)
    with pytest.raises(StackctlError) as caught:
        moves(project, "upstream", PLAN)
    line = caught.value.line
    assert "bot-core_prometheus_data contains the metrics of version 3.14.0" in line
    assert "which version 2.48.0 (prom/prometheus:v2.48.0) cannot open" in line
    assert "bot-core_loki_data contains the log lines of version 3.7.6" in line
    assert "redis" not in line
    assert "to keep it, run `stackctl up --images upstream --versions current`" in line
    assert "save it with `stackctl backup FILE` and run `stackctl down --volumes`" in line
    assert "\n" not in line


def test_from_stand_ins_to_the_real_programs_is_refused(project: Project) -> None:
    ran(project, "local", PLAN, on_record=True)
    with pytest.raises(StackctlError, match="the stand-in stackctl/loki:local") as caught:
        moves(project, "upstream", PLAN)
    # It is the same program in both sets.
    assert "prometheus_data" not in caught.value.line
    assert "stackctl up --images local --versions plan" in caught.value.line


def test_without_data_nothing_is_lost(project: Project) -> None:
    ran(project, "local", current(), on_record=True)
    assert moves(project, "upstream", PLAN, volumes=frozenset()) == {}
    with pytest.raises(StackctlError):
        moves(project, "upstream", PLAN, volumes=frozenset({"bot-core_loki_data"}))


def test_of_a_project_that_never_ran_nothing_is_known(project: Project) -> None:
    assert moves(project, "upstream", PLAN) == {}


def test_what_a_restore_has_put_there_counts(project: Project) -> None:
    ran(project, "upstream", PLAN, on_record=True)
    writers.record(project.state, {"prometheus_data": writer("prom/prometheus:v3.14.0")})
    with pytest.raises(StackctlError, match="metrics of version 3\\.14\\.0"):
        moves(project, "upstream", PLAN)


def test_an_image_whose_tag_says_nothing_is_let_through_and_told(project: Project) -> None:
    ran(project, "upstream", PLAN, on_record=True)
    writers.record(project.state, {"prometheus_data": Writer("own/prometheus:main", None)})
    (move,) = moves(project, "upstream", PLAN).values()
    assert (move.step, move.loses) == ("unknown", False)


def test_a_mixed_release_is_not_advised_as_a_whole(project: Project) -> None:
    ran(project, "upstream", Releases(frozenset({"prometheus"})), on_record=True)
    with pytest.raises(StackctlError) as caught:
        moves(project, "upstream", PLAN)
    assert "to keep it, run `stackctl up --images upstream`" in caught.value.line


def test_a_plan_renews_the_demos_data_and_names_what_is_opened(project: Project) -> None:
    ran(project, "upstream", PLAN, on_record=True)
    found = moves(project, "upstream", current())
    facts = replace(rehearsed(volumes=EVERY), moves=tuple(found.values()))
    planned = plan_up(facts)
    assert [one for one in planned.resets if one.service == "rabbitmq"] == [
        VolumeReset(
            "bot-core_rabbitmq_data",
            "rabbitmq",
            "version 4.3 (rabbitmq:4.3) cannot open what version 3.12 (rabbitmq:3.12) wrote",
        )
    ]
    assert {one.service for one in planned.resets} == {"rabbitmq", "mongodb"}
    assert {one.service for one in planned.upgrades} == {
        *("prometheus", "alertmanager", "grafana", "loki", "redis")
    }
    assert planned.containers is not None
    assert "mongodb" in planned.containers.create


def test_a_volume_is_renewed_once_for_two_reasons(project: Project) -> None:
    ran(project, "local", PLAN, on_record=True)
    found = tuple(moves(project, "upstream", PLAN, frozenset({"bot-core_mongodb_data"})).values())
    facts = replace(
        rehearsed(volumes={"bot-core_mongodb_data"}, recorded_fingerprint="other"), moves=found
    )
    assert [one.reason for one in plan_up(facts).resets] == ["demo MongoDB password changed"]


def test_what_an_up_that_was_killed_has_started_counts(project: Project) -> None:
    ran(project, "local", PLAN, on_record=True)
    newer = sets.references(project.settings, "local", current())
    opened = [inspected(name, reference=newer[name]) for name in ("prometheus", "rabbitmq")]
    with pytest.raises(StackctlError, match="metrics of version 3") as caught:
        moves(project, "local", PLAN, containers=opened)
    assert "alertmanager" not in caught.value.line
    created = inspected("prometheus", reference=newer["prometheus"], started="0001-01-01T00:00:00Z")
    found = moves(project, "local", PLAN, containers=[created, opened[1]])
    assert {name: one.step for name, one in found.items()} == {"rabbitmq": "back"}


def test_a_container_that_is_older_than_what_was_restored_is_no_evidence(project: Project) -> None:
    ran(project, "upstream", PLAN, on_record=True)
    writers.record(project.state, {"prometheus_data": writer("prom/prometheus:v3.14.0")})
    older = inspected("prometheus", reference="prom/prometheus:v2.48.0")
    with pytest.raises(StackctlError, match="metrics of version 3\\.14\\.0"):
        moves(project, "upstream", PLAN, containers=[older])


def test_an_image_of_the_users_own_is_named_as_the_cause(project: Project) -> None:
    ran(project, "upstream", PLAN, on_record=True)
    values = {"PROMETHEUS_IMAGE": "prom/prometheus:v1.8.2"}
    other = replace(project, settings=load(environ=values))
    with pytest.raises(StackctlError) as caught:
        moves(other, "upstream", PLAN)
    assert (
        "correct PROMETHEUS_IMAGE, or remove it; to start without it, save it with `stackctl backup FILE`"
        in caught.value.line
    )
    assert "stackctl up" not in caught.value.line
