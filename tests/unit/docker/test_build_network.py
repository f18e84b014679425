"""What builds get of this machine's network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from stackctl.docker import build_network
from stackctl.util import paths

PROXY = "http://proxy.corp.example:3128"


@pytest.fixture(autouse=True)
def _no_proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for name in ("http", "https", "ftp", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@pytest.mark.parametrize(
    ("environ", "arguments"),
    [
        ({}, {}),
        ({"no_proxy": "a.example"}, {}),
        (
            {"HTTPS_PROXY": PROXY, "no_proxy": "a.example"},
            {"https_proxy": PROXY, "no_proxy": "a.example"},
        ),
        ({"http_proxy": PROXY, "HTTP_PROXY": "http://other:1"}, {"http_proxy": PROXY}),
        ({"http_proxy": "proxy:3128"}, {"http_proxy": "proxy:3128"}),
        # Inside a build these are another machine's.
        ({"http_proxy": "http://127.0.0.1:3128", "https_proxy": PROXY}, {"https_proxy": PROXY}),
        ({"http_proxy": "localhost:3128", "https_proxy": "http://[::1]:3128"}, {}),
    ],
)
def test_a_build_gets_the_proxies_of_the_environment_in_both_spellings(
    environ: Mapping[str, str], arguments: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    both = {**arguments, **{name.upper(): value for name, value in arguments.items()}}
    assert build_network.proxies() == both


@pytest.mark.parametrize(
    ("config", "taken"),
    [
        ({"proxies": {"default": {"httpProxy": "http://docker:1"}}}, False),
        ({"proxies": {}}, True),
        ({}, True),
        ([], True),
    ],
)
def test_the_proxies_of_dockers_configuration_are_compose_business(
    config: object, taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", PROXY)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert bool(build_network.proxies()) == taken


def test_the_builds_that_are_asked_for_get_labels_proxies_and_authorities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    demo = paths.build_file("demo")
    assert build_network.overlay(demo, None, None) == {
        "services": {"demo": {"build": {"args": {}, "labels": {}}}}
    }
    monkeypatch.setenv("http_proxy", PROXY)
    args = {"http_proxy": PROXY, "HTTP_PROXY": PROXY}
    assert build_network.overlay(
        paths.build_file("local"), {"loki": {"a": "b"}}, Path("/ca.pem")
    ) == {
        "services": {"loki": {"build": {"args": args, "secrets": ["ca"], "labels": {"a": "b"}}}},
        "secrets": {"ca": {"file": "/ca.pem"}},
    }
