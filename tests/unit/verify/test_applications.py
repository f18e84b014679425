"""The checks of applications: the demo passes each, and each mistake is a warning that says what to change."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from botdemo import metrics as demo_metrics
from stackctl.clients.prometheus import RuleGroup
from stackctl.services.contract import CONTRACT
from stackctl.verify import applications
from stackctl.verify.applications import CHECKS
from stackctl.verify.limits import Needs, needs
from stackctl.verify.model import Result
from tests.support.right_stack import Stack, success, target, targets, verify

# By examples: each mistake of each application is a run of the checks.
pytestmark = pytest.mark.thorough

RUST, PYTHON, NODE = "rust-core-engine", "python-ai-service", "nextjs-ui-dashboard"
RULES = Path("infrastructure/monitoring/prometheus")


def shipped_groups() -> list[dict[str, Any]]:
    """Return the shipped rules as Prometheus' API has them."""
    files = [*RULES.glob("alerts/*.yml"), *RULES.glob("recording-rules/*.yml")]
    return [
        {
            "name": group["name"],
            "file": str(file),
            "interval": 15,
            "rules": [
                {
                    "name": rule.get("alert") or rule["record"],
                    "type": "alerting" if "alert" in rule else "recording",
                    "query": rule["expr"],
                    "health": "ok",
                }
                for rule in group["rules"]
            ],
        }
        for file in files
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]


@pytest.fixture
def stack(stack: Stack) -> Stack:
    """A right stack with the rules that are shipped."""
    stack.set("/api/v1/rules", success({"groups": shipped_groups()}))
    return stack


def check(stack: Stack, name: str) -> Result:
    (result,) = verify(stack, f"applications.{name}").results
    return result


def test_the_demo_passes_every_check(stack: Stack) -> None:
    report = verify(stack, "applications")
    assert len(report.results) == len(CHECKS) + 1 == 7
    assert [one.finding for one in report.results if one.finding.needs_action] == []
    assert not report.skipped
    seen = " ".join(one.finding.observed for one in report.results)
    for words in ("47 metrics of", "6 histograms extend beyond", "3 pages with one", "agree with"):
        assert words in seen


def ends_at(job: str, histogram: str, last: str) -> Callable[[Stack], None]:
    """Take the finite buckets out of a page that are above one."""

    def spoil(stack: Stack) -> None:
        page = []
        for line in stack.exposed.pages[job].splitlines(keepends=True):
            found = re.match(rf'{histogram}_bucket\{{.*?le="([\d.]+)"', line)
            if found is None or float(found[1]) <= float(last):
                page.append(line)
        assert page != stack.exposed.pages[job].splitlines(keepends=True)
        stack.exposed.pages[job] = "".join(page)

    return spoil


def values(job: str, metric: str, label: str, count: int) -> Callable[[Stack], None]:
    """Add series to a page."""

    def spoil(stack: Stack) -> None:
        stack.exposed.pages[job] += "".join(
            f'{metric}{{method="GET",status="200",{label}="{number}"}} 1\n'
            for number in range(count)
        )

    return spoil


def change(job: str, old: str, new: str) -> Callable[[Stack], None]:
    return lambda stack: stack.exposed.change(job, old, new)


def add(job: str, text: str) -> Callable[[Stack], None]:
    def spoil(stack: Stack) -> None:
        stack.exposed.pages[job] += text

    return spoil


def no_content_type(job: str) -> Callable[[Stack], None]:
    found = {"probe_success": 0, "probe_failed_due_to_regex": 1}
    return lambda stack: stack.probed.update({job: found})


MISTAKES: dict[str, tuple[str, Callable[[Stack], None], str, str]] = {
    "a metric without labels is missing": (
        "metrics",
        lambda s: s.exposed.without(RUST, "trading_enabled", "sharpe_ratio"),
        f"{RUST} does not expose trading_enabled (gauge), sharpe_ratio (gauge)",
        f"{RUST}: register each metric at startup",
    ),
    "a metric with labels is missing": (
        "metrics",
        lambda s: s.exposed.without(PYTHON, "ai_predictions_total"),
        f"{PYTHON} does not expose ai_predictions_total (counter by signal)",
        f"{PYTHON}: create each metric at startup",
    ),
    "a histogram is missing": (
        "metrics",
        lambda s: s.exposed.without(NODE, "http_request_duration_seconds"),
        f"{NODE} does not expose http_request_duration_seconds (histogram by method, endpoint)",
        f"{NODE}: create each metric at startup",
    ),
    "the metrics of the process are missing": (
        "metrics",
        lambda s: s.exposed.without(NODE, "process_open_fds"),
        f"{NODE} does not expose process_open_fds (gauge)",
        "collectDefaultMetrics()",
    ),
    "all metrics are missing": (
        "metrics",
        lambda s: s.exposed.pages.update({NODE: ""}),
        "process_max_fds (gauge)",
        "a clock that is more than five minutes slow hides all metrics",
    ),
    "a counter has the type of a gauge": (
        "types",
        change(RUST, "^# TYPE (trades_total|user_logins_total) counter", r"# TYPE \1 gauge"),
        f"{RUST} exposes as a gauge what must be a counter: trades_total, user_logins_total",
        f"{RUST}: use IntCounter or Counter for values that only grow",
    ),
    "a histogram is a summary": (
        "types",
        add(PYTHON, "# TYPE ai_confidence_score summary\nai_confidence_score_count 1\n"),
        f"{PYTHON} exposes as a summary what must be a histogram: ai_confidence_score",
        "Histogram, not Summary",
    ),
    "a gauge has the name of a counter": (
        "types",
        add(NODE, "# TYPE carts_open_total gauge\ncarts_open_total 3\n"),
        f"{NODE}'s gauge carts_open_total has the name of a counter",
        f"{NODE}: rename carts_open_total, without _total",
    ),
    "a counter has the name of a gauge": (
        "types",
        add(RUST, "# TYPE orders counter\norders 3\n"),
        f"{RUST}'s counter orders has the name of a gauge",
        f"{RUST}: rename orders to orders_total",
    ),
    "buckets end below a limit": (
        "buckets",
        ends_at(PYTHON, "ai_analysis_duration_seconds", "7.5"),
        f"ai_analysis_duration_seconds of {PYTHON} ends at 7.5 s,"
        " so that AIServiceCriticalSlow (above 10 s) can never fire",
        "Histogram(…, buckets=(…, 10, 20))",
    ),
    "buckets end at a limit": (
        "buckets",
        ends_at(RUST, "trade_execution_duration_seconds", "2"),
        f"trade_execution_duration_seconds of {RUST} ends at 2 s, the limit of TradeExecutionSlow,",
        "HistogramOpts::new(…).buckets(vec![…, 2.0, 4.0])",
    ),
    "no finite bucket": (
        "buckets",
        change(RUST, r'^websocket_message_duration_seconds_bucket\{le="[\d.]+"\} .*\n', ""),
        "has no finite bucket, so that WebSocketMessagesSlow (above 0.5 s) can never fire",
        "buckets with 0.5, 1.0 among them",
    ),
    "a bucket that is not a number": (
        "buckets",
        change(RUST, r'^(websocket_message_duration_seconds_bucket\{le=)"[\d.]+"', r'\1"x"'),
        "has no finite bucket",
        "buckets with 0.5, 1.0 among them",
    ),
    "no bucket that a rule reads": (
        "buckets",
        change(NODE, r'^http_request_duration_seconds_bucket\{.*le="0.5".*\n', ""),
        f"http_request_duration_seconds of {NODE} has no bucket at 0.5 s,"
        " which slo:api_slow_requests:rate5m reads",
        "new client.Histogram({ …, buckets: […, 0.5] })",
    ),
    "paths with IDs as endpoints": (
        "labels",
        values(NODE, "http_requests_total", "endpoint", 201),
        f"http_requests_total of {NODE} has 20",
        "the route's pattern, such as /api/orders/[id]",
    ),
    "a label that the contract has not got": (
        "labels",
        values(PYTHON, "inferences_total", "user", 5000),
        f"inferences_total of {PYTHON} has 5000 values of user",
        'request.scope["route"].path',
    ),
    "no Content-Type": (
        "content-type",
        no_content_type(RUST),
        f"{RUST} at http://{RUST}:1/metrics responds without a Content-Type of Prometheus",
        "TextEncoder::new().format_type()",
    ),
    "a clock that is ahead": (
        "clocks",
        lambda s: s.exposed.ahead.update({PYTHON: 21.0}),
        f"the clock of {PYTHON} is ahead by 21 s or more",
        f"{PYTHON}: synchronize the clock",
    ),
    "samples with timestamps of their own": (
        "clocks",
        lambda s: s.exposed.stamped.update(
            {(RUST, "trades_total"): 40.0, (RUST, "http_requests_total"): 39.0}
        ),
        f"timestamps of http_requests_total and 1 more of {RUST} differ from the scrape by 40 s",
        "no set_timestamp_ms",
    ),
}


@pytest.mark.parametrize(("name", "spoil", "seen", "next_step"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_a_warning_that_names_the_metric_the_service_and_the_change(
    stack: Stack, name: str, spoil: Callable[[Stack], None], seen: str, next_step: str
) -> None:
    spoil(stack)
    finding = check(stack, name).finding
    assert (finding.ok, finding.warning, finding.skipped) == (True, True, False), finding
    assert seen in finding.observed
    assert next_step in finding.next_step


def test_every_check_has_a_mistake() -> None:
    assert {f"applications.{name}" for name, *_ in MISTAKES.values()} == {one.id for one in CHECKS}


@pytest.mark.parametrize("service", CONTRACT)
@pytest.mark.parametrize("advice", ["REGISTER", "KINDS", "LABELS", "CONTENT_TYPE", "TIMESTAMPS"])
def test_every_application_has_its_own_words(service: str, advice: str) -> None:
    words = getattr(applications.libraries, advice)
    assert words.keys() == CONTRACT.keys() == applications.libraries.BUCKETS.keys()
    assert len(set(words.values())) == len(words)
    assert words[service]


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        # A metric with labels: registered, young, or seldom.
        ("metrics", change(PYTHON, r"^ai_predictions_total\{.*\n", "")),
        ("metrics", lambda s: (_no_trades(s), s.exposed.watched.clear())),
        ("metrics", lambda s: (_no_trades(s), s.exposed.ages.update({RUST: 60.0}))),
        ("metrics", lambda s: s.exposed.without(RUST, "trades_failed_total")),
        # OpenMetrics, and a page without types.
        ("types", change(RUST, r"^# TYPE (\w+)_total counter", r"# TYPE \1 counter")),
        ("metrics", change(RUST, r"^# TYPE .*\n", "")),
        ("types", change(RUST, r"^# TYPE .*\n", "")),
        ("types", change(RUST, r"^# TYPE (\w+) \w+", r"# TYPE \1 unknown")),
        # What a library brings along, and a counter that has not counted yet.
        ("types", add(NODE, "# TYPE nodejs_active_handles_total gauge\n")),
        ("types", add(NODE, "nodejs_active_handles_total 3\n# TYPE errors counter\n")),
        # Many series of few values each.
        ("labels", lambda s: _grid(s, 15)),
        ("labels", values(NODE, "http_requests_total", "endpoint", 190)),
        # Prometheus writes bounds in more than one way.
        ("buckets", change(NODE, r'le="1.0"', 'le="1"')),
    ],
)
def test_what_is_no_mistake_passes(
    stack: Stack, name: str, spoil: Callable[[Stack], object]
) -> None:
    spoil(stack)
    finding = check(stack, name).finding
    assert finding.ok
    assert not finding.needs_action, finding
    assert not finding.skipped


def _no_trades(stack: Stack) -> None:
    stack.exposed.without(RUST, "trades_total", "db_query_duration_seconds")


def _grid(stack: Stack, side: int) -> None:
    stack.exposed.pages[RUST] += "".join(
        f'fills_total{{a="{first}",b="{second}"}} 1\n'
        for first in range(side)
        for second in range(side)
    )


def test_the_labels_of_the_largest_metrics_are_counted(stack: Stack) -> None:
    for number in range(20):
        values(NODE, f"m{number}_total", "id", 300 + number)(stack)
    seen = check(stack, "labels").finding.observed
    assert "m19_total" in seen
    assert seen.count("values of id") == 8


def test_an_application_that_is_left_out_is_not_examined(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stackctl.verify.model.WITH_HEALTH", (RUST,))
    stack.exposed.without(RUST, "sharpe_ratio")
    for job in (PYTHON, NODE):
        stack.exposed.pages[job] = ""
    seen = check(stack, "metrics").finding.observed
    assert seen == f"{RUST} does not expose sharpe_ratio (gauge)"
    monkeypatch.setattr("stackctl.verify.model.WITH_HEALTH", ())
    report = verify(stack, *(one.id for one in CHECKS))
    assert len(report.skipped) == len(CHECKS)
    assert {one.finding.observed for one in report.results} == {
        "skipped: no application is running"
    }


@pytest.mark.parametrize(
    ("health", "state"), [("unknown", "not scraped yet"), ("down", "down"), (None, "no target")]
)
def test_an_application_that_is_not_scraped_is_asked_again_and_never_a_failure(
    stack: Stack, health: str | None, state: str
) -> None:
    jobs = [target(job) for job in (PYTHON, NODE)]
    if health:
        jobs.append(target(RUST, health))
    stack.set("/api/v1/targets", success({"activeTargets": jobs}))
    stack.exposed.pages[RUST] = ""
    finding = check(stack, "metrics").finding
    assert (finding.ok, finding.warning, finding.early) == (True, False, True)
    assert finding.observed.endswith(f"; not examined: {RUST}: {state}")
    stack.set("/api/v1/targets", success({"activeTargets": []}))
    finding = check(stack, "metrics").finding
    assert (finding.ok, finding.skipped, finding.early) == (True, True, True)
    assert f"{NODE}: no target" in finding.observed


def test_a_young_stack_is_asked_again_until_it_is_scraped(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stackctl.verify import runner
    from tests.support.http import as_json
    from tests.support.right_stack import RIGHT

    monkeypatch.setattr(runner, "_PAUSE", 0.05)
    answers = iter([success({"activeTargets": []}), targets(RUST, "unknown", "")])
    stack.server.routes["/api/v1/targets"] = lambda _: as_json(
        next(answers, RIGHT["/api/v1/targets"])
    )
    (result,) = verify(stack, "applications.metrics", timeout=5).results
    assert not result.finding.skipped
    assert "not examined" not in result.finding.observed
    assert next(answers, None) is None


@pytest.mark.parametrize(
    "error",
    [
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol"
        " specified for target",
        'received unsupported Content-Type "text/html" and no fallback_scrape_protocol specified'
        " for target",
    ],
)
def test_a_page_that_prometheus_3_refuses_is_a_failure(stack: Stack, error: str) -> None:
    no_content_type(PYTHON)(stack)
    stack.set("/api/v1/targets", targets(PYTHON, "down", error))
    finding = check(stack, "content-type").finding
    assert not finding.ok
    assert f"Prometheus rejects the page of {PYTHON}" in finding.observed
    assert error in finding.observed
    assert "prometheus_client.CONTENT_TYPE_LATEST" in finding.next_step


@pytest.mark.parametrize(
    ("content_type", "accepted"),
    [
        ("text/plain; version=0.0.4; charset=utf-8", True),
        ("text/plain", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily", True),
        ("application/octet-stream", False),
        ("text/html; charset=utf-8", False),
        ("text/plainer", False),
        ("", False),
    ],
)
def test_the_probe_wants_a_content_type_of_prometheus(content_type: str, accepted: bool) -> None:
    file = Path("infrastructure/monitoring/blackbox/blackbox.yml")
    module = yaml.safe_load(file.read_text(encoding="utf-8"))["modules"][applications._MODULE]
    (header,) = module["http"]["fail_if_header_not_matches"]
    assert (header["header"], header.get("allow_missing", False)) == ("Content-Type", False)
    assert bool(re.search(header["regexp"], content_type)) == accepted


def test_a_page_that_does_not_answer_is_another_checks_failure(stack: Stack) -> None:
    down = {"probe_success": 0}
    stack.probed[NODE] = down
    finding = check(stack, "content-type").finding
    assert (finding.ok, finding.warning, finding.early) == (True, False, True)
    assert f"{NODE} at http://{NODE}:1/metrics, which does not answer" in finding.observed
    stack.probed.update({RUST: down, PYTHON: down})
    finding = check(stack, "content-type").finding
    assert (finding.ok, finding.skipped, finding.early) == (True, True, True)


def test_the_limits_are_those_of_the_shipped_rules() -> None:
    groups = [RuleGroup.model_validate(group) for group in shipped_groups()]
    found = needs(groups)
    of_applications = {metric.name for metrics in CONTRACT.values() for metric in metrics}
    assert {name: one for name, one in found.items() if name in of_applications} == {
        "http_request_duration_seconds": Needs(
            2.0, "CriticalLatencyP95", {0.5: "slo:api_slow_requests:rate5m"}
        ),
        "ai_analysis_duration_seconds": Needs(10.0, "AIServiceCriticalSlow"),
        "trade_execution_duration_seconds": Needs(2.0, "TradeExecutionSlow"),
        "websocket_message_duration_seconds": Needs(0.5, "WebSocketMessagesSlow"),
    }
    assert found["kong_kong_latency_ms"].limit == 1000, "in the histogram's own unit"


def test_no_alert_on_a_quantile_escapes() -> None:
    """A rule that is written in another way must not take its limit with it."""
    rules = [rule for group in shipped_groups() for rule in group["rules"]]
    quantiles = {
        rule["name"]
        for rule in rules
        if rule["type"] == "recording" and "histogram_quantile" in rule["query"]
    }
    assert len(quantiles) > 10
    read = {
        rule["name"]
        for rule in rules
        if rule["type"] == "alerting"
        and (
            "histogram_quantile" in rule["query"]
            or any(re.search(rf"{name}(?!\w)", rule["query"]) for name in quantiles)
        )
    }
    groups = [RuleGroup.model_validate(group) for group in shipped_groups()]
    alerts: set[str] = set()
    for name in read:
        alone = [
            group.model_copy(
                update={
                    "rules": [
                        rule
                        for rule in group.rules
                        if rule.type == "recording" or rule.name == name
                    ]
                }
            )
            for group in groups
        ]
        alerts |= {one.alert for one in needs(alone).values() if one.alert}
    assert alerts == read
    assert len(read) > 6


@pytest.mark.parametrize(
    ("query", "limit"),
    [
        ("histogram_quantile(0.9, sum by (le) (rate(a_seconds_bucket[5m]))) > 3", 3.0),
        ("histogram_quantile(0.9, sum by (le) (rate(a_seconds_bucket[5m]))) / 1000 >= 3", 3000.0),
        ("(histogram_quantile(0.9, a_seconds_bucket) > 2.5) and on (job) up == 1", 2.5),
        ("histogram_quantile(0.9, a_seconds_bucket) and on (job) b > 4", 0.0),
        ("histogram_quantile(0.9, a_seconds_bucket", 0.0),
        ("histogram_quantile(0.9, b) > 3", 0.0),
    ],
)
def test_an_alert_may_compute_its_quantile_itself(query: str, limit: float) -> None:
    rule = {"name": "A", "type": "alerting", "query": query, "health": "ok"}
    group = {"name": "g", "file": "f", "interval": 15, "rules": [rule]}
    found = needs([RuleGroup.model_validate(group)])
    assert found.get("a_seconds", Needs()).limit == limit


BUCKETS = {
    "http_request_duration_seconds": demo_metrics.REQUEST_SECONDS,
    "ai_analysis_duration_seconds": demo_metrics.ANALYSIS_SECONDS,
    "trade_execution_duration_seconds": demo_metrics.TRADE_SECONDS,
    "websocket_message_duration_seconds": demo_metrics.MESSAGE_SECONDS,
    "kong_kong_latency_ms": demo_metrics.KONG_LATENCY,
}


def test_the_demos_buckets_reach_past_every_limit() -> None:
    found = needs(RuleGroup.model_validate(group) for group in shipped_groups())
    assert found.keys() == BUCKETS.keys()
    for name, one in found.items():
        assert BUCKETS[name][-1] > one.limit
        assert set(BUCKETS[name]) >= one.bounds.keys()


# Kong


@pytest.mark.parametrize(
    ("exposed", "seen", "next_step"),
    [
        (
            {"kong_nginx_requests_total"},
            "no kong_http_requests_total and no kong_kong_latency_ms_bucket",
            "status_code_metrics",
        ),
        ({"kong_http_requests_total"}, "no kong_kong_latency_ms_bucket", "latency_metrics"),
        ({"kong_http_status", "kong_latency_bucket"}, "Kong 2's kong_http_status", "Kong 3"),
    ],
)
def test_a_kong_that_counts_nothing_is_a_warning(
    stack: Stack, exposed: set[str], seen: str, next_step: str
) -> None:
    stack.exposed.gateway = exposed
    finding = check(stack, "gateway").finding
    assert finding.ok
    assert finding.warning
    assert seen in finding.observed
    assert next_step in finding.next_step


def test_a_young_kong_may_have_had_no_request_yet(stack: Stack) -> None:
    stack.exposed.gateway = set()
    stack.exposed.watched.discard("kong")
    finding = check(stack, "gateway").finding
    assert finding.skipped
    assert "an hour ago" in finding.observed


def test_a_kong_that_is_not_scraped_is_asked_again_and_never_a_failure(stack: Stack) -> None:
    stack.exposed.gateway = set()
    stack.exposed.gateway_scraped = False
    finding = check(stack, "gateway").finding
    assert finding.skipped
    assert finding.early
    assert "not scraped" in finding.observed
