"""What Prometheus answers about pages of metrics: as much of its API as the checks of applications use."""

from __future__ import annotations

import functools
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qs

from demo.tests.helpers import APPLICATIONS, make_role

Labels = Mapping[str, str]
Vector = list[tuple[Labels, float]]

_SAMPLE = re.compile(r"^([a-zA-Z_]\w*)(?:\{(.*)\})? \S", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@functools.cache
def demo_pages() -> Mapping[str, str]:
    """Return the pages of the demo's applications at their first scrape."""
    pages = {}
    for name in APPLICATIONS:
        role = make_role(name)
        role.advance(0.0)
        pages[name] = role.exposition().decode()
    return pages


@functools.cache
def _samples(page: str) -> list[tuple[str, Labels]]:
    # The client library's parser would give counters the names that they should have.
    return [(name, dict(_LABEL.findall(labels))) for name, labels in _SAMPLE.findall(page)]


class Exposed:
    """The pages of the applications, which a test changes, and what Prometheus knows beside them."""

    def __init__(self) -> None:
        self.pages = dict(demo_pages())
        self.gateway = {"kong_http_requests_total", "kong_kong_latency_ms_bucket"}
        self.gateway_scraped = True
        self.watched = {*self.pages, "kong"}
        """The jobs that were up an hour ago."""
        self.ages = dict.fromkeys(self.pages, 7200.0)
        self.ahead: dict[str, float] = {}
        self.stamped: dict[tuple[str, str], float] = {}

    def change(self, job: str, old: str, new: str) -> None:
        """Replace what matches in a page; there must be such a thing."""
        page, count = re.subn(old, new, self.pages[job], flags=re.MULTILINE)
        assert count, f"nothing matches {old!r}"
        self.pages[job] = page

    def without(self, job: str, *names: str) -> None:
        """Take families out of a page, with all that is said of them."""
        for name in names:
            self.change(job, rf"^(# (HELP|TYPE) )?{name}(_bucket|_sum|_count)?[ {{].*\n", "")

    def query(self, expression: str) -> Vector | None:
        """Evaluate an expression of the checks; None for one that is not about applications."""
        jobs = set("|".join(re.findall(r'job=~?"([^"]*)"', expression)).split("|"))
        if expression == 'up{job="kong"} == 1':
            return [({"job": "kong"}, 1)] if self.gateway_scraped else []
        if expression.startswith('count by (__name__) ({job="kong"'):
            pattern = re.search(r'__name__=~"([^"]*)"', expression)
            assert pattern
            return [({"__name__": one}, 1) for one in self.gateway if re.fullmatch(pattern[1], one)]
        if expression.startswith("count by (__name__, job"):
            pattern = re.search(r'__name__=~"([^"]*)"', expression)
            by_bound = "le)" in expression
            counts = Counter(
                (name, job, labels.get("le", "") if by_bound else "")
                for job, name, labels in self._series(jobs)
                if pattern is None or re.fullmatch(pattern[1], name)
            )
            return [
                ({"__name__": name, "job": job, **({"le": le} if le else {})}, count)
                for (name, job, le), count in counts.items()
            ]
        if found := re.match(r"count\(count by \((\w+)\) \(\{__name__=\"([^\"]*)\"", expression):
            values = {
                labels[found[1]] for _, name, labels in self._series(jobs) if name == found[2]
            }
            return [({}, len(values))] if values else []
        if expression.startswith("up{") and "offset" in expression:
            return [({"job": job}, 1) for job in self.watched & jobs]
        if expression.startswith("max by (job) (time() - process_start_time_seconds"):
            return [({"job": job}, age) for job, age in self.ages.items()]
        if expression.startswith("max by (job) (max_over_time((process_start_time_seconds"):
            return [({"job": job}, self.ahead.get(job, -5.0)) for job in self.pages]
        if expression.startswith("min by (job, metric)"):
            assert all(f"timestamp({name}{{" in expression for _, name in self.stamped)
            return [
                ({"job": job, "metric": name}, value) for (job, name), value in self.stamped.items()
            ]
        return None

    def metadata(self, query: str) -> list[dict[str, object]]:
        """Return what `/api/v1/targets/metadata` has as its data."""
        (selector,) = parse_qs(query)["match_target"]
        found = re.search(r'job=~"([^"]*)"', selector)
        assert found
        return [
            {"target": {"job": job}, "metric": name, "type": kind, "help": "", "unit": ""}
            for job in found[1].split("|")
            for name, kind in re.findall(r"^# TYPE (\S+) (\S+)", self.pages[job], re.MULTILINE)
        ]

    def label_names(self, query: str) -> list[str]:
        """Return what `/api/v1/labels` has as its data."""
        asked = parse_qs(query)
        assert abs(float(asked["start"][0]) - time.time()) < 2 * 3600
        found = re.fullmatch(r'\{__name__="([^"]*)",job="([^"]*)"\}', asked["match[]"][0])
        assert found
        names = {"__name__", "job", "instance", "service"}
        for _, name, labels in self._series({found[2]}):
            if name == found[1]:
                names |= labels.keys()
        return sorted(names)

    def _series(self, jobs: set[str]) -> Iterator[tuple[str, str, Labels]]:
        for job in jobs & self.pages.keys():
            for name, labels in _samples(self.pages[job]):
                yield job, name, labels
