"""What leaves the stack, by the real Alertmanager and blackbox-exporter, in a company with a proxy and an authority."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from testcontainers.core.container import DockerContainer

from stackctl.config.load import load as load_settings
from stackctl.project.monitored import monitored_services
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.render.configuration import render
from stackctl.services.releases import PLAN
from stackctl.util import paths, yaml_text
from tests.support import outside
from tests.support.http import wait_until

# Ryuk would need the Docker socket, and to be pulled; the containers are removed here.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

# What its tests share takes long to make, so one process runs them all.
pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("outside")]

HOSTS = ("hooks.slack.example", "events.pagerduty.com", "api.binance.example")
SETTINGS = {
    "STACKCTL_PROXY": f"http://proxy.corp.example:{outside.PROXY}",
    "STACKCTL_NO_PROXY": "intra.example,10.0.0.0/8",
    "ALERTMANAGER_SLACK_WEBHOOK_URL": "https://hooks.slack.example/services/x",
    "ALERTMANAGER_PAGERDUTY_KEY": "key",
    "ALERTMANAGER_DEAD_MANS_SWITCH_URL": f"http://switch.intra.example:{outside.INTRANET}/ping",
    "BINANCE_API_URL": "https://api.binance.example/api/v3/ping",
}
CRITICAL = {"alertname": "ServiceDown", "severity": "critical", "service": "redis"}
_SECONDS = 60.0

WATCHDOG = {"alertname": "Watchdog", "severity": "none"}


def certify(folder: Path) -> Path:
    """Make an authority, and a certificate by it for the hosts of the outside; return the authority's certificate."""

    def openssl(*arguments: str) -> None:
        done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr

    new = ("req", "-newkey", "rsa:2048", "-nodes", "-days", "2")
    openssl(*new, "-x509", "-subj", "/CN=Company CA", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new[:-2], "-subj", "/CN=outside", "-keyout", "key.pem", "-out", "request.pem")
    names = ",".join(f"DNS:{host}" for host in HOSTS)
    (folder / "names").write_text(f"subjectAltName={names}\n")
    openssl(
        *("x509", "-req", "-in", "request.pem", "-CA", "ca.pem", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", "2", "-extfile", "names", "-out", "cert.pem"),
    )
    for path in (folder / "cert.pem", folder / "key.pem", folder / "ca.pem"):
        path.chmod(0o644)
    folder.chmod(0o755)
    return folder / "ca.pem"


def environment(service: str) -> dict[str, str]:
    """Return what the compose file has of a service's environment, with certificates in it."""
    text = (paths.compose() / "docker-compose.yml").read_text()
    found: dict[str, str] = yaml_text.load(text)["services"][service]["environment"]
    assert "SSL_CERT_DIR" in found
    return found


class Company:
    """The stack's programs in a company's network."""

    def __init__(self, state: StateFolder, server: Any, *, trusting: bool) -> None:
        self.state, self.server, self.trusting = state, server, trusting

    def run(self, service: str, image: str, *arguments: str) -> DockerContainer:
        """Return a program's container, with the configuration and the environment that the compose file gives it."""
        folder = service.removesuffix("-exporter")
        container = DockerContainer(image).with_command(" ".join(arguments))
        for source, target in (
            (self.state.config / folder, f"/etc/{folder}"),
            (self.state.config / "ca", "/etc/stackctl/ca"),
            (self.state.secrets, "/run/secrets"),
        ):
            container.with_volume_mapping(str(source), target, "ro")
        for name, value in environment(service).items():
            container.with_env(name, value)
        return container.with_kwargs(network_mode=f"container:{self.server.id}", user="0:0")

    def ask(self, url: str, *options: str) -> Any:
        """Ask a program, from within the network."""
        code, output = self.server.exec_run(["wget", "-q", "-O", "-", *options, url])
        return output.decode() if code == 0 else ""

    def seen(self) -> list[tuple[str, str]]:
        """Return the way and the address of each request."""
        lines = self.server.logs(stderr=False).decode().splitlines()
        found = map(json.loads, lines)
        return [(one["way"], f"{one['host']}{one['path']}") for one in found]


@pytest.fixture(scope="module", params=["with the authority", "without"])
def company(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Company]:
    folder = tmp_path_factory.mktemp("outside")
    authority = certify(folder)
    trusted = {"STACKCTL_CA_BUNDLE": str(authority)} if request.param != "without" else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKCTL_STATE_DIR", str(folder / "state"))
        settings = load_settings(environ={**SETTINGS, **trusted})
        state = open_state(settings.project)
        present = monitored_services(settings, demo=True)
        render(settings, Secrets(settings, state), state, images={}, releases=PLAN, present=present)
    names = {"proxy.corp.example": "127.0.0.1", "switch.intra.example": "127.0.0.1"}
    server = (
        DockerContainer("stackctl/demo:local")
        .with_volume_mapping(str(folder), "/outside", "ro")
        .with_volume_mapping(outside.__file__, "/outside.py", "ro")
        .with_kwargs(
            network_mode="none",
            extra_hosts=names,
            user="0:0",
            entrypoint=["python3", "/outside.py", "/outside"],
        )
    )
    with server:
        made = Company(state, server.get_wrapped_container(), trusting=bool(trusted))
        alertmanager = made.run(
            "alertmanager",
            "stackctl/alertmanager:local",
            "--config.file=/etc/alertmanager/alertmanager.yml",
            "--storage.path=/alertmanager",
            "--cluster.listen-address=",
        )
        blackbox = made.run(
            "blackbox-exporter",
            "stackctl/blackbox-exporter:local",
            "--config.file=/etc/blackbox/blackbox.yml",
        )
        with alertmanager, blackbox:
            for port in (9093, 9115):
                url = f"http://127.0.0.1:{port}/-/healthy"
                assert wait_until(partial(made.ask, url), _SECONDS), url
            yield made


def test_notifications_go_through_the_proxy_but_to_the_companys_own_hosts(company: Company) -> None:
    company.ask(
        "http://127.0.0.1:9093/api/v2/alerts",
        "--header=Content-Type: application/json",
        f"--post-data={json.dumps([{'labels': CRITICAL}, {'labels': WATCHDOG}])}",
    )
    switch = ("direct", f"switch.intra.example:{outside.INTRANET}/ping")
    through = {"hooks.slack.example/services/x", "events.pagerduty.com/v2/enqueue"}

    def arrived() -> bool:
        seen = company.seen()
        ways = {address.partition("/")[0]: way for way, address in seen}
        hosts = {one.partition("/")[0] for one in through}
        return switch in seen and hosts <= ways.keys()

    assert wait_until(arrived, _SECONDS), company.seen()
    found = {one for one in company.seen() if not one[1].startswith("api.binance")}
    if company.trusting:
        assert found == {switch, *(("proxy", one) for one in through)}
    else:
        assert {way for way, _ in found} == {"direct", "broken"}


def test_probes_of_the_outside_go_through_the_proxy_and_no_others(company: Company) -> None:
    def succeeds(module: str, target: str) -> bool:
        page = company.ask(f"http://127.0.0.1:9115/probe?module={module}&target={target}")
        (line,) = [one for one in page.splitlines() if one.startswith("probe_success ")]
        return line == "probe_success 1"

    job = yaml_text.load((company.state.config / "prometheus" / "prometheus.yml").read_text())
    (binance,) = [one for one in job["scrape_configs"] if one["job_name"] == "binance-api"]
    (module,) = binance["params"]["module"]
    assert succeeds(module, SETTINGS["BINANCE_API_URL"]) == company.trusting
    before = company.seen()
    assert any(address.startswith("api.binance.example") for _, address in before)
    assert succeeds("http_2xx", "http://127.0.0.1:9093/-/ready")
    assert not [one for one in company.seen() if one[0] == "refused"]
