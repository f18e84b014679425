"""The tags of an image, from a registry of the tests' own: with and without a token, and in pages."""

from __future__ import annotations

import asyncio
import json

import pytest

from stackctl.clients.registry import RegistryClient, Repository
from stackctl.errors import ServiceError
from tests.support.http import Reply, Request, as_json, serving


def tags(url: str, name: str = "library/redis") -> list[str]:
    async def ask() -> list[str]:
        async with RegistryClient(timeout=2.0) as client:
            return await client.tags(Repository(url.removeprefix("http://"), name))

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("reference", "host", "name"),
    [
        ("redis:7.2-alpine", "registry-1.docker.io", "library/redis"),
        ("redis", "registry-1.docker.io", "library/redis"),
        ("prom/prometheus:v2.48.0", "registry-1.docker.io", "prom/prometheus"),
        ("docker.io/prom/prometheus:v2.48.0", "registry-1.docker.io", "prom/prometheus"),
        ("ghcr.io/google/cadvisor:0.60.5", "ghcr.io", "google/cadvisor"),
        ("mirror.example:5000/library/redis:7.2@sha256:0", "mirror.example:5000", "library/redis"),
        ("localhost/own", "localhost", "own"),
    ],
)
def test_the_repository_of_a_reference(reference: str, host: str, name: str) -> None:
    assert Repository.of(reference) == Repository(host, name)


def test_only_a_registry_of_this_machine_is_asked_without_tls() -> None:
    hosts = ("ghcr.io", "mirror.example:5000", "127.0.0.1:5000", "localhost:5000", "[::1]:5000")
    assert [Repository(host, "a").url.partition(":")[0] for host in hosts] == [
        *("https", "https", "http", "http", "http")
    ]


def test_tags_come_in_pages() -> None:
    def page(request: Request) -> Reply:
        if "last=b" in request.query:
            return as_json({"name": "a", "tags": ["c"]})
        return Reply(
            json.dumps({"tags": ["a", "b"]}).encode(),
            headers={"Link": '</v2/library/redis/tags/list?n=1000&last=b>; rel="next"'},
        )

    with serving({"/v2/library/redis/tags/list": page}) as server:
        assert tags(server.url) == ["a", "b", "c"]
    with serving({"/v2/library/redis/tags/list": as_json({"tags": None})}) as server:
        assert tags(server.url) == []


def test_a_token_is_had_for_the_asking_and_taken_along() -> None:
    def listed(request: Request) -> Reply:
        if request.headers.get("Authorization") == "Bearer t":
            return as_json({"tags": ["7.2"]})
        challenge = f'Bearer realm="{server.url}/token",service="reg",scope="repository:a:pull"'
        return Reply(b"{}", 401, headers={"WWW-Authenticate": challenge})

    def token(request: Request) -> Reply:
        assert request.query == "service=reg&scope=repository%3Aa%3Apull"
        assert "Authorization" not in request.headers
        return as_json({"access_token": "t"})

    with serving({"/v2/library/redis/tags/list": listed, "/token": token}) as server:
        assert tags(server.url) == ["7.2"]
        server.routes["/token"] = Reply(b"no", 403)
        with pytest.raises(ServiceError, match="library/redis requires a login"):
            tags(server.url)


def test_a_token_is_not_asked_for_over_plain_http_elsewhere() -> None:
    challenge = 'Bearer realm="http://elsewhere.example/token",service="reg"'
    refusal = Reply(b"{}", 401, headers={"WWW-Authenticate": challenge})
    with (
        serving({"/v2/library/redis/tags/list": refusal}) as server,
        pytest.raises(ServiceError, match="requires a login"),
    ):
        tags(server.url)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(b"{}", 404), "HTTP 404 for library/redis"),
        (Reply(b"<html>"), "the response is not that of a registry"),
        (as_json({"tags": [1]}), "invalid list of tags"),
        (as_json(["a"]), "the response is not that of a registry"),
        (Reply(b"{}", delay=5), "timed out"),
    ],
)
def test_what_is_no_list_of_tags_is_told(reply: Reply, said: str) -> None:
    with (
        serving({"/v2/library/redis/tags/list": reply}) as server,
        pytest.raises(ServiceError, match=said),
    ):
        tags(server.url)


def test_a_registry_that_is_not_there_is_told_by_its_name() -> None:
    with pytest.raises(ServiceError, match=r"registry 127\.0\.0\.1:1: connection failed"):
        tags("http://127.0.0.1:1")
