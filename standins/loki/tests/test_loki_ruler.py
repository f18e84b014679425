"""The stand-in's ruler: the state of a rule between evaluations, and the alerts sent to Alertmanager."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from standins.loki import api, config, ruler, rules
from standins.loki.store import Store
from standins.shared.labels import label_set

LOKI = Path("infrastructure/monitoring/loki")
MINUTE = 60 * 1_000_000_000
NOW = 1_700_000_000 * 1_000_000_000
SETTINGS = config.RulerConfig(
    None, ("http://am:9093",), "http://grafana:3000", "loki", {"cluster": "c", "severity": "none"}
)
RULE = {
    "alert": "Burst",
    "expr": 'sum by (service) (count_over_time({level="error"}[5m])) > 5',
    "for": "2m",
    "labels": {"severity": "warning", "of": "{{ $labels.service }}"},
    "annotations": {"summary": "{{$value}} of {{ $labels.service }}{{ $labels.missing }}"},
}


def groups(*found: object, **group: object) -> tuple[ruler.Group, ...]:
    return ruler.groups({"a.yml": [{"name": "g", "rules": list(found), **group}]})


def vector(**values: int) -> ruler.Vector:
    return [
        {"metric": {"service": service}, "value": [0, str(value)]}
        for service, value in values.items()
    ]


def test_an_alert_waits_for_its_time_and_is_told_until_it_ends() -> None:
    ((rule,),) = (group.rules for group in groups(RULE))

    def told(minute: int, found: ruler.Vector) -> list[tuple[str, str, str]]:
        sent = rule.take(found, NOW + minute * MINUTE, MINUTE, SETTINGS)
        return [(one["labels"]["service"], one["startsAt"], one["endsAt"]) for one in sent]

    at = "2023-11-14T22:{}:20Z".format
    assert told(0, vector(kong=6)) == []
    assert told(1, vector(kong=7, redis=9)) == []
    assert told(2, vector(kong=8)) == [("kong", at(15), at(19))]
    # An alert that was pending and is gone starts again.
    assert told(3, vector(kong=8, redis=9)) == [("kong", at(15), at(20))]
    assert told(4, vector(redis=9)) == [("kong", at(15), at(17))]
    assert told(5, vector(redis=9)) == [("redis", at(18), at(22))]


def test_what_an_alert_carries() -> None:
    ((rule,),) = (group.rules for group in groups({**RULE, "for": "0s"}))
    (sent,) = rule.take(vector(kong=6), NOW, MINUTE, SETTINGS)
    assert sent["labels"] == {
        "alertname": "Burst",
        "cluster": "c",
        "of": "kong",
        "service": "kong",
        "severity": "warning",
    }
    assert sent["annotations"] == {"summary": "6 of kong"}
    link = urlsplit(sent["generatorURL"])
    assert f"{link.scheme}://{link.netloc}{link.path}" == "http://grafana:3000/explore"
    (left,) = parse_qs(link.query)["left"]
    assert json.loads(left)["queries"] == [
        {
            "expr": RULE["expr"],
            "queryType": "range",
            "datasource": {"type": "loki", "uid": "loki"},
        }
    ]


def test_a_rules_state_is_shown_as_prometheus_shows_it() -> None:
    (group,) = groups(RULE, interval="30s")
    (rule,) = group.rules
    (shown,) = group.state()["rules"]
    assert group.state()["file"] == "a.yml"
    assert group.state()["interval"] == 30.0
    assert (shown["state"], shown["health"], shown["duration"]) == ("inactive", "unknown", 120.0)
    assert shown["lastEvaluation"] == "0001-01-01T00:00:00Z"
    rule.take(vector(kong=6), NOW, MINUTE, SETTINGS)
    assert rule.state()["state"] == "pending"
    rule.take(vector(kong=7, redis=9), NOW + 2 * MINUTE, MINUTE, SETTINGS)
    assert rule.state()["state"] == "firing"
    assert [(one["state"], one["value"], one["activeAt"]) for one in rule.alerts()] == [
        ("firing", "7e+00", "2023-11-14T22:13:20Z"),
        ("pending", "9e+00", "2023-11-14T22:15:20Z"),
    ]
    assert rule.alerts()[0]["labels"]["service"] == "kong"


def test_the_api_shows_rules_alerts_and_what_failed(tmp_path: Path) -> None:
    async def scenario() -> None:
        own = settings(tmp_path, "http://127.0.0.1:1")
        store = Store(own.folder, time.time_ns())
        at = time.time_ns()
        labels = label_set({"service": "kong", "level": "error"})
        store.append([(labels, [(at + n, "x") for n in range(6)])], at)
        # The lines are no JSON, and a number cannot be made of such.
        failing = {"alert": "Broken", "expr": 'count_over_time({level="error"} | json [5m])'}
        loaded = groups({**RULE, "for": "0s"}, failing, interval="1h")
        async with TestClient(TestServer(api.application(own, store, loaded))) as client:
            for _ in range(100):
                async with client.get("/prometheus/api/v1/rules") as answer:
                    shown = await answer.json()
                ((good, bad),) = (group["rules"] for group in shown["data"]["groups"])
                if bad["health"] != "unknown":
                    break
                await asyncio.sleep(0.1)
            assert shown["status"] == "success"
            assert (good["health"], good["state"], good["lastError"]) == ("ok", "firing", "")
            assert good["lastEvaluation"] > "2020"
            assert (bad["health"], bad["state"]) == ("err", "inactive")
            assert bad["lastError"]
            async with client.get("/prometheus/api/v1/alerts") as answer:
                (alert,) = (await answer.json())["data"]["alerts"]
            assert alert["labels"]["alertname"] == "Burst"
            assert alert["annotations"] == {"summary": "6 of kong"}
        store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({**RULE, "expr": "sum("}, "a.yml: parse error"),
        ({**RULE, "expr": '{job="a"}'}, "Burst: a rule needs numbers"),
        ({**RULE, "for": "soon"}, "not a valid duration"),
        ({**RULE, "annotations": {"a": "{{ printf $value }}"}}, "knows $labels.NAME and $value"),
        ({"record": "a", "expr": "1"}, "alerting rules only"),
        ({"alert": "A"}, "a.yml: 'expr'"),
        (3, "a.yml: "),
    ],
)
def test_a_rule_that_is_refused(rule: object, error: str) -> None:
    with pytest.raises(ValueError, match=r"a\.yml") as caught:
        groups(rule)
    assert error in str(caught.value)


def test_the_shipped_rules_tell_alertmanager_of_a_panic(tmp_path: Path) -> None:
    received: list[dict[str, Any]] = []

    async def scenario() -> None:
        heard = asyncio.Event()

        async def take(request: web.Request) -> web.Response:
            received.extend(await request.json())
            heard.set()
            return web.Response()

        alertmanager = web.Application()
        alertmanager.router.add_post("/api/v2/alerts", take)
        async with TestServer(alertmanager) as server:
            own = settings(tmp_path, str(server.make_url("")))
            store = Store(own.folder, time.time_ns(), retention=own.limits.retention)
            labels = label_set({"job": "rust-core-engine", "service": "rust-core-engine"})
            at = time.time_ns()
            store.append([(labels, [(at, "thread 'main' panicked at src/a.rs:1:1")])], at)
            loaded = ruler.groups(rules.groups(own.ruler.folder))
            async with TestServer(api.application(own, store, loaded)):
                await asyncio.wait_for(heard.wait(), 20)
            store.close()

    asyncio.run(scenario())
    (alert,) = received
    assert alert["labels"] == {
        "alertname": "PanicLogged",
        "job": "rust-core-engine",
        "service": "rust-core-engine",
        "severity": "critical",
        "component": "application",
        "cluster": "bot-core",
        "environment": "laptop",
    }
    assert alert["annotations"]["summary"] == "rust-core-engine panicked"
    assert alert["generatorURL"].startswith("http://127.0.0.1:3001/explore?")


def settings(folder: Path, alertmanager: str) -> config.Config:
    document = yaml.safe_load((LOKI / "loki-config.yml").read_text(encoding="utf-8"))
    document["common"]["path_prefix"] = str(folder)
    document["ruler"]["storage"]["local"]["directory"] = str(LOKI / "rules")
    document["ruler"]["alertmanager_url"] = alertmanager
    path = folder / "loki.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return config.load(path)
