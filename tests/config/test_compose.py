"""The compose files against the plan's section 5.4, as the real `docker compose config` reads them."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from stackctl.images import sets
from stackctl.render.promql import metric_names
from stackctl.services import catalog
from stackctl.services.catalog import IMAGES, PUBLISHED_PORTS, SERVICES, image_variable
from stackctl.services.releases import PLAN, table
from stackctl.util import paths
from stackctl.values.durations import parse_duration
from tests.config.contract import EXPORTED
from tests.config.test_rule_lint import ALL
from tests.support.rendering import rendered_state

pytestmark = pytest.mark.docker

MIB = 1024 * 1024

SECTION: dict[str, tuple[str, str | None, int, float]] = {
    "prometheus": ("prom/prometheus:v2.48.0", "9090:9090", 2048, 1),
    "alertmanager": ("prom/alertmanager:v0.26.0", "9093:9093", 512, 0.5),
    "grafana": ("grafana/grafana:10.2.2", "3001:3000", 512, 0.5),
    "loki": ("grafana/loki:2.9.3", "3100:3100", 1024, 0.5),
    "promtail": ("grafana/promtail:2.9.3", None, 256, 0.25),
    "node-exporter": ("prom/node-exporter:v1.7.0", "9100:9100", 128, 0.1),
    "cadvisor": ("gcr.io/cadvisor/cadvisor:v0.47.2", "8081:8080", 256, 0.3),
    # The plan's 0.1 makes a replica set's document take 3.7 s.
    "mongodb-exporter": ("percona/mongodb_exporter:0.40", "9216:9216", 128, 0.5),
    "redis-exporter": ("oliver006/redis_exporter:v1.55.0", "9121:9121", 64, 0.1),
    "blackbox-exporter": ("prom/blackbox-exporter:v0.24.0", "9115:9115", 64, 0.1),
}
"""Service → image, ports, memory in MiB, CPUs, as the plan has them."""


@pytest.fixture
def rendered(state_dir: Path, clean_environment: pytest.MonkeyPatch) -> Path:
    return rendered_with()


def rendered_with(**environ: str) -> Path:
    return rendered_state(environ).compose_env


def config(env_file: Path, *, demo: bool = False) -> dict[str, Any]:
    files = ["-f", str(paths.compose() / "docker-compose.yml"), "--profile", "monitoring"]
    if demo:
        files += ["-f", str(paths.compose() / "demo.yml"), "--profile", "demo"]
    done = subprocess.run(
        ["docker", "compose", "--env-file", str(env_file), *files, "config", "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    parsed: dict[str, Any] = json.loads(done.stdout)
    return parsed


def test_the_monitoring_profile_is_the_plans_services(rendered: Path) -> None:
    found = config(rendered)
    # The plan gives Promtail and cAdvisor the Docker socket; here a proxy has it.
    assert set(found["services"]) == {*SECTION, "docker-socket-proxy"}
    for name, (image, ports, memory, cpus) in SECTION.items():
        service = found["services"][name]
        assert service["image"] == image
        limits = service["deploy"]["resources"]["limits"]
        assert (int(limits["memory"]), float(limits["cpus"])) == (memory * MIB, cpus), name
        if ports:
            published, _, target = ports.partition(":")
            assert {"published": published, "target": int(target)}.items() <= service["ports"][
                0
            ].items()
        assert "bot-network" in service["networks"]
        assert service["restart"] == "unless-stopped"
    assert {"prometheus_data", "alertmanager_data", "grafana_data", "loki_data"} <= set(
        found["volumes"]
    )


def test_every_port_is_on_loopback_and_is_the_settings_default(rendered: Path) -> None:
    for name, service in config(rendered, demo=True)["services"].items():
        for port in service.get("ports", ()):
            assert port["host_ip"] == "127.0.0.1", name
            assert int(port["published"]) == PUBLISHED_PORTS[name].default


def test_the_services_table_is_the_compose_files(rendered: Path) -> None:
    found = config(rendered, demo=True)["services"]
    assert {name: service["profiles"][0] for name, service in found.items()} == {
        service.name: service.profile for service in catalog.select(releases=PLAN)
    }


def test_every_container_tells_promtail_its_image(rendered: Path) -> None:
    for name, service in config(rendered, demo=True)["services"].items():
        assert service["labels"]["stackctl.image"] == service["image"], name


def test_every_container_gives_up_what_it_does_not_need(rendered: Path) -> None:
    for name, service in config(rendered, demo=True)["services"].items():
        assert "no-new-privileges:true" in service["security_opt"], name
        assert service.get("cap_drop") == ["ALL"] or name == "cadvisor", name
        assert service.get("privileged", False) == (name == "cadvisor"), name
        assert service.get("read_only", False) or name in {"rabbitmq", "mongodb"}, name


def test_every_container_has_a_user_and_a_limit_of_open_files(rendered: Path) -> None:
    for name, service in config(rendered, demo=True)["services"].items():
        # Only those that SECURITY.md names are root.
        roots = {"cadvisor", "docker-socket-proxy", "promtail"}
        assert (str(service["user"]).partition(":")[0] in {"0", "root"}) == (name in roots), name
        limit = service["ulimits"]["nofile"]
        # Redis needs 10032, and an engine may have little more than that to give.
        assert limit == 16384 or set(limit.values()) == {16384}, name


def test_what_talks_to_the_outside_trusts_the_companys_authorities(rendered: Path) -> None:
    found = config(rendered)["services"]
    trusting = {
        name
        for name, service in found.items()
        if service["environment"].get("SSL_CERT_DIR") == "/etc/ssl/certs:/etc/stackctl/ca"
    }
    assert trusting == {"alertmanager", "blackbox-exporter", "grafana"}
    for name in trusting:
        mounts = {one["target"]: one["source"] for one in found[name]["volumes"]}
        assert Path(mounts["/etc/stackctl/ca"]).is_dir()
        assert "config/ca" in SERVICES[name].reads


@pytest.mark.parametrize(
    ("uri", "direct"),
    [
        ("mongodb://u:p@h/?replicaSet=rs", "true"),
        ("mongodb://u:p@h1,h2:27018/?replicaSet=rs", "false"),
        ("mongodb+srv://u:p@cluster.example/", "false"),
    ],
)
def test_mongodb_is_asked_directly_where_its_address_names_one_server(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, uri: str, direct: str
) -> None:
    found = config(rendered_with(MONGODB_EXPORTER_URI=uri))["services"]["mongodb-exporter"]
    assert f"--mongodb.direct-connect={direct}" in found["command"]
    # The exporter takes a list with commas between.
    assert found["environment"]["MONGODB_URI"] == uri.replace(",", "\\,")


def test_no_service_goes_through_a_proxy_that_dockers_configuration_has(rendered: Path) -> None:
    """Compose gives each container the variables of config.json that it has not."""
    names = {f"{one}_proxy" for one in ("http", "https", "ftp", "all")}
    for name, service in config(rendered, demo=True)["services"].items():
        found = service["environment"]
        assert {found.get(one) for one in names | {one.upper() for one in names}} == {""}, name


def test_exporters_tell_of_a_hanging_server_before_the_scrape_is_given_up(rendered: Path) -> None:
    found = config(rendered)["services"]
    prometheus = yaml.safe_load((rendered.parent / "config/prometheus/prometheus.yml").read_text())
    allowed = parse_duration(prometheus["global"]["scrape_timeout"])
    given = found["redis-exporter"]["environment"]["REDIS_EXPORTER_CONNECTION_TIMEOUT"]
    assert 0 < parse_duration(given) < allowed
    # A global pool keeps a connection whose server is gone until the scrape's time is up, whatever the timeout says.
    assert "--mongodb.global-conn-pool" not in found["mongodb-exporter"]["command"]


def test_no_default_credentials_and_no_secret_in_the_configuration(rendered: Path) -> None:
    text = json.dumps(config(rendered, demo=True))
    store = json.loads((rendered.parent / "secrets.json").read_text())
    uri = "mongodb://stackctl:"
    assert text.count(uri) == 1  # mongodb-exporter takes its address from the environment only
    for name, value in store.items():
        assert text.count(value) == (1 if name == "MONGODB_PASSWORD" else 0), name


def test_prometheus_admin_api_is_on_where_it_is_asked_for(rendered: Path) -> None:
    found = config(rendered_with(PROMETHEUS_ADMIN_API="yes"))["services"]["prometheus"]["command"]
    assert [flag for flag in found if "admin-api" in flag] == ["--web.enable-admin-api"]


@pytest.mark.parametrize(
    "rest",
    [
        "pa$$word@h/?authSource=$external",
        "p${GRAFANA_PORT}@h",
        "p${@h",
        "p #1@h",
        "it's@h",
        'a"b\\n\\@h\\',
        "\\'${'}\"$X @h",
    ],
)
def test_compose_gives_the_address_of_mongodb_on_byte_for_byte(
    state_dir: Path, clean_environment: pytest.MonkeyPatch, rest: str
) -> None:
    uri = f"mongodb://u:{rest}"
    given = config(rendered_with(MONGODB_EXPORTER_URI=uri))["services"]["mongodb-exporter"][
        "environment"
    ]["MONGODB_URI"]
    # `config` writes a dollar sign as one would have to write it into a compose file.
    assert given.replace("$$", "$") == uri


def test_cadvisor_is_told_to_expose_what_is_read(rendered: Path) -> None:
    given = dict(
        flag.lstrip("-").split("=", 1)
        for flag in config(rendered)["services"]["cadvisor"]["command"]
    )
    assert given["store_container_labels"] == "false"
    labels = {
        "container_label_" + one.replace(".", "_")
        for one in given["whitelisted_container_labels"].split(",")
    }
    sources = (rendered.parent / "config/prometheus/prometheus.yml").read_text()
    read = set(re.findall(r"\bcontainer_label_\w+", " ".join([*ALL.values(), sources])))
    # A restart begins another series by it.
    assert labels == read | {"container_label_restartcount"}
    groups = set(given["enable_metrics"].split(","))
    names = {name for expr in ALL.values() for name in metric_names(expr)} | EXPORTED
    metrics = {name for name in names if re.match(r"container_(?!label_)", name)}
    always = re.compile(r"container_(last_seen|start_time_seconds|spec_\w+)")
    assert groups == {name.split("_")[1] for name in metrics if not always.fullmatch(name)}


def test_the_plans_corrections_of_flags(rendered: Path) -> None:
    found = config(rendered)["services"]
    assert "--cluster.listen-address=" in found["alertmanager"]["command"]
    assert "--no-web.enable-admin-api" in found["prometheus"]["command"]
    assert {"--storage.tsdb.retention.time=90d", "--storage.tsdb.retention.size=50GB"} <= set(
        found["prometheus"]["command"]
    )
    assert "GF_INSTALL_PLUGINS" not in found["grafana"]["environment"]
    for service in found.values():
        if "healthcheck" in service:
            assert service["healthcheck"]["start_interval"] == "1s"


def test_without_its_env_compose_says_what_to_run() -> None:
    done = subprocess.run(
        [
            "docker",
            "compose",
            "-f",
            str(paths.compose() / "docker-compose.yml"),
            "--profile",
            "monitoring",
            "config",
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode != 0
    assert "run stackctl render first" in done.stderr


def test_every_image_has_both_sets_and_one_variable() -> None:
    found = sets.catalogue(PLAN)
    assert {service for image in found for service in image.services} == {
        one.name for one in catalog.select(releases=PLAN)
    }
    of_plan = {name for name in IMAGES if "plan" in table()[name]}
    assert {image.variable for image in found} == set(map(image_variable, of_plan))
    assert all(
        image.local.startswith("stackctl/") and image.local.endswith(":local") for image in found
    )
