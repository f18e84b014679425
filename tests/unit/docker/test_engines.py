"""Engines other than a local one of root, by what they say of themselves: recorded, or written after a recorded one."""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from stackctl.config.load import load as load_settings
from stackctl.docker.endpoint import DEFAULT, Endpoint, known, parse
from stackctl.docker.engine import Engine
from stackctl.docker.errors import reached
from stackctl.errors import EngineError, UsageError
from stackctl.lifecycle import preflight
from stackctl.lifecycle.preflight import Finding
from stackctl.project import engine_overrides
from stackctl.project.project import open_project
from stackctl.services import catalog
from tests.support.docker import recorded
from tests.support.ports import free_port_settings

ENGINES = Path(__file__).parent / "engines"


@dataclass(frozen=True)
class Expected:
    """What an engine is taken for; `system` is that of the machine that stackctl runs on."""

    kind: str
    docker_socket: str | None
    system: str = "linux"
    remote: bool = False
    warnings: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    replaces: bool = False


EXPECTED = {
    "rootful": Expected("Docker Engine", "/var/run/docker.sock"),
    "rootless": Expected("rootless Docker Engine", "/run/user/1000/docker.sock"),
    "rootless-without-cgroups": Expected(
        "rootless Docker Engine",
        "/run/user/1000/docker.sock",
        warnings=("it cannot limit CPU time",),
        replaces=True,
    ),
    "arm64": Expected("Docker Engine", "/var/run/docker.sock"),
    "selinux": Expected("Docker Engine", "/var/run/docker.sock", replaces=True),
    "wsl2": Expected("Docker Engine", "/var/run/docker.sock"),
    "docker-desktop-arm64": Expected("Docker Desktop", "/var/run/docker.sock", "darwin"),
    "docker-desktop-macos": Expected("Docker Desktop", "/var/run/docker.sock", "darwin"),
    "docker-desktop-linux": Expected("Docker Desktop", "/var/run/docker.sock"),
    "docker-desktop-windows-wsl": Expected("Docker Desktop", "/var/run/docker.sock"),
    "colima": Expected("Docker Engine", "/var/run/docker.sock", "darwin"),
    "orbstack": Expected("Docker Engine", "/var/run/docker.sock", "darwin"),
    "podman4": Expected(
        "Podman",
        "/run/podman/podman.sock",
        warnings=("Podman does not implement all of Docker's API",),
        replaces=True,
    ),
    "podman5": Expected(
        "rootless Podman",
        "/run/user/1000/podman/podman.sock",
        warnings=("Podman does not implement all of Docker's API",),
        replaces=True,
    ),
    "remote-ssh": Expected(
        "Docker Engine",
        "/var/run/docker.sock",
        remote=True,
        failures=("the engine is on server.example and publishes ports on its 127.0.0.1",),
        replaces=True,
    ),
}


@pytest.fixture(autouse=True)
def _no_engine_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)


def engine(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, compose: str = "2.26.1"
) -> Engine:
    recorded(ENGINES / f"{name}.json", folder / "bin", compose=compose)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    # Whatever its name: the command is asked for a context only where one is named.
    monkeypatch.setenv("DOCKER_CONTEXT", "recorded")
    return Engine("bot-core")


def examine(engine: Engine, **environ: str) -> list[Finding]:
    found = replace(
        load_settings(environ={**free_port_settings(), **environ}), engine_host=engine.endpoint.host
    )
    # The recorded clock is of the time of the recording.
    return [
        one
        for one in preflight.examine(engine, found, catalog.select())
        if one.subject not in {"clock", "notifications"}
    ]


def starts(findings: list[Finding], level: str) -> list[str]:
    return [one.message for one in findings if one.level == level and one.subject == "engine"]


@pytest.mark.parametrize("name", EXPECTED)
def test_what_an_engine_is_taken_for(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = EXPECTED[name]
    monkeypatch.setattr("sys.platform", expected.system)
    found = engine(name, tmp_path, monkeypatch)
    none = load_settings(environ={})
    info = found.info()
    assert found.endpoint.remote == expected.remote
    assert (
        engine_overrides.socket(found.endpoint, info, none, expected.system)
        == expected.docker_socket
    )
    assert engine_overrides.replaces_settings(found.endpoint, info, none) == expected.replaces
    findings = examine(found)
    assert starts(findings, "ok")[0].startswith(f"{expected.kind} at ")
    for level, texts in (("warning", expected.warnings), ("failure", expected.failures)):
        seen = starts(findings, level)
        assert len(seen) == len(texts)
        assert all(one.startswith(text) for one, text in zip(seen, texts, strict=True))
    # Nothing else is in the way of `up` on any of them.
    assert [one for one in findings if one.level == "failure" and one.subject != "engine"] == []
    assert all(one.remedy for one in findings if one.level != "ok")


def test_every_recorded_engine_is_expected() -> None:
    assert {path.stem for path in ENGINES.glob("*.json")} == {*EXPECTED, "docker-desktop-windows"}


def test_docker_desktops_pipe_is_refused_with_the_way_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = engine("docker-desktop-windows", tmp_path, monkeypatch)
    with pytest.raises(UsageError) as caught:
        _ = found.endpoint
    assert "the Docker context 'desktop-linux' is a named pipe" in caught.value.message
    assert "WSL 2" in (caught.value.remedy or "")


def test_an_older_compose_will_do_where_nothing_is_taken_out_and_not_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compose(name: str, version: str, **environ: str) -> Finding:
        found = examine(engine(name, tmp_path, monkeypatch, version), **environ)
        (one,) = [one for one in found if one.subject == "compose"]
        return one

    assert compose("rootful", "2.20.3").level == "ok"
    assert compose("rootful", "2.24.3", STACKCTL_COPY_FILES="true").level == "failure"
    old = compose("remote-ssh", "2.24.3")
    assert (old.level, old.message) == ("failure", "2.24.3 is too old: 2.24.4 or newer is required")
    assert compose("remote-ssh", "2.24.4").level == "ok"


@pytest.mark.parametrize("version", [None, ""], ids=["no plugin", "a plugin that is broken"])
def test_without_compose_it_is_said_what_to_install(
    version: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = engine("rootful", tmp_path, monkeypatch)
    path = tmp_path / "bin" / "info.json"
    info = json.loads(path.read_text())
    plugins = [{"Name": "buildx", "Version": "0.13"}]
    info["ClientInfo"]["Plugins"] = (
        None if version is None else [*plugins, {"Name": "compose", "Version": version}]
    )
    path.write_text(json.dumps(info))
    with pytest.raises(EngineError, match="Docker Compose is not installed") as caught:
        found.info()
    assert "docker-compose-plugin" in (caught.value.remedy or "")


def test_where_containerd_is_comes_from_the_engine_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = engine("rootful", tmp_path, monkeypatch)
    path = tmp_path / "bin" / "info.json"
    told = json.loads(path.read_text())
    told["DriverStatus"] = [["driver-type", "io.containerd.snapshotter.v1"]]
    told["Containerd"] = {"Address": "/run/c.sock", "Namespaces": {"Containers": "moby"}}
    path.write_text(json.dumps(told))
    info = found.info()
    assert (info.containerd_store, info.containerd_socket) == (True, "/run/c.sock")


def test_an_engine_that_does_not_say_where_containerd_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = engine("rootful", tmp_path, monkeypatch).info()
    assert (info.containerd_store, info.containerd_socket) == (False, None)


def test_a_daemon_that_does_not_say_what_it_is_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = engine("rootful", tmp_path, monkeypatch)
    (tmp_path / "bin" / "info.json").write_text('{"ServerVersion": "", "ServerErrors": ["gone"]}')
    with pytest.raises(EngineError, match="gives no version"):
        found.info()


@pytest.mark.parametrize(
    ("environ", "failures"),
    [
        ({}, 1),
        ({"STACKCTL_BIND_ADDRESS": "192.0.2.7"}, 0),
        ({"STACKCTL_HOST": "127.0.0.1"}, 0),
        ({"STACKCTL_BIND_ADDRESS": "0.0.0.0"}, 1),
        ({"STACKCTL_HOST": "no-such-host.invalid"}, 1),
    ],
)
def test_a_remote_engine_must_be_reachable(
    environ: dict[str, str], failures: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = engine("remote-ssh", tmp_path, monkeypatch)

    def nowhere(host: str, port: object) -> list[object]:
        if host[0].isdigit():
            return []
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(preflight.socket, "getaddrinfo", nowhere)
    assert len(starts(examine(found, **environ), "failure")) == failures


def test_a_remote_engines_ports_and_disk_are_not_this_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        local = examine(engine("rootful", tmp_path, monkeypatch), LOKI_PORT=port)
        remote = examine(engine("remote-ssh", tmp_path, monkeypatch), LOKI_PORT=port)
    assert [one.level for one in local if one.subject == "ports"] == ["failure"]
    assert [one.level for one in remote if one.subject == "ports"] == ["ok"]
    assert not [one for one in remote if one.subject == "disk"]


def test_a_socket_that_cannot_be_known_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    found = engine("podman5", tmp_path, monkeypatch)
    (refused,) = [one for one in examine(found) if one.level == "failure"]
    assert "STACKCTL_DOCKER_SOCKET" in (refused.remedy or "")
    given = examine(found, STACKCTL_DOCKER_SOCKET="/run/user/1000/podman/podman.sock")
    assert not [one for one in given if one.level == "failure"]


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("unix:///run/d.sock", Endpoint("unix", socket=Path("/run/d.sock"), origin="X")),
        ("tcp://192.0.2.7:2375", Endpoint("tcp", host="192.0.2.7", origin="X")),
        ("tcp://[2001:db8::1]:2376", Endpoint("tcp", host="2001:db8::1", origin="X")),
        ("ssh://me@box.example:2222", Endpoint("ssh", host="box.example", origin="X")),
    ],
)
def test_an_address_is_read(address: str, expected: Endpoint) -> None:
    assert parse(address, "X") == expected


@pytest.mark.parametrize(
    "address",
    ["box", "tcp://", "tcp://box:port", "unix://relative", "unix:", "ftp://box", "ssh://me:pw@"],
)
def test_what_is_no_address_is_refused_in_one_line(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(address, "DOCKER_HOST")
    assert "\n" not in caught.value.message
    assert "DOCKER_HOST" in caught.value.message
    assert "pw" not in caught.value.message
    assert caught.value.remedy


def test_docker_host_wins_over_the_context_and_no_docker_command_is_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine("colima", tmp_path, monkeypatch)
    assert str(reached()) == "unix:///Users/user/.colima/default/docker.sock"
    assert reached().origin == "the Docker context 'colima'"
    monkeypatch.setenv("DOCKER_HOST", "ssh://box")
    assert reached() == Endpoint("ssh", host="box", origin="DOCKER_HOST")
    monkeypatch.delenv("DOCKER_HOST")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert reached() == DEFAULT


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        (None, False),
        ("{}", False),
        ('{"auths": {}, "currentContext": ""}', False),
        ('{"currentContext": "default"}', False),
        ('{"currentContext": "colima"}', True),
        ("[]", True),
        ("{broken", True),
    ],
)
@pytest.mark.parametrize("where", ["DOCKER_CONFIG", "HOME"])
def test_the_command_is_asked_only_where_a_context_may_be_in_use(
    where: str, config: str | None, asked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine("colima", tmp_path, monkeypatch)
    monkeypatch.delenv("DOCKER_CONTEXT")
    monkeypatch.delenv("DOCKER_CONFIG", raising=False)
    folder = tmp_path / ".docker"
    folder.mkdir()
    monkeypatch.setenv(where, str(folder if where == "DOCKER_CONFIG" else tmp_path))
    if config is not None:
        (folder / "config.json").write_text(config)
    if asked:
        assert known() is None
        assert reached().origin == "the Docker context 'colima'"
    else:
        assert known() == reached() == DEFAULT


def test_a_named_context_is_asked_for_whatever_the_configuration_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_dir: Path, clean_environment: object
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    assert known() == DEFAULT
    engine("colima", tmp_path, monkeypatch)
    assert known() is None
    assert open_project(name=None, env_file=None).settings.host == "127.0.0.1"
    engine("remote-ssh", tmp_path, monkeypatch)
    assert open_project(name=None, env_file=None).settings.host == "server.example"


def test_a_context_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "x")
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho 'context \"x\": context not found' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UsageError, match='context "x"') as caught:
        reached()
    assert "docker context ls" in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("address", "said", "told"),
    [
        (
            "tcp://192.0.2.7:2375",
            "Cannot connect to the Docker daemon at tcp://192.0.2.7:2375. Is the docker daemon running?",
            "no engine answers at tcp://192.0.2.7 (DOCKER_HOST): Cannot connect to the Docker daemon",
        ),
        (
            "ssh://box.example",
            'error during connect: Get "http://docker.example.com/v1.50/info": command [ssh box.example] has'
            " exited with exit status 255, stderr=ssh: Could not resolve hostname box.example",
            "no engine answers at ssh://box.example (DOCKER_HOST): ssh: Could not resolve hostname",
        ),
        (
            "unix:///var/run/docker.sock",
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "the Docker daemon is not running",
        ),
    ],
)
def test_a_remote_engine_that_does_not_answer_is_named(
    address: str, said: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "said").write_text(f"{said}\n")
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\ncat {tmp_path}/said >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(EngineError) as caught:
        Engine("bot-core").containers()
    assert caught.value.message.startswith(told)
    assert caught.value.remedy


def saying(stderr: str, folder: Path, monkeypatch: pytest.MonkeyPatch, code: int = 1) -> Engine:
    """An engine whose every answer is this error."""
    (folder / "said").write_text(f"{stderr}\n")
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\ncat {folder}/said >&2\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return Engine("bot-core")


def test_what_is_gone_is_one_line_and_no_bug(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = saying("Error response from daemon: No such container: x", tmp_path, monkeypatch)
    with pytest.raises(EngineError, match=r"docker logs failed: .*No such container: x") as caught:
        gone.last_logs("x", 5)
    assert caught.value.remedy
    assert gone.container("x") is None
    said = "docker: Error response from daemon: No such image: x:1\n\nRun 'docker run --help' for more information"
    gone = saying(said, tmp_path, monkeypatch)
    with pytest.raises(EngineError, match=r"No such image: x:1$") as caught:
        gone.run_in_network("n", "x:1", ["true"])
    assert "images list" in (caught.value.remedy or "")
    assert gone.image_id("x:1") is None


@pytest.mark.parametrize(
    ("code", "said", "refused"),
    [
        (125, "docker: Error response from daemon: No such image: x:1", True),
        (
            125,
            "docker: Error response from daemon: image with reference x:1 was found but its platform"
            " (linux/amd64) does not match the specified platform: wanted linux/arm64",
            True,
        ),
        (
            127,
            "docker: Error response from daemon: OCI runtime create failed: exec: sh: not found",
            True,
        ),
        (126, "OCI runtime exec failed: exec failed: unable to start container process", True),
        (125, "docker: error waiting for container: unexpected EOF", False),
        (127, "sh: 1: tc: not found", False),
        (1, "Error response from daemon: whatever", False),
    ],
)
def test_only_what_certainly_did_not_begin_is_a_refusal(
    code: int, said: str, refused: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError) as caught:
        saying(said, tmp_path, monkeypatch, code).run_in_network("n", "x:1", ["true"])
    assert caught.value.refused is refused


@pytest.mark.parametrize(
    ("said", "told", "remedy"),
    [
        (
            "failed to create network x: Error response from daemon: all predefined address pools have been"
            " fully subnetted",
            "Docker has no range of addresses left for another network",
            "docker network prune",
        ),
        (
            "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to"
            " the network",
            "Docker has no range of addresses left for another network",
            "default-address-pools",
        ),
        (
            "Error response from daemon: failed to create task for container: failed to create shim task: OCI runtime"
            " create failed: runc create failed: unable to start container process: error during container init:"
            " error setting rlimits for ready process: error setting rlimit type 7: operation not permitted",
            "the engine may not let a container open as many files",
            "LimitNOFILE",
        ),
        (
            "no matching manifest for linux/arm64/v8 in the manifest list entries",
            "there is no such image for this engine's platform: no matching manifest for linux/arm64/v8",
            "stackctl.override.yml",
        ),
    ],
)
def test_what_the_engine_lacks_has_a_remedy(
    said: str, told: str, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError) as caught:
        saying(said, tmp_path, monkeypatch).up(pull=True)
    assert caught.value.message.startswith(told)
    assert remedy in (caught.value.remedy or "")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Error response from daemon: network n not found", "there is no network 'n'"),
        (
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
            "the Docker daemon is not running",
        ),
    ],
)
def test_a_network_is_missing_only_where_the_engine_says_so(
    said: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EngineError) as caught:
        saying(said, tmp_path, monkeypatch).neighbours("n")
    assert caught.value.message == told


def docker_that_has(
    inspected: list[dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put a docker command on PATH that lists containers and gives what `inspect` says of them."""
    (folder / "inspected.json").write_text(json.dumps(inspected))
    program = folder / "docker"
    program.write_text(
        f"""#!/bin/sh
case "$*" in
  *"container inspect"*) cat {folder}/inspected.json ;;
  *"container list"*) echo {" ".join(one["Id"] for one in inspected)} ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("address", "in_the_way"),
    [
        ("127.0.0.1", {1: "a", 3: "a", 5: "a"}),
        ("192.0.2.7", {1: "a", 4: "a", 5: "a"}),
        ("0.0.0.0", {1: "a", 3: "a", 4: "a", 5: "a"}),
    ],
)
def test_who_publishes_a_port_on_an_address(
    address: str, in_the_way: dict[int, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bound(address: str, port: int) -> list[dict[str, str]]:
        return [{"HostIp": address, "HostPort": str(port)}]

    ports = {
        "80/tcp": bound("0.0.0.0", 1),
        "81/udp": bound("0.0.0.0", 2),
        "82/tcp": bound("127.0.0.1", 3),
        "83/tcp": bound("192.0.2.7", 4),
        "84/tcp": bound("", 5),
        "85/tcp": None,
    }
    inspected = [
        {
            "Id": name * 64,
            "Name": f"/{name}",
            "State": {"Running": running, "Paused": False},
            "NetworkSettings": {"Ports": ports},
        }
        for name, running in (("a", True), ("b", False))
    ]
    docker_that_has(inspected, tmp_path, monkeypatch)
    assert Engine("bot-core").inventory().publishers(address) == in_the_way
    assert Engine("bot-core").published("a", 82) == ("127.0.0.1", 3)
    assert Engine("bot-core").published("a", 84) == ("0.0.0.0", 5)
    assert Engine("bot-core").published("a", 85) is None


@pytest.mark.parametrize("order", [("running", "exited"), ("exited", "running")])
def test_of_a_services_several_containers_the_one_that_is_down_tells(
    order: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"com.docker.compose.project": "bot-core", "com.docker.compose.service": "worker"}
    inspected = [
        {
            "Id": str(number) * 64,
            "Name": f"/worker-{number}",
            "RestartCount": 0,
            "State": {"Status": status, "StartedAt": "2026-01-01T00:00:00Z", "ExitCode": 1},
            "Config": {"Image": "worker", "Labels": labels},
        }
        for number, status in enumerate(order)
    ]
    docker_that_has(inspected, tmp_path, monkeypatch)
    assert Engine("bot-core").containers()["worker"].status == "exited"


def test_a_container_that_went_meanwhile_does_not_hide_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text(
        """#!/bin/sh
case "$*" in
  *"container list"*) echo here gone ;;
  *"inspect here gone") echo '[{"Id": "here", "Name": "/a", "Config": {"Labels": null}}]'
    echo "Error response from daemon: No such container: gone" >&2
    exit 1 ;;
  *"inspect gone") echo "[]"; echo "Error response from daemon: No such container: gone" >&2; exit 1 ;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    engine = Engine("bot-core")
    assert [one["Id"] for one in engine.inventory().containers] == ["here"]
    assert engine.container("gone") is None


def test_compose_hashes_the_configuration_that_it_is_given_on_its_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "docker"
    program.write_text(
        f"""#!/bin/sh
echo "$*" > {tmp_path}/arguments
cat > {tmp_path}/input
printf 'loki 12ab\\npromtail 34cd\\n'
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    configuration = {"services": {"loki": {"environment": {"PASSWORD": "marked-secret"}}}}
    found = Engine("bot-core").configuration_hashes(configuration)
    assert found == {"loki": "12ab", "promtail": "34cd"}
    assert json.loads((tmp_path / "input").read_text()) == configuration
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.endswith("config --hash *\n")
    assert "marked-secret" not in arguments
