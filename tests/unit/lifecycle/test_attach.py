"""What is watched where, and what falls away with a service that is not there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from stackctl.config.load import load as load_settings
from stackctl.config.registry import OVERRIDE_FILE
from stackctl.docker import named_volumes
from stackctl.docker.engine import Engine
from stackctl.docker.models import ContainerState, Neighbour
from stackctl.errors import EngineError, UsageError
from stackctl.lifecycle import attach
from stackctl.lifecycle.preflight import Finding
from stackctl.lifecycle.requested import requested_state
from stackctl.project.monitored import monitored_services
from stackctl.project.project import Project, ProjectState, UpRequest, open_project
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.render import prune
from stackctl.render.configuration import render
from stackctl.render.promql import metric_names, selected_jobs
from stackctl.render.rendering import Rendering
from stackctl.services import catalog
from stackctl.services.applications import APPLICATIONS, WITH_HEALTH, MonitoredServices, owners
from stackctl.services.releases import PLAN
from stackctl.util import paths, yaml_text
from stackctl.verify.context import application_load
from tests.config.contract import SERIES
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine, container

MAPPED = {
    "RUST_CORE_ENGINE_TARGET": "trading-engine:9000/prom",
    "RUST_CORE_ENGINE_HEALTH": "/healthz",
    "PYTHON_AI_SERVICE_TARGET": "the.analyst",
    "NEXTJS_UI_DASHBOARD_TARGET": "none",
    "REDIS_TARGET": "cache:6380",
    "KONG_TARGET": "NONE",
}


@pytest.fixture(autouse=True)
def _own_state(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def joined(**environ: str) -> MonitoredServices:
    return monitored_services(
        load_settings(environ=environ), demo=False, joined=True, network="net", projects=["bot"]
    )


def rendered(there: MonitoredServices, **environ: str) -> tuple[StateFolder, Rendering]:
    found = load_settings(environ=environ)
    state = open_state(found.project)
    return state, render(
        found, Secrets(found, state), state, images={}, releases=PLAN, present=there
    )


def jobs(state: StateFolder) -> dict[str, Any]:
    config = yaml_text.load((state.config / "prometheus" / "prometheus.yml").read_text())
    return {job["job_name"]: job for job in config["scrape_configs"]}


def alerts(state: StateFolder) -> set[str]:
    files = [
        *(state.config / "prometheus" / "alerts").glob("*.yml"),
        *(state.config / "loki").rglob("logs.yml"),
    ]
    return {
        rule["alert"]
        for path in files
        for group in yaml_text.load(path.read_text())["groups"]
        for rule in group["rules"]
    }


def test_every_series_of_the_contract_has_its_service() -> None:
    assert {name for name in SERIES if not owners([name])} <= {
        name for name in SERIES if name.startswith("process_")
    }
    assert owners(["trades_total"]) == {"rust-core-engine"}
    assert owners(["openai_errors_total"]) == {"python-ai-service"}
    assert owners(["http_requests_total"]) == set(WITH_HEALTH)
    assert owners(["node_cpu_seconds_total", "up"]) == set()
    assert owners([], ["blackbox-websocket"]) == {"rust-core-engine"}


def test_the_demo_is_where_the_compose_file_has_it_whatever_is_set() -> None:
    there = monitored_services(load_settings(environ=MAPPED), demo=True)
    assert set(there.targets) == set(APPLICATIONS)
    assert there.targets["rust-core-engine"].address == "rust-core-engine:8080"
    assert there.hosts() == {}


def test_without_demo_and_bot_core_nothing_of_it_is_there() -> None:
    there = monitored_services(load_settings(environ={}), demo=False)
    assert there.left_out == tuple(APPLICATIONS)


def test_the_settings_say_where_bot_core_is() -> None:
    there = joined(**MAPPED)
    assert there.left_out == ("nextjs-ui-dashboard", "kong", "mongodb")
    assert there.targets["python-ai-service"].address == "the.analyst:8000"
    assert there.targets["python-ai-service"].path == "/metrics"
    assert there.hosts() == {
        "trading-engine": "rust-core-engine",
        "the.analyst": "python-ai-service",
        "cache": "redis",
    }
    assert "mongodb" in joined(MONGODB_EXPORTER_URI="mongodb://u:p@db:27017").targets


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("RUST_CORE_ENGINE_TARGET", "http://engine", "HOST[:PORT][/PATH]"),
        ("RUST_CORE_ENGINE_TARGET", "engine:70000", "1 to 65535"),
        ("RUST_CORE_ENGINE_TARGET", "engine:9000/a b", "HOST[:PORT][/PATH]"),
        ("REDIS_TARGET", "cache:6379/metrics", "takes no path"),
        ("RUST_CORE_ENGINE_HEALTH", "healthz", "a path such as"),
        ("STACKCTL_ATTACH", "a b", "name of a Docker network"),
    ],
)
def test_a_wrong_place_is_told_with_its_setting(name: str, value: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        load_settings(environ={name: value})
    assert name in caught.value.message
    assert says in caught.value.message


def test_jobs_and_probes_go_where_the_services_are() -> None:
    state, _ = rendered(joined(**MAPPED), **MAPPED)
    found = jobs(state)
    assert found["rust-core-engine"]["metrics_path"] == "/prom"
    assert found["rust-core-engine"]["static_configs"] == [
        {"targets": ["trading-engine:9000"], "labels": {"service": "rust-core-engine"}}
    ]
    assert [one["targets"][0] for one in found["blackbox-http"]["static_configs"]] == [
        "http://trading-engine:9000/healthz",
        "http://the.analyst:8000/health",
    ]
    assert found["blackbox-websocket"]["static_configs"][0]["targets"] == ["trading-engine:9000"]
    assert not {"nextjs-ui-dashboard", "kong", "mongodb"} & set(found)
    assert found["redis"]["static_configs"][0]["targets"] == ["redis-exporter:9121"]
    keep, *renames = found["cadvisor"]["metric_relabel_configs"]
    assert keep["regex"] == "|bot-core|bot"
    assert [one["replacement"] for one in renames] == [
        "rust-core-engine",
        "python-ai-service",
        "redis",
    ]
    assert renames[1]["regex"] == r"(?:the\.analyst;.*|.*;the\.analyst)"


def test_the_redis_of_somebody_else_is_asked_with_their_password_only() -> None:
    for environ, password in ((MAPPED, ""), ({**MAPPED, "REDIS_EXPORTER_PASSWORD": "p"}, "p")):
        state, _ = rendered(joined(**environ), **environ)
        file = state.secrets / "redis_exporter_passwords"
        assert json.loads(file.read_text()) == {"redis://cache:6380": password}
        assert "REDIS_ADDRESS='cache:6380'" in state.compose_env.read_text()


def test_promtail_reads_the_network_beside_the_project_and_under_our_names() -> None:
    state, _ = rendered(joined(**MAPPED), **MAPPED)
    config = yaml_text.load((state.config / "loki" / "promtail-config.yml").read_text())
    own, attached = config["scrape_configs"]
    assert attached["docker_sd_configs"][0]["filters"] == [{"name": "network", "values": ["net"]}]
    drop = attached["relabel_configs"][0]
    assert (drop["action"], drop["regex"]) == ("drop", "bot\\-core")
    renames = [
        rule for rule in own["relabel_configs"] if rule.get("replacement") == "rust-core-engine"
    ]
    assert {rule["target_label"] for rule in renames} == {"job", "service"}
    assert attached["pipeline_stages"] == own["pipeline_stages"]


def test_rules_and_panels_go_with_the_service_they_tell_of_and_no_others() -> None:
    whole, _ = rendered(monitored_services(load_settings(environ={}), demo=True))
    everything = alerts(whole)
    state, done = rendered(joined(**MAPPED), **MAPPED)
    assert set(done.alerts_left_out) == everything - alerts(state)
    assert "MongoDBDown" in done.alerts_left_out
    assert "GatewaySlow" in done.alerts_left_out
    # These tell of more than one service, or of none in particular.
    assert {"ServiceDown", "HighErrorRate", "RedisDown", "DatabaseConnectionFailure"} <= alerts(
        state
    )
    assert any(title.startswith("Database Performance: ") for title in done.panels_left_out)
    boards = state.config / "grafana" / "dashboards"
    assert (boards / "trading-performance.json").is_file()


def test_without_container_metrics_what_reads_them_goes_and_the_machine_stays() -> None:
    everything = monitored_services(load_settings(environ={}), demo=True)
    whole, _ = rendered(everything)
    all_alerts = alerts(whole)
    state, done = rendered(replace(everything, container_metrics=False))
    assert set(done.alerts_left_out) == all_alerts - alerts(state)
    assert set(done.alerts_left_out) == {
        "ContainerCPUNearLimit",
        "ContainerMemoryNearLimit",
        "ContainerMetricsMissing",
        "ContainerRestartLoop",
    }
    rules = "".join(
        path.read_text() for path in (state.config / "prometheus").rglob("*.yml")
    ) + "".join(path.read_text() for path in (state.config / "grafana").rglob("*.json"))
    assert not re.findall(r"\bcontainer:\w+|\bcontainer_(?:cpu|memory|spec)_\w+", rules)
    assert "container_network_receive_bytes_total" in rules
    # What is rendered again with everything is whole again.
    state, done = rendered(everything)
    assert done.alerts_left_out == ()
    assert alerts(state) == all_alerts


def test_of_containers_networks_only_the_machines_own_is_read() -> None:
    """The machine's series stay where containers have none."""
    selectors = re.findall(
        r"container_network_\w+(\{[^}]*\})?",
        "".join(
            path.read_text().replace('\\"', '"')
            for path in paths.monitoring().rglob("*")
            if path.suffix in {".yml", ".json"} and "tests" not in path.parts
        ),
    )
    assert selectors
    assert all('id="/"' in one for one in selectors)


def test_without_any_application_only_the_machine_is_left() -> None:
    state, done = rendered(monitored_services(load_settings(environ={}), demo=False))
    assert {path.stem for path in (state.config / "grafana" / "dashboards").glob("*.json")} == {
        "system-overview",
        # Binance is probed from here, and its alerts lead there.
        "trading-performance",
    }
    left = alerts(state)
    assert {"ServiceDown", "DiskSpaceLow", "ContainerRestartLoop"} <= left
    assert not left & {"TradingHalted", "HighErrorRate", "RedisDown", "PanicLogged", "LogsMissing"}
    assert len(done.alerts_left_out) > 50
    # What is rendered again with everything is whole again.
    state, done = rendered(monitored_services(load_settings(environ={}), demo=True))
    assert done.alerts_left_out == ()
    assert "TradingHalted" in alerts(state)


def test_rows_without_a_panel_go_too() -> None:
    board = {
        "title": "B",
        "panels": [
            {"type": "row", "title": "Trades"},
            {"type": "stat", "title": "T", "targets": [{"expr": "trades_total"}]},
            {"type": "row", "title": "Machine"},
            {"type": "stat", "title": "M", "targets": [{"expr": "node_load1"}]},
        ],
    }
    kept, gone = prune.board_without(board, [], {})
    assert kept is not None
    assert [panel["title"] for panel in kept["panels"]] == ["Machine", "M"]
    assert gone == ["T"]
    assert prune.board_without(board, ["rust-core-engine"], {})[0] == board


def test_a_recorded_series_tells_of_what_it_is_made_of() -> None:
    files = [
        {
            "groups": [
                {
                    "rules": [
                        {"record": "b:c:d", "expr": "avg_over_time(a:b:c[1h])"},
                        {"record": "a:b:c", "expr": "rate(trades_total[5m]) / kong_x"},
                    ]
                }
            ]
        }
    ]
    assert prune.recorded(files)["b:c:d"] == {"rust-core-engine", "kong"}


@pytest.mark.parametrize(
    ("expr", "names", "chosen"),
    [
        ('up{job="a"} == 1 unless on (job) x', {"up", "x"}, {"a"}),
        ('sum by (job) (rate(y{service=~"a|b"}[5m]))', {"y"}, {"a", "b"}),
        ('up{job!="a", service!~"b"}', {"up"}, set()),
        ('count_over_time({job="a"} |= "job=" [5m])', set(), {"a"}),
    ],
)
def test_what_an_expression_reads(expr: str, names: set[str], chosen: set[str]) -> None:
    assert (metric_names(expr), selected_jobs(expr)) == (names, chosen)


def test_the_wish_wins_over_the_settings_and_the_demo_does_not_go_beside_bot_core(
    tmp_path: Path,
) -> None:
    one, two = tmp_path / "one.yml", tmp_path / "two.yml"
    one.touch()
    two.touch()
    found = load_settings(environ={"STACKCTL_ATTACH": "net", "STACKCTL_APP_FILES": f"{one}:{two}"})
    chosen = requested_state(found, UpRequest(), ProjectState(images="local"))
    assert (chosen.demo, chosen.network, chosen.images) == (False, "net", "local")
    assert chosen.app_files == (str(one), str(two))
    assert requested_state(found, UpRequest(network="other"), ProjectState()).network == "other"
    asked = requested_state(found, UpRequest(demo=True), ProjectState())
    assert (asked.demo, asked.network, asked.app_files) == (True, None, ())
    with pytest.raises(UsageError, match="replace bot-core"):
        requested_state(found, UpRequest(demo=True, network="other"), ProjectState())
    plain = load_settings(environ={})
    assert requested_state(plain, UpRequest(), ProjectState()).demo
    assert not requested_state(plain, UpRequest(demo=False), ProjectState()).demo
    with pytest.raises(UsageError, match="does not exist"):
        requested_state(plain, UpRequest(app_files=(tmp_path / "none.yml",)), ProjectState())


def test_an_override_in_the_current_folder_is_merged(tmp_path: Path) -> None:
    plain = load_settings(environ={})
    assert requested_state(plain, UpRequest(), ProjectState()).override is None
    override = tmp_path / OVERRIDE_FILE
    override.write_text("services: {}\n")
    assert requested_state(plain, UpRequest(), ProjectState()).override == str(override)


def test_what_asks_bot_core_is_put_on_its_networks(tmp_path: Path) -> None:
    state = open_state("bot-core")
    attach.write_join_file(state, ProjectState(network="their_net", app_networks=("backend",)))
    config = yaml_text.load(state.join_file.read_text())
    assert config["services"]["prometheus"] == {"networks": ["backend", "attached"]}
    assert "grafana" not in config["services"]
    assert config["networks"] == {"attached": {"name": "their_net", "external": True}}
    attach.write_join_file(state, ProjectState())
    assert not state.join_file.exists()


@pytest.mark.parametrize(
    ("earlier", "now", "then"),
    [
        (UpRequest(network="net"), UpRequest(), UpRequest(network="net")),
        (
            UpRequest(app_files=(Path("/a.yml"),)),
            UpRequest(),
            UpRequest(app_files=(Path("/a.yml"),)),
        ),
        (UpRequest(network="net"), UpRequest(demo=False), UpRequest(demo=False, network="net")),
        (UpRequest(demo=False), UpRequest(), UpRequest(demo=False)),
        (UpRequest(demo=False), UpRequest(demo=True), UpRequest(demo=True)),
        (UpRequest(network="net"), UpRequest(demo=True), UpRequest(demo=True)),
        (UpRequest(demo=True), UpRequest(network="net"), UpRequest(network="net")),
        (UpRequest(network="net"), UpRequest(network="other"), UpRequest(network="other")),
    ],
)
def test_a_plain_up_keeps_what_was_said_and_the_demo_leaves_bot_core(
    earlier: UpRequest, now: UpRequest, then: UpRequest
) -> None:
    assert now.after(earlier) == then


def test_what_was_said_is_kept_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "app.yml"
    file.touch()
    project = Project(load_settings(environ={}), open_state("bot-core"))
    request = UpRequest(network="net", app_files=(file,))
    chosen = replace(requested_state(project.settings, request, ProjectState()), volumes=("v",))
    project.keep(chosen)
    assert project.choices == chosen
    again = requested_state(project.settings, UpRequest(), project.choices)
    assert (again.network, again.app_files, again.demo) == ("net", (str(file),), False)
    assert again.volumes == ("v",)
    file.unlink()
    with pytest.raises(UsageError, match=r"app\.yml does not exist"):
        requested_state(project.settings, UpRequest(), project.choices)
    # What refers to the networks of a file that is gone must not keep `down` from its work.
    project.state.join_file.write_text("services: {}\n")
    for chosen in (again, replace(again, app_files=(str(tmp_path), str(file)))):
        assert project.engine(chosen).compose_files == [paths.compose() / "docker-compose.yml"]
    # A setting that is taken back is not kept.
    named = load_settings(environ={"STACKCTL_ATTACH": "theirs"})
    assert requested_state(
        project.settings, UpRequest(), requested_state(named, UpRequest(), ProjectState())
    ).demo


@pytest.mark.parametrize(
    ("services", "says"),
    [
        ({"loki": {}, "app": {}}, "loki exists both in"),
        ({"loki": {"profiles": ["theirs"]}}, "loki exists both in"),
        ({"metrics": {"profiles": ["x", "monitoring"]}}, "metrics .* uses the profile"),
    ],
)
def test_what_compose_would_mix_with_the_monitoring_is_refused(
    monkeypatch: pytest.MonkeyPatch, services: dict[str, Any], says: str
) -> None:
    monkeypatch.setattr(attach, "application_files", lambda *_: {"services": services})
    project = Project(load_settings(environ={}), open_state("bot-core"))
    with pytest.raises(UsageError, match=says):
        attach.discover(project, ProjectState(demo=False, app_files=("app.yml",)))


def test_services_of_a_profile_are_not_started_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    services = {
        "app": {"networks": {"backend": None}},
        "tools": {"profiles": ["debug"], "networks": {"other": None}},
        # The demo's own names are free: bot-core is in its place.
        "redis": {},
    }
    monkeypatch.setattr(attach, "application_files", lambda *_: {"services": services})
    project = Project(load_settings(environ={}), open_state("bot-core"))
    found = attach.discover(project, ProjectState(demo=False, app_files=("app.yml",)))
    assert found.app_services == ("app", "redis")
    assert found.app_networks == ("backend",)


def test_the_volumes_made_for_bot_cores_files_are_those_that_were_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(named_volumes, "present", {"theirs", "made-before"}.intersection)

    class Volumes:
        def configuration(self) -> dict[str, Any]:
            names = {"a": "theirs", "b": "made-before", "c": "new"}
            own = {key: {"name": name} for key, name in names.items()}
            return {"volumes": {**own, "d": {"name": "elsewhere", "external": True}}}

    engine = cast(Engine, Volumes())
    chosen = ProjectState(app_files=("app.yml",), volumes=("made-before", "gone"))
    assert attach.created_volumes(engine, chosen) == ("made-before", "new")
    # Without files that could make any, what was made is remembered until `down --volumes`.
    assert attach.created_volumes(engine, ProjectState(volumes=("made-before",))) == (
        "made-before",
    )


def test_the_names_of_the_demos_ports_are_left_to_bot_cores_own_files() -> None:
    for demo in (True, False):
        state, _ = rendered(monitored_services(load_settings(environ={}), demo=demo))
        text = state.compose_env.read_text()
        assert "GRAFANA_PORT=" in text
        assert ("RUST_CORE_ENGINE_PORT=" in text) == demo


class AskedEngine(MemoryEngine):
    """Answers what is asked on a network, or in a container, with these lines."""

    def __init__(self, *states: ContainerState, here: str = "", says: str = "") -> None:
        super().__init__(*states)
        self.here, self.says = here, says
        self.ran: list[tuple[str, ...]] = []

    def image_id(self, reference: str) -> str | None:
        return "id" if reference == self.here else None

    def neighbours(self, network: str) -> list[Neighbour]:
        names = ("rust-core-engine", "redis")
        return [Neighbour(name, "bot", frozenset({name})) for name in names]

    def run_in_network(self, network: str, image: str, command: Sequence[str]) -> str:
        self.ran.append((network, image))
        return self.says

    def execute(self, container: str, command: Sequence[str]) -> str:
        self.ran.append((container,))
        return self.says


def looked(
    engine: AskedEngine, chosen: ProjectState, monkeypatch: pytest.MonkeyPatch
) -> attach.Survey:
    monkeypatch.setattr(Project, "engine", lambda *_: engine)
    return attach.survey(Project(load_settings(environ={}), open_state("bot-core")), chosen)


WRONG = "http://rust-core-engine:8080/metrics\tserver returned error: HTTP/1.1 404 Not Found\n"


@pytest.mark.parametrize("here", ["prom/prometheus:v2.48.0", "stackctl/prometheus:local"])
def test_before_the_first_up_bot_core_is_asked_by_whatever_image_is_here(
    here: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = AskedEngine(here=here, says=WRONG)
    seen = looked(engine, ProjectState(demo=False, network="net"), monkeypatch)
    assert engine.ran == [("net", here)]
    assert seen.asked == {"redis"}
    wrong = {one.service: one.message for one in seen.missing}
    assert "404" in wrong["rust-core-engine"]
    assert "no running container kong" in wrong["kong"]


def test_without_an_image_nothing_is_taken_for_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = looked(AskedEngine(), ProjectState(demo=False, network="net"), monkeypatch)
    assert seen.asked == frozenset()
    assert "redis" not in {one.service for one in seen.missing}
    assert "images pull" in seen.to_ask


def test_what_bot_cores_files_started_is_asked_from_prometheus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = ProjectState(
        demo=False, app_files=("/app.yml",), app_services=("rust-core-engine", "redis")
    )
    engine = AskedEngine(container("prometheus"), says=WRONG)
    # Another stack than this runs, or none.
    assert looked(engine, chosen, monkeypatch).asked == frozenset()
    Project(load_settings(environ={}), open_state("bot-core")).keep(chosen)
    seen = looked(engine, chosen, monkeypatch)
    assert engine.ran == [("id-prometheus",)]
    assert seen.asked == {"redis"}
    assert looked(AskedEngine(), chosen, monkeypatch).asked == frozenset()


def test_doctor_finds_a_network_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nowhere(MemoryEngine):
        def neighbours(self, network: str) -> list[Neighbour]:
            raise EngineError(f"there is no network {network!r}", remedy="start it")

    monkeypatch.setattr(Project, "engine", lambda *_: Nowhere())
    fine = Finding("docker", "ok", "26.1")
    monkeypatch.setattr("stackctl.lifecycle.preflight.examine", lambda *_: [fine])
    done = run_here("doctor", "--attach", "net", "--format", "json")
    assert done.returncode == 1
    assert [(one["subject"], one["message"]) for one in json.loads(done.stdout)] == [
        ("docker", "26.1"),
        ("containers", "cAdvisor can read them"),
        ("bot-core", "there is no network 'net'"),
    ]


class PublishingEngine(MemoryEngine):
    """bot-core's own container publishes its port on one address."""

    def __init__(self, address: str) -> None:
        super().__init__(container("rust-core-engine", attached=True))
        self.address = address

    def published(self, container: str, port: int) -> tuple[str, int] | None:
        return self.address, port + 1


@pytest.mark.parametrize(
    ("address", "environ", "engine_host", "url"),
    [
        ("0.0.0.0", {}, None, "http://127.0.0.1:8081"),
        ("127.0.0.1", {"STACKCTL_BIND_ADDRESS": "192.0.2.9"}, None, "http://127.0.0.1:8081"),
        ("192.0.2.7", {}, None, "http://192.0.2.7:8081"),
        ("0.0.0.0", {}, "server.example", "http://server.example:8081"),
        ("0.0.0.0", {"STACKCTL_HOST": "127.0.0.1"}, "server.example", "http://127.0.0.1:8081"),
        ("::", {}, None, "http://[::1]:8081"),
    ],
)
def test_the_load_goes_where_bot_cores_own_container_is_published(
    address: str,
    environ: dict[str, str],
    engine_host: str | None,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = replace(load_settings(environ=environ), engine_host=engine_host)
    project = Project(found, open_state("bot-core"))
    monkeypatch.setattr(Project, "engine", lambda *_: PublishingEngine(address))
    load = application_load(
        project, monitored_services(found, demo=False, joined=True, network="net")
    )
    assert load is not None
    assert load.url == url


class OverriddenEngine(MemoryEngine):
    """Has what Compose makes of our files and an override with two services of its own."""

    def configuration(self) -> dict[str, Any]:
        return {"services": {name: {} for name in ("prometheus", "redis", "gateway", "app", "db")}}


def test_the_services_that_an_override_adds_are_those_of_nobody_else() -> None:
    engine = OverriddenEngine()
    state = ProjectState(override="/stackctl.override.yml", app_services=("app",))
    assert attach.override_services(engine, state) == ("db", "gateway")
    assert attach.override_services(engine, ProjectState()) == ()


def test_what_an_override_adds_is_a_service_like_the_others(
    own_folders: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = open_project(name=None, env_file=None)
    project.keep(ProjectState(override="/stackctl.override.yml", override_services=("gateway",)))
    *_, added = project.services
    assert added == catalog.application("gateway")
    assert project.select(("gateway",)) == [added]
    engine = MemoryEngine(
        *map(container, catalog.SERVICES),
        container("gateway", status="restarting", restarts=5, exit_code=1),
    )
    monkeypatch.setattr(engine, "usage", lambda _: {}, raising=False)
    monkeypatch.setattr(engine, "follow_logs", lambda *_, **__: iter([("stdout", b"no config\n")]))
    monkeypatch.setattr(type(project), "engine", lambda *_, **__: engine)
    assert run_here("logs", "gateway").stdout == "no config\n"
    status = json.loads(run_here("status", "--format", "json").stdout)[-1]
    assert (status["service"], status["state"]) == ("gateway", "restarting")
    assert status["ready"].startswith("it is in a crash loop: 5 restarts, exit code 1")
    done = run_here("verify")
    assert done.returncode == 3
    assert "gateway is in a crash loop, exit code 1; `stackctl logs gateway`" in done.stderr
    engine.states["gateway"] = container("gateway")
    planned = run_here("chaos", "stop", "gateway", "--dry-run")
    assert "docker stop gateway" in planned.stdout, planned.stderr
