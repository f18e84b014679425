"""The doctor: each thing that can be wrong, with its remedy."""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from stackctl.config.load import load as load_settings
from stackctl.docker.endpoint import DEFAULT, Endpoint
from stackctl.docker.engine import EngineInfo
from stackctl.errors import EngineError, SeveralErrors
from stackctl.lifecycle import preflight, processor
from stackctl.lifecycle.attach import Missing, Survey
from stackctl.lifecycle.preflight import Finding
from stackctl.project.monitored import monitored_services
from stackctl.services import catalog
from tests.support.engine import MemoryEngine, container
from tests.support.ports import free_port_settings, free_ports

GOOD = EngineInfo("26.1.5+dfsg1", "2.26.1-4", "Debian", 8 * 1024**3, 2, Path("/"))


def examine(
    info: EngineInfo | EngineError = GOOD, engine: MemoryEngine | None = None, **environ: str
) -> list[Finding]:
    engine = engine or MemoryEngine()
    engine.engine_info = info
    found = load_settings(environ={**free_port_settings(), **environ})
    return preflight.examine(engine, found, catalog.select())


def of(findings: list[Finding], subject: str) -> Finding:
    """Return the worst finding about a subject."""
    return max(
        (one for one in findings if one.subject == subject),
        key=lambda one: ("ok", "warning", "failure").index(one.level),
    )


def test_a_good_machine_has_no_failure_and_every_other_finding_has_a_remedy() -> None:
    findings = examine()
    assert not [one for one in findings if one.level == "failure"]
    assert all(one.remedy for one in findings if one.level != "ok")


def test_containers_of_another_compose_file_under_our_name_are_refused() -> None:
    engine = MemoryEngine()
    engine.others = ["bot-core-redis-1"]
    finding = of(examine(engine=engine), "project")
    assert finding.level == "failure"
    assert "bot-core-redis-1" in finding.message
    assert "-p" in (finding.remedy or "")


def test_no_engine_is_the_one_finding() -> None:
    (finding,) = examine(EngineError("the Docker daemon is not running", remedy="start Docker"))
    assert (finding.level, finding.message, finding.remedy) == (
        "failure",
        "the Docker daemon is not running",
        "start Docker",
    )


@pytest.mark.parametrize(
    ("subject", "info"),
    [("docker", replace(GOOD, version="24.0.7")), ("compose", replace(GOOD, compose="2.19.1"))],
)
def test_an_old_version_is_a_failure_with_the_one_that_is_needed(
    subject: str, info: EngineInfo
) -> None:
    finding = of(examine(info), subject)
    assert finding.level == "failure"
    assert "is required" in finding.message
    assert finding.remedy


@pytest.mark.parametrize("version", ["25.0", "25.0.0-rc1", "27.3.1", "28"])
def test_a_new_enough_version_is_fine(version: str) -> None:
    assert of(examine(replace(GOOD, version=version)), "docker").level == "ok"


def test_little_memory_is_a_warning() -> None:
    assert of(examine(replace(GOOD, memory_bytes=2 * 1024**3)), "memory").level == "warning"


def test_a_taken_port_names_the_process() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        finding = of(examine(LOKI_PORT=str(port)), "ports")
    assert finding.level == "failure"
    assert f"port {port} of loki is in use by" in finding.message
    assert f"(pid {os.getpid()})" in finding.message
    assert "LOKI_PORT" in (finding.remedy or "")


def test_a_port_that_this_project_holds_is_fine() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        engine = MemoryEngine(container("loki"))
        engine.published_ports = {port: "loki"}
        findings = examine(engine=engine, LOKI_PORT=str(port))
    assert of(findings, "ports").level == "ok"


def test_a_taken_port_that_a_running_service_is_to_move_to_is_a_failure() -> None:
    engine = MemoryEngine(container("loki"))
    (port, free) = free_ports(2)
    engine.published_ports = {free: "loki", port: "somebody"}
    finding = of(examine(engine=engine, LOKI_PORT=str(port)), "ports")
    assert finding.message == f"port {port} of loki is in use by container somebody"


def test_bot_cores_own_container_holds_its_port_against_the_monitoring() -> None:
    engine = MemoryEngine(container("rust-core-engine", attached=True))
    (port,) = free_ports(1)
    engine.published_ports = {port: "rust-core-engine"}
    assert of(examine(engine=engine, LOKI_PORT=str(port)), "ports").level == "failure"


def test_an_address_that_this_machine_has_not_is_one_failure() -> None:
    (finding,) = [
        one for one in examine(STACKCTL_BIND_ADDRESS="192.0.2.7") if one.subject == "ports"
    ]
    assert finding.level == "failure"
    assert finding.message.startswith("cannot publish ports on 192.0.2.7: ")
    assert "STACKCTL_BIND_ADDRESS" in (finding.remedy or "")


@pytest.mark.parametrize(("rootless", "level"), [(True, "failure"), (False, "ok")])
def test_a_port_that_only_root_may_open_is_told_where_the_engine_is_not_root(
    rootless: bool, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusal(_: str, port: int) -> int | None:
        return errno.EACCES if port == 80 else None

    monkeypatch.setattr(preflight, "_refusal", refusal)
    finding = of(examine(replace(GOOD, rootless=rootless), LOKI_PORT="80"), "ports")
    assert finding.level == level
    assert ("the engine is rootless" in finding.message) is rootless


def test_what_was_not_asked_is_not_fine() -> None:
    there = monitored_services(
        load_settings(environ={"MONGODB_EXPORTER_URI": "mongodb://db"}), demo=False, joined=True
    )
    seen = Survey((Missing("kong", "no kong", "start it"),), frozenset({"redis"}), "ask it")
    levels = {one.subject: (one.level, one.remedy) for one in preflight.joined(seen, there)}
    assert levels["kong"] == ("warning", "start it")
    assert levels["redis"] == ("ok", None)
    assert levels["rust-core-engine"] == levels["mongodb"] == ("skipped", "ask it")


def test_one_port_for_two_services_is_a_failure() -> None:
    (port,) = map(str, free_ports(1))
    finding = of(examine(LOKI_PORT=port, GRAFANA_PORT=port), "ports")
    assert finding.level == "failure"
    assert finding.message == f"port {port} of loki is also set for grafana"


def test_a_channel_without_settings_is_a_warning_with_their_names() -> None:
    finding = of(examine(), "notifications")
    assert finding.level == "warning"
    assert "ALERTMANAGER_" in (finding.remedy or "")


@pytest.mark.parametrize(
    ("offset", "level", "says"),
    [
        (None, "warning", "does not report its time"),
        (dt.timedelta(seconds=31), "warning", "+31 s off"),
        (dt.timedelta(seconds=-31), "warning", "-31 s off"),
        (dt.timedelta(seconds=30), "ok", "agrees"),
        (dt.timedelta(seconds=-30), "ok", "agrees"),
    ],
)
def test_a_clock_that_is_off_is_a_warning(
    offset: dt.timedelta | None, level: str, says: str
) -> None:
    (finding,) = [
        one for one in examine(replace(GOOD, clock_offset=offset)) if one.subject == "clock"
    ]
    assert finding.level == level
    assert says in finding.message


@pytest.mark.parametrize(
    ("free", "level"),
    [
        (0.9, "failure"),
        (1.0, "warning"),
        (4.9, "warning"),
        (5.0, "ok"),
    ],
)
def test_little_room_is_a_warning_and_none_a_failure(
    free: float, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=int(free * 1024**3))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    (finding,) = [one for one in examine() if one.subject == "disk"]
    assert finding.level == level
    assert finding.message == f"{free:.1f} GiB free at /"


@pytest.mark.parametrize(
    ("info", "endpoint"),
    [
        (replace(GOOD, operating_system="Docker Desktop"), DEFAULT),
        (replace(GOOD, root=Path("/there/is/none")), DEFAULT),
        (GOOD, Endpoint("ssh", "127.0.0.1")),
    ],
)
def test_the_disk_of_another_machine_is_not_asked_for(info: EngineInfo, endpoint: Endpoint) -> None:
    engine = MemoryEngine()
    engine.endpoint = endpoint
    assert "disk" not in {one.subject for one in examine(info, engine)}


def test_enough_memory_is_said() -> None:
    (finding,) = [one for one in examine() if one.subject == "memory"]
    assert (finding.level, finding.message) == ("ok", "8.0 GiB for 2 CPUs")


def test_a_channel_with_its_settings_is_set_up_and_another_names_what_it_lacks_only() -> None:
    found = {
        one.message: one.remedy
        for one in examine(
            ALERTMANAGER_PAGERDUTY_KEY="k",
            ALERTMANAGER_SMTP_HOST="mail.example",
            ALERTMANAGER_EMAIL_TO="me@mail.example",
        )
        if one.subject == "notifications"
    }
    expected = {
        "Slack is not configured": "set ALERTMANAGER_SLACK_WEBHOOK_URL",
        "PagerDuty is configured": None,
        "e-mail is not configured": "set ALERTMANAGER_EMAIL_FROM",
    }
    assert found == {**found, **expected}


MAIL = {
    "ALERTMANAGER_SMTP_HOST": "mail.example",
    "ALERTMANAGER_EMAIL_FROM": "a@mail.example",
    "ALERTMANAGER_EMAIL_TO": "b@mail.example",
}


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PORT": "25", "TLS": "implicit"}, "encrypts from the first byte on port 465 only"),
        ({"PORT": "465", "TLS": "starttls"}, "always encrypts from the first byte on that port"),
        ({"PORT": "465", "TLS": "none"}, "always encrypts from the first byte on that port"),
        ({"TLS": "none", "USERNAME": "u", "PASSWORD": "p"}, "would be sent unencrypted"),
        ({"USERNAME": "u"}, "is set without ALERTMANAGER_SMTP_PASSWORD"),
        ({"PORT": "465"}, None),
        ({"PORT": "465", "TLS": "implicit", "USERNAME": "u", "PASSWORD": "p"}, None),
        ({"PORT": "25", "TLS": "none"}, None),
        ({"PORT": "25", "TLS": "starttls"}, None),
    ],
)
def test_settings_of_mail_that_contradict_each_other_are_a_failure(
    environ: dict[str, str], message: str | None
) -> None:
    given = {f"ALERTMANAGER_SMTP_{name}": value for name, value in environ.items()}
    failures = [one for one in examine(**MAIL, **given) if one.level == "failure"]
    if message is None:
        assert failures == []
    else:
        (failure,) = failures
        assert message in failure.message
        assert failure.remedy


def test_a_name_that_is_no_setting_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("GRAFANA_PASSWROD=x\n")
    engine = MemoryEngine()
    engine.engine_info = GOOD
    findings = preflight.examine(engine, load_settings(environ=free_port_settings()), [])
    assert "GRAFANA_PASSWROD" in of(findings, "settings").message


def test_only_failures_are_refused_and_all_at_once() -> None:
    fine = [Finding("docker", "ok", "26"), Finding("clock", "warning", "off", "set it")]
    preflight.refuse_failures(fine)
    bad = [Finding("ports", "failure", "taken", "stop it"), Finding("disk", "failure", "full")]
    with pytest.raises(SeveralErrors) as caught:
        preflight.refuse_failures([*fine, *bad])
    assert caught.value.lines == ["taken; stop it", "full"]


def test_bot_core_that_could_not_be_checked_says_what_to_do() -> None:
    own = preflight.unjoined("failure", EngineError("no network", remedy="start it"))
    assert (own.level, own.message, own.remedy) == ("failure", "no network", "start it")
    assert (
        preflight.unjoined("warning", EngineError("no")).remedy
        == "`docker ps` lists what is running"
    )


def test_what_is_left_out_names_the_setting_that_puts_it_in() -> None:
    monitored = monitored_services(
        load_settings(environ={"KONG_TARGET": "none"}), demo=False, joined=True
    )
    found = preflight.joined(Survey((), frozenset(), ""), monitored)
    assert {one.subject: one.remedy for one in found if "left out" in one.message} == {
        "kong": "if it is running, set KONG_TARGET",
        "mongodb": "if it is running, set MONGODB_EXPORTER_URI",
    }


@pytest.mark.parametrize("version", ["25.0.0.1", "25.0.ce", "24.0.9.9"])
def test_versions_of_other_shapes_are_read(version: str) -> None:
    expected = "failure" if version.startswith("24") else "ok"
    assert of(examine(replace(GOOD, version=version)), "docker").level == expected


def test_a_remote_engine_by_loopback_is_reached_by_its_tunnel() -> None:
    engine = MemoryEngine()
    engine.endpoint = Endpoint("tcp", "127.0.0.1")
    findings = preflight_of(engine, STACKCTL_BIND_ADDRESS="127.0.0.1")
    assert of(findings, "engine").level == "ok"
    engine.endpoint = Endpoint("tcp", "server.example")
    # What is published where nothing is set is out of reach.
    assert "cannot reach" in of(preflight_of(engine), "engine").message


def preflight_of(engine: MemoryEngine, **environ: str) -> list[Finding]:
    engine.engine_info = GOOD
    found = replace(
        load_settings(environ={**free_port_settings(), **environ}),
        engine_host=engine.endpoint.host,
    )
    return preflight.examine(engine, found, catalog.select())


def test_ports_of_another_machine_are_asked_of_its_engine_alone() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        engine = MemoryEngine()
        engine.endpoint = Endpoint("tcp", "127.0.0.1")
        # Nor is the address this machine's.
        environ = {"STACKCTL_BIND_ADDRESS": "192.0.2.7", "STACKCTL_HOST": "127.0.0.1"}
        assert of(preflight_of(engine, LOKI_PORT=str(port), **environ), "ports").level == "ok"
        engine.published_ports = {port: "somebody"}
        finding = of(preflight_of(engine, LOKI_PORT=str(port)), "ports")
    assert finding.message == f"port {port} of loki is in use by container somebody"


def test_bot_cores_own_ports_are_not_checked() -> None:
    engine = MemoryEngine()
    engine.engine_info = GOOD
    (port,) = free_ports(1)
    engine.published_ports = {port: "theirs"}
    found = load_settings(environ={**free_port_settings(), "RUST_CORE_ENGINE_PORT": str(port)})
    for attached in (True, False):
        own = [catalog.application("rust-core-engine", attached=attached)]
        assert of(preflight.examine(engine, found, own), "ports").level == "ok"


def test_a_port_of_an_ipv6_address_is_asked_for_as_such() -> None:
    with socket.socket(socket.AF_INET6) as holder:
        holder.bind(("::1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        finding = of(examine(LOKI_PORT=str(port), STACKCTL_BIND_ADDRESS="::1"), "ports")
    assert f"port {port} of loki is in use by" in finding.message


def test_a_connection_that_has_just_ended_holds_no_port() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            # The side that closes first keeps the port for a minute.
            accepted.close()
            client.recv(1)
    assert of(examine(LOKI_PORT=str(port)), "ports").level == "ok"


def connection(**changes: object) -> SimpleNamespace:
    """A connection as psutil describes it."""
    laddr = SimpleNamespace(ip="127.0.0.1", port=1234)
    return SimpleNamespace(
        **{"status": psutil.CONN_LISTEN, "laddr": laddr, "pid": os.getpid(), **changes}
    )


@pytest.mark.parametrize(
    ("connections", "named"),
    [
        ([connection()], True),
        ([connection(status=psutil.CONN_ESTABLISHED)], False),
        ([connection(laddr=())], False),
        ([connection(pid=None)], False),
        ([connection(laddr=SimpleNamespace(ip="127.0.0.1", port=1))], False),
        # It ended meanwhile.
        ([connection(pid=4194304)], False),
        ([connection(laddr=()), connection(pid=None), connection()], True),
    ],
)
def test_the_holder_of_a_port_is_the_process_that_listens_there(
    connections: list[SimpleNamespace], named: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil, "net_connections", lambda kind: connections)
    monkeypatch.setattr(
        preflight, "_refusal", lambda _, port: errno.EADDRINUSE if port == 1234 else None
    )
    message = of(examine(LOKI_PORT="1234"), "ports").message
    expected = f"(pid {os.getpid()})" if named else "a process of another user"
    assert message.endswith(expected)


OLD_X86 = "processor\t: 0\nflags\t\t: fpu sse4_2 aes\n\nprocessor\t: 1\nflags\t\t: fpu sse4_2 aes\n"
NEW_X86 = OLD_X86.replace("aes", "aes avx avx2")
OLD_ARM = "processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "environ", "lacks"),
    [
        ("x86_64", OLD_X86, {}, "AVX"),
        ("x86_64", OLD_X86, {"MONGODB_IMAGE": "mongo"}, "AVX"),
        ("x86_64", OLD_X86, {"MONGODB_IMAGE": "mirror.example:5000/library/mongo:8"}, "AVX"),
        ("x86_64", OLD_X86, {"MONGODB_IMAGE": "mongo:4.4"}, None),
        ("x86_64", OLD_X86, {"MONGODB_IMAGE": "own/database:7"}, None),
        ("x86_64", NEW_X86, {}, None),
        ("aarch64", OLD_ARM, {}, "ARMv8.2-A"),
        ("aarch64", OLD_ARM.replace("crc32", "crc32 atomics"), {}, None),
        ("riscv64", OLD_X86, {}, None),
        ("x86_64", "", {}, None),
    ],
)
def test_a_processor_that_cannot_run_mongodb_is_a_warning(
    machine: str,
    cpuinfo: str,
    environ: dict[str, str],
    lacks: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(processor, "machine", lambda: machine)
    found = [one for one in examine(**environ) if one.subject == "processor"]
    assert [one.level for one in found] == (["warning"] if lacks else [])
    for one in found:
        assert one.message.startswith(f"it lacks {lacks}, which ")
        assert "MONGODB_IMAGE=mongo:4.4" in (one.remedy or "")
    # The local set has another program, and another machine another processor.
    engine = MemoryEngine()
    engine.engine_info = GOOD
    settings = load_settings(environ={**free_port_settings(), **environ})
    local = preflight.examine(engine, settings, catalog.select(), (), "local")
    desktop = examine(replace(GOOD, operating_system="Docker Desktop"), **environ)
    without = preflight.examine(engine, settings, catalog.select(demo=False))
    assert not [one for one in (*local, *desktop, *without) if one.subject == "processor"]


def test_selinux_is_told_with_what_it_means() -> None:
    (found,) = [one for one in examine(replace(GOOD, selinux=True)) if "SELinux" in one.message]
    assert (found.subject, found.level) == ("engine", "ok")
    assert "node-exporter and docker-socket-proxy" in found.message


@pytest.mark.parametrize(
    ("shell", "environ", "warns"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, {"ALERTMANAGER_PAGERDUTY_KEY": "key"}, "HTTPS_PROXY"),
        ({"http_proxy": "http://p:1"}, {"BINANCE_API_URL": "https://api.example"}, "http_proxy"),
        ({}, {"ALERTMANAGER_PAGERDUTY_KEY": "key"}, None),
        # Nothing leaves the stack.
        ({"HTTPS_PROXY": "http://p:1"}, {}, None),
        (
            {"HTTPS_PROXY": "http://p:1"},
            {"ALERTMANAGER_PAGERDUTY_KEY": "key", "STACKCTL_PROXY": "http://p:1"},
            None,
        ),
    ],
)
def test_a_proxy_of_the_shell_that_the_stack_does_not_use_is_a_warning(
    shell: dict[str, str],
    environ: dict[str, str],
    warns: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("https_proxy", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in shell.items():
        monkeypatch.setenv(name, value)
    found = [one.message for one in examine(**environ) if one.subject == "proxy"]
    assert [one.partition(" ")[0] for one in found] == ([warns] if warns else [])
