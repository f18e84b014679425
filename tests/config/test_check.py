"""`render --check`: the programs of the local image set over the rendered configuration, whole and broken."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from stackctl.config.load import load as load_settings
from stackctl.docker.engine import Engine
from stackctl.images import sets
from stackctl.project.monitored import monitored_services
from stackctl.project.state import StateFolder
from stackctl.render import validate
from stackctl.render.configuration import write_configuration
from stackctl.services import catalog
from stackctl.services.releases import Releases
from tests.support.tools import RELEASES

pytestmark = pytest.mark.docker

BREAKS = {
    "prometheus": ("prometheus/prometheus.yml", "scrape_configs:\n  - job_name: [\n"),
    "alertmanager": (
        "alertmanager/alertmanager.yml",
        "route: { receiver: nobody }\nreceivers: []\n",
    ),
    "loki": ("loki/loki-config.yml", "server: { http_listen_port: many }\n"),
    "promtail": ("loki/promtail-config.yml", "clients: 1\n"),
    "alloy": ("loki/config.alloy", 'discovery.docker "containers" {\n'),
    "blackbox-exporter": ("blackbox/blackbox.yml", "modules: { a: { timeout: soon } }\n"),
}


def breaks(releases: Releases) -> dict[str, tuple[str, str]]:
    """Return the broken files of the programs of these releases."""
    running = {one.name for one in catalog.select(releases=releases)}
    return {service: broken for service, broken in BREAKS.items() if service in running}


def write_into(folder: Path, releases: Releases) -> None:
    """Make a folder hold the configuration of these releases with the default settings."""
    defaults = load_settings(environ={})
    present = monitored_services(defaults, demo=True)
    write_configuration(defaults, StateFolder(folder / "none"), folder, releases, present)


def verdicts(folder: Path, releases: Releases) -> dict[tuple[str, str], validate.Verdict]:
    found = load_settings(environ={})
    references = sets.references(found, "local", releases)
    given = validate.check(Engine(found.project), references, folder)
    return {(one.service, one.subject): one for one in given}


@pytest.mark.parametrize("releases", RELEASES)
def test_every_program_takes_the_configuration_as_it_is(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, tmp_path: Path, releases: Releases
) -> None:
    write_into(tmp_path, releases)
    found = verdicts(tmp_path, releases)
    assert {service for service, _ in found} == set(breaks(releases))
    assert {one.output for one in found.values()} == {""}


@pytest.mark.parametrize("releases", RELEASES)
def test_each_program_refuses_its_own_broken_file(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, tmp_path: Path, releases: Releases
) -> None:
    write_into(tmp_path, releases)
    for name, text in breaks(releases).values():
        (tmp_path / name).write_text(text)
    rules = tmp_path / "prometheus" / "alerts" / "ai.yml"
    document = yaml.safe_load(rules.read_text())
    document["groups"][0]["rules"][0]["expr"] = "up =="
    text = yaml.safe_dump(document)
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "expr: up ==" in line)
    rules.write_text(text)
    found = verdicts(tmp_path, releases)
    assert [name for name, one in found.items() if one.ok] == []
    assert all(one.output for one in found.values())
    said = found["prometheus", "rules"].output
    assert f"alerts/ai.yml: {number}:" in said
