"""Plans an `up`: `gather` collects facts from the engine and the state folder, `plan_up` turns them into a plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from stackctl.docker.engine import Engine, EngineInfo
from stackctl.docker.inventory import Inventory, OwnContainer
from stackctl.docker.requirements import release
from stackctl.images import lock as locked
from stackctl.images import releases, resolve, sets
from stackctl.images.choice import Choice
from stackctl.images.resolve import Decision
from stackctl.lifecycle import attach, demo_data, preflight, stored_data
from stackctl.lifecycle.preflight import Finding
from stackctl.lifecycle.rehearsal import Rehearsal, rehearse
from stackctl.lifecycle.stored_data import Move
from stackctl.project import config_volumes
from stackctl.project.container_metrics import ContainerMetrics
from stackctl.project.project import Project, ProjectState, UpRequest
from stackctl.services import catalog
from stackctl.services.applications import MonitoredServices
from stackctl.services.catalog import Service, SetName
from stackctl.services.releases import Versions, table


@dataclass(frozen=True, slots=True)
class Observed:
    """The containers and volumes that the engine has."""

    inventory: Inventory
    volumes: frozenset[str]
    """The project's data volumes."""


@dataclass(frozen=True, slots=True)
class ComposeUpdate:
    """A Docker Compose version that differs from the one that created the containers."""

    before: str
    now: str

    def replaces(self, containers: Mapping[str, OwnContainer], hashes: Mapping[str, str]) -> bool:
        """Return whether the update alone makes Compose replace every container.

        It does if the new version computes service hashes differently: then no hash matches.
        """
        kept = [
            (one.configuration, hashes[name]) for name, one in containers.items() if name in hashes
        ]
        return bool(kept) and all(before != now for before, now in kept)

    def __str__(self) -> str:
        """Return a message that names both versions and the effect."""
        return f"Docker Compose was updated from {self.before} to {self.now}: every container is replaced once"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the engine, the state folder and the settings contain before an `up`."""

    project: str
    state: ProjectState
    """The state that the request asks for."""
    services: tuple[Service, ...]
    """The services of that state, including those of an attached bot-core, which `up` does not start."""
    monitored: MonitoredServices
    findings: tuple[Finding, ...]
    images: Decision
    info: EngineInfo
    metrics: ContainerMetrics
    engine: Observed
    recorded_copies: bool
    """Whether the last `up` copied its configuration into volumes."""
    recorded_fingerprint: str | None
    """Fingerprint of the password with which the demo MongoDB's data was created."""
    fingerprint: str
    """Fingerprint of MongoDB's current password."""
    moves: tuple[Move, ...] = ()
    """The data volumes that would be opened by a different release than the one that last wrote them."""
    down_cut_off: bool = False
    rehearsal: Rehearsal | None = None
    """Only set for a dry run; a real `up` learns the same as it goes."""

    @property
    def compose_update(self) -> ComposeUpdate | None:
        """The Compose update since the containers were created; None if there was none or it is unknown."""
        existing = {} if self.down_cut_off else self.engine.inventory.services()
        makers = {one.compose for one in existing.values()}
        others = sorted(maker for maker in makers if maker and not self._is_current(maker))
        return ComposeUpdate(others[0], self.info.compose) if others else None

    def _is_current(self, compose: str) -> bool:
        return release(compose.removeprefix("v")) == release(self.info.compose)


@dataclass(frozen=True, slots=True)
class VolumeReset:
    """A data volume to remove so that its service starts empty."""

    volume: str
    service: str
    reason: str


@dataclass(frozen=True, slots=True)
class ContainerChanges:
    """What Compose would do with each service's container."""

    create: tuple[str, ...] = ()
    recreate: tuple[str, ...] | None = ()
    """Services whose configuration or image changed; None if images are built first, whose IDs are not known yet."""
    dependents: tuple[str, ...] = ()
    """Services that depend on a recreated one; some versions of Compose recreate them too."""
    start: tuple[str, ...] = ()
    """Services whose container exists but is not running."""
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UpPlan:
    """What an `up` does, and the facts it is based on."""

    facts: Facts
    leftovers: tuple[str, ...]
    """Containers to remove that were left over from an interrupted `up`."""
    abandoned: tuple[str, ...]
    """Temporary containers to remove that killed commands left behind."""
    resets: tuple[VolumeReset, ...]
    removes_stale_volumes: bool
    """Whether to remove configuration volumes that no service mounts any longer."""
    stale_volumes: tuple[str, ...] | None
    """Their names; None unless rehearsed."""
    containers: ContainerChanges | None
    """None unless rehearsed."""

    @property
    def compose_update(self) -> ComposeUpdate | None:
        """The Compose update, if it replaces every container; None unless rehearsed."""
        rehearsal, update = self.facts.rehearsal, self.facts.compose_update
        if rehearsal is None or update is None:
            return None
        existing = self.facts.engine.inventory.services()
        return update if update.replaces(existing, rehearsal.hashes) else None

    @property
    def state(self) -> ProjectState:
        """The state that `up` records: the request and everything derived from it."""
        return self.facts.state

    @property
    def current_images(self) -> tuple[str, ...]:
        """The stack's own images that would run in the current release, in the order of the services."""
        ours = dict.fromkeys(one.image_name for one in self.facts.services)
        return tuple(one for one in ours if one in table() and one in self.state.releases.current)

    @property
    def not_monitored(self) -> tuple[str, ...]:
        """The services of an attached bot-core that are not monitored."""
        return self.facts.monitored.left_out if self.state.joined else ()

    @property
    def upgrades(self) -> tuple[Move, ...]:
        """The data volumes that a newer or an unknown release opens."""
        return tuple(one for one in self.facts.moves if not one.loses)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The warnings of the preflight checks."""
        return tuple(one for one in self.facts.findings if one.level == "warning")

    @property
    def has_changes(self) -> bool:
        """Whether anything is known to be created, changed or removed."""
        facts, rehearsal = self.facts, self.facts.rehearsal
        containers = self.containers or ContainerChanges()
        effects = (
            facts.down_cut_off,
            facts.images.pull,
            facts.images.build,
            self.leftovers,
            self.abandoned,
            self.resets,
            self.stale_volumes,
            containers.create,
            containers.recreate,
            containers.start,
            containers.remove,
            rehearsal is not None and rehearsal.files,
            rehearsal is not None and rehearsal.grafana_password == "set",  # noqa: S105
        )
        return any(effects)


def plan_up(facts: Facts) -> UpPlan:
    """Decide what an `up` does. A pure function: it asks nothing and changes nothing."""
    # Finishing a `down` removes the project's containers.
    inventory = Inventory(facts.project, ()) if facts.down_cut_off else facts.engine.inventory
    resets = tuple(_resets(facts))
    return UpPlan(
        facts=facts,
        leftovers=tuple(inventory.leftovers()),
        abandoned=tuple(facts.engine.inventory.abandoned()),
        resets=resets,
        removes_stale_volumes=facts.recorded_copies,
        stale_volumes=_stale_volumes(facts),
        containers=_containers(facts, inventory, reset={one.service for one in resets}),
    )


def _resets(facts: Facts) -> Iterable[VolumeReset]:
    if not facts.state.demo:
        return
    volume = demo_data.outdated_volume(
        facts.project,
        facts.engine.volumes,
        recorded=facts.recorded_fingerprint,
        current=facts.fingerprint,
    )
    if volume is not None:
        yield VolumeReset(volume, demo_data.SERVICE, "demo MongoDB password changed")
    for move in facts.moves:
        if move.of_demo and move.loses and move.volume != volume:
            yield VolumeReset(
                move.volume, move.service, f"{move.after} cannot open what {move.before} wrote"
            )


def _stale_volumes(facts: Facts) -> tuple[str, ...] | None:
    if not facts.recorded_copies:
        return ()
    return facts.rehearsal.stale_volumes if facts.rehearsal else None


def _containers(
    facts: Facts, inventory: Inventory, *, reset: Collection[str]
) -> ContainerChanges | None:
    """Predict what Compose would do: it compares the configuration's hash and the image's ID."""
    rehearsal = facts.rehearsal
    if rehearsal is None:
        return None
    existing = {name: one for name, one in inventory.services().items() if name not in reset}
    kept = {name: existing[name] for name in rehearsal.hashes if name in existing}
    outdated = tuple(name for name, one in kept.items() if _is_outdated(name, one, rehearsal))
    return ContainerChanges(
        create=tuple(name for name in rehearsal.hashes if name not in existing),
        recreate=None if facts.images.build and kept else outdated,
        dependents=tuple(
            name
            for name in kept
            if name not in outdated and rehearsal.dependencies[name] & set(outdated)
        ),
        start=tuple(name for name, one in kept.items() if not one.running and name not in outdated),
        remove=tuple(sorted(existing.keys() - kept.keys())),
    )


def _is_outdated(name: str, container: OwnContainer, rehearsal: Rehearsal) -> bool:
    # Compose chooses the images of bot-core's own files.
    image = rehearsal.images.get(name, container.image)
    return container.configuration != rehearsal.hashes[name] or container.image != image


def gather(
    project: Project,
    request: UpRequest,
    choice: Choice,
    versions: Versions | None,
    *,
    step: Callable[[str], None],
    rehearsed: bool = False,
    down_cut_off: bool = False,
) -> Facts:
    """Collect what `plan_up` needs from the engine and the state folder, without changing anything on the machine.

    `rehearsed` adds what a dry run needs. `down_cut_off` means that an interrupted `down` must be finished first.
    `step` is called with each step that begins. Raises StackctlError for whatever prevents an `up`: failed preflight
    checks, or an image lock that does not match.
    """
    lock = locked.read()
    state = replace(
        attach.next_state(project, request),
        releases=releases.settle(project, versions, lock=lock),
    )
    engine = project.engine(state)
    services = project.services_of(state)
    step("checking this machine")
    own = [one for one in services if one.profile != "attached"]
    findings = preflight.examine(
        engine, project.settings, own, state.app_services, _chosen_set(choice, state)
    )
    preflight.refuse_failures(findings)
    step("choosing the images")
    images = resolve.decide(
        engine,
        project.settings,
        choice=choice,
        previous=state.images,
        releases=state.releases,
        demo=state.demo,
        lock=lock,
        previous_pins=state.pins,
    )
    state = replace(state, images=images.set, pins=images.pins)
    metrics = project.container_metrics(engine, state)
    state = replace(state, unseen=metrics.obstacle)
    observed = observe(engine)
    moves = data_moves(project, state, observed)
    rehearsal = rehearse(project, state, metrics) if rehearsed else None
    return Facts(
        project=project.name,
        state=state,
        services=tuple(services),
        monitored=project.present(state),
        findings=(*findings, preflight.containers_seen(metrics)),
        images=images,
        info=engine.info(),
        metrics=metrics,
        engine=observed,
        moves=moves,
        recorded_copies=bool(config_volumes.kept(project.state)),
        recorded_fingerprint=demo_data.recorded_fingerprint(project.state),
        fingerprint=rehearsal.fingerprint
        if rehearsal
        else project.secrets.fingerprint(demo_data.PASSWORD),
        down_cut_off=down_cut_off,
        rehearsal=rehearsal,
    )


def data_moves(project: Project, state: ProjectState, observed: Observed) -> tuple[Move, ...]:
    """Return the data volumes that a stack in this state would open with a different release than wrote them.

    Raises StackctlError if data other than the demo's would be lost.
    """
    services = catalog.select(demo=state.demo, releases=state.releases)
    found = stored_data.moves(
        services,
        project.name,
        observed.volumes,
        stored_data.written_by(project, services, observed.inventory.started_images()),
        sets.references(project.settings, state.images, state.releases, pins=state.pins),
    )
    stored_data.refuse(found, project.choices, project.settings)
    return found


def _chosen_set(choice: Choice, state: ProjectState) -> SetName | None:
    return state.images if choice == "auto" else choice


def observe(engine: Engine) -> Observed:
    """Return the engine's current containers and volumes. Raises EngineError if it does not answer."""
    return Observed(engine.inventory(), frozenset(engine.volumes()))
