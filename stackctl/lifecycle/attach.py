"""Monitors a running bot-core, on its network or together with its own Compose files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine, merged
from stackctl.errors import EngineError, UsageError
from stackctl.images import sets
from stackctl.lifecycle.requested import requested_state
from stackctl.project.project import Project, ProjectState, UpRequest
from stackctl.project.state import StateFolder, write_atomic
from stackctl.services import catalog
from stackctl.services.applications import APPLICATIONS, MonitoredServices, Target
from stackctl.util import yaml_text
from stackctl.util.suggest import nearest

_REACHING_OUT = tuple(one.name for one in catalog.SERVICES.values() if one.reaches_application)
"""The only services that join bot-core's networks are those that connect to it, so that service names do not clash."""

_ATTACHED = "attached"

_Run = Callable[[Sequence[str]], str]
"""Run a program and return its output."""


def next_state(project: Project, request: UpRequest) -> ProjectState:
    """Return the state that an `up` with this request would record.

    Raises UsageError if the demo is requested together with bot-core, or a file does not exist or defines a service
    whose name the monitoring stack uses; EngineError if the network does not exist or a file is invalid.
    """
    return discover(project, requested_state(project.settings, request, project.choices))


def survey(project: Project, state: ProjectState) -> Survey:
    """Check which of bot-core's services are where the settings expect them.

    May start a short-lived container on bot-core's network. Raises EngineError if the network does not exist or the
    engine does not answer.
    """
    monitored, engine = project.present(state), project.engine(state)
    missing = absent(engine, state, monitored)
    missing_names = {one.service for one in missing}
    candidates = {
        name: target for name, target in _located(monitored).items() if name not in missing_names
    }
    run = _runner(project, state, engine)
    if run is None or not candidates:
        return Survey(missing, frozenset(), _TO_ASK[bool(state.network)])
    misplaced = tuple(_misplaced(run, candidates, monitored.health))
    asked = frozenset(candidates) - {one.service for one in misplaced}
    return Survey((*missing, *misplaced), asked, _BY_VERIFY)


def absent(
    engine: Engine, state: ProjectState, monitored: MonitoredServices
) -> tuple[Missing, ...]:
    """Return the services without a container on the network or an entry in bot-core's Compose files.

    Starts no container. Raises EngineError if the network is gone or the engine does not answer.
    """
    targets = _located(monitored)
    found = (
        _not_on_network(engine, state.network, targets)
        if state.network
        else _not_in_files(state, targets)
    )
    return tuple(found)


def _located(monitored: MonitoredServices) -> Mapping[str, Target]:
    """Return the targets whose container or service can be looked up; only the exporter knows MongoDB's address."""
    return {
        name: target
        for name, target in monitored.targets.items()
        if APPLICATIONS[name].credentials is None
    }


def discover(project: Project, state: ProjectState) -> ProjectState:
    """Add what the engine and the files contain: the Compose projects on the network, the services of the files.

    Raises EngineError if the network does not exist or a file is not valid, UsageError if a file defines a service with
    a name or a profile that the monitoring uses.
    """
    if state.app_files:
        config = application_files(project, state)
        _refuse_mixing(config["services"])
        started = {
            name: body for name, body in config["services"].items() if not body.get("profiles")
        }
        state = replace(
            state,
            app_services=tuple(sorted(started)),
            app_networks=tuple(sorted(_networks(started.values()))),
        )
    if state.network:
        neighbours = project.engine(state).neighbours(state.network)
        projects = {one.project for one in neighbours if one.project}
        state = replace(state, projects=tuple(sorted(projects)))
    return state


def _refuse_mixing(services: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse services that Compose would confuse with the monitoring stack's, even those of an inactive profile."""
    or_else = "start bot-core separately and pass its network to --attach"
    both = sorted({one.name for one in catalog.select(demo=False)} & set(services))
    if both:
        raise UsageError(
            f"{', '.join(both)} exists both in bot-core's Compose files and in the monitoring stack",
            remedy=f"remove it from bot-core's files, or {or_else}",
        )
    inside = [
        name
        for name, body in sorted(services.items())
        if "monitoring" in (body.get("profiles") or ())
    ]
    if inside:
        raise UsageError(
            f"{', '.join(inside)} in bot-core's Compose files uses the profile of the monitoring stack",
            remedy=f"give it another profile, or {or_else}",
        )


def application_files(project: Project, state: ProjectState) -> Mapping[str, Any]:
    """Return bot-core's own Compose files merged into one. Raises EngineError if they are invalid."""
    paths = [Path(name) for name in state.app_files]
    env_file = paths[0].parent / ".env"
    return merged(project.name, paths, [env_file] if env_file.is_file() else [])


def _networks(services: Iterable[Mapping[str, Any]]) -> set[str]:
    return {name for service in services for name in service.get("networks") or {}}


def write_join_file(folder: StateFolder, state: ProjectState) -> None:
    """Write or remove the Compose file that connects the stack's services to bot-core's networks."""
    joined = [*state.app_networks, *([_ATTACHED] if state.network else [])]
    if not joined:
        folder.join_file.unlink(missing_ok=True)
        return
    config: dict[str, Any] = {"services": {name: {"networks": joined} for name in _REACHING_OUT}}
    if state.network:
        config["networks"] = {_ATTACHED: {"name": state.network, "external": True}}
    text = yaml_text.dump(config)
    write_atomic(folder.join_file, f"# Written by stackctl at `up`.\n{text}")


def configuration(engine: Engine, state: ProjectState) -> dict[str, Any]:
    """Return the merged configuration, as `Engine.configuration` does.

    Raises EngineError, with a remedy that names the override file, if Compose cannot read that file.
    """
    try:
        return engine.configuration()
    except EngineError as error:
        # The stack's files are valid, and bot-core's have been read separately.
        if error.remedy or state.override is None:
            raise
        remedy = f"correct {state.override}, or remove it"
        raise EngineError(error.message, remedy=remedy) from None


def created_volumes(engine: Engine, state: ProjectState) -> tuple[str, ...]:
    """Return the names of the volumes that `up` creates or created for these Compose files.

    A volume that exists before the first `up` is not the stack's, whatever the files say. Raises EngineError if the
    files are invalid.
    """
    if not (state.app_files or state.override):
        return state.volumes
    declared = configuration(engine, state).get("volumes") or {}
    named = {body["name"] for body in declared.values() if not body.get("external")}
    existing = named_volumes.present({*state.volumes, *named})
    return tuple(sorted({*(existing & set(state.volumes)), *(named - existing)}))


def override_services(engine: Engine, state: ProjectState) -> tuple[str, ...]:
    """Return the services that the override file adds. Raises EngineError if the file is invalid."""
    if state.override is None:
        return ()
    others = {*catalog.SERVICES, *state.app_services}
    return tuple(sorted(set(configuration(engine, state)["services"]) - others))


@dataclass(frozen=True, slots=True)
class Missing:
    """A service of bot-core that was not found where the settings expect it, with the remedy."""

    service: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Survey:
    """Which of bot-core's services answer, and which were not found."""

    missing: tuple[Missing, ...]
    asked: frozenset[str]
    """The services whose ports and paths answered as expected."""
    to_ask: str
    """How to check the services that are neither in `missing` nor in `asked`."""


_BY_VERIFY = "`stackctl verify` shows whether it is scraped"
_TO_ASK = {
    True: "run `stackctl images pull` or `build` for an image to check with, or `stackctl up`, which checks too",
    False: "`stackctl up` starts it and checks",
}
"""By whether bot-core runs on its own network: what a check needs first."""


def _not_in_files(state: ProjectState, targets: Mapping[str, Target]) -> list[Missing]:
    return [
        Missing(
            name,
            f"no service {target.host} in {', '.join(state.app_files)}",
            f"correct {APPLICATIONS[name].setting}, or set it to none;"
            f" {nearest(target.host, state.app_services)}",
        )
        for name, target in targets.items()
        if target.host not in state.app_services
    ]


def _not_on_network(engine: Engine, network: str, targets: Mapping[str, Target]) -> list[Missing]:
    names: set[str] = set()
    for neighbour in engine.neighbours(network):
        names |= neighbour.names
    return [
        Missing(
            name,
            f"no running container {target.host} on network {network}",
            f"start it, or set {APPLICATIONS[name].setting} to its name there, or to none",
        )
        for name, target in targets.items()
        if target.host not in names
    ]


def _runner(project: Project, state: ProjectState, engine: Engine) -> _Run | None:
    """Return a function that runs a program where Prometheus runs or would run; None if nothing can run it."""
    if state.network:
        network, image = state.network, _image_with_busybox(project, state, engine)
        if image is None:
            return None
        return lambda command: engine.run_in_network(network, image, command)
    prometheus = engine.containers().get("prometheus")
    if prometheus is None or not prometheus.running:
        return None
    # The running stack may still monitor something else.
    if project.choices.app_files != state.app_files:
        return None
    container = prometheus.id
    return lambda command: engine.execute(container, command)


def _image_with_busybox(project: Project, state: ProjectState, engine: Engine) -> str | None:
    """Return a local image with busybox: Prometheus from the set in use, else from the other set."""
    usual = sets.references(project.settings, state.images, state.releases, pins=state.pins)[
        "prometheus"
    ]
    (image,) = (one for one in sets.catalogue(state.releases) if one.name == "prometheus")
    mirrored = sets.reference(image, project.settings, "upstream")
    candidates = (usual, mirrored, image.upstream, image.local)
    return next((one for one in candidates if engine.image_id(one) is not None), None)


def _misplaced(
    run: _Run, targets: Mapping[str, Target], paths: Mapping[str, str]
) -> Iterator[Missing]:
    """Probe ports, metrics paths and health paths, and yield those that do not answer as expected."""
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
    output = run(["sh", "-c", _ASK, "sh", *urls.values(), *health.values()])
    failures = dict(line.split("\t", 1) for line in output.splitlines() if "\t" in line)
    for name, url in urls.items():
        if url in failures:
            yield Missing(
                name,
                f"{url.removeprefix('tcp:http://')}: {failures[url]}",
                f"if its port or metrics path differs, set {APPLICATIONS[name].setting}",
            )
        elif health.get(name) in failures:
            yield Missing(
                name,
                f"{health[name]}: {failures[health[name]]}",
                f"if its health path differs, set {APPLICATIONS[name].health_setting}",
            )


# busybox has wget in the upstream and the local images. A service that does not speak HTTP is up if it accepts a
# connection. A tab separates the address from the error.
_ASK = r"""
for what in "$@"; do
  said=$(wget -q -T 3 -O /dev/null "${what#tcp:}" 2>&1) && continue
  case $what,$said in
    tcp:*"error getting response"*) continue ;;
  esac
  printf '%s\t%s\n' "$what" "$(echo "${said:-no response}" | tail -n 1 | sed "s/^wget: //")"
done
"""
