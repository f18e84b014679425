"""One project: its settings, state, secrets and engine together, and the choices that later commands go by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from stackctl import settings as settings_module
from stackctl.settings import Settings
from stackctl.stack import services
from stackctl.stack.engine import Engine
from stackctl.stack.images import SetName
from stackctl.stack.secrets import Secrets
from stackctl.stack.services import Service
from stackctl.stack.state import State, open_state

_CHOICES = "project.json"


@dataclass(frozen=True)
class Choices:
    """What `up` was asked for last: later commands act on the same stack."""

    demo: bool = True
    images: SetName | None = None
    pins: Mapping[str, str] = field(default_factory=dict)
    """Reference → the digest that stackctl.lock had for it."""


@dataclass(frozen=True)
class Project:
    """A project by its settings and its state folder."""

    settings: Settings
    state: State

    @property
    def name(self) -> str:
        """The Compose project's name."""
        return self.settings.project

    @cached_property
    def secrets(self) -> Secrets:
        """The project's secrets, generated where they are not there yet."""
        return Secrets(self.settings, self.state)

    def engine(self, *, demo: bool | None = None) -> Engine:
        """Give the engine for this project, with the demo as it was started unless `demo` says otherwise."""
        env_file = self.state.compose_env
        return Engine(
            self.name,
            env_file if env_file.is_file() else None,
            demo=self.choices.demo if demo is None else demo,
        )

    @property
    def choices(self) -> Choices:
        """What `up` was asked for last."""
        kept = self.state.read_json(_CHOICES)
        images = kept.get("images")
        return Choices(
            demo=kept.get("demo") is not False,
            images=images if images in {"upstream", "local"} else None,
            pins=kept.get("pins") or {},
        )

    def keep(self, choices: Choices) -> None:
        """Remember what `up` was asked for."""
        self.state.write_json(
            _CHOICES,
            {"demo": choices.demo, "images": choices.images, "pins": dict(choices.pins)},
        )

    @property
    def services(self) -> list[Service]:
        """The services that `up` started last."""
        return services.select(demo=self.choices.demo)


def open_project(*, name: str | None, env_file: Path | None) -> Project:
    """Read the settings and open the state folder. Raises StackctlError where either cannot be read."""
    settings = settings_module.load(project=name, env_file=env_file)
    return Project(settings, open_state(settings.project))
