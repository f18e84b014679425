"""Grafana stores the admin password of its first start in its data; a later one has to be set there."""

from __future__ import annotations

from stackctl.clients.grafana_login import GrafanaLogin, Login
from stackctl.docker.engine import Engine
from stackctl.project.project import Project

# The new password stays inside the container and never appears on a command line.
_SET_PASSWORD = (
    "grafana cli admin reset-admin-password --password-from-stdin < /run/secrets/grafana_password"  # noqa: S105
)


async def login(project: Project) -> Login:
    """Return whether Grafana accepts the project's current password. Raises ServiceError if it does not answer."""
    password = project.secrets.get("GRAFANA_PASSWORD")
    async with GrafanaLogin(project.settings.url("grafana"), password=password) as client:
        return await client.login()


def set_password(engine: Engine, container: str) -> None:
    """Set the admin password to the one in Grafana's secret file. Raises EngineError if Grafana rejects it."""
    engine.execute(container, ["sh", "-c", _SET_PASSWORD])
