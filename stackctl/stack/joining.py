"""Watching a bot-core that runs: on its network, or together with it from its own Compose files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from stackctl.applications import APPLICATIONS, Present
from stackctl.errors import UsageError
from stackctl.settings import OVERRIDE_FILE, Settings, nearest
from stackctl.stack import images
from stackctl.stack.engine import Engine, merged
from stackctl.stack.project import Choices, Project
from stackctl.stack.services import SERVICES
from stackctl.stack.state import State, write_atomic

_REACHING_OUT = ("prometheus", "blackbox-exporter", "mongodb-exporter", "redis-exporter")
"""The services that ask bot-core's own; only they are put on its networks, so that names there do not mix."""

_ATTACHED = "attached"


@dataclass(frozen=True, slots=True)
class Wish:
    """What `up` is asked for: None where nothing is said, so that the settings decide."""

    demo: bool | None = None
    network: str | None = None
    app_files: tuple[Path, ...] = ()


def planned(project: Project, wish: Wish) -> Choices:
    """Say what the next `up` would make of this wish, or what the last one did where nothing is said anywhere.

    Raises as `choices` and `found` do.
    """
    settings = project.settings
    if wish == Wish() and not (settings["STACKCTL_ATTACH"] or settings["STACKCTL_APP_FILES"]):
        return project.choices
    chosen, _ = found(project, choices(project.settings, wish, project.choices))
    return chosen


def missing(project: Project, chosen: Choices) -> list[Missing]:
    """Say what of bot-core is not where it is expected, as far as the network and the files tell."""
    present, engine = project.present(chosen), project.engine(chosen)
    image = images.references(project.settings, chosen.images, pins=chosen.pins)["prometheus"]
    return [
        *_not_in_files(present, chosen),
        *look(engine, present, image if engine.image_id(image) else None),
    ]


def choices(settings: Settings, wish: Wish, previous: Choices) -> Choices:
    """Say what the stack is to consist of; the image set is the last one's.

    Raises UsageError where the demo is wished beside bot-core, or a file does not exist.
    """
    network = wish.network or settings["STACKCTL_ATTACH"]
    named = (settings["STACKCTL_APP_FILES"] or "").split(os.pathsep)
    files = wish.app_files or tuple(Path(name) for name in named if name)
    joined = network is not None or bool(files)
    if joined and wish.demo:
        raise UsageError(
            "the demo stands in for bot-core, so it does not go beside it",
            remedy="leave --demo out",
        )
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} does not exist", remedy="give --app-file a Compose file")
    override = Path(OVERRIDE_FILE)
    return Choices(
        demo=not joined and wish.demo is not False,
        images=previous.images,
        network=network,
        app_files=tuple(str(path.absolute()) for path in files),
        override=str(override.absolute()) if override.is_file() else None,
    )


def found(project: Project, chosen: Choices) -> tuple[Choices, tuple[str, ...]]:
    """Complete the choices with what is there: the Compose projects on the network, the services of the files.

    Gives with them the networks of the files' services. Raises EngineError where there is no such network or a file is
    not valid, UsageError where a file has a service of a name that the monitoring has.
    """
    networks: tuple[str, ...] = ()
    if chosen.app_files:
        config = application_files(project, chosen)
        names = tuple(sorted(config["services"]))
        both = [
            name for name in names if name in SERVICES and SERVICES[name].profile == "monitoring"
        ]
        if both:
            raise UsageError(
                f"{', '.join(both)} is both in bot-core's Compose files and in the monitoring",
                remedy="take it out of the former, or leave their monitoring in a profile of its own",
            )
        networks = tuple(sorted(_networks(config["services"].values())))
        chosen = replace(chosen, app_services=names)
    if chosen.network:
        there = project.engine(chosen).neighbours(chosen.network)
        projects = {one.project for one in there if one.project}
        chosen = replace(chosen, projects=tuple(sorted(projects)))
    return chosen, networks


def application_files(project: Project, chosen: Choices) -> Mapping[str, Any]:
    """Give bot-core's own Compose files as one. Raises EngineError where they are not valid."""
    paths = [Path(name) for name in chosen.app_files]
    env_file = paths[0].parent / ".env"
    return merged(project.name, paths, [env_file] if env_file.is_file() else [])


def _networks(services: Iterable[Mapping[str, Any]]) -> set[str]:
    return {name for service in services for name in service.get("networks") or {}}


def write_join_file(state: State, chosen: Choices, networks: Iterable[str]) -> None:
    """Write the Compose file that puts what asks bot-core's services on their networks, or remove it."""
    joined = [*networks, *([_ATTACHED] if chosen.network else [])]
    if not joined:
        state.join_file.unlink(missing_ok=True)
        return
    config: dict[str, Any] = {"services": {name: {"networks": joined} for name in _REACHING_OUT}}
    if chosen.network:
        config["networks"] = {_ATTACHED: {"name": chosen.network, "external": True}}
    text = yaml.safe_dump(config, sort_keys=False)
    write_atomic(state.join_file, f"# Written by stackctl at `up`.\n{text}")


@dataclass(frozen=True, slots=True)
class Missing:
    """Something of bot-core that the monitoring expects and that is not there, with what to do."""

    service: str
    message: str
    remedy: str


def _not_in_files(present: Present, chosen: Choices) -> list[Missing]:
    if not chosen.app_files or chosen.network:
        return []
    return [
        Missing(
            name,
            f"no service {target.host} in {', '.join(chosen.app_files)}",
            f"set {APPLICATIONS[name].setting}, or set it to none;"
            f" {nearest(target.host, chosen.app_services)}",
        )
        for name, target in present.targets.items()
        if name != "mongodb" and target.host not in chosen.app_services
    ]


def look(engine: Engine, present: Present, image: str | None) -> list[Missing]:
    """Say which services, ports and metrics paths are missing on the joined network.

    They are asked from the network itself, by a program in `image`; without an image only the names are looked at.
    """
    if present.network is None:
        return []
    names: set[str] = set()
    for neighbour in engine.neighbours(present.network):
        names |= neighbour.names
    missing = [
        Missing(
            name,
            f"no running container {target.host} on the network {present.network}",
            f"start it, or set {APPLICATIONS[name].setting} to what it is called there, or to none",
        )
        for name, target in present.targets.items()
        if name != "mongodb" and target.host not in names
    ]
    gone = {one.service for one in missing}
    there = {
        name: target
        for name, target in present.targets.items()
        if name != "mongodb" and name not in gone
    }
    if image is None or not there:
        return missing
    urls = {
        name: f"http://{target.address}{target.path}"
        if target.path
        else f"tcp:http://{target.address}"
        for name, target in there.items()
    }
    health = {
        name: f"http://{there[name].address}{path}"
        for name, path in present.health.items()
        if name in there
    }
    said = engine.run_in_network(
        present.network, image, ["sh", "-c", _ASK, "sh", *urls.values(), *health.values()]
    )
    failures = dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
    for name, url in urls.items():
        if url in failures:
            missing.append(
                Missing(
                    name,
                    f"{url.removeprefix('tcp:http://')}: {failures[url]}",
                    f"set {APPLICATIONS[name].setting} if its port or metrics path is another",
                )
            )
        elif health.get(name) in failures:
            missing.append(
                Missing(
                    name,
                    f"{health[name]}: {failures[health[name]]}",
                    f"set {APPLICATIONS[name].health_setting} if its health path is another",
                )
            )
    return missing


# busybox has wget in the upstream images as in the local ones. What speaks no HTTP is there if it can be connected to.
# A tab parts what was asked from what was said.
_ASK = r"""
for what in "$@"; do
  said=$(wget -q -T 3 -O /dev/null "${what#tcp:}" 2>&1) && continue
  case $what,$said in
    tcp:*"error getting response"*) continue ;;
  esac
  printf '%s\t%s\n' "$what" "$(echo "${said:-it does not answer}" | tail -n 1 | sed "s/^wget: //")"
done
"""
