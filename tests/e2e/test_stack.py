"""The main job on a real Docker Engine: up, verify, chaos, down. The tests run in order, on one stack."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import uuid

import httpx
import pytest

from stackctl.services.catalog import SERVICES
from tests.e2e.conftest import MARK, RUNNING, Stack, containers, docker
from tests.support.http import wait_until
from tests.support.imports import excess, loaded_by

pytestmark = pytest.mark.docker


def running(stack: Stack, service: str) -> bool:
    return (
        docker("inspect", "--format", "{{.State.Status}}", stack.container(service)).strip()
        == "running"
    )


@pytest.mark.core
def test_up_ends_with_every_service_ready_and_says_where_things_are(stack: Stack) -> None:
    out = stack.first_up.stdout
    assert f"{len(RUNNING)} services ready" in out
    assert "Images: local" in out
    for service in ("grafana", "loki", "promtail", "cadvisor", "mongodb", "mongodb-exporter"):
        assert re.search(rf"Stand-ins: .*\b{service}\b", out), service
    assert stack.settings.url("grafana") in out
    assert "user admin" in out
    assert len(containers()) == len(RUNNING)


@pytest.mark.core
def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = containers()
    done = stack.run("up")
    assert done.returncode == 0, done.stderr
    assert "nothing to change" in done.stdout
    assert "still using the local image set" in done.stderr
    assert containers() == before


@pytest.mark.core
@pytest.mark.parametrize("command", ["status", "verify", "up"])
def test_a_command_loads_what_it_uses(stack: Stack, command: str) -> None:
    environment = stack.environment
    loaded, code = loaded_by(stack.command(command), environment)
    if command == "up":
        # The first one may have been asked for something else; this one finds what it left.
        loaded, code = loaded_by(stack.command(command), environment)
    assert code == 0
    assert f"stackctl.commands.{command}" in loaded
    assert excess(command, loaded) == set()


@pytest.mark.core
def test_a_dry_run_agrees_with_what_up_does(stack: Stack) -> None:
    before = containers()
    done = stack.run("up", "--dry-run", "--format", "json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert not plan["changes"]
    assert not any(plan["containers"].values()), plan["containers"]
    assert not any(plan["files"].values()), plan["files"]
    # Without the demo; the hashes are Compose's own, of the containers that run.
    plan = json.loads(stack.run("up", "--no-demo", "--dry-run", "--format", "json").stdout)
    demo = {name for name, service in SERVICES.items() if service.profile == "demo"}
    assert set(plan["containers"]["remove"]) == demo
    assert "prometheus" in plan["containers"]["recreate"]
    assert "node-exporter" not in plan["containers"]["recreate"]
    assert containers() == before


@pytest.mark.core
def test_status_shows_every_service_ready(stack: Stack) -> None:
    done = stack.run("status", "--format", "json")
    assert done.returncode == 0, done.stdout
    rows = {row["service"]: row for row in json.loads(done.stdout)}
    assert set(rows) == RUNNING
    for name, row in rows.items():
        assert (row["state"], row["ready"]) == ("running", "ready"), name
        assert 0 < row["memory"] <= row["memory_limit"], name
    assert rows["grafana"]["standin"]
    assert not rows["prometheus"]["standin"]


@pytest.mark.core
def test_verify_passes_every_check(stack: Stack) -> None:
    done = stack.run("verify", "--format", "json", "--timeout", "60")
    report = json.loads(done.stdout)
    failed = [check for check in report["checks"] if not check["ok"]]
    assert not failed
    assert done.returncode == 0
    ours = [check for check in report["checks"] if check["section"] == "applications"]
    assert {check["state"] for check in ours} == {"passed"}
    assert {check["section"] for check in report["checks"]} == {
        "prometheus",
        "applications",
        "grafana",
        "loki",
        "alertmanager",
        "notifications",
        "end-to-end",
    }


def test_verify_all_sends_notifications_and_load(stack: Stack) -> None:
    done = stack.run("verify", "notifications", "end-to-end", "--format", "json", timeout=240)
    report = json.loads(done.stdout)
    assert [check for check in report["checks"] if not check["ok"]] == []
    assert len(report["checks"]) == 17
    sink = stack.settings.url("notification-sink")
    channels = {one["channel"] for one in httpx.get(f"{sink}/messages").json()}
    assert channels == {"slack", "pagerduty", "email"}


def test_a_real_channel_is_told_only_with_send_and_must_take_its_messages(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = "notifications.critical-trading"
    with monkeypatch.context() as patch:
        # Real for stackctl, which then only has Alertmanager's counters; the demo's sink takes them all the same.
        patch.setenv("ALERTMANAGER_SLACK_WEBHOOK_URL", "http://notification-sink:8025/slack")
        assert stack.run("up", timeout=180).returncode == 0
        refused = stack.run("verify", check)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "Slack (#ai-alerts, " in refused.stderr
        done = stack.run("verify", check, "--send", "--format", "json", timeout=240)
        (result,) = json.loads(done.stdout)["checks"]
        assert result["ok"], result
        assert "the real slack (3)" in result["expected"]
        assert "test alerts notify real channels: Slack" in done.stderr
    assert stack.run("up", timeout=180).returncode == 0


def test_a_channel_that_refuses_fails_its_check(stack: Stack) -> None:
    control = f"{stack.settings.url('notification-sink')}/demo/control"
    assert httpx.put(control, json={"error_ratio": 1}).status_code == 200
    try:
        done = stack.run("verify", "notifications.critical-trading", "--timeout", "1", timeout=240)
    finally:
        httpx.delete(control)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert "slack #critical-alerts was not notified when it fired" in said
    assert "email [CRITICAL] to team@bot-core.io was not notified" not in said


@pytest.mark.core
def test_a_request_is_counted_and_its_log_line_comes_back_from_loki(stack: Stack) -> None:
    run = uuid.uuid4().hex
    url = stack.settings.url("rust-core-engine")

    def counted() -> float:
        text = httpx.get(f"{url}/metrics").text
        pattern = r'^http_requests_total\{(?=.*endpoint="/api/health").*status="200".*\} (\S+)$'
        return sum(float(value) for value in re.findall(pattern, text, re.MULTILINE))

    before = counted()
    for _ in range(5):
        assert httpx.get(f"{url}/api/health", params={"run": run}).status_code == 200
    assert counted() >= before + 5

    def arrived() -> bool:
        done = stack.run("logs", "--from", "loki", "--filter", f'|= "{run}"', "rust-core-engine")
        return done.stdout.count(run) == 5

    assert wait_until(arrived, 30)


def test_what_the_broker_says_is_in_its_containers_log(stack: Stack) -> None:
    done = stack.run("logs", "rabbitmq", "--tail", "1000")
    assert "Server startup complete" in done.stdout


def test_every_expected_job_carries_its_service_label(stack: Stack) -> None:
    answer = httpx.get(
        f"{stack.settings.url('prometheus')}/api/v1/query", params={"query": "up"}
    ).json()
    pairs = {(one["metric"]["job"], one["metric"]["service"]) for one in answer["data"]["result"]}
    assert {
        ("mongodb", "mongodb"),
        ("redis", "redis"),
        ("rust-core-engine", "rust-core-engine"),
    } <= pairs


def test_ports_are_published_on_loopback_only(stack: Stack) -> None:
    for name in containers():
        for line in docker("port", name).splitlines():
            assert line.split(" -> ")[1].startswith("127.0.0.1:"), (name, line)
    assert stack.settings["STACKCTL_BIND_ADDRESS"] == "127.0.0.1"


def test_passwords_are_in_no_inspection_log_or_output(stack: Stack) -> None:
    assert MARK not in stack.first_up.stdout + stack.first_up.stderr
    for name in containers():
        found = docker("inspect", name).count(MARK)
        # mongodb_exporter takes its address, with the password, from its environment only.
        assert found == (1 if name == stack.container("mongodb-exporter") else 0), name
        assert MARK not in docker("logs", name), name
    readable = [
        path
        for path in (stack.folder / "state").rglob("*")
        if path.is_file() and MARK.encode() in path.read_bytes()
    ]
    assert readable
    for path in readable:
        # Whatever a file's own mode, one folder above it lets nobody else in.
        assert any(parent.stat().st_mode & 0o077 == 0 for parent in path.parents), path


def test_a_new_grafana_password_counts_after_the_next_up(stack: Stack) -> None:
    old = stack.env_file.read_text()
    try:
        stack.env_file.write_text(old.replace(f"{MARK}-grafana_password", f"{MARK}-changed"))
        assert stack.run("up").returncode == 0
        url = f"{stack.settings.url('grafana')}/api/user"
        assert httpx.get(url, auth=("admin", f"{MARK}-changed")).status_code == 200
        assert httpx.get(url, auth=("admin", f"{MARK}-grafana_password")).status_code == 401
    finally:
        stack.env_file.write_text(old)
    assert stack.run("up").returncode == 0
    assert stack.run("verify", "grafana").returncode == 0


def test_verify_says_at_once_which_service_is_paused_and_what_to_do(stack: Stack) -> None:
    loki = stack.container("loki")
    docker("pause", loki)
    try:
        done = stack.run("verify", "loki")
    finally:
        docker("unpause", loki)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"stackctl: loki is paused; resume it with `docker unpause {loki}`\n"
    assert stack.run("verify", "loki").returncode == 0


def test_every_alert_is_delivered_as_routed_and_a_silence_holds(stack: Stack) -> None:
    silence = stack.run("alerts", "silence", "add", "alertname=AIServiceSlow", "--for", "10m")
    assert silence.returncode == 0, silence.stderr
    try:
        done = stack.run("alerts", "drill", "--format", "json")
    finally:
        stack.run("alerts", "silence", "expire", silence.stdout.strip())
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["passed"], [one for one in report["alerts"] if one["problems"]]
    assert done.returncode == 0
    drilled = {one["alert"]: one for one in report["alerts"]}
    assert len(drilled) > 100
    assert drilled["AIServiceSlow"]["silenced_by"] == [silence.stdout.strip()]
    assert drilled["AIServiceSlow"]["delivered_to"] == []
    assert "slack #trading-alerts" in drilled["TradingHalted"]["delivered_to"]
    assert "drill" not in stack.run("alerts").stdout


def test_alerts_routing_silences_and_the_end_of_a_silence(stack: Stack) -> None:
    counts = json.loads(stack.run("alerts", "rules", "--format", "json").stdout)
    plan = [group for group in counts if group["group"] != "pipeline"]
    assert sum(sum(group["severities"].values()) for group in plan) == 90
    routed = stack.run("alerts", "route", "severity=critical", "component=trading")
    assert routed.returncode == 0, routed.stderr
    assert [line.split(":")[0] for line in routed.stdout.splitlines()] == [
        "critical-alerts",
        "default",
        "trading-team",
    ]
    added = stack.run("alerts", "silence", "add", "HighCPUUsage", "service=~node.*", "--for", "10m")
    assert added.returncode == 0, added.stderr
    silence = added.stdout.strip()
    assert silence in stack.run("alerts", "silence", "list").stdout
    assert stack.run("alerts", "silence", "expire", silence).returncode == 0
    assert "No silence" in stack.run("alerts", "silence", "list").stdout
    unknown = stack.run("alerts", "silence", "expire", "00000000-0000-0000-0000-000000000000")
    assert unknown.returncode == 2
    assert "unknown silence" in unknown.stderr


def test_reload_applies_a_setting_without_a_new_container(stack: Stack) -> None:
    prometheus = stack.settings.url("prometheus")

    def binance() -> list[str]:
        answer = httpx.get(f"{prometheus}/api/v1/targets", params={"scrapePool": "binance-api"})
        return [one["labels"]["instance"] for one in answer.json()["data"]["activeTargets"]]

    before = containers()
    old = stack.env_file.read_text()
    try:
        stack.env_file.write_text(f"{old}BINANCE_API_URL=http://rust-core-engine:8080/api/health\n")
        done = stack.run("reload")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "prometheus/targets/binance.yml changed" in done.stdout
        assert wait_until(lambda: binance() == ["http://rust-core-engine:8080/api/health"], 30)
    finally:
        stack.env_file.write_text(old)
    assert stack.run("reload").returncode == 0
    assert wait_until(lambda: binance() == [], 30)
    assert "nothing has changed" in stack.run("reload").stdout
    assert containers() == before


@pytest.mark.core
@pytest.mark.parametrize("kind", ["kill", "pause", "disconnect"])
def test_a_fault_without_an_alert_is_healed_after_its_time(stack: Stack, kind: str) -> None:
    done = stack.run("chaos", kind, "nextjs-ui-dashboard", "--for", "1s")
    assert done.returncode == 0, done.stderr
    url = f"{stack.settings.url('nextjs-ui-dashboard')}/api/health"

    def answers() -> bool:
        try:
            return httpx.get(url, timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    assert wait_until(answers, 30)
    assert "No open fault" in stack.run("chaos", "list").stdout


def start_fault(stack: Stack, *before: str) -> subprocess.Popen[str]:
    """Start a long fault in a process of its own, and return once the service is stopped."""
    command = stack.command("chaos", "stop", "kong", "--for", "10m")
    process = subprocess.Popen(
        [*before, sys.executable, "-X", "faulthandler", "-m", "stackctl", *command],
        env={**os.environ, **stack.environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert wait_until(lambda: not running(stack, "kong"), 30)
    return process


@pytest.mark.parametrize(
    ("number", "before"),
    [
        (signal.SIGINT, ()),
        (signal.SIGTERM, ()),
        # A shell without job control starts its background jobs so.
        (signal.SIGTERM, ("env", "--ignore-signal=INT")),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGTERM in the background"],
)
def test_an_interrupted_fault_is_healed_on_the_way_out(
    stack: Stack, number: signal.Signals, before: tuple[str, ...]
) -> None:
    with start_fault(stack, *before) as process:
        process.send_signal(number)
        try:
            code = process.wait(60)
        except subprocess.TimeoutExpired:
            # Python writes where it was.
            process.send_signal(signal.SIGABRT)
            pytest.fail(f"not ended after 60 s: {process.communicate()[1]}")
        assert code == 130
    assert running(stack, "kong")


def test_after_kill_minus_nine_every_command_says_so_and_heal_heals(stack: Stack) -> None:
    with start_fault(stack) as process:
        process.kill()
        process.wait()
    assert not running(stack, "kong")
    assert "an abandoned fault is open: stop of kong" in stack.run("urls").stderr
    assert "recovered: stop of kong" in stack.run("chaos", "heal").stdout
    assert running(stack, "kong")


def test_a_demo_switch_turns_what_the_service_does(stack: Stack) -> None:
    url = stack.settings.url("rust-core-engine")

    def balance() -> float:
        found = re.search(
            r"^trading_balance_usdt (\S+)$", httpx.get(f"{url}/metrics").text, re.MULTILINE
        )
        assert found
        return float(found[1])

    assert balance() > 100
    assert httpx.put(f"{url}/demo/control", json={"balance_usdt": 42}).status_code == 200
    assert wait_until(lambda: balance() == 42, 10)
    assert httpx.put(f"{url}/demo/control", json={"no_such_switch": 1}).status_code == 400
    assert httpx.delete(f"{url}/demo/control").status_code == 200
    assert wait_until(lambda: balance() > 100, 10)


def samples(stack: Stack, series: str, labels: str = "") -> list[tuple[float, float]]:
    """Return (time of the evaluation, value) of the last minutes of ServiceDown's series for rust-core-engine."""
    query = f'{series}{{alertname="ServiceDown", service="rust-core-engine"{labels}}}[10m]'
    answer = httpx.get(f"{stack.settings.url('prometheus')}/api/v1/query", params={"query": query})
    found = answer.json()["data"]["result"]
    return sorted((float(at), float(value)) for one in found for at, value in one["values"])


@pytest.mark.core
def test_service_down_fires_reaches_alertmanager_and_resolves(stack: Stack) -> None:
    done = stack.run("chaos", "stop", "rust-core-engine", "--expect", "ServiceDown", timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    stages = [line.split(" s  ")[1].strip() for line in done.stdout.splitlines() if " s  " in line]
    assert stages == [
        "fault injected",
        "pending in Prometheus",
        "firing in Prometheus",
        "received by Alertmanager",
        "notification delivered",
        "recovered",
        "resolved in Prometheus and Alertmanager",
        "resolution delivered",
    ]
    # The rule's `for` is two minutes, by the time of Prometheus' own evaluations.
    _, active_since = samples(stack, "ALERTS_FOR_STATE")[-1]
    firing = samples(stack, "ALERTS", ', alertstate="firing"')
    fired = min(at for at, _ in firing if at >= active_since)
    assert fired - active_since >= 120
    assert running(stack, "rust-core-engine")
    assert stack.run("verify", "prometheus.targets", "--timeout", "60").returncode == 0
