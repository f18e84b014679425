"""What a check is given, what it gives, and what a run of all of them comes to."""

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
"""Why a check cannot be judged yet, though nothing is known to be broken."""
State = Literal["passed", "warning", "failed", "skipped"] | Obstacle

_EXIT_CODES: dict[State, int] = {
    "failed": 1,
    "not running": EXIT_NOT_RUNNING,
    "still starting": EXIT_NOT_SETTLED,
    "too young": EXIT_TOO_YOUNG,
}
"""In the order in which they count, where a report has several."""


def _no_containers() -> Mapping[str, ContainerState]:
    return {}


@dataclass(frozen=True, slots=True)
class Context:
    """What the checks ask and expect: the clients, the jobs that must be up, the dashboards that must be there."""

    prometheus: PrometheusClient
    alertmanager: AlertmanagerClient
    loki: LokiClient
    grafana: GrafanaClient
    expected_jobs: tuple[str, ...]
    left_out: tuple[str, ...]
    """The services of bot-core that are not there, so that nothing is expected of them."""
    expected_dashboards: tuple[str, ...]
    dashboards: Path
    """The folder that has them as they were rendered."""
    log_collector: str
    """The service that reads the containers' logs."""
    log_job: str | None
    """The job whose log lines must be in Loki; None where no application runs."""
    load: LoadRunner | None
    """The load of this run; None where rust-core-engine does not run, or this machine cannot reach it."""
    sink: SinkClient | None
    """What stands in the place of the channels that are not set up; None without the demo."""
    real_channels: frozenset[str]
    """The channels that are set up, as the sink names them: slack, pagerduty, email."""
    drills: DrillRunner
    blackbox: BlackboxClient
    runbooks: str = DEFAULT_RUNBOOKS
    """The base URL of the runbooks."""
    tally: DeliveryCounter = field(default_factory=DeliveryCounter)
    containers: Callable[[], Mapping[str, ContainerState]] = _no_containers
    """The stack's containers by service, as they are now."""
    unseen: container_metrics.Obstacle | None = None
    """Why cAdvisor sees no containers on this engine; None where it does."""
    remedy_for_unseen: Callable[[], str] = lambda: "stackctl logs cadvisor"
    """Says what to do where it sees none all the same."""

    @property
    def applications(self) -> tuple[str, ...]:
        """The applications of bot-core that are monitored, by their jobs."""
        return tuple(name for name in WITH_HEALTH if name not in self.left_out)


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. `next_step` is the one thing to do if it is not as expected."""

    ok: bool
    expected: str
    observed: str
    next_step: str = ""
    skipped: bool = False
    """Whether the check did not run: `observed` has the reason. That is no failure, and proves nothing."""
    warning: bool = False
    """Whether something should be changed although the stack works: no failure. `next_step` says what."""
    early: bool = False
    """Whether there is too little data yet: asked again, as after a failure, but it never becomes one."""
    final: bool = False
    """Whether it stays as it is however long the check is repeated: a refused login, an unknown path."""
    obstacle: Obstacle | None = None
    """Why it is not as expected, where that does not mean that anything is broken."""
    blames: tuple[str, ...] = ()
    """The services that it names as the cause, where that is not the one that the check is about."""
    ready_in: float = 0.0
    """Seconds until a stack that is too young is old enough."""

    @property
    def state(self) -> State:
        """What became of the check, in a word."""
        if self.skipped:
            return "skipped"
        if not self.ok:
            return self.obstacle or "failed"
        return "warning" if self.warning else "passed"

    @property
    def needs_action(self) -> bool:
        """Whether it is not as expected or warns, so that `next_step` counts."""
        return not self.ok or self.warning

    def may_change_within(self, seconds: float) -> bool:
        """Return whether repeating the check for so long can give another finding."""
        return (not self.ok or self.early) and not self.final and self.ready_in <= seconds


def skipped(expected: str, why: str, *, early: bool = False) -> Finding:
    """Return the finding of a check that does not apply here, or, if `early`, does not apply yet."""
    return Finding(True, expected, f"not asked: {why}", skipped=True, early=early)


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist. `step` is the plan's own words, or "beyond the plan"."""

    id: str
    title: str
    step: str
    service: str
    """The service that the check is about: whether it is a stand-in shows beside the result."""
    run: Callable[[Context], Awaitable[Finding]]
    slow: bool = False
    """Whether it takes more than a few seconds or puts something on the stack: run when asked for by name, or all."""
    drill: bool = False
    """Whether it breaks something on purpose: run when asked for by name, or drills."""
    once: bool = False
    """Whether it is asked once, for asking again would do again what others notice."""

    @property
    def section(self) -> str:
        """The section, which is the first part of the id."""
        return self.id.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Result:
    """A check's last finding, and how many seconds after its first question that came."""

    check: Check
    finding: Finding
    seconds: float
    standin: bool = False
    exchanges: tuple[Exchange, ...] = ()
    """What was asked for the last finding, and what the services answered."""

    @property
    def evidence(self) -> tuple[Exchange, ...]:
        """The last of them, as many as anybody reads."""
        return self.exchanges[-_EVIDENCE:]


@dataclass(frozen=True, slots=True)
class Report:
    """A run of the checklist: its results in the checklist's order. `seconds` is the whole run's time."""

    project: str
    images: Literal["upstream", "local"] | None
    started: dt.datetime
    seconds: float
    results: tuple[Result, ...]
    drills: tuple[Timeline, ...] = ()

    @property
    def failed(self) -> tuple[Result, ...]:
        """The results that are not as expected."""
        return tuple(result for result in self.results if not result.finding.ok)

    @property
    def states(self) -> Counter[State]:
        """How many checks ended in each state."""
        return Counter(result.finding.state for result in self.results)

    @property
    def summary(self) -> str:
        """How many checks passed, and how many ended in each other state."""
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
        """The exit code of `verify`: that of the gravest state among the results."""
        return next((code for state, code in _EXIT_CODES.items() if self.states[state]), 0)

    @property
    def skipped(self) -> tuple[Result, ...]:
        """The results of which nothing was asked."""
        return tuple(result for result in self.results if result.finding.skipped)

    @property
    def warned(self) -> tuple[Result, ...]:
        """The results that hold, but with a warning."""
        return tuple(result for result in self.results if result.finding.warning)

    @property
    def passed(self) -> int:
        """How many did not fail; those with a warning are among them."""
        return len(self.results) - len(self.failed) - len(self.skipped)

    @property
    def ok(self) -> bool:
        """Return whether no check failed."""
        return not self.failed
