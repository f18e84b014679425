"""The contract of metrics, and the table of the guide that shows it."""

from __future__ import annotations

from pathlib import Path

from stackctl.services.applications import WITH_HEALTH
from stackctl.services.contract import CONTRACT, PROCESS, Metric

GUIDE = Path("docs/MONITORING_GUIDE.md")


def test_the_guide_shows_every_metric_with_its_type_and_labels() -> None:
    section = GUIDE.read_text(encoding="utf-8").partition("\n## What the applications expose\n")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.partition("\n### ")[0].splitlines()
        if line.startswith("|")
    ]
    shown: dict[str, set[tuple[str, str, str]]] = {}
    application = ""
    for row in rows[2:]:
        application = row[0].strip("`") or application
        shown.setdefault(application, set()).update(
            (name.strip("` "), row[2], row[3]) for name in row[1].split(",")
        )
    each = shown.pop("each")
    assert shown.keys() == CONTRACT.keys() - {"nextjs-ui-dashboard"}
    for service, metrics in CONTRACT.items():
        expected = {(one.name, one.kind, ", ".join(one.labels)) for one in (*metrics, *PROCESS)}
        assert each | shown.get(service, set()) == expected


def test_every_application_has_its_metrics_once() -> None:
    assert tuple(CONTRACT) == WITH_HEALTH
    for metrics in CONTRACT.values():
        names = [one.name for one in metrics]
        assert len(set(names)) == len(names)
        # Without labels a client library exposes it from the start: only others can be missing for a while.
        assert all(one.labels for one in metrics if one.rare)


def test_the_series_of_a_histogram() -> None:
    assert Metric("a_seconds", "histogram", ("b",)).series == {
        "a_seconds_bucket": {"b", "le"},
        "a_seconds_sum": {"b"},
        "a_seconds_count": {"b"},
    }
    assert Metric("a_total", "counter", ()).series == {"a_total": frozenset()}
