"""One project: its settings, state, secrets and engine together, and the choices that later commands go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackctl.config.load import load
from stackctl.config.settings import Settings
from stackctl.docker import endpoint
from stackctl.project.monitored import monitored_services
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.services import catalog
from stackctl.services.applications import MonitoredServices
from stackctl.services.catalog import Service, SetName

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine

_CHOICES = "project.json"


@dataclass(frozen=True, slots=True)
class UpRequest:
    """What is said about the stack on the command line: None where nothing is, so that something else decides."""

    demo: bool | None = None
    network: str | None = None
    app_files: tuple[Path, ...] = ()

    def after(self, earlier: UpRequest) -> UpRequest:
        """Complete what is said now by what was said before: a plain `up` keeps the stack as it is.

        The demo and bot-core stand in each other's place, so who asks for one leaves the other.
        """
        if self.demo or self.network or self.app_files:
            return self
        demo = earlier.demo if self.demo is None else self.demo
        return replace(earlier, demo=demo)


@dataclass(frozen=True)
class ProjectState:
    """What `up` was asked for last, and what it found: later commands act on the same stack."""

    request: UpRequest = field(default_factory=UpRequest)
    """What was said on the command line, until `down`."""
    demo: bool = True
    images: SetName | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    """Reference → the digest that stackctl.lock had for it."""
    network: str | None = None
    """The network of a running bot-core that the stack has joined."""
    projects: tuple[str, ...] = ()
    """The Compose projects of the containers there."""
    app_files: tuple[str, ...] = ()
    """bot-core's own Compose files, merged over ours."""
    app_services: tuple[str, ...] = ()
    """The services of those files."""
    app_networks: tuple[str, ...] = ()
    """The networks of those services, by their keys in the files."""
    volumes: tuple[str, ...] = ()
    """The volumes that were made for bot-core's files or the override, by their names in the engine."""
    override: str | None = None
    """A Compose file merged over all others."""

    @property
    def joined(self) -> bool:
        """Tell whether bot-core itself is watched."""
        return self.network is not None or bool(self.app_files)


@dataclass(frozen=True)
class Project:
    """A project by its settings and its state folder."""

    settings: Settings
    state: StateFolder

    @property
    def name(self) -> str:
        """The Compose project's name."""
        return self.settings.project

    @cached_property
    def secrets(self) -> Secrets:
        """The project's secrets, generated where they are not there yet."""
        return Secrets(self.settings, self.state)

    def engine(self, choices: ProjectState | None = None) -> Engine:
        """Give the engine for this project as it was started, or as it would be with these choices."""
        # It takes a fifth of a second to load, and many a command needs none.
        from stackctl.docker.engine import Engine

        chosen = choices or self.choices
        app_files = list(map(Path, chosen.app_files))
        join = [self.state.join_file]
        if not all(path.is_file() for path in app_files):
            # The containers can be found and removed without them; what refers to their networks cannot be read.
            app_files, join = [], []
        files = [*app_files, *join, *([Path(chosen.override)] if chosen.override else [])]
        directory = app_files[0].parent if app_files else None
        env_files = [*([directory / ".env"] if directory else []), self.state.compose_env]
        return Engine(
            self.name,
            [path for path in env_files if path.is_file()],
            demo=chosen.demo,
            files=[path for path in files if path.is_file()],
            directory=directory,
            present=self.present(chosen),
        )

    def whole_engine(self) -> Engine:
        """Give the engine for everything that the project ever had: the demo too, unless bot-core is in its place."""
        return self.engine(None if self.choices.joined else ProjectState())

    def present(self, choices: ProjectState | None = None) -> MonitoredServices:
        """Say which of bot-core's services this stack watches, and where."""
        chosen = choices or self.choices
        return monitored_services(
            self.settings,
            demo=chosen.demo,
            joined=chosen.joined,
            network=chosen.network,
            projects=chosen.projects,
        )

    @property
    def choices(self) -> ProjectState:
        """What `up` was asked for last."""
        kept = self.state.read_json(_CHOICES)
        images = kept.get("images")
        return ProjectState(
            # An earlier stackctl called it "wish".
            request=_request(kept.get("request") or kept.get("wish")),
            demo=kept.get("demo") is not False,
            images=images if images in {"upstream", "local"} else None,
            pins=kept.get("pins") or {},
            network=_text(kept.get("network")),
            projects=_texts(kept.get("projects")),
            app_files=_texts(kept.get("app_files")),
            app_services=_texts(kept.get("app_services")),
            app_networks=_texts(kept.get("app_networks")),
            volumes=_texts(kept.get("volumes")),
            override=_text(kept.get("override")),
        )

    def keep(self, choices: ProjectState) -> None:
        """Remember what `up` was asked for."""
        content = asdict(choices)
        content["request"]["app_files"] = list(map(str, choices.request.app_files))
        self.state.write_json(_CHOICES, content)

    @property
    def services(self) -> list[Service]:
        """The services that `up` started last, and those of bot-core that it watches."""
        return self.services_of(self.choices)

    def services_of(self, choices: ProjectState) -> list[Service]:
        """Give the services of a stack with these choices."""
        chosen = catalog.select(demo=choices.demo)
        if not choices.joined:
            return chosen
        present = self.present(choices)
        hosts = present.hosts()
        own = [hosts.get(name, name) for name in choices.app_services]
        attached = [name for name in present.targets if choices.network and name not in own]
        return [
            *chosen,
            *(catalog.application(name) for name in own),
            *(catalog.application(name, attached=True) for name in attached),
        ]

    def select(self, names: tuple[str, ...]) -> list[Service]:
        """Give the services of this stack by name, or of the whole table where it does not run.

        Raises UsageError for an unknown name, with the nearest known one.
        """
        return catalog.select(names, among=[*self.services, *catalog.select()])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


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


def open_project(*, name: str | None, env_file: Path | None) -> Project:
    """Read the settings and open the state folder. Raises StackctlError where either cannot be read."""
    settings = load(project=name, env_file=env_file)
    settings = replace(settings, engine_host=_engine_host())
    return Project(settings, open_state(settings.project))


def _engine_host() -> str | None:
    where = endpoint.known()
    if where is None:
        from stackctl.docker.errors import reached

        where = reached()
    return where.host
