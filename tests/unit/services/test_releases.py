"""The table of images, and which release of each runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from stackctl.config.load import load
from stackctl.docker.engine import EngineInfo
from stackctl.errors import EngineError
from stackctl.images import releases, sets
from stackctl.images.lockfile import Entry, Lock
from stackctl.project.project import ProjectState, open_project
from stackctl.services import catalog
from stackctl.services.releases import PLAN, Release, Releases, Versions, current, table
from stackctl.util import paths
from tests.support.engine import MemoryEngine

OVERLAY2 = EngineInfo("26.1.5", "2.26.1", "Debian", 2**33, 2, Path("/var/lib/docker"))
CONTAINERD = EngineInfo("29.7.2", "2.40.3", "Debian", 2**33, 2, Path("/"), containerd_store=True)
CADVISOR = Releases(frozenset({"cadvisor"}))


def test_the_table_has_every_image_of_the_catalog_and_no_other() -> None:
    assert set(table()) == set(catalog.IMAGES)
    for name, row in table().items():
        assert row, name
        for reference in row.values():
            assert re.search(r":[\w.-]+$", reference), reference


def test_nothing_but_the_table_names_an_upstream_image() -> None:
    texts = {
        path: path.read_text()
        for folder in (paths.compose(), paths.root() / "stackctl")
        for path in folder.rglob("*")
        if path.suffix in {".yml", ".py", ".md"} and path.name != "images.yml"
    }
    pulled = {one for row in table().values() for one in row.values()} - {"stackctl/demo:upstream"}
    assert {
        (path.name, one) for path, text in texts.items() for one in pulled if one in text
    } == set()


@pytest.mark.parametrize(
    ("versions", "previous", "ruled_out", "wanted"),
    [
        ("plan", current(), ("cadvisor",), PLAN),
        ("current", PLAN, (), current()),
        ("auto", PLAN, (), PLAN),
        ("auto", PLAN, ("cadvisor",), CADVISOR),
        # What runs is kept, and the engine has a say in it all the same.
        ("auto", current(), (), current()),
        (
            "auto",
            Releases(frozenset({"loki"})),
            ("cadvisor",),
            Releases(frozenset({"loki", "cadvisor"})),
        ),
        ("auto", CADVISOR, (), CADVISOR),
    ],
)
def test_the_choice(
    versions: Versions, previous: Releases, ruled_out: tuple[str, ...], wanted: Releases
) -> None:
    assert releases.choose(versions, previous=previous, ruled_out=ruled_out) == wanted


def test_containerds_store_rules_the_plans_cadvisor_out() -> None:
    assert releases.unservable(OVERLAY2) == ()
    assert releases.unservable(CONTAINERD) == ("cadvisor",)


def settled(
    monkeypatch: pytest.MonkeyPatch,
    info: EngineInfo | EngineError,
    *,
    asked: Versions | None = None,
    state: ProjectState | None = None,
    lock: Lock | None = None,
    **environ: str,
) -> Releases:
    engine = MemoryEngine()
    engine.engine_info = info
    monkeypatch.setattr("stackctl.project.project.Project.engine", lambda *_: engine)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    project = open_project(name=None, env_file=None)
    if state is not None:
        project.keep(state)
    return releases.settle(project, asked, lock=lock)


def test_the_option_goes_before_the_setting_and_what_runs(
    own_folders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = ProjectState(images="local", releases=current())
    assert settled(monkeypatch, OVERLAY2) == PLAN
    assert settled(monkeypatch, OVERLAY2, state=ran) == current()
    assert settled(monkeypatch, OVERLAY2, asked="plan") == PLAN
    assert settled(monkeypatch, OVERLAY2, STACKCTL_VERSIONS="Plan") == PLAN
    assert settled(monkeypatch, OVERLAY2, asked="current") == current()


def test_an_engine_that_does_not_answer_rules_nothing_out(
    own_folders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settled(monkeypatch, EngineError("no engine")) == PLAN
    assert settled(monkeypatch, CONTAINERD) == CADVISOR


def test_a_lock_says_which_releases_it_has_before_the_first_up(
    own_folders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(releases: Releases) -> Lock:
        return Lock(
            set="upstream",
            images={
                image.name: Entry(reference=image.upstream, content=f"sha256:{0:064}")
                for image in sets.catalogue(releases)
                if not image.built_here
            },
        )

    assert settled(monkeypatch, OVERLAY2, lock=lock(PLAN)) == PLAN
    found = settled(monkeypatch, OVERLAY2, lock=lock(current()))
    assert found["prometheus"] == found["loki"] == "current"
    assert set(sets.references(load(environ={}), "upstream", found)) == set(
        sets.references(load(environ={}), "upstream", current())
    )
    ran = ProjectState(images="upstream")
    assert settled(monkeypatch, OVERLAY2, lock=lock(current()), state=ran) == PLAN


def test_the_release_of_each_image_is_on_record(own_folders: None) -> None:
    project = open_project(name=None, env_file=None)
    assert project.choices.releases == PLAN
    project.keep(ProjectState(releases=CADVISOR))
    assert project.choices.releases == CADVISOR
    record = project.state.read_json("project.json")["releases"]
    assert record == dict.fromkeys(catalog.IMAGES, "plan") | {"cadvisor": "current"}


def test_a_service_that_a_release_does_without_is_left_out_there() -> None:
    def chosen(releases: Releases) -> set[str]:
        return {one.name for one in catalog.select(releases=releases)}

    everything = {one.name for one in catalog.select()}
    assert chosen(PLAN) == everything - {"alloy"}
    assert chosen(current()) == everything - {"promtail"}
    assert catalog.profile_variables(PLAN) == {
        "PROMTAIL_PROFILE": "monitoring",
        "ALLOY_PROFILE": "not-in-release",
    }
    assert catalog.profile_variables(current()) == {
        "PROMTAIL_PROFILE": "not-in-release",
        "ALLOY_PROFILE": "monitoring",
    }


def test_a_service_of_ones_own_is_in_every_release() -> None:
    own = catalog.application("gateway")
    assert catalog.select(among=[own], releases=current()) == [own]


def test_a_service_that_only_one_release_has_says_so() -> None:
    for service in catalog.SERVICES.values():
        if service.image_name in table():
            there = {service.only_in} if service.only_in else set(get_args(Release))
            assert set(table()[service.image_name]) == there, service.name
