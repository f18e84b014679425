"""An engine without Docker: containers in memory, with the methods that the code under test calls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from stackctl.docker.endpoint import DEFAULT
from stackctl.docker.engine import Engine, EngineInfo
from stackctl.docker.inventory import Inventory
from stackctl.docker.models import ContainerState
from stackctl.errors import EngineError


def container(service: str, **changes: object) -> ContainerState:
    """A running container of a service."""
    state = ContainerState(
        id=f"id-{service}",
        name=service,
        service=service,
        status="running",
        health="none",
        exit_code=0,
        restarts=0,
        started=dt.datetime.now(dt.UTC),
        image=f"stackctl/{service}:local",
        standin=False,
    )
    return replace(state, **changes)  # type: ignore[arg-type]


class MemoryEngine(Engine):
    """Keeps its containers in a dictionary by service, and what was done to them in `done`."""

    def __init__(self, *states: ContainerState) -> None:
        self.project = "bot-core"
        self._joined = None
        self.states = {state.service: state for state in states}
        self.done: list[tuple[str, str]] = []
        self.fails: set[str] = set()
        self.connections: tuple[str, ...] = ()
        self.connected: list[tuple[str, Sequence[str] | None]] = []
        """The networks that a container was put on, and with which options."""
        self.endpoint = DEFAULT
        self.others: list[str] = []
        self.published_ports: dict[int, str] = {}
        self.engine_info: EngineInfo | EngineError = EngineInfo(
            "26.1.5", "2.26.1", "Debian", 8 * 1024**3, 2, Path("/var/lib/docker")
        )

    def _do(self, verb: str, id_: str, status: str) -> None:
        self.done.append((verb, id_))
        if verb in self.fails:
            raise EngineError(f"docker {verb} failed")
        for service, state in self.states.items():
            if state.id == id_:
                self.states[service] = replace(state, status=status)

    def containers(self) -> dict[str, ContainerState]:
        return dict(self.states)

    def container(self, id_: str) -> ContainerState | None:
        return next((state for state in self.states.values() if state.id == id_), None)

    def stop(self, container: str, *, timeout: int = 10) -> None:
        self._do("stop", container, "exited")

    def kill(self, container: str) -> None:
        self._do("kill", container, "exited")

    def start(self, container: str) -> None:
        self._do("start", container, "running")

    def pause(self, container: str) -> None:
        self._do("pause", container, "paused")

    def unpause(self, container: str) -> None:
        self._do("unpause", container, "running")

    def disconnect(self, container: str, network: str) -> None:
        self._do("disconnect", container, "running")

    def connect(self, container: str, network: str, options: Sequence[str] | None = None) -> None:
        self._do("connect", container, "running")
        self.connected.append((network, options))

    def connection(self, container: str, network: str) -> tuple[str, ...]:
        return self.connections

    def execute(self, container: str, command: Sequence[str]) -> str:
        raise EngineError("a container in memory runs no program")

    def remove_scratch(self, inventory: Inventory) -> None:
        pass

    def info(self) -> EngineInfo:
        if isinstance(self.engine_info, EngineError):
            raise self.engine_info
        return self.engine_info

    def inventory(self) -> Inventory:
        def inspected(name: str, **labels: str) -> dict[str, Any]:
            """As `docker container inspect` tells it."""
            ports = [port for port, publisher in self.published_ports.items() if publisher == name]
            bound = [{"HostIp": "127.0.0.1", "HostPort": str(port)} for port in ports]
            return {
                "Id": f"id-{name}",
                "Name": f"/{name}",
                "Config": {
                    "Labels": {f"com.docker.compose.{k}": v for k, v in labels.items()},
                    "Image": images.get(name, "image"),
                },
                "State": {"Running": True, "Paused": False, "StartedAt": "2026-11-29T03:00:00Z"},
                "NetworkSettings": {"Ports": {"80/tcp": bound}},
            }

        images = {one.name: one.image for one in self.states.values()}
        env_file = {"project.environment_file": "/state/compose.env"}
        known = {
            state.name: {
                "service": state.service,
                "project": "theirs" if state.attached else self.project,
                **({} if state.attached else env_file),
            }
            for state in self.states.values()
        }
        foreign_containers = {
            name: {"project": self.project, "service": name} for name in self.others
        }
        rest = {
            name: {} for name in {*self.published_ports.values()} - {*known, *foreign_containers}
        }
        return Inventory(
            self.project,
            [
                inspected(name, **labels)
                for name, labels in {**rest, **known, **foreign_containers}.items()
            ],
        )
