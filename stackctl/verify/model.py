"""The input and output of a check, and the report of a run."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from stackctl.clients.alertmanager import AlertmanagerClient
from stackctl.clients.base import Exchange
from stackctl.clients.blackbox import BlackboxClient
from stackctl.clients.grafana import GrafanaClient
from stackctl.clients.loki import LokiClient
from stackctl.clients.prometheus import PrometheusClient
from stackctl.clients.sink import SinkClient
from stackctl.config.registry import DEFAULT_RUNBOOKS
from stackctl.docker.models import ContainerState
from stackctl.errors import EXIT_NOT_RUNNING, EXIT_NOT_SETTLED, EXIT_TOO_YOUNG
from stackctl.project import container_metrics
from stackctl.services.applications import WITH_HEALTH
from stackctl.verify.tally import DeliveryCounter

if TYPE_CHECKING:
    from stackctl.chaos.timeline import Timeline
    from stackctl.verify.drill_runner import DrillRunner
    from stackctl.verify.load_runner import LoadRunner


_EVIDENCE = 5

Obstacle = Literal["not running", "still starting", "too young"]
"""Why a check cannot be judged yet although nothing is known to be broken."""
State = Literal["passed", "warning", "failed", "skipped"] | Obstacle

_EXIT_CODES: dict[State, int] = {
    "failed": 1,
    "not running": EXIT_NOT_RUNNING,
    "still starting": EXIT_NOT_SETTLED,
    "too young": EXIT_TOO_YOUNG,
}
"""State → exit code, most severe first."""


def _no_containers() -> Mapping[str, ContainerState]:
    return {}


@dataclass(frozen=True, slots=True)
class Context:
    """What checks work with: the clients, the jobs that must be up, the dashboards that must exist."""

    prometheus: PrometheusClient
    alertmanager: AlertmanagerClient
    loki: LokiClient
    grafana: GrafanaClient
    expected_jobs: tuple[str, ...]
    left_out: tuple[str, ...]
    """The services of bot-core that are not monitored, so nothing is expected of them."""
    expected_dashboards: tuple[str, ...]
    dashboards: Path
    """The folder of the rendered dashboards."""
    log_collector: str
    """The service that reads the containers' logs."""
    log_job: str | None
    """The job whose log lines must be in Loki; None if no application is monitored."""
    load: LoadRunner | None
    """The load of this run; None if rust-core-engine is not running or this machine cannot reach it."""
    sink: SinkClient | None
    """The sink that receives messages for channels that are not configured; None without the demo."""
    real_channels: frozenset[str]
    """The keys of the configured channels, as in the sink: slack, pagerduty, email."""
    drills: DrillRunner
    blackbox: BlackboxClient
    runbooks: str = DEFAULT_RUNBOOKS
    """The base URL of the runbooks."""
    tally: DeliveryCounter = field(default_factory=DeliveryCounter)
    containers: Callable[[], Mapping[str, ContainerState]] = _no_containers
    """Return the stack's current containers by service."""
    unseen: container_metrics.Obstacle | None = None
    """Why cAdvisor cannot read the containers of this engine; None if it can."""
    remedy_for_unseen: Callable[[], str] = lambda: "stackctl logs cadvisor"
    """Return what to do if it nevertheless has no metrics of containers."""

    @property
    def applications(self) -> tuple[str, ...]:
        """The jobs of the monitored applications of bot-core."""
        return tuple(name for name in WITH_HEALTH if name not in self.left_out)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. `next_step` is what to do if it is not as expected."""

    ok: bool
    expected: str
    observed: str
    next_step: str = ""
    skipped: bool = False
    """Whether the check did not run, for the reason in `observed`: neither a pass nor a failure."""
    warning: bool = False
    """Whether something should be changed, as `next_step` says, although the stack works: not a failure."""
    early: bool = False
    """Whether there is too little data yet: retried like a failure, but never reported as one."""
    final: bool = False
    """Whether retrying cannot change it, as with a rejected login or an unknown path."""
    obstacle: Obstacle | None = None
    """Why it is not as expected, if that does not mean that something is broken."""
    blames: tuple[str, ...] = ()
    """The services that caused it, if they are not the one that the check is about."""
    ready_in: float = 0.0
    """Seconds until the stack has run for long enough."""

    @property
    def state(self) -> State:
        """The check's outcome in a word."""
        if self.skipped:
            return "skipped"
        if not self.ok:
            return self.obstacle or "failed"
        return "warning" if self.warning else "passed"

    @property
    def needs_action(self) -> bool:
        """Whether it failed or warns, so that `next_step` applies."""
        return not self.ok or self.warning

    def may_change_within(self, seconds: float) -> bool:
        """Return whether retrying the check for this long can change the finding."""
        return (not self.ok or self.early) and not self.final and self.ready_in <= seconds


def skipped(expected: str, why: str, *, early: bool = False) -> Finding:
    """Return the finding of a check that does not apply here, or, if `early`, does not apply yet."""
    return Finding(True, expected, f"skipped: {why}", skipped=True, early=early)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. `step` is the plan's own words, or "beyond the plan"."""

    id: str
    title: str
    step: str
    service: str
    """The service that the check is about; the result shows whether it is a stand-in."""
    run: Callable[[Context], Awaitable[Finding]]
    slow: bool = False
    """Whether it takes more than a few seconds or affects the stack: it only runs by name or with --all."""
    drill: bool = False
    """Whether it breaks something on purpose: it only runs by name or with --drill."""
    once: bool = False
    """Whether it must not be retried, because people would notice it again."""

    @property
    def section(self) -> str:
        """The section, which is the first part of the id."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """A check's last finding, and how many seconds the check took, retries included."""

    check: Check
    finding: Finding
    seconds: float
    standin: bool = False
    exchanges: tuple[Exchange, ...] = ()
    """The requests and responses that led to the last finding."""

    @property
    def evidence(self) -> tuple[Exchange, ...]:
        """The last few exchanges, for reports."""
        return self.exchanges[-_EVIDENCE:]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run, in the order of the checklist, and its duration in seconds."""

    project: str
    images: Literal["upstream", "local"] | None
    started: dt.datetime
    seconds: float
    results: tuple[Result, ...]
    drills: tuple[Timeline, ...] = ()

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results that are not as expected, whatever the reason."""
        return tuple(result for result in self.results if not result.finding.ok)

    @property
    def states(self) -> Counter[State]:
        """How many checks ended in each state."""
        return Counter(result.finding.state for result in self.results)

    @property
    def summary(self) -> str:
        """A sentence with the number of checks that passed, and of those in each other state."""
        judged = len(self.results) - len(self.skipped)
        words: Mapping[State, str] = {"warning": "with a warning"}
        states: tuple[State, ...] = (
            "warning",
            "not running",
            "still starting",
            "too young",
            "skipped",
        )
        others = [
            f", {number} {words.get(state, state)}"
            for state in states
            for number in [self.states[state]]
            if number
        ]
        return f"{self.passed} of {judged} checks passed{''.join(others)}"

    @property
    def exit_code(self) -> int:
        """The exit code of `verify`: that of the most severe state among the results."""
        return next((code for state, code in _EXIT_CODES.items() if self.states[state]), 0)

    @property
    def skipped(self) -> tuple[Result, ...]:
        """The results of checks that did not run."""
        return tuple(result for result in self.results if result.finding.skipped)

    @property
    def warned(self) -> tuple[Result, ...]:
        """The results that passed with a warning."""
        return tuple(result for result in self.results if result.finding.warning)

    @property
    def passed(self) -> int:
        """The number of checks that passed, including those with a warning."""
        return len(self.results) - len(self.failed) - len(self.skipped)

    @property
    def ok(self) -> bool:
        """Whether every check that ran passed."""
        return not self.failed
