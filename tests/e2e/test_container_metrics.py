"""cAdvisor sees the containers of whatever engine this is, and what stands between it and the engine holds."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator

import httpx
import pytest

from stackctl.services.catalog import ContainerSeries
from tests.e2e.conftest import RUNNING, Stack, docker
from tests.support.http import wait_until

pytestmark = pytest.mark.docker

MIB = 1024 * 1024
GET = "/containerd.services.containers.v1.Containers/Get"

OVER_HTTP_2 = """
import json, socket, struct, sys
method, path, body = sys.argv[1], sys.argv[2], bytes.fromhex(sys.argv[3])

def frame(kind, flags, stream, content):
    return struct.pack(">I", len(content))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + content

def field(name, value):  # a literal that is not indexed: RFC 7541, 6.2.2
    return b"\\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()

fields = {":method": method, ":scheme": "http", ":path": path, ":authority": "containerd", "te": "trailers",
          "content-type": "application/grpc", "containerd-namespace": "moby"}
head = b"".join(field(*one) for one in fields.items())
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(10)
connection.connect("/run/containerd/containerd.sock")
connection.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + frame(4, 0, 0, b"") + frame(1, 4, 1, head)
                   + frame(0, 1, 1, struct.pack(">BI", 0, len(body)) + body))
stream = connection.makefile("rb")
answer = {1: b"", 0: b""}
while True:
    length, kind, flags, number = struct.unpack(">I", b"\\0" + stream.read(3))[0], *stream.read(2), stream.read(4)
    content = stream.read(length)
    if number[-1] == 1 and kind in answer:
        answer[kind] += content
        if flags & 1:
            break
    if kind in (3, 7):
        break
print(json.dumps({"head": answer[1].hex(), "data": answer[0].hex()}))
"""
"""A request of gRPC by hand (RFC 9113): the images here have no client for it."""


def page(stack: Stack) -> str:
    """Return what cAdvisor exposes."""
    answer = httpx.get(stack.settings.url("cadvisor") + "/metrics", timeout=30, trust_env=False)
    return answer.raise_for_status().text


def seen(stack: Stack) -> set[str]:
    """Return the names of the containers that cAdvisor sees, none while it does not answer."""
    with contextlib.suppress(httpx.HTTPError):
        metric = ContainerSeries().metric
        return set(re.findall(rf'^{metric}{{.*name="([^"]+)"', page(stack), re.MULTILINE))
    return set()


@pytest.mark.core
def test_every_container_has_metrics(stack: Stack) -> None:
    done = stack.run("verify", "prometheus.containers", "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 checks passed" in done.stdout
    own = {stack.container(service) for service in RUNNING}
    assert own & seen(stack) >= {stack.container("cadvisor"), stack.container("rust-core-engine")}


@pytest.mark.core
def test_the_output_stays_small(stack: Stack) -> None:
    assert len(page(stack).encode()) / len(seen(stack)) * 25 < MIB


@pytest.mark.core
def test_cadvisor_that_started_before_its_proxy_starts_again_until_it_sees_containers(
    stack: Stack,
) -> None:
    proxy, cadvisor = stack.container("docker-socket-proxy"), stack.container("cadvisor")
    docker("stop", proxy)
    try:
        docker("restart", cadvisor)
        assert wait_until(
            lambda: "sees no container" in docker("logs", "--since", "2m", cadvisor), 60
        )
        assert seen(stack) == set()
    finally:
        docker("start", proxy)
    assert wait_until(lambda: cadvisor in seen(stack), 90)
    done = stack.run("verify", "prometheus.containers", "--timeout", "60")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def on_containerd(stack: Stack) -> Iterator[Stack]:
    """The stack with cAdvisor started as the real one is, on an engine with containerd's store."""
    info = json.loads(docker("info", "--format", "{{json .DriverStatus}}"))
    if ["driver-type", "io.containerd.snapshotter.v1"] not in info:
        pytest.skip("this engine stores images by itself")
    before = stack.env_file.read_text()
    stack.env_file.write_text(before + "CADVISOR_IMAGE=stackctl/cadvisor:local\n")
    try:
        done = stack.run("up", "--images", "local", timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        yield stack
    finally:
        stack.env_file.write_text(before)
        done = stack.run("up", "--images", "local", timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.core
def test_of_containerd_only_a_containers_record_can_be_asked_for(on_containerd: Stack) -> None:
    cadvisor, proxy = (on_containerd.container(one) for one in ("cadvisor", "docker-socket-proxy"))
    sources = {
        one: {mount["Source"] for mount in json.loads(docker("inspect", one))[0]["Mounts"]}
        for one in (cadvisor, proxy)
    }
    assert [any(path.endswith("containerd.sock") for path in sources[one]) for one in sources] == [
        False,
        True,
    ]
    identity = docker("inspect", "--format", "{{.Id}}", cadvisor).strip()
    message = b"\x0a" + bytes([len(identity)]) + identity.encode()

    def asked(path: str, method: str = "POST") -> dict[str, bytes]:
        done = docker("exec", cadvisor, "python3", "-c", OVER_HTTP_2, method, path, message.hex())
        return {name: bytes.fromhex(text) for name, text in json.loads(done).items()}

    assert identity.encode() in asked(GET)["data"]
    for path, method in (
        (GET, "GET"),
        (GET + "/", "POST"),
        ("/x/.." + GET, "POST"),
        ("/containerd.services.containers.v1.Containers/List", "POST"),
        ("/containerd.services.containers.v1.Containers/Update", "POST"),
        ("/containerd.services.tasks.v1.Tasks/Exec", "POST"),
        ("/containerd.services.version.v1.Version/Version", "POST"),
    ):
        refused = asked(path, method)
        assert b"403" in refused["head"], path
        assert identity.encode() not in refused["data"]
