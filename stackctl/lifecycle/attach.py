"""Watching a bot-core that runs: on its network, or together with it from its own Compose files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stackctl.config.registry import OVERRIDE_FILE
from stackctl.config.settings import Settings
from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine, merged
from stackctl.errors import UsageError
from stackctl.images import sets
from stackctl.project.project import Project, ProjectState, UpRequest
from stackctl.project.state import StateFolder, write_atomic
from stackctl.services import catalog
from stackctl.services.applications import APPLICATIONS, Target
from stackctl.util import yaml_text
from stackctl.util.suggest import nearest

_REACHING_OUT = tuple(one.name for one in catalog.SERVICES.values() if one.reaches_application)
"""Only the services that connect to bot-core are put on its networks, so that the names there do not mix."""

_ATTACHED = "attached"

_Ask = Callable[[Sequence[str]], str]
"""Runs a program and gives what it wrote."""


def planned(project: Project, request: UpRequest) -> ProjectState:
    """Say what the next `up` would make of this request.

    Raises UsageError where the demo is wished beside bot-core, a file does not exist or has a service of a name that
    the monitoring has; EngineError where there is no such network or a file is not valid.
    """
    return found(project, choices(project.settings, request, project.choices))


def look(project: Project, chosen: ProjectState) -> Seen:
    """Look at what of bot-core is where it is expected, as far as the network, the files and what runs tell.

    Raises EngineError where the network is gone, or cannot be asked.
    """
    present, engine = project.present(chosen), project.engine(chosen)
    named = {
        name: target
        for name, target in present.targets.items()
        if APPLICATIONS[name].credentials is None
    }
    absent = (
        _not_on_network(engine, chosen.network, named)
        if chosen.network
        else _not_in_files(chosen, named)
    )
    gone = {one.service for one in absent}
    there = {name: target for name, target in named.items() if name not in gone}
    ask = _asker(project, chosen, engine)
    if ask is None or not there:
        return Seen(tuple(absent), frozenset(), _TO_ASK[bool(chosen.network)])
    wrong = tuple(_misplaced(ask, there, present.health))
    asked = frozenset(there) - {one.service for one in wrong}
    return Seen((*absent, *wrong), asked, _BY_VERIFY)


def choices(settings: Settings, request: UpRequest, previous: ProjectState) -> ProjectState:
    """Say what the stack is to consist of: what is said goes before what was said, and that before the settings.

    The images are the last ones. Raises UsageError where the demo is wished beside bot-core, or a file does not exist.
    """
    said = replace(request, app_files=tuple(path.absolute() for path in request.app_files))
    said = said.after(previous.request)
    network, files = said.network, said.app_files
    if not said.demo:
        network = network or settings["STACKCTL_ATTACH"]
        named = (settings["STACKCTL_APP_FILES"] or "").split(os.pathsep)
        files = files or tuple(Path(name).absolute() for name in named if name)
    joined = network is not None or bool(files)
    if joined and said.demo:
        raise UsageError(
            "the demo stands in for bot-core, so it does not go beside it",
            remedy="leave --demo out",
        )
    for path in files:
        if not path.is_file():
            raise UsageError(f"{path} does not exist", remedy="give --app-file a Compose file")
    override = Path(OVERRIDE_FILE)
    return ProjectState(
        request=said,
        demo=not joined and said.demo is not False,
        images=previous.images,
        pins=previous.pins,
        network=network,
        app_files=tuple(map(str, files)),
        volumes=previous.volumes,
        override=str(override.absolute()) if override.is_file() else None,
    )


def found(project: Project, chosen: ProjectState) -> ProjectState:
    """Complete the choices with what is there: the Compose projects on the network, what is in the files.

    Raises EngineError where there is no such network or a file is not valid, UsageError where a file has a service of a
    name or of a profile that the monitoring has.
    """
    if chosen.app_files:
        config = application_files(project, chosen)
        _refuse_mixing(config["services"])
        started = {
            name: body for name, body in config["services"].items() if not body.get("profiles")
        }
        chosen = replace(
            chosen,
            app_services=tuple(sorted(started)),
            app_networks=tuple(sorted(_networks(started.values()))),
        )
    if chosen.network:
        there = project.engine(chosen).neighbours(chosen.network)
        projects = {one.project for one in there if one.project}
        chosen = replace(chosen, projects=tuple(sorted(projects)))
    return chosen


def _refuse_mixing(theirs: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse services that Compose would take for the monitoring's, even those of a profile that is not asked for."""
    or_else = "start bot-core by itself and give --attach its network"
    both = sorted({one.name for one in catalog.select(demo=False)} & set(theirs))
    if both:
        raise UsageError(
            f"{', '.join(both)} is both in bot-core's Compose files and in the monitoring",
            remedy=f"take it out of the former, or {or_else}",
        )
    inside = [
        name
        for name, body in sorted(theirs.items())
        if "monitoring" in (body.get("profiles") or ())
    ]
    if inside:
        raise UsageError(
            f"{', '.join(inside)} of bot-core's Compose files is in the monitoring's own profile",
            remedy=f"give it a profile of its own, or {or_else}",
        )


def application_files(project: Project, chosen: ProjectState) -> Mapping[str, Any]:
    """Give bot-core's own Compose files as one. Raises EngineError where they are not valid."""
    paths = [Path(name) for name in chosen.app_files]
    env_file = paths[0].parent / ".env"
    return merged(project.name, paths, [env_file] if env_file.is_file() else [])


def _networks(services: Iterable[Mapping[str, Any]]) -> set[str]:
    return {name for service in services for name in service.get("networks") or {}}


def write_join_file(state: StateFolder, chosen: ProjectState) -> None:
    """Write the Compose file that puts what asks bot-core's services on their networks, or remove it."""
    joined = [*chosen.app_networks, *([_ATTACHED] if chosen.network else [])]
    if not joined:
        state.join_file.unlink(missing_ok=True)
        return
    config: dict[str, Any] = {"services": {name: {"networks": joined} for name in _REACHING_OUT}}
    if chosen.network:
        config["networks"] = {_ATTACHED: {"name": chosen.network, "external": True}}
    text = yaml_text.dump(config)
    write_atomic(state.join_file, f"# Written by stackctl at `up`.\n{text}")


def volumes(engine: Engine, chosen: ProjectState) -> tuple[str, ...]:
    """Give the volumes that `up` makes or has made for these Compose files, by their names in the engine.

    One that is there before the first `up` was somebody's already, whatever the files say of it. Raises EngineError
    where the files are not valid.
    """
    if not (chosen.app_files or chosen.override):
        return chosen.volumes
    declared = engine.configuration().get("volumes") or {}
    named = {body["name"] for body in declared.values() if not body.get("external")}
    there = named_volumes.present({*chosen.volumes, *named})
    return tuple(sorted({*(there & set(chosen.volumes)), *(named - there)}))


@dataclass(frozen=True, slots=True)
class Missing:
    """Something of bot-core that the monitoring expects and that is not there, with what to do."""

    service: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at bot-core has shown."""

    missing: tuple[Missing, ...]
    asked: frozenset[str]
    """The services whose ports and paths answered."""
    to_ask: str
    """What asks those that are neither missing nor were asked."""


_BY_VERIFY = "`stackctl verify` shows whether it is scraped"
_TO_ASK = {
    True: "`stackctl images pull` or `build` gets an image to ask with; `stackctl up` asks as well",
    False: "`stackctl up` starts it and asks",
}
"""By whether bot-core runs on a network of its own: what has to be there before anything can be asked."""


def _not_in_files(chosen: ProjectState, targets: Mapping[str, Target]) -> list[Missing]:
    return [
        Missing(
            name,
            f"no service {target.host} in {', '.join(chosen.app_files)}",
            f"set {APPLICATIONS[name].setting}, or set it to none;"
            f" {nearest(target.host, chosen.app_services)}",
        )
        for name, target in targets.items()
        if target.host not in chosen.app_services
    ]


def _not_on_network(engine: Engine, network: str, targets: Mapping[str, Target]) -> list[Missing]:
    names: set[str] = set()
    for neighbour in engine.neighbours(network):
        names |= neighbour.names
    return [
        Missing(
            name,
            f"no running container {target.host} on the network {network}",
            f"start it, or set {APPLICATIONS[name].setting} to what it is called there, or to none",
        )
        for name, target in targets.items()
        if target.host not in names
    ]


def _asker(project: Project, chosen: ProjectState, engine: Engine) -> _Ask | None:
    """Give what runs a program where Prometheus is or would be, None where there is nothing to run it."""
    if chosen.network:
        network, image = chosen.network, _image_to_ask_with(project, chosen, engine)
        if image is None:
            return None
        return lambda command: engine.run_in_network(network, image, command)
    prometheus = engine.containers().get("prometheus")
    if prometheus is None or not prometheus.running:
        return None
    # The stack that runs may still watch something else.
    if project.choices.app_files != chosen.app_files:
        return None
    container = prometheus.id
    return lambda command: engine.execute(container, command)


def _image_to_ask_with(project: Project, chosen: ProjectState, engine: Engine) -> str | None:
    """Give an image that is here and has busybox: Prometheus', of the chosen set or of the other."""
    usual = sets.references(project.settings, chosen.images, pins=chosen.pins)["prometheus"]
    (image,) = (one for one in sets.catalogue() if one.name == "prometheus")
    mirrored = sets.reference(image, project.settings, "upstream")
    candidates = (usual, mirrored, image.upstream, image.local)
    return next((one for one in candidates if engine.image_id(one) is not None), None)


def _misplaced(
    ask: _Ask, targets: Mapping[str, Target], paths: Mapping[str, str]
) -> Iterator[Missing]:
    """Ask ports, metrics paths and health paths, and say which do not answer as they should."""
    urls = {
        name: f"http://{target.address}{target.path}"
        if target.path
        else f"tcp:http://{target.address}"
        for name, target in targets.items()
    }
    health = {
        name: f"http://{targets[name].address}{path}"
        for name, path in paths.items()
        if name in targets
    }
    said = ask(["sh", "-c", _ASK, "sh", *urls.values(), *health.values()])
    failures = dict(line.split("\t", 1) for line in said.splitlines() if "\t" in line)
    for name, url in urls.items():
        if url in failures:
            yield Missing(
                name,
                f"{url.removeprefix('tcp:http://')}: {failures[url]}",
                f"set {APPLICATIONS[name].setting} if its port or metrics path is another",
            )
        elif health.get(name) in failures:
            yield Missing(
                name,
                f"{health[name]}: {failures[health[name]]}",
                f"set {APPLICATIONS[name].health_setting} if its health path is another",
            )


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
