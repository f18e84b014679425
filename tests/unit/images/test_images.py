"""Images without Docker: references and mirror, which set is chosen, the lock, pull, save and load."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import threading
from _thread import interrupt_main
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tenacity import wait_fixed

from stackctl.cli import cli
from stackctl.config.load import load as load_settings
from stackctl.config.registry import SETTINGS
from stackctl.config.settings import Settings
from stackctl.errors import EngineError, StackctlError, UsageError
from stackctl.images import build, bundle, lockfile, resolve, sets, transfer
from stackctl.images.bundle import BadBundle
from stackctl.images.choice import Choice, Resolved
from stackctl.images.lockfile import Lock
from stackctl.project import state
from stackctl.project.project import Project, ProjectState, open_project
from stackctl.services.catalog import IMAGES, SetName, image_variable
from stackctl.services.releases import PLAN
from stackctl.util import paths
from tests.support.http import wait_until
from tests.support.images import ContainerdEngine, FakeImage, ImageEngine, Registry, sha256

pytestmark = pytest.mark.usefixtures("state_dir", "clean_environment")

MIRROR = "mirror.example:5000/hub"
NOT_IN_PLAN = {"ALLOY_IMAGE": "grafana/alloy:v1.18.1"}
"""The image of a service that the plan's release does without; the compose files name it all the same."""
UPSTREAM = NOT_IN_PLAN | {image.variable: image.upstream for image in sets.catalogue(PLAN)}
"""What names every image of the upstream set, where nothing else is said."""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: object) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("stackctl.images.build._build_base", lambda *_: None)


def settings_of(**values: str) -> Settings:
    return load_settings(environ=values)


def upstream_registry(settings: Settings) -> Registry:
    """A registry that has the upstream set."""
    return Registry(
        {
            reference: FakeImage(reference, (b"base", reference.encode()))
            for image in sets.catalogue(PLAN)
            if not image.built_here
            for reference in [sets.reference(image, settings, "upstream")]
        }
    )


def built(engine: ImageEngine) -> ImageEngine:
    """Have the local set here, as a build leaves it."""
    build.build(engine, PLAN, lambda _: None)
    engine.builds = 0
    return engine


def pulled(engine: ImageEngine, settings: Settings, lock: Lock | None = None) -> ImageEngine:
    done = transfer.pull(engine, settings, PLAN, demo=True, lock=lock, say=lambda _: None)
    assert [one.failure for one in done] == [None] * len(done)
    return engine


def resolved(
    engine: ImageEngine,
    settings: Settings | None = None,
    *,
    choice: Choice = "auto",
    previous: SetName | None = None,
    lock: Lock | None = None,
    previous_pins: Mapping[str, str] = {},
) -> Resolved:
    return resolve.resolve(
        engine,
        settings or settings_of(),
        choice=choice,
        previous=previous,
        releases=PLAN,
        demo=True,
        progress=lambda _: None,
        lock=lock,
        previous_pins=previous_pins,
    )


def lock_of(engine: ImageEngine, settings: Settings, name: SetName = "upstream") -> Lock:
    return lockfile.take(engine, settings, name, PLAN, demo=True, previous=None)


# References and the mirror


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("prom/prometheus:v2.48.0", "prom/prometheus:v2.48.0"),
        ("docker.io/prom/prometheus:v2.48.0", "prom/prometheus:v2.48.0"),
        ("redis:7.2-alpine", "library/redis:7.2-alpine"),
        ("docker.io/redis:7.2-alpine", "library/redis:7.2-alpine"),
        ("docker.io/library/redis:7.2", "library/redis:7.2"),
        ("gcr.io/cadvisor/cadvisor:v0.47.2", "cadvisor/cadvisor:v0.47.2"),
        ("localhost/own:1", "own:1"),
        ("registry:5000/own:1", "own:1"),
    ],
)
def test_a_mirror_has_an_image_by_its_path(reference: str, path: str) -> None:
    assert sets.mirrored(reference, MIRROR) == f"{MIRROR}/{path}"


def test_every_upstream_image_is_taken_from_the_mirror_but_those_that_are_set_or_built() -> None:
    found = sets.variables(
        settings_of(STACKCTL_REGISTRY_MIRROR=MIRROR, LOKI_IMAGE="own/loki:1"),
        "upstream",
        PLAN,
        demo=True,
    )
    assert found.pop("LOKI_IMAGE") == "own/loki:1"
    assert found["REDIS_IMAGE"] == f"{MIRROR}/library/redis:7.2-alpine"
    assert found.pop("DEMO_IMAGE") == "stackctl/demo:upstream"
    assert found.pop("ALLOY_IMAGE") == NOT_IN_PLAN["ALLOY_IMAGE"]
    assert all(reference.startswith(f"{MIRROR}/") for reference in found.values())
    assert {*found, "LOKI_IMAGE", "DEMO_IMAGE", "ALLOY_IMAGE"} == set(map(image_variable, IMAGES))


def test_every_image_is_named_so_that_no_other_env_file_names_one() -> None:
    assert sets.variables(settings_of(), "upstream", PLAN, demo=True) == UPSTREAM
    # Without the demo Redis and the like are those of bot-core's own files, and so are their variables.
    without = sets.variables(settings_of(), "upstream", PLAN, demo=False)
    assert without == NOT_IN_PLAN | {
        image.variable: image.upstream for image in sets.catalogue(PLAN, demo=False)
    }
    assert "REDIS_IMAGE" not in without


def test_the_local_set_is_in_no_mirror() -> None:
    found = sets.variables(settings_of(STACKCTL_REGISTRY_MIRROR=MIRROR), "local", PLAN, demo=True)
    assert found == NOT_IN_PLAN | {image.variable: image.local for image in sets.catalogue(PLAN)}


@pytest.mark.parametrize("value", ["mirror.example", "localhost/a", "m:5000", "10.0.0.1:80/a/b-c"])
def test_a_mirror_is_a_registry(value: str) -> None:
    assert settings_of(STACKCTL_REGISTRY_MIRROR=value)["STACKCTL_REGISTRY_MIRROR"] == value


@pytest.mark.parametrize(
    "value",
    ["https://mirror.example", "mirror", "mirror/path", "m:5000/", "m:5000/Upper", "m:x", "m.a/ b"],
)
def test_a_mirror_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="STACKCTL_REGISTRY_MIRROR"):
        settings_of(STACKCTL_REGISTRY_MIRROR=value)


# Which set


def test_what_no_registry_gives_is_built() -> None:
    engine = ImageEngine()
    found = resolved(engine)
    assert (found.name, engine.builds) == ("local", 1)
    assert "no registry gives" in (found.reason or "")


def test_auto_takes_a_loaded_set_without_asking_a_registry() -> None:
    engine = built(ImageEngine(upstream_registry(settings_of())))
    transfer.save(
        engine,
        settings_of(),
        Path("team.bundle"),
        name="local",
        releases=PLAN,
        demo=True,
        lock=None,
        say=lambda _: None,
    )
    state.write_shared_json(build.RECORD, {})
    laptop = ImageEngine(engine.registry)
    transfer.load(laptop, Path("team.bundle"), say=lambda _: None)
    found = resolved(laptop)
    assert (found.name, laptop.pulls, laptop.builds) == ("local", [], 0)
    assert found.reason == "using the local image set, which was loaded from a bundle"


def test_auto_asks_the_registry_where_the_local_set_was_built_here() -> None:
    found = resolved(built(ImageEngine(upstream_registry(settings_of()))))
    assert found.name == "upstream"


@pytest.mark.parametrize(("choice", "previous"), [("upstream", None), ("auto", "upstream")])
def test_upstream_that_cannot_be_had_is_an_error_where_it_is_wanted(
    choice: Choice, previous: SetName | None
) -> None:
    with pytest.raises(EngineError, match=r"no registry gives .*: manifest unknown"):
        resolved(ImageEngine(), choice=choice, previous=previous)


# Images of one's own, and our own


def own_registry() -> Registry:
    return Registry({"own/loki:1": FakeImage("own", (b"own",))})


@pytest.mark.parametrize("choice", ["auto", "local", "upstream"])
def test_an_image_of_ones_own_that_is_nowhere_is_one_line_with_its_setting(choice: Choice) -> None:
    engine = built(ImageEngine(upstream_registry(settings_of())))
    with pytest.raises(EngineError) as caught:
        resolved(engine, settings_of(LOKI_IMAGE="own/loki:1"), choice=choice)
    assert caught.value.line == (
        "LOKI_IMAGE: own/loki:1 is not here and cannot be pulled: manifest unknown;"
        " correct LOKI_IMAGE, or remove it"
    )


def test_an_image_of_ones_own_is_pulled_for_the_local_set() -> None:
    engine = built(ImageEngine(own_registry()))
    found = resolved(engine, settings_of(LOKI_IMAGE="own/loki:1"), choice="local")
    assert engine.pulls == ["own/loki:1"]
    assert found.variables["LOKI_IMAGE"] == "own/loki:1"


def test_an_image_of_ones_own_in_a_locked_local_set_is_taken_by_its_digest() -> None:
    settings = settings_of(LOKI_IMAGE="own/loki:1")
    engine = built(ImageEngine(own_registry()))
    engine.pull("own/loki:1")
    lock = lock_of(engine, settings, "local")
    digest = own_registry().images["own/loki:1"].digest
    other = built(ImageEngine(own_registry()))
    found = resolved(other, settings, lock=lock)
    assert other.pulls == [f"own/loki:1@{digest}"]
    assert found.variables["LOKI_IMAGE"] == f"own/loki:1@{digest}"


def test_a_demo_of_ones_own_is_pulled_and_none_is_built() -> None:
    registry = upstream_registry(settings_of())
    registry.images["own/demo:1"] = FakeImage("own", (b"own",))
    engine = ImageEngine(registry)
    assert resolved(engine, settings_of(DEMO_IMAGE="own/demo:1")).name == "upstream"
    assert "own/demo:1" in engine.images
    assert engine.builds == 0
    pulled(engine, settings_of(DEMO_IMAGE="own/demo:1"))
    assert engine.pulls.count("own/demo:1") == 2


def test_the_demos_image_is_built_once_on_pythons_own() -> None:
    engine = ImageEngine(upstream_registry(settings_of()))
    for _ in range(2):
        assert resolved(engine).name == "upstream"
    assert engine.builds == 1
    assert engine.demo_arguments == {"BASE": "python:3.12-slim"}


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({}, {"BASE": f"{MIRROR}/library/python:3.12-slim"}),
        ({"DEMO_BASE_IMAGE": "own/python:3"}, {"BASE": "own/python:3"}),
        (
            {"STACKCTL_PYPI_MIRROR": "https://pypi.example/simple"},
            {
                "BASE": f"{MIRROR}/library/python:3.12-slim",
                "PIP_INDEX_URL": "https://pypi.example/simple",
            },
        ),
    ],
)
def test_the_demos_base_and_its_libraries_come_from_mirrors(
    environ: dict[str, str], arguments: dict[str, str]
) -> None:
    settings = settings_of(STACKCTL_REGISTRY_MIRROR=MIRROR, **environ)
    engine = ImageEngine(upstream_registry(settings))
    assert resolved(engine, settings, choice="upstream").name == "upstream"
    assert engine.demo_arguments == arguments


def test_where_the_demos_image_cannot_be_built_auto_takes_the_local_one_alone() -> None:
    engine = ImageEngine(upstream_registry(settings_of()))
    engine.demo_fails = True
    found = resolved(engine)
    assert found.name == "upstream"
    assert found.variables == {**UPSTREAM, "DEMO_IMAGE": "stackctl/demo:local"}
    assert found.reason == (
        "the demo's image cannot be built: using stackctl/demo:local in its place"
    )
    with pytest.raises(EngineError, match=r"the demo's image cannot be built: .*failed to solve"):
        resolved(engine, choice="upstream")


# One image that is missing

CADVISOR = "gcr.io/cadvisor/cadvisor:v0.47.2"
REFUSED = "manifest for gcr.io/cadvisor/cadvisor:v0.47.2 not found: manifest unknown"
UNREACHABLE = "dial tcp: lookup gcr.io: no such host"


def registry_without(reference: str, says: str = REFUSED, times: int = 9) -> Registry:
    registry = upstream_registry(settings_of())
    registry.says[reference] = [says] * times
    return registry


@pytest.mark.parametrize("says", [REFUSED, UNREACHABLE])
def test_an_image_that_its_registry_does_not_give_is_replaced_alone(says: str) -> None:
    engine = ImageEngine(registry_without(CADVISOR, says))
    found = resolved(engine)
    assert found.name == "upstream"
    assert found.variables == {**UPSTREAM, "CADVISOR_IMAGE": "stackctl/cadvisor:local"}
    assert {one for one in engine.images if one.endswith(":local")} == {"stackctl/cadvisor:local"}
    assert found.reason == (
        f"no registry gives {CADVISOR}: using stackctl/cadvisor:local in its place"
    )
    assert sets.references(settings_of(), "upstream", PLAN, pins=found.pins)["cadvisor"] == (
        "stackctl/cadvisor:local"
    )


def test_the_replaced_image_stays_until_upstream_is_asked_for() -> None:
    engine = ImageEngine(registry_without(CADVISOR, times=1))
    first = resolved(engine)
    engine.pulls.clear()
    again = resolved(engine, previous="upstream", previous_pins=first.pins)
    assert (again.variables, engine.pulls) == (first.variables, [])
    assert again.reason == (
        f"keeping stackctl/cadvisor:local in the place of {CADVISOR} (--images upstream changes it)"
    )
    # It is built again where it is gone, and another release of the upstream one is tried.
    del engine.images["stackctl/cadvisor:local"]
    assert resolved(engine, previous="upstream", previous_pins=first.pins).pins == first.pins
    assert "stackctl/cadvisor:local" in engine.images
    asked = resolved(engine, choice="upstream", previous="upstream", previous_pins=first.pins)
    assert (asked.variables, engine.pulls) == (UPSTREAM, [CADVISOR])


@pytest.mark.parametrize(
    ("reference", "says", "replaced"),
    [
        (CADVISOR, REFUSED, True),
        # The network may be back in a moment, and a stand-in would stay.
        (CADVISOR, UNREACHABLE, False),
        # Its volume was written by the upstream program.
        ("grafana/grafana:10.2.2", REFUSED, False),
        ("redis:7.2-alpine", REFUSED, False),
    ],
)
def test_in_a_project_that_has_run_no_image_with_data_is_replaced(
    reference: str, says: str, replaced: bool
) -> None:
    engine = ImageEngine(registry_without(reference, says))
    if replaced:
        assert resolved(engine, previous="upstream").pins == {reference: "stackctl/cadvisor:local"}
        return
    with pytest.raises(EngineError) as caught:
        resolved(engine, previous="upstream")
    assert caught.value.message == f"no registry gives {reference}: {says}"
    name = reference.partition(":")[0].rpartition("/")[2]
    assert f"set {name.upper()}_IMAGE to where it is now" in (caught.value.remedy or "")


def test_without_a_network_nobody_waits_for_every_image() -> None:
    registry = upstream_registry(settings_of())
    registry.says = {one: [UNREACHABLE] for one in registry.images}
    engine = ImageEngine(registry)
    found = resolved(engine)
    assert (found.name, len(engine.pulls)) == ("local", 1)


def test_a_local_image_that_cannot_be_built_names_the_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise StackctlError("the local image set needs mmdebstrap, which is not installed")

    monkeypatch.setattr("stackctl.images.build._build_base", refuse)
    with pytest.raises(EngineError) as caught:
        resolved(ImageEngine(registry_without(CADVISOR)))
    assert caught.value.line == (
        f"no registry gives {CADVISOR}, and the local image in its place cannot be built: the local image set needs"
        " mmdebstrap, which is not installed; set CADVISOR_IMAGE to an image that can be had"
    )


def test_without_the_demo_its_image_is_not_built() -> None:
    engine = ImageEngine(upstream_registry(settings_of()))
    resolve.resolve(
        engine,
        settings_of(),
        choice="auto",
        previous=None,
        releases=PLAN,
        demo=False,
        progress=lambda _: None,
    )
    assert engine.builds == 0


def test_the_demos_base_is_the_one_that_its_dockerfile_names() -> None:
    named = SETTINGS["DEMO_BASE_IMAGE"].default
    assert f"ARG BASE={named}\n" in (paths.root() / "demo" / "Dockerfile").read_text()
    assert f"${{DEMO_BASE_IMAGE:-{named}}}" in (paths.compose() / "demo.yml").read_text()


def test_a_package_index_with_a_password_is_refused() -> None:
    with pytest.raises(UsageError, match="STACKCTL_PYPI_MIRROR") as caught:
        settings_of(STACKCTL_PYPI_MIRROR="https://me:marked@pypi.example/simple")
    assert "without a user's name" in caught.value.message
    assert "marked" not in caught.value.line


# The lock


def test_a_locked_image_is_taken_by_digest_whatever_becomes_of_its_tag() -> None:
    settings = settings_of(STACKCTL_REGISTRY_MIRROR=MIRROR)
    registry = upstream_registry(settings)
    lock = lock_of(pulled(ImageEngine(registry), settings), settings)
    tag = f"{MIRROR}/prom/prometheus:v2.48.0"
    first = registry.images[tag]
    registry.images["kept"], registry.images[tag] = first, FakeImage("moved", (b"other",))
    other_laptop = ImageEngine(registry)
    found = resolved(other_laptop, settings, lock=lock)
    assert found.variables["PROMETHEUS_IMAGE"] == f"{tag}@{first.digest}"
    assert other_laptop.image_id(f"{tag}@{first.digest}") == first.id
    assert found.pins[tag] == first.digest


def test_later_commands_take_what_up_has_pinned() -> None:
    settings = settings_of()
    pins = {"prom/prometheus:v2.48.0": "sha256:0"}
    assert (
        sets.references(settings, "upstream", PLAN, pins=pins)["prometheus"]
        == "prom/prometheus:v2.48.0@sha256:0"
    )
    assert sets.variables(settings, "upstream", PLAN, demo=True, pins=pins) == {
        **UPSTREAM,
        "PROMETHEUS_IMAGE": "prom/prometheus:v2.48.0@sha256:0",
    }
    own = settings_of(PROMETHEUS_IMAGE="own:1")
    assert sets.references(own, "upstream", PLAN, pins=pins)["prometheus"] == "own:1"


def test_a_lock_holds_through_any_mirror() -> None:
    plain = settings_of()
    lock = lock_of(pulled(ImageEngine(upstream_registry(plain)), plain), plain)
    through = settings_of(STACKCTL_REGISTRY_MIRROR=MIRROR)
    registry = Registry(
        {
            sets.mirrored(reference, MIRROR): image
            for reference, image in upstream_registry(plain).images.items()
        }
    )
    found = resolved(ImageEngine(registry), through, lock=lock)
    assert found.variables["LOKI_IMAGE"] == (
        f"{MIRROR}/grafana/loki:2.9.3@{lock.images['loki'].digest}"
    )


def test_a_lock_settles_the_set_and_nothing_is_built_in_its_place() -> None:
    settings = settings_of()
    lock = lock_of(pulled(ImageEngine(upstream_registry(settings)), settings), settings)
    offline = ImageEngine()
    with pytest.raises(EngineError, match="no registry gives"):
        resolved(offline, lock=lock)
    assert offline.builds == 0


def test_the_set_that_is_not_locked_is_refused() -> None:
    engine = built(ImageEngine())
    lock = lock_of(engine, settings_of(), "local")
    with pytest.raises(StackctlError, match="locks the local image set") as caught:
        resolved(engine, choice="upstream", lock=lock)
    assert caught.value.remedy == "use --images local, or `stackctl images lock --set upstream`"


def test_the_local_set_as_locked_is_taken_without_a_build() -> None:
    engine = built(ImageEngine())
    lock = lock_of(engine, settings_of(), "local")
    state.write_shared_json(build.RECORD, {})
    assert resolved(engine, lock=lock).name == "local"
    assert engine.builds == 0


def test_an_image_that_is_another_than_was_locked_is_refused_before_anything_is_built() -> None:
    engine = built(ImageEngine())
    lock = lock_of(engine, settings_of(), "local")
    engine.images["stackctl/loki:local"] = FakeImage("another", (b"base",))
    with pytest.raises(StackctlError, match=r"stackctl/loki:local is \w{12} here") as caught:
        resolved(engine, lock=lock)
    assert caught.value.remedy == "`stackctl images lock` records what is here"
    assert engine.builds == 0


def test_an_image_of_the_local_set_that_is_gone_is_refused() -> None:
    engine = built(ImageEngine())
    lock = lock_of(engine, settings_of(), "local")
    del engine.images["stackctl/loki:local"]
    with pytest.raises(StackctlError, match=r"stackctl/loki:local as stackctl\.lock has it"):
        resolved(engine, lock=lock)


def test_a_setting_that_the_lock_does_not_have_is_refused() -> None:
    settings = settings_of()
    lock = lock_of(pulled(ImageEngine(upstream_registry(settings)), settings), settings)
    with pytest.raises(
        StackctlError, match=r"has grafana/loki:2\.9\.3, and the settings say own:1"
    ):
        resolved(ImageEngine(), settings_of(LOKI_IMAGE="own:1"), lock=lock)


def test_an_image_that_the_lock_does_not_have_is_refused() -> None:
    settings = settings_of()
    lock = lock_of(pulled(ImageEngine(upstream_registry(settings)), settings), settings)
    del lock.images["loki"]
    with pytest.raises(StackctlError, match=r"stackctl\.lock has no loki"):
        resolved(ImageEngine(), lock=lock)


def test_an_upstream_image_without_a_digest_must_be_the_locked_one_once_it_is_pulled() -> None:
    settings = settings_of()
    registry = upstream_registry(settings)
    lock = lock_of(pulled(ImageEngine(registry), settings), settings)
    entry = lock.images["loki"]
    lock.images["loki"] = entry.model_copy(update={"digest": None})
    assert resolved(ImageEngine(registry), lock=lock).name == "upstream"
    registry.images["grafana/loki:2.9.3"] = FakeImage("moved", (b"other",))
    with pytest.raises(StackctlError, match=r"grafana/loki:2.9.3 is \w{12} here"):
        resolved(ImageEngine(registry), lock=lock)


def test_what_was_pulled_by_digest_alone_can_be_locked_again() -> None:
    settings = settings_of()
    registry = upstream_registry(settings)
    lock = lock_of(pulled(ImageEngine(registry), settings), settings)
    laptop = pulled(ImageEngine(registry), settings, lock)
    assert laptop.images == {}
    assert lockfile.take(laptop, settings, "upstream", PLAN, demo=True, previous=lock) == lock
    with pytest.raises(StackctlError, match="not here, of the upstream image set"):
        lockfile.take(laptop, settings, "upstream", PLAN, demo=True, previous=None)


def test_our_own_image_of_the_upstream_set_is_not_locked() -> None:
    settings = settings_of()
    lock = lock_of(pulled(ImageEngine(upstream_registry(settings)), settings), settings)
    assert "demo" not in lock.images
    assert {image.name for image in sets.catalogue(PLAN)} == {*lock.images, "demo"}


def test_a_lock_is_sorted_written_whole_and_read_again(tmp_path: Path) -> None:
    lock = lock_of(built(ImageEngine()), settings_of(), "local")
    assert lockfile.write(lock)
    assert not lockfile.write(lock)
    text = (tmp_path / "stackctl.lock").read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    assert (tmp_path / "stackctl.lock").stat().st_mode & 0o777 == 0o644
    assert lockfile.read() == lock


@pytest.mark.parametrize(
    "content",
    [
        *(
            "",
            "{",
            "[]",
            '{"format": 2}',
            '{"format": 1, "set": "other", "images": {}}',
            "\x00\xff",
        ),
        *(
            json.dumps(
                {"format": number, "set": "local", "images": {"loki": {"reference": "x:1", **own}}}
            )
            for identity in [f"sha256:{0:064}"]
            for number, own in (
                (1, {"content": identity}),
                (2, {"id": identity}),
                (2, {"id": identity, "content": identity}),
                (3, {"content": identity}),
            )
        ),
    ],
)
def test_a_lock_that_is_none_is_one_line(content: str) -> None:
    Path("stackctl.lock").write_text(content, encoding="latin-1")
    with pytest.raises(StackctlError, match=r"stackctl\.lock is not a lock") as caught:
        lockfile.read()
    assert "\n" not in caught.value.message


def carried(engine: ImageEngine, to: ImageEngine) -> ImageEngine:
    """Put the images of one engine into another, as a bundle does: without the digests of registries."""
    to.images = dict(engine.images)
    return to


@pytest.mark.parametrize(
    "kinds", [(ImageEngine, ContainerdEngine), (ContainerdEngine, ImageEngine)]
)
def test_a_lock_of_the_local_set_holds_on_the_other_image_store(
    kinds: tuple[type[ImageEngine], type[ImageEngine]],
) -> None:
    made, taken = kinds
    engine = built(made())
    lock = lock_of(engine, settings_of(), "local")
    other = carried(engine, taken())
    assert other.image_id("stackctl/loki:local") != engine.image_id("stackctl/loki:local")
    assert list(lock.problems(other, settings_of(), "local", PLAN, here=True)) == []
    assert lock_of(other, settings_of(), "local") == lock
    other.images["stackctl/loki:local"] = FakeImage("another", (b"base",))
    with pytest.raises(StackctlError, match=r"stackctl/loki:local is \w{12} here"):
        resolved(other, lock=lock)


def old(lock: Lock, engine: ImageEngine) -> Lock:
    """The same lock as format 1 had it."""
    return Lock.model_validate(
        {
            "format": 1,
            "set": lock.set,
            "images": {
                name: {"reference": one.reference, "id": engine.image_id(one.reference)}
                | ({"digest": one.digest} if one.digest else {})
                for name, one in lock.images.items()
            },
        }
    )


def test_a_lock_of_format_1_holds_where_it_was_made_and_says_elsewhere_what_to_do() -> None:
    engine = built(ImageEngine())
    lock = lock_of(engine, settings_of(), "local")
    lockfile.write(old(lock, engine))
    first = lockfile.read()
    assert first is not None
    assert list(first.problems(engine, settings_of(), "local", PLAN, here=True)) == []
    assert {first.status(engine, settings_of(), one) for one in sets.catalogue(PLAN)} == {"yes"}
    problems = list(
        first.problems(carried(engine, ContainerdEngine()), settings_of(), "local", PLAN, here=True)
    )
    assert len(problems) == len(lock.images)
    assert "has format 1, which knows stackctl/" in problems[0].message
    assert "`stackctl images lock`" in (problems[0].remedy or "")
    assert lockfile.take(engine, settings_of(), "local", PLAN, demo=True, previous=first) == lock


def test_digests_of_a_lock_of_format_1_hold_on_every_engine() -> None:
    settings = settings_of()
    registry = upstream_registry(settings)
    engine = pulled(ImageEngine(registry), settings)
    lock = lock_of(engine, settings)
    first = old(lock, engine)
    other = pulled(ContainerdEngine(registry), settings, first)
    assert list(first.problems(other, settings, "upstream", PLAN, here=True)) == []
    assert lockfile.take(other, settings, "upstream", PLAN, demo=True, previous=first) == lock


def test_a_digest_that_no_registry_knows_is_not_locked() -> None:
    settings = settings_of()
    laptop = pulled(ImageEngine(upstream_registry(settings)), settings)
    lock = lock_of(laptop, settings)
    laptop.images["stackctl/demo:upstream"] = FakeImage("demo", (b"base",))
    save(laptop, "upstream")
    other = ContainerdEngine()
    assert load(other) == len(lock.images) + 1
    assert {one.digest for one in lock_of(other, settings).images.values()} == {None}
    # With the lock of the laptop that pulled them, their registry's digests stay.
    assert lockfile.take(other, settings, "upstream", PLAN, demo=True, previous=lock) == lock
    assert list(lock.problems(other, settings, "upstream", PLAN, here=True)) == []
    assert lock.pins(other, settings, PLAN) == {}


def test_no_lock_is_none() -> None:
    assert lockfile.read() is None


# Pull


def test_what_may_pass_is_tried_again_and_what_may_not_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "sleep_using_event", lambda _: lambda _: None)
    settings = settings_of()
    registry = upstream_registry(settings)
    registry.says = {
        "grafana/loki:2.9.3": ["net/http: TLS handshake timeout", "unexpected HTTP status: 503"],
        "mongo:7.0": ["unexpected EOF"] * 9,
        "rabbitmq:3.12": ["no basic auth credentials"] * 9,
    }
    del registry.images["redis:7.2-alpine"]
    engine = ImageEngine(registry)
    said: list[str] = []
    done = transfer.pull(engine, settings, PLAN, demo=True, lock=None, say=said.append)
    assert {one.reference: one.failure for one in done if one.failure} == {
        "mongo:7.0": "unexpected EOF",
        "rabbitmq:3.12": "no basic auth credentials",
        "redis:7.2-alpine": "manifest unknown",
    }
    times = {reference: engine.pulls.count(reference) for reference in engine.pulls}
    assert times["grafana/loki:2.9.3"] == 3
    assert times["mongo:7.0"] == 4
    assert times["rabbitmq:3.12"] == times["redis:7.2-alpine"] == 1
    assert "grafana/loki:2.9.3 again in 1 s: net/http: TLS handshake timeout" in said


def test_an_interrupt_ends_the_pulls_that_run_and_begins_no_other() -> None:
    ends: list[int] = []
    all_run = threading.Barrier(3, action=interrupt_main)

    class Slow(ImageEngine):
        def pull(self, reference: str) -> None:
            self.pulls.append(reference)
            with subprocess.Popen(["sleep", "600"]) as process:
                all_run.wait(timeout=60)
                ends.append(process.wait())
            raise EngineError("ended")

    engine = Slow()
    with pytest.raises(KeyboardInterrupt):
        transfer.pull(engine, settings_of(), PLAN, demo=True, lock=None, say=lambda _: None)
    # A thread that was just being started then is in none of the pool's lists.
    assert wait_until(lambda: ends == [-signal.SIGTERM] * 3)
    assert len(engine.pulls) == 3


def test_an_interrupt_ends_the_waits_between_attempts_and_there_are_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(transfer, "_WAIT", wait_fixed(600))
    settings = settings_of()
    registry = upstream_registry(settings)
    registry.says = {reference: ["unexpected EOF"] * 9 for reference in registry.images}
    engine = ImageEngine(registry)
    all_wait = threading.Barrier(3, action=interrupt_main)

    def say(text: str) -> None:
        if " again in 600 s" in text:
            all_wait.wait(timeout=60)

    with pytest.raises(KeyboardInterrupt):
        transfer.pull(engine, settings, PLAN, demo=True, lock=None, say=say)
    assert len(engine.pulls) == 3


FAILING_DOCKER = """#!/bin/sh
case "$*" in
  *"image pull"*) echo "$*" >>PULLS; echo "unexpected EOF" >&2; exit 1 ;;
  *) echo "Error: No such image" >&2; exit 1 ;;
esac
"""


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_while_it_waits_for_a_registry(
    tmp_path: Path, number: signal.Signals
) -> None:
    program, pulls = tmp_path / "bin" / "docker", tmp_path / "pulls"
    program.parent.mkdir()
    # What the shell has beside the allow-list does not reach the docker command.
    program.write_text(FAILING_DOCKER.replace("PULLS", shlex.quote(str(pulls))))
    program.chmod(0o755)
    process = subprocess.Popen(
        [sys.executable, "-m", "stackctl", "images", "pull"],
        env={
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "DOCKER_HOST": "unix:///run/no-engine.sock",
        },
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert any("again in 1 s: " in line for line in process.stderr)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stackctl: interrupted"
    # The three that had begun are tried for seven seconds: whoever does not hear the signal goes on to the others.
    assert len(set(pulls.read_text().splitlines())) <= 3


# Save and load


def save(
    engine: ImageEngine, name: SetName, values: Mapping[str, str] = {}, lock: Lock | None = None
) -> bundle.Manifest:
    return transfer.save(
        engine,
        settings_of(**values),
        Path("team.bundle"),
        name=name,
        releases=PLAN,
        demo=True,
        lock=lock,
        say=lambda _: None,
    )


def load(engine: ImageEngine) -> int:
    return transfer.load(engine, Path("team.bundle"), say=lambda _: None)[1]


def test_the_local_set_arrives_as_a_set_that_is_built() -> None:
    engine = built(ImageEngine())
    manifest = save(engine, "local")
    assert len(manifest.images) == len(sets.catalogue(PLAN))
    state.write_shared_json(build.RECORD, {})
    laptop = ImageEngine()
    assert load(laptop) == len(sets.catalogue(PLAN))
    assert {reference: image.id for reference, image in laptop.images.items()} == {
        reference: image.id for reference, image in engine.images.items()
    }
    assert not build.outdated(laptop, PLAN)


def test_an_image_of_ones_own_goes_along_with_the_whole_local_set() -> None:
    engine = built(ImageEngine())
    engine.images["own/loki:1"] = FakeImage("own", (b"own",))
    manifest = save(engine, "local", {"LOKI_IMAGE": "own/loki:1"})
    names = [one.reference for one in manifest.images if one.name == "loki"]
    assert sorted(names) == ["own/loki:1", "stackctl/loki:local"]
    load(laptop := ImageEngine())
    assert not build.outdated(laptop, PLAN)


def test_what_is_here_is_not_loaded() -> None:
    save(built(ImageEngine()), "local")
    laptop = ImageEngine()
    assert load(laptop) == len(sets.catalogue(PLAN))
    laptop.loads.clear()
    assert load(laptop) == 0
    assert laptop.loads == []
    del laptop.images["stackctl/loki:local"]
    laptop.images["stackctl/redis:local"] = FakeImage("another", (b"base",))
    laptop.images["stackctl/grafana:local"] = FakeImage("stackctl/grafana:local", (b"other",))
    assert load(laptop) == 3
    assert load(laptop) == 0


def test_a_load_that_was_interrupted_is_not_taken_for_a_whole_one() -> None:
    class Interrupted(ImageEngine):
        def load_image(self, archive: Iterable[bytes]) -> None:
            super().load_image(archive)
            self.images = dict(list(self.images.items())[:4])
            raise KeyboardInterrupt

    save(built(ImageEngine()), "local")
    state.write_shared_json(build.RECORD, {})
    laptop = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        load(laptop)
    assert build.outdated(laptop, PLAN)
    again = ImageEngine()
    again.images = laptop.images
    assert load(again) == len(sets.catalogue(PLAN)) - 4
    assert not build.outdated(again, PLAN)


def test_what_containerds_store_has_by_digest_alone_is_saved_with_its_tag() -> None:
    settings = settings_of()
    registry = upstream_registry(settings)
    lock = lock_of(pulled(ImageEngine(registry), settings), settings)
    engine = pulled(ContainerdEngine(registry), settings, lock)
    engine.images["stackctl/demo:upstream"] = FakeImage("demo", (b"base",))
    save(engine, "upstream", lock=lock)
    laptop = ImageEngine()
    assert load(laptop) == len(lock.images) + 1
    assert laptop.images[LOKI] == registry.images[LOKI]
    assert list(lock.problems(laptop, settings, "upstream", PLAN, here=True)) == []


def test_an_index_leads_to_the_configurations_of_its_platforms() -> None:
    def blob(content: object) -> tuple[str, bytes]:
        text = json.dumps(content).encode()
        return sha256(text), text

    configuration, text = blob({"config": {"Env": []}, "rootfs": {}})
    manifest, described = blob({"config": {"digest": f"sha256:{configuration}"}, "layers": []})
    # The other platform's manifest was not pulled.
    index, listed = blob(
        {"manifests": [{"digest": f"sha256:{manifest}"}, {"digest": f"sha256:{0:064}"}]}
    )
    name = "blobs/sha256/{}".format
    small = {name(configuration): text, name(manifest): described, name(index): listed}
    entry = {"Config": name(configuration), "RepoTags": None, "Layers": []}
    for id_ in (configuration, manifest, index):
        tagged = transfer._tagged([entry], {LOKI: f"sha256:{id_}"}, small)
        assert tagged == [{**entry, "RepoTags": [LOKI]}]


def test_an_engine_that_gives_other_ids_has_the_same_images() -> None:
    save(built(ImageEngine()), "local")
    laptop = ContainerdEngine()
    assert load(laptop) == len(sets.catalogue(PLAN))
    laptop.loads.clear()
    assert load(laptop) == 0
    assert laptop.loads == []
    assert not build.outdated(laptop, PLAN)


def test_of_a_damaged_bundle_the_engine_gets_nothing() -> None:
    save(built(ImageEngine()), "local")
    content = bytearray(Path("team.bundle").read_bytes())
    content[len(content) // 2] ^= 1
    Path("team.bundle").write_bytes(content)
    laptop = ImageEngine()
    with pytest.raises(BadBundle):
        load(laptop)
    assert laptop.loads == []


def test_a_set_that_is_not_here_is_not_saved() -> None:
    with pytest.raises(StackctlError, match="not here as this stackctl makes it"):
        save(ImageEngine(), "local")
    with pytest.raises(StackctlError, match="not here, of the upstream image set") as caught:
        save(ImageEngine(), "upstream")
    assert (caught.value.remedy or "").startswith("`stackctl images pull`")
    assert not list(Path().iterdir()) or {path.name for path in Path().iterdir()} == {"state"}


def test_an_image_by_digest_alone_cannot_be_carried() -> None:
    with pytest.raises(StackctlError, match="LOKI_IMAGE names an image by digest"):
        save(built(ImageEngine()), "local", {"LOKI_IMAGE": f"own@sha256:{'0' * 64}"})


def test_a_locked_upstream_set_is_the_locked_one_where_it_was_loaded() -> None:
    settings = settings_of()
    registry = upstream_registry(settings)
    engine = pulled(ImageEngine(registry), settings)
    engine.images["stackctl/demo:upstream"] = FakeImage("demo", (b"demo",))
    lock = lock_of(engine, settings)
    save(engine, "upstream", lock=lock)
    laptop = ImageEngine()
    load(laptop)
    found = resolved(laptop, lock=lock)
    assert (found.name, laptop.pulls, dict(found.variables)) == ("upstream", [], UPSTREAM)
    assert list(lock.problems(laptop, settings, "upstream", PLAN)) == []


def test_an_engine_whose_save_is_laid_out_otherwise_is_refused() -> None:
    class Old(ImageEngine):
        def save_images(self, references):  # type: ignore[no-untyped-def]
            for piece in super().save_images(references):
                yield piece.replace(b"blobs/sha256/", b"other/sha256/")

    engine = Old()
    built(engine)
    with pytest.raises(EngineError, match="`docker save` left out stackctl/"):
        save(engine, "local")
    assert not Path("team.bundle").exists()


# The commands


def run(engine: ImageEngine, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setattr(Project, "engine", lambda *_, **__: engine)
    return CliRunner().invoke(cli, ["images", *arguments])


def test_pull_says_what_failed_and_why(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = upstream_registry(settings_of())
    engine = ImageEngine(registry)
    done = run(engine, monkeypatch, "pull")
    assert (done.exit_code, "14 of 14 images are present." in done.output) == (0, True)
    del registry.images["mongo:7.0"]
    done = run(engine, monkeypatch, "pull")
    assert done.exit_code == 1
    assert "13 of 14 images are present." in done.output
    assert "cannot pull mongo:7.0: manifest unknown" in done.output


def test_save_replaces_a_file_only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = built(ImageEngine())
    done = run(engine, monkeypatch, "save", "team.bundle")
    assert done.exit_code == 0, done.output
    assert f"{len(sets.catalogue(PLAN))} images of the local set" in done.output
    again = run(engine, monkeypatch, "save", "team.bundle")
    assert isinstance(again.exception, UsageError)
    assert run(engine, monkeypatch, "save", "--force", "team.bundle").exit_code == 0


def test_load_says_where_the_bundle_is_another_stackctls(monkeypatch: pytest.MonkeyPatch) -> None:
    run(built(ImageEngine()), monkeypatch, "save", "team.bundle")
    done = run(ImageEngine(), monkeypatch, "load", "team.bundle")
    assert "15 images of the local set loaded, 0 were already present." in done.output
    assert "would build its own" not in done.output
    monkeypatch.setattr("stackctl.images.build.inputs_digest", lambda _: "another")
    assert "would build its own" in run(ImageEngine(), monkeypatch, "load", "team.bundle").output


def test_lock_check_and_list_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = built(ImageEngine())
    missing = run(engine, monkeypatch, "lock", "--check")
    assert isinstance(missing.exception, StackctlError)
    assert missing.exception.message == "no stackctl.lock in the current folder"
    assert "15 images of the local set." in run(engine, monkeypatch, "lock").output
    assert "unchanged" in run(engine, monkeypatch, "lock").output
    assert run(engine, monkeypatch, "lock", "--check").exit_code == 0

    def locked() -> dict[str, str]:
        rows = json.loads(run(engine, monkeypatch, "list", "--format", "json").stdout)
        return {row["name"]: row["locked"] for row in rows}

    assert set(locked().values()) == {"yes"}
    loki = engine.images["stackctl/loki:local"]
    engine.images["stackctl/loki:local"] = replace(loki, name="another")
    checked = run(engine, monkeypatch, "lock", "--check")
    assert checked.exit_code == 1
    assert "stackctl/loki:local is" in checked.output
    assert locked() == {image.name: "yes" for image in sets.catalogue(PLAN)} | {"loki": "differs"}
    Path("stackctl.lock").unlink()
    assert set(locked().values()) == {"no"}


def checked(
    engine: ImageEngine, monkeypatch: pytest.MonkeyPatch, lock: Lock
) -> tuple[int, list[str]]:
    """Return the exit code of `lock --check`, and what it says on stderr."""
    lockfile.write(lock)
    done = run(engine, monkeypatch, "lock", "--check")
    return done.exit_code, done.stderr.splitlines()


LOKI = "grafana/loki:2.9.3"


@pytest.fixture
def locked() -> tuple[Registry, Lock]:
    """A registry, and the lock of the upstream set as it was pulled from there."""
    settings = settings_of()
    registry = upstream_registry(settings)
    return registry, lock_of(pulled(ImageEngine(registry), settings), settings)


def standings(engine: ImageEngine, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    rows = json.loads(run(engine, monkeypatch, "list", "--format", "json").stdout)
    return {row["name"]: row["locked"] for row in rows}


def test_the_check_passes_where_all_is_here_by_its_digest(
    locked: tuple[Registry, Lock], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, lock = locked
    by_tag = pulled(ImageEngine(registry), settings_of())
    by_digest = pulled(ImageEngine(registry), settings_of(), lock)
    for engine in (by_tag, by_digest):
        assert checked(engine, monkeypatch, lock) == (0, [])


def test_the_check_names_each_upstream_image_that_is_not_here(
    locked: tuple[Registry, Lock], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, lock = locked
    code, lines = checked(ImageEngine(registry), monkeypatch, lock)
    assert (code, len(lines)) == (1, len(lock.images))
    assert all(line.startswith("not here: ") for line in lines)
    engine = pulled(ImageEngine(registry), settings_of())
    del engine.digests[engine.images.pop(LOKI).id]
    code, (line,) = checked(engine, monkeypatch, lock)
    assert (code, line) == (
        1,
        f"not here: {LOKI}@{lock.images['loki'].digest}; `stackctl images pull` gets what is locked",
    )
    # It is locked all the same: what a pull gets is what was locked.
    assert standings(engine, monkeypatch)["loki"] == "yes"
    assert checked(pulled(engine, settings_of(), lock), monkeypatch, lock) == (0, [])


def test_the_check_names_an_upstream_image_of_another_digest(
    locked: tuple[Registry, Lock], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, lock = locked
    first = registry.images[LOKI]
    moved = FakeImage("moved", (b"other",))
    registry.images |= {"kept": first, LOKI: moved}
    engine = pulled(ImageEngine(registry), settings_of())
    code, (line,) = checked(engine, monkeypatch, lock)
    assert code == 1
    assert line.startswith(
        f"the digest of {LOKI} differs: locked {first.digest[7:19]}, here {moved.digest[7:19]}; "
    )
    assert standings(engine, monkeypatch)["loki"] == "differs"
    # `up` takes the locked one whatever the tag is here.
    assert resolved(engine, lock=lock).name == "upstream"
    assert checked(engine, monkeypatch, lock) == (0, [])


def test_the_check_takes_a_loaded_image_without_a_digest_by_its_content(
    locked: tuple[Registry, Lock], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, lock = locked
    engine = pulled(ImageEngine(registry), settings_of())
    engine.digests.clear()
    assert checked(engine, monkeypatch, lock) == (0, [])
    engine.images[LOKI] = FakeImage("another", (b"other",))
    code, (line,) = checked(engine, monkeypatch, lock)
    assert (code, line.split(";")[0].endswith(", here one without a digest")) == (1, True)


def test_the_check_names_an_image_that_was_locked_without_a_digest_and_is_not_here(
    locked: tuple[Registry, Lock], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, lock = locked
    engine = pulled(ImageEngine(registry), settings_of())
    lock.images["loki"] = lock.images["loki"].model_copy(update={"digest": None})
    del engine.images[LOKI]
    code, (line,) = checked(engine, monkeypatch, lock)
    assert (code, line.partition(";")[0]) == (1, f"not here: {LOKI}")


def test_the_check_takes_an_image_that_the_settings_name_by_digest(
    locked: tuple[Registry, Lock], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, _ = locked
    own = f"own/loki:1@{registry.images[LOKI].digest}"
    monkeypatch.setenv("LOKI_IMAGE", own)
    settings = settings_of(LOKI_IMAGE=own)
    engine = pulled(ImageEngine(registry), settings)
    lock = lock_of(engine, settings)
    assert checked(engine, monkeypatch, lock) == (0, [])
    engine.digests.pop(registry.images[LOKI].id)
    code, (line,) = checked(engine, monkeypatch, lock)
    assert (code, line.partition(";")[0]) == (1, f"not here: {own}")


def test_render_writes_the_digests_that_up_has_pinned(tmp_path: Path) -> None:
    project = open_project(name=None, env_file=None)
    project.keep(ProjectState(images="upstream", pins={"prom/prometheus:v2.48.0": "sha256:0"}))
    assert CliRunner().invoke(cli, ["render"]).exit_code == 0
    lines = project.state.compose_env.read_text().splitlines()
    assert "PROMETHEUS_IMAGE='prom/prometheus:v2.48.0@sha256:0'" in lines
    project.keep(ProjectState(images="upstream"))
    assert CliRunner().invoke(cli, ["render"]).exit_code == 0
    lines = project.state.compose_env.read_text().splitlines()
    assert "PROMETHEUS_IMAGE='prom/prometheus:v2.48.0'" in lines


def test_an_image_of_ones_own_is_rendered_in_either_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_IMAGE", "own/loki:1")
    project = open_project(name=None, env_file=None)
    for name in ("upstream", "local"):
        project.keep(ProjectState(images=name))
        assert CliRunner().invoke(cli, ["render"]).exit_code == 0
        assert "LOKI_IMAGE='own/loki:1'" in project.state.compose_env.read_text().splitlines()
