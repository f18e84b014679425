"""A project: its settings, state folder, secrets and engine, and the recorded state that later commands act on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from stackctl.config.load import load
from stackctl.config.registry import SETTINGS
from stackctl.config.settings import Settings
from stackctl.docker import endpoint
from stackctl.project import container_metrics
from stackctl.project.container_metrics import ContainerMetrics, Obstacle
from stackctl.project.monitored import monitored_services
from stackctl.project.running import with_addresses
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.services import catalog
from stackctl.services.applications import MonitoredServices
from stackctl.services.catalog import Service, SetName
from stackctl.services.releases import PLAN, Releases
from stackctl.util import environment, paths
from stackctl.util.redaction import redacted

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine, EngineInfo

_RECORD = "project.json"


@dataclass(frozen=True, slots=True)
class UpRequest:
    """The options of `up` that select the stack; an option that was not given is None or empty."""

    demo: bool | None = None
    network: str | None = None
    app_files: tuple[Path, ...] = ()

    def after(self, earlier: UpRequest) -> UpRequest:
        """Return this request completed by an earlier one: a plain `up` keeps the stack as it is.

        The demo and bot-core exclude each other, so a request for one drops the other.
        """
        if self.demo or self.network or self.app_files:
            return self
        demo = earlier.demo if self.demo is None else self.demo
        return replace(earlier, demo=demo)


@dataclass(frozen=True)
class ProjectState:
    """The stack that the last `up` requested and started; later commands act on the same stack."""

    request: UpRequest = field(default_factory=UpRequest)
    """The options given on the command line; `down` forgets them."""
    demo: bool = True
    images: SetName | None = None
    releases: Releases = PLAN
    unseen: Obstacle | None = None
    """Why cAdvisor cannot read the engine's containers; None if it can."""
    pins: Mapping[str, str] = field(default_factory=dict)
    """Image reference → its digest in stackctl.lock, or the local image that is used instead."""
    network: str | None = None
    """The network of a running bot-core that the stack has joined."""
    projects: tuple[str, ...] = ()
    """The Compose projects of the containers on that network."""
    app_files: tuple[str, ...] = ()
    """bot-core's own Compose files, merged over the stack's."""
    app_services: tuple[str, ...] = ()
    """The services of those files."""
    app_networks: tuple[str, ...] = ()
    """The networks of those services, by their keys in the files."""
    volumes: tuple[str, ...] = ()
    """Names of the volumes that were created for bot-core's files or the override."""
    override: str | None = None
    """The override: a Compose file merged over all others."""
    override_services: tuple[str, ...] = ()
    """The services that the override adds."""
    version: str | None = None
    """The version of stackctl that ran `up`; None if it did not record one."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """The settings that its addresses were derived from; `down` forgets them."""

    @property
    def joined(self) -> bool:
        """Whether an attached bot-core is monitored instead of the demo."""
        return self.network is not None or bool(self.app_files)


@dataclass(frozen=True)
class Project:
    """A project: its settings and its state folder."""

    settings: Settings
    state: StateFolder

    @property
    def name(self) -> str:
        """The Compose project's name."""
        return self.settings.project

    @cached_property
    def secrets(self) -> Secrets:
        """The project's secrets; those that are missing are generated."""
        return Secrets(self.settings, self.state)

    @cached_property
    def _engine_info(self) -> list[EngineInfo]:
        """What is known of the engine: it is the same one whatever the state, and is asked once."""
        return []

    def redacted(self, text: str) -> str:
        """Return a text, such as a program's output, with this project's secrets removed."""
        # Reading the generated secrets registers them for redaction.
        _ = self.secrets
        return redacted(text)

    def as_running(self) -> tuple[Project, str | None]:
        """Return this project with the addresses of its running stack, and a note if the settings differ."""
        settings, difference = with_addresses(self.settings, self.choices.addresses)
        return replace(self, settings=settings), difference

    def engine(self, state: ProjectState | None = None) -> Engine:
        """Return the engine for this project in its recorded state, or in another state."""
        # Importing it takes a fifth of a second, and many commands do not need it.
        from stackctl.docker.engine import Engine

        state = state or self.choices
        app_files = list(map(Path, state.app_files))
        join = [self.state.join_file]
        if not all(path.is_file() for path in app_files):
            # Containers can be found and removed without these files, but references to their networks cannot be
            # resolved.
            app_files, join = [], []
        override = [Path(state.override)] if state.override else []
        files = [*app_files, *join, *override]
        environment.pass_on(_variables_in([*app_files, *override]))
        directory = app_files[0].parent if app_files else None
        env_files = [*([directory / ".env"] if directory else []), self.state.compose_env]
        return Engine(
            self.name,
            [path for path in env_files if path.is_file()],
            demo=state.demo,
            files=[path for path in files if path.is_file()],
            directory=directory,
            present=self.present(state),
            known=self._engine_info,
        )

    def whole_engine(self) -> Engine:
        """Return an engine for everything the project may have started: with the demo, unless bot-core is attached."""
        return self.engine(None if self.choices.joined else ProjectState())

    def present(self, state: ProjectState | None = None) -> MonitoredServices:
        """Return which services of bot-core this stack monitors, and where."""
        state = state or self.choices
        return monitored_services(
            self.settings,
            demo=state.demo,
            joined=state.joined,
            network=state.network,
            projects=state.projects,
            container_metrics=state.unseen is None,
        )

    def container_metrics(self, engine: Engine, state: ProjectState) -> ContainerMetrics:
        """Return whether and how cAdvisor can read the containers. Raises EngineError if the engine does not answer."""
        return container_metrics.decide(
            engine.endpoint,
            engine.info(),
            self.settings,
            release=state.releases["cadvisor"],
            images=state.images,
        )

    @property
    def choices(self) -> ProjectState:
        """The state that the last `up` recorded."""
        record = self.state.read_json(_RECORD)
        images = record.get("images")
        return ProjectState(
            # Earlier versions of stackctl stored it as "wish".
            request=_request(record.get("request") or record.get("wish")),
            demo=record.get("demo") is not False,
            images=images if images in get_args(SetName) else None,
            releases=Releases.recorded(record.get("releases")),
            unseen=container_metrics.recorded(record.get("unseen")),
            pins=_mapping(record.get("pins")),
            network=_text(record.get("network")),
            projects=_texts(record.get("projects")),
            app_files=_texts(record.get("app_files")),
            app_services=_texts(record.get("app_services")),
            app_networks=_texts(record.get("app_networks")),
            volumes=_texts(record.get("volumes")),
            override=_text(record.get("override")),
            override_services=_texts(record.get("override_services")),
            version=_text(record.get("version")),
            addresses=_mapping(record.get("addresses")),
        )

    def keep(self, state: ProjectState) -> None:
        """Record a state for later commands."""
        content = asdict(state)
        content["request"]["app_files"] = list(map(str, state.request.app_files))
        content["releases"] = state.releases.record(catalog.IMAGES)
        self.state.write_json(_RECORD, content)

    @property
    def services(self) -> list[Service]:
        """The services that the last `up` started, and those of bot-core that it monitors."""
        return self.services_of(self.choices)

    def services_of(self, state: ProjectState) -> list[Service]:
        """Return the services of a stack in this state."""
        services = [
            *catalog.select(demo=state.demo, releases=state.releases),
            *map(catalog.application, state.override_services),
        ]
        if state.unseen is not None:
            services = list(map(catalog.without_container_series, services))
        if not state.joined:
            return services
        monitored = self.present(state)
        hosts = monitored.hosts()
        own = [hosts.get(name, name) for name in state.app_services]
        attached = [name for name in monitored.targets if state.network and name not in own]
        return [
            *services,
            *(catalog.application(name) for name in own),
            *(catalog.application(name, attached=True) for name in attached),
        ]

    def select(self, names: tuple[str, ...]) -> list[Service]:
        """Return services by name: of this stack, or of the catalog if it is not running.

        Raises UsageError for an unknown name, with the nearest known one.
        """
        return catalog.select(names, among=[*self.services, *catalog.select()])


def _variables_in(files: Iterable[Path]) -> set[str]:
    """Return the words in the user's Compose files that may be names of variables, except stackctl's own.

    Every word counts, because a variable may appear as `${NAME}` or as a bare name below `environment`.
    """
    named = {word for path in files for word in _words(path)}
    ours = {word for path in paths.compose().glob("*.yml") for word in _words(path)}
    return {
        name
        for name in named - ours - SETTINGS.keys()
        if not name.startswith(("COMPOSE_", "DOCKER_", "BUILDX_", "BUILDKIT_", "STACKCTL_"))
    }


def _words(path: Path) -> set[str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        # Compose reports what is wrong with the file.
        return set()
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _mapping(value: Any) -> Mapping[str, str]:
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _request(value: Any) -> UpRequest:
    if not isinstance(value, dict):
        return UpRequest()
    demo = value.get("demo")
    return UpRequest(
        demo if isinstance(demo, bool) else None,
        _text(value.get("network")),
        tuple(map(Path, _texts(value.get("app_files")))),
    )


def open_project(*, name: str | None, env_file: Path | None, create: bool = True) -> Project:
    """Read the settings and open the state folder; create it if it does not exist, unless `create` is false.

    Raises StackctlError if either cannot be read.
    """
    settings = load(project=name, env_file=env_file)
    settings = replace(settings, engine_host=_engine_host())
    return Project(settings, open_state(settings.project, create=create))


def _engine_host() -> str | None:
    where = endpoint.known()
    if where is None:
        from stackctl.docker.errors import reached

        where = reached()
    return where.host
