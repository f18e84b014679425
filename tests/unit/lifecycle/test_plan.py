"""What `up` decides, from facts alone: no engine, no state folder."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from stackctl.config.load import load
from stackctl.docker.inventory import PROCESS_LABEL, SCRATCH_LABEL
from stackctl.images.resolve import Decision
from stackctl.lifecycle.plan import ContainerChanges, Facts, VolumeReset, plan_up
from stackctl.lifecycle.preflight import Finding
from stackctl.lifecycle.rehearsal import FileChanges
from stackctl.project.monitored import monitored_services
from stackctl.project.project import ProjectState
from stackctl.services import catalog
from tests.support.facts import FACTS, REHEARSAL, inspected, rehearsed, running

VOLUME = "bot-core_mongodb_data"


def changes(facts: Facts) -> ContainerChanges:
    containers = plan_up(facts).containers
    assert containers is not None
    return containers


def test_a_stack_that_is_as_it_should_be_has_nothing_to_change() -> None:
    plan = plan_up(rehearsed())
    assert plan.containers == ContainerChanges()
    assert (plan.leftovers, plan.abandoned, plan.resets, plan.stale_volumes) == ((), (), (), ())
    assert not plan.has_changes


@pytest.mark.parametrize(
    "facts",
    [
        rehearsed(down_cut_off=True),
        rehearsed(images=Decision("upstream", pull=("loki:1",))),
        rehearsed(images=Decision("local", build=("loki:local",))),
        rehearsed(containers=[*running(), inspected("loki", name="0123456789ab_loki")]),
        rehearsed(containers=[*running(), inspected(None, **{SCRATCH_LABEL: "bot-core"})]),
        rehearsed(recorded_fingerprint="other", volumes={VOLUME}),
        rehearsed(recorded_copies=True, stale_volumes=("bot-core_config_loki",)),
        rehearsed(containers=running()[1:]),
        rehearsed(containers=[inspected("loki", hash="other"), *running()[1:]]),
        rehearsed(containers=[inspected("loki", running=False), *running()[1:]]),
        rehearsed(containers=[inspected("loki", paused=True), *running()[1:]]),
        rehearsed(containers=[*running(), inspected("gone")]),
        rehearsed(files=FileChanges(changed=("compose.env",))),
        rehearsed(grafana_password="set"),
    ],
)
def test_each_effect_alone_is_a_change(facts: Facts) -> None:
    assert plan_up(facts).has_changes


def test_a_password_that_is_not_known_to_be_refused_is_no_change() -> None:
    assert not plan_up(rehearsed(grafana_password="unknown")).has_changes


def test_what_compose_would_do_by_service() -> None:
    found = changes(
        rehearsed(
            containers=[
                inspected("loki", hash="other"),
                inspected("promtail", running=False),
                inspected("redis", image="old"),
                inspected("gone"),
                inspected("loki", project="theirs"),
            ]
        )
    )
    assert found == ContainerChanges(
        create=("mongodb",),
        recreate=("loki", "redis"),
        dependents=("promtail",),
        start=("promtail",),
        remove=("gone",),
    )


def test_a_dependent_that_is_recreated_anyway_is_named_once() -> None:
    both = [inspected("loki", hash="other", running=False), inspected("promtail", hash="other")]
    found = changes(rehearsed(containers=[*both, *running()[2:]]))
    assert found == ContainerChanges(recreate=("loki", "promtail"))


def test_what_is_removed_is_named_in_order() -> None:
    names = [f"gone-{letter}" for letter in "hcabgfed"]
    found = changes(rehearsed(containers=[*running(), *map(inspected, names)]))
    assert found.remove == tuple(sorted(names))


def test_the_image_of_bot_cores_own_service_is_left_to_compose() -> None:
    facts = rehearsed(
        containers=[*running(), inspected("app", image="theirs")],
        hashes={**REHEARSAL.hashes, "app": "hash"},
        dependencies={**REHEARSAL.dependencies, "app": frozenset[str]()},
    )
    assert changes(facts) == ContainerChanges()


def test_an_image_that_is_pulled_first_recreates_its_container() -> None:
    facts = rehearsed(images_here={**REHEARSAL.images, "loki": None})
    assert changes(facts).recreate == ("loki",)


def test_which_containers_are_recreated_is_unknown_before_a_build_and_only_then() -> None:
    building = Decision("local", build=("loki:local",))
    assert changes(rehearsed(images=building)).recreate is None
    # What is not there is created in any case.
    assert changes(rehearsed(images=building, containers=[])).recreate == ()


def test_without_a_rehearsal_nothing_is_said_of_containers() -> None:
    plan = plan_up(FACTS)
    assert plan.containers is None
    assert plan.stale_volumes == ()
    assert plan_up(replace(FACTS, recorded_copies=True)).stale_volumes is None
    assert not plan.has_changes


def test_leftovers_of_an_interrupted_up_are_removed_and_stand_for_no_service() -> None:
    leftover = inspected("loki", name="0123456789ab_loki")
    plan = plan_up(rehearsed(containers=[*running(), leftover]))
    assert plan.leftovers == ("0123456789ab_loki",)
    assert plan.containers == ContainerChanges()
    alone = rehearsed(containers=[*running()[1:], leftover])
    assert changes(alone).create == ("loki",)


def test_only_what_dead_commands_made_for_themselves_is_removed() -> None:
    mine = {SCRATCH_LABEL: "bot-core", PROCESS_LABEL: str(os.getpid())}
    dead = {SCRATCH_LABEL: "bot-core", PROCESS_LABEL: "4194304"}
    plan = plan_up(
        rehearsed(
            containers=[
                *running(),
                inspected(None, name="mine", **mine),
                inspected(None, name="dead", **dead),
            ]
        )
    )
    assert plan.abandoned == ("dead",)


def test_after_a_down_that_is_finished_first_every_container_is_new() -> None:
    facts = rehearsed(
        down_cut_off=True,
        containers=[*running(), inspected("loki", name="0123456789ab_loki"), inspected("gone")],
    )
    plan = plan_up(facts)
    assert plan.facts.down_cut_off
    assert plan.containers == ContainerChanges(create=tuple(REHEARSAL.hashes))
    assert plan.leftovers == ()


@pytest.mark.parametrize(
    ("recorded", "volumes", "demo", "reset"),
    [
        ("now", {VOLUME}, True, False),
        ("before", {VOLUME}, True, True),
        # The record was lost with the state folder.
        (None, {VOLUME}, True, True),
        ("before", {"bot-core_redis_data"}, True, False),
        ("before", {VOLUME}, False, False),
    ],
)
def test_the_demos_mongodb_starts_empty_with_another_password_only(
    recorded: str | None, volumes: set[str], demo: bool, reset: bool
) -> None:
    facts = rehearsed(recorded_fingerprint=recorded, volumes=volumes)
    facts = replace(facts, state=replace(facts.state, demo=demo))
    plan = plan_up(facts)
    assert plan.resets == (
        (VolumeReset(VOLUME, "mongodb", "demo MongoDB password changed"),) if reset else ()
    )
    # Its container goes with the volume.
    assert (changes(facts).create == ("mongodb",)) is reset


def test_stale_volumes_are_removed_where_the_last_up_made_some() -> None:
    stale = ("bot-core_config_loki",)
    plan = plan_up(rehearsed(recorded_copies=True, stale_volumes=stale))
    assert (plan.removes_stale_volumes, plan.stale_volumes) == (True, stale)
    plan = plan_up(rehearsed(recorded_copies=False, stale_volumes=stale))
    assert (plan.removes_stale_volumes, plan.stale_volumes) == (False, ())


def test_what_is_not_monitored() -> None:
    monitored = monitored_services(load(environ={"KONG_TARGET": "none"}), demo=False, joined=True)
    attached = catalog.application("redis", attached=True)
    facts = replace(
        rehearsed(),
        state=ProjectState(demo=False, network="net"),
        services=(*catalog.select(("loki",)), attached),
        monitored=monitored,
    )
    plan = plan_up(facts)
    assert plan.not_monitored == ("kong", "mongodb")
    # Without bot-core nothing of it is missed.
    assert plan_up(replace(facts, state=ProjectState(demo=False))).not_monitored == ()


def test_only_warnings_are_passed_on() -> None:
    warning = Finding("memory", "warning", "little", "more")
    facts = replace(rehearsed(), findings=(Finding("docker", "ok", "26"), warning))
    assert plan_up(facts).warnings == (warning,)


@pytest.mark.parametrize(
    ("made_by", "hashes", "replaces"),
    [
        ("2.26.0", "other", True),
        ("v2.26.0", "other", True),
        # The same release of another packager, and a version that hashes as the one before did.
        ("2.26.1-4", "other", False),
        ("2.26.0", "hash", False),
    ],
)
def test_an_update_of_compose_that_replaces_every_container_is_told(
    made_by: str, hashes: str, replaces: bool
) -> None:
    containers = [inspected(name, compose=made_by) for name in REHEARSAL.hashes]
    plan = plan_up(rehearsed(containers=containers, hashes=dict.fromkeys(REHEARSAL.hashes, hashes)))
    said = str(plan.compose_update) if plan.compose_update else None
    assert said == (
        f"Docker Compose was updated from {made_by} to 2.26.1: every container is replaced once"
        if replaces
        else None
    )


def test_what_is_changed_beside_an_update_of_compose_is_not_put_down_to_it() -> None:
    containers = [inspected(name, compose="2.26.0") for name in REHEARSAL.hashes]
    hashes = {**REHEARSAL.hashes, "loki": "other"}
    assert plan_up(rehearsed(containers=containers, hashes=hashes)).compose_update is None
    assert plan_up(rehearsed(containers=[])).compose_update is None
