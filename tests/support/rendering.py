"""The rendered configuration of a project, as the tests give it to the real programs."""

from __future__ import annotations

from collections.abc import Mapping

from stackctl.config.load import load
from stackctl.images import sets
from stackctl.project.monitored import monitored_services
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.render.configuration import render
from stackctl.services.releases import PLAN, Releases


def rendered_state(
    environ: Mapping[str, str] | None = None, *, demo: bool = True, releases: Releases = PLAN
) -> StateFolder:
    """Render with these settings and no others, and return the state folder."""
    found = load(environ=environ or {})
    state = open_state(found.project)
    render(
        found,
        Secrets(found, state),
        state,
        images=sets.variables(found, None, releases, demo=demo),
        releases=releases,
        present=monitored_services(found, demo=demo),
    )
    return state
