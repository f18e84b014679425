"""The demo's MongoDB stores the password of its first start in its data, where nothing can change it from outside.

Grafana's password can be reset; RabbitMQ and Redis read theirs at every start. MongoDB would need the old one, which
may be lost. Only the demo uses that data, so after a change of password MongoDB starts with an empty volume.
"""

from __future__ import annotations

from collections.abc import Collection

from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine
from stackctl.project.state import StateFolder

PASSWORD = "MONGODB_PASSWORD"  # noqa: S105 - the setting's name
_RECORD = "mongodb.json"
SERVICE = "mongodb"
_VOLUME = "mongodb_data"


def recorded_fingerprint(state: StateFolder) -> str | None:
    """Return the fingerprint of the password with which MongoDB's data was created; None if there is no record."""
    fingerprint = state.read_json(_RECORD).get("fingerprint")
    return fingerprint if isinstance(fingerprint, str) else None


def record_fingerprint(state: StateFolder, fingerprint: str) -> None:
    """Record the fingerprint of the password with which MongoDB's data is created."""
    if recorded_fingerprint(state) != fingerprint:
        state.write_json(_RECORD, {"fingerprint": fingerprint})


def outdated_volume(
    project: str, volumes: Collection[str], *, recorded: str | None, current: str
) -> str | None:
    """Return the name of MongoDB's volume if it exists but was created with another password, else None.

    `volumes` are the project's volumes; `recorded` and `current` are fingerprints of passwords.
    """
    volume = f"{project}_{_VOLUME}"
    return volume if recorded != current and volume in volumes else None


def remove(engine: Engine, service: str, volume: str) -> None:
    """Remove a service's container and its volume. Raises EngineError if either cannot be removed."""
    container = engine.containers().get(service)
    if container is not None:
        engine.remove(container.name)
    named_volumes.remove([volume])
