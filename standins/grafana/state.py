"""The server's state: its settings, the account, and what was provisioned."""

from __future__ import annotations

from dataclasses import dataclass

from standins.grafana.account import Account
from standins.grafana.annotations import Annotations
from standins.grafana.provisioning.dashboards import Dashboards
from standins.grafana.provisioning.datasources import DataSources
from standins.grafana.query.upstream import Upstream
from standins.grafana.sessions import Sessions
from standins.grafana.settings import Settings


@dataclass
class State:
    """The state that requests share."""

    settings: Settings
    account: Account
    sessions: Sessions
    sources: DataSources
    dashboards: Dashboards
    annotations: Annotations
    upstream: Upstream


def start(settings: Settings) -> tuple[State, bool]:
    """Read everything, and return whether the account is new. Raises ConfigError if Grafana would not start."""
    account = Account(settings.data)
    new = account.create(settings.admin_user, settings.admin_password)
    sources = DataSources(settings.provisioning)
    dashboards = Dashboards(settings.provisioning)
    sources.reload()
    dashboards.reload()
    state = State(settings, account, Sessions(), sources, dashboards, Annotations(), Upstream())
    return state, new
