"""What an image is built from: which edits rebuild which images, and which rebuild none."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from stackctl.config.load import load as load_settings
from stackctl.images import build, inputs, resolve
from stackctl.images.sets import catalogue
from stackctl.services.releases import PLAN, Releases, current
from stackctl.util import paths, yaml_text
from tests.support.images import FakeImage, ImageEngine

STANDINS = {"cadvisor", "grafana", "loki", "mongodb", "mongodb-exporter", "promtail"}
EVERY = {image.name for image in catalogue(PLAN)}
FROM_DEBIAN = EVERY - STANDINS - {"demo"}
SOURCES = sorted(
    path
    for folder in ("demo", "standins")
    for path in (paths.root() / folder).rglob("*.py")
    if inputs.NOT_COPIED.isdisjoint(path.relative_to(paths.root()).parts)
)


@pytest.fixture(autouse=True)
def _no_base_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_build_base", lambda *_: None)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the images' sources, which stackctl builds from."""
    for name in ("compose", "demo", "images", "standins"):
        without = shutil.ignore_patterns("__pycache__")
        shutil.copytree(paths.root() / name, tmp_path / name, ignore=without)
    monkeypatch.setattr(paths, "root", lambda: tmp_path)
    return tmp_path


@cache
def as_shipped() -> Mapping[str, FakeImage]:
    """The images of the local set, built from the sources as they are."""
    engine = ImageEngine()
    build.build(engine, PLAN, lambda _: None)
    return engine.images


@pytest.fixture
def changed(state_dir: Path, request: pytest.FixtureRequest) -> Callable[[], set[str]]:
    """Builds the set on a machine that has it as shipped, and tells which images are other ones then."""
    engine = ImageEngine()
    engine.images |= as_shipped()
    request.getfixturevalue("checkout")

    def changed() -> set[str]:
        build.build(engine, PLAN, lambda _: None)
        return {
            image.name
            for image in catalogue(PLAN)
            if engine.images[image.local] != as_shipped()[image.local]
        }

    return changed


def edit(path: Path, text: str, replacement: str) -> None:
    content = path.read_text()
    assert text in content
    path.write_text(content.replace(text, replacement, 1))


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_nothing_is_built_a_second_time(changed: Callable[[], set[str]]) -> None:
    assert changed() == set()


@pytest.mark.parametrize("path", ["standins/grafana/main.py", "standins/shared/server.py"])
def test_comments_blank_lines_and_docstrings_rebuild_no_image(
    changed: Callable[[], set[str]], checkout: Path, path: str
) -> None:
    edit(checkout / path, '"""', '"""Another docstring.\n\nOf two paragraphs. ')
    edit(checkout / path, "\nimport ", "\n# Another comment.\n\n\nimport ")
    append(checkout / path, "\n\n# The end.\n")
    assert changed() == set()


def test_comments_of_dockerfiles_and_tests_rebuild_no_image(
    changed: Callable[[], set[str]], checkout: Path
) -> None:
    edit(checkout / "standins/Dockerfile", "ARG BASE", "# Another comment.\n\nARG BASE")
    edit(checkout / "standins/Dockerfile", "\\\n", "\\\n  # Inside an instruction.\n")
    append(checkout / "standins/loki/tests/test_loki_api.py", "x = 1\n")
    append(checkout / "demo/tests/helpers.py", "x = 1\n")
    append(checkout / "demo/README.md", "More.\n")
    assert changed() == set()


@pytest.mark.parametrize("name", sorted(STANDINS))
def test_code_of_a_standin_rebuilds_its_image_only(
    changed: Callable[[], set[str]], checkout: Path, name: str
) -> None:
    append(checkout / "standins" / name.replace("-", "_") / "main.py", "x = 1\n")
    assert changed() == {name}


@pytest.mark.parametrize(
    ("path", "images"),
    [
        ("standins/shared/server.py", STANDINS),
        ("standins/shared/logql/parser.py", STANDINS),
        ("standins/grafana/grafana-cli", {"grafana"}),
        ("demo/botdemo/roles/kong.py", {"demo"}),
        ("demo/requirements.txt", {"demo"}),
        ("images/debian/apt-install", FROM_DEBIAN),
        ("images/debian/base-packages.txt", EVERY),
        ("images/debian/python-packages.txt", EVERY),
        ("images/nettools/Dockerfile", set()),
    ],
)
def test_an_edit_rebuilds_the_images_that_it_goes_into(
    changed: Callable[[], set[str]], checkout: Path, path: str, images: set[str]
) -> None:
    append(checkout / path, "x=1\n")
    assert changed() == images


@pytest.mark.parametrize(
    ("file", "text", "images"),
    [
        ("standins/Dockerfile", "USER 472:0\n", {"grafana"}),
        ("standins/Dockerfile", "ENV PYTHONDONTWRITEBYTECODE=1", STANDINS),
        (
            "images/debian/Dockerfile",
            "RUN --mount=from=lists,source=/var,target=/mnt apt-install redis-server",
            {"redis"},
        ),
        ("images/debian/Dockerfile", "ARG BASE", FROM_DEBIAN),
        ("images/debian/Dockerfile", "RUN apt-get update", FROM_DEBIAN),
        ("demo/Dockerfile", "EXPOSE 8080", {"demo"}),
        ("compose/build/local.yml", "args: { BASE", {"demo"}),
    ],
)
def test_an_edit_of_an_instruction_rebuilds_the_targets_above_it(
    changed: Callable[[], set[str]], checkout: Path, file: str, text: str, images: set[str]
) -> None:
    replacement = "args: { OTHER: x, BASE" if file.endswith(".yml") else f"ENV X=1\n{text}"
    edit(checkout / file, text, replacement)
    assert changed() == images


def test_a_file_that_is_new_moved_or_gone_is_an_edit(
    changed: Callable[[], set[str]], checkout: Path
) -> None:
    standins = checkout / "standins"
    (standins / "loki" / "more.py").touch()
    (standins / "cadvisor" / "machine.py").rename(standins / "cadvisor" / "device.py")
    (standins / "promtail" / "times.py").unlink()
    assert changed() == {"loki", "cadvisor", "promtail"}


def test_the_quick_digest_of_bytes_decides_where_it_is_the_same(
    changed: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def running(source: str) -> str:
        read.append(source)
        return source

    monkeypatch.setattr(inputs, "running", running)
    assert changed() == set()
    assert read == []


def test_the_current_set_has_its_own_base_and_the_same_stand_ins(
    state_dir: Path, checkout: Path
) -> None:
    engine = ImageEngine()
    build.build(engine, PLAN, lambda _: None)
    debian = {
        *("prometheus", "alertmanager", "node-exporter", "redis-exporter", "blackbox-exporter"),
        *("docker-socket-proxy", "redis", "rabbitmq"),
    }
    # The stand-ins that act as another release.
    assert set(build.outdated(engine, current())) == debian | {"loki", "alloy"}
    assert set(build.outdated(engine, Releases(frozenset({"redis"})))) == {"redis"}
    build.build(engine, current(), lambda _: None)
    assert not build.outdated(engine, current())
    assert not build.outdated(engine, PLAN)
    # No program of Debian's next release is in Python.
    packages = checkout / "images" / "debian" / "python-packages.txt"
    packages.write_text(packages.read_text() + "python3-more\n")
    assert set(build.outdated(engine, PLAN)) == EVERY
    assert set(build.outdated(engine, current())) == EVERY - debian - {"promtail"} | {"alloy"}


def test_an_image_of_another_build_is_outdated(state_dir: Path) -> None:
    engine = ImageEngine()
    build.build(engine, PLAN, lambda _: None)
    assert not build.outdated(engine, PLAN)
    loki = engine.images.pop("stackctl/loki:local")
    assert build.outdated(engine, PLAN)
    engine.images["stackctl/loki:local"] = loki
    assert not build.outdated(engine, PLAN)
    engine.images["stackctl/loki:local"] = engine.images["stackctl/grafana:local"]
    assert list(build.outdated(engine, PLAN)) == ["loki"]
    decision = resolve.decide(
        engine, load_settings(environ={}), choice="local", previous=None, releases=PLAN, demo=True
    )
    assert decision.build == ("stackctl/loki:local",)


def test_a_dockerfile_that_copies_what_is_not_there_is_no_silent_nothing(checkout: Path) -> None:
    (checkout / "demo" / "requirements.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"requirements\.txt"):
        build.inputs_digest(PLAN)


# What runs


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a = 1  # why\n", "a = 1\n"),
        ("# why\n\n\na = 1\n", "a = 1\n"),
        ('"""Doc."""\na = 1\n', "a = 1\n"),
        ('"""Doc\n\nmore."""  # why\na = 1\n', "a = 1\n"),
        ('def f():\n    r"""Doc."""\n    return 1\n', "def f():\n    return 1\n"),
        (
            'class A:\n    x: int\n    """Of x."""\n\n    y: int\n',
            "class A:\n    x: int\n    y: int\n",
        ),
        ("f(\n    # why\n\n    1,\n)\n", "f(\n    1,\n)\n"),
    ],
)
def test_what_does_not_run_is_left_out(source: str, left: str) -> None:
    assert inputs.running(source) == left


@pytest.mark.parametrize(
    "source",
    [
        'a = "# no comment"\n',
        'a = """\n\n# no comment\n\n"""\n',
        'a = (\n    "one"\n    "two"\n)\n',
        'f"{g()}"\n',
        'rf"{g()}"\n',
        "b'bytes'\n",
        'a = f"""\n\n{b}\n"""\n',
        'def f(): "on one line"\n',
        '"one" "two"\n',
        '"a".join(b)\n',
        "not python (\n",
        "a = 'not closed\n",
    ],
)
def test_what_runs_or_may_run_stays(source: str) -> None:
    assert inputs.running(source) == source


def test_no_program_of_an_image_reads_a_docstring() -> None:
    reading = re.compile(r"__doc__|\bgetdoc\b|\bpydoc\b|\bdoctest\b")
    assert len(SOURCES) > 100
    assert [str(path) for path in SOURCES if reading.search(path.read_text())] == []


# What the digest relies on


def test_the_build_leaves_out_what_the_digest_leaves_out() -> None:
    ignored = (paths.root() / "standins" / ".dockerignore").read_text().split()
    assert {f"**/{name}" for name in inputs.NOT_COPIED} <= set(ignored)
    # The demo's names what goes in.
    assert (paths.root() / "demo" / ".dockerignore").read_text().split() == [
        *("*", "!botdemo", "!requirements.txt", "**/__pycache__")
    ]


def test_the_dockerfiles_have_only_what_the_digest_knows() -> None:
    services = yaml_text.load(paths.build_file("local").read_text())["services"]
    known = {"context", "target", "args"}
    for service in services.values():
        assert set(service["build"]) <= known
        dockerfile = paths.build_file("local").parent / service["build"]["context"] / "Dockerfile"
        text = dockerfile.read_text()
        assert not re.search(
            r"--from=|--mount=(?!type=secret|from=\w+,)|--platform=|<<|^\s*ADD |^COPY \[",
            text,
            re.MULTILINE,
        )
        assert not re.search(r"^(from|copy|add) ", text, re.MULTILINE)
