"""The incidents: what changes in a healthy stack, and when."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.incidents.world import STEP, State, targets

WARM_UP = 10 * 60
"""Seconds of health before the fault."""


@dataclass(frozen=True)
class Phase:
    """What is wrong from one minute to another, counted from the fault."""

    start: float
    end: float
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Incident:
    """An incident of the table. `logs` are alerts of Loki's ruler, which promtool cannot evaluate, by their minutes."""

    title: str
    phases: tuple[Phase, ...]
    engines: tuple[str, ...] = ("rust-core-engine:8080",)
    after: float = 8
    """The minutes of health after it that are looked at."""
    logs: tuple[tuple[str, str, float, float], ...] = ()
    """Alert, service, and the minutes in which the lines are written that it counts, or are missing."""

    @property
    def minutes(self) -> float:
        """How long it lasts."""
        return max(phase.end for phase in self.phases)

    def states(self) -> list[State]:
        """Return the stack's states, a step apart, from before the fault until well after it."""
        number = int((WARM_UP + (self.minutes + self.after) * 60) / STEP)
        return [self._at(step * STEP - WARM_UP) for step in range(number + 1)]

    def _at(self, second: float) -> State:
        state = State()
        for phase in self.phases:
            if phase.start * 60 <= second < phase.end * 60:
                share = (second / 60 - phase.start) / (phase.end - phase.start)
                changes = {
                    name: value(share) if callable(value) else value
                    for name, value in phase.changes.items()
                }
                state = dataclasses.replace(state, **changes)
        return state


def _during(minutes: float, **changes: Any) -> tuple[Phase, ...]:
    return (Phase(0, minutes, changes),)


ENGINE, ONE, TWO = "rust-core-engine:8080", "engine-one:8080", "engine-two:8080"
_APPLICATIONS = frozenset({ENGINE, "python-ai-service:8000", "nextjs-ui-dashboard:3000"})
_ALL = frozenset(targets()) - {"localhost:9090"}
_FAILED_TRADES = {"trade_failures": 0.9, "trade_seconds": 4.0}

INCIDENTS = (
    Incident("Normal operation", _during(5)),
    Incident(
        "The engine stops",
        _during(20, down=frozenset({ENGINE}), gateway_errors=0.4),
        logs=(("LogsMissing", "rust-core-engine", 0, 20),),
    ),
    Incident("One of two engines stops", _during(15, down=frozenset({ONE})), engines=(ONE, TWO)),
    Incident(
        "One of two engines stops, and the other takes too large a position",
        (
            Phase(0, 15, {"down": frozenset({ONE})}),
            Phase(8, 15, {"down": frozenset({ONE}), "position_btc": 14.0}),
        ),
        engines=(ONE, TWO),
    ),
    Incident("The AI service stops", _during(15, down=frozenset({"python-ai-service:8000"}))),
    Incident(
        "MongoDB stops",
        _during(
            15,
            mongodb=False,
            pool_used=0.0,
            pool_idle=0.0,
            error_ratio={"rust-core-engine": 0.8},
            gateway_errors=0.4,
            unhealthy=frozenset({"rust-core-engine"}),
            **_FAILED_TRADES,
        ),
        after=35,
    ),
    Incident("MongoDB's exporter stops", _during(15, down=frozenset({"mongodb-exporter:9216"}))),
    Incident(
        "Redis hangs",
        _during(15, redis=False, seconds={"rust-core-engine": 3.0}),
    ),
    Incident("RabbitMQ stops", _during(15, down=frozenset({"rabbitmq:15692"}))),
    Incident(
        "The disk fills up within an hour, then has free space again",
        (
            Phase(0, 60, {"disk_used": lambda share: 0.6 + 0.38 * share}),
            Phase(60, 80, {"disk_used": 0.98, "rdb_saved": False, "blocked": True}),
        ),
    ),
    Incident(
        "The exchange does not respond",
        _during(15, binance=0, **_FAILED_TRADES),
    ),
    Incident("The exchange throttles our requests", _during(15, binance=429, **_FAILED_TRADES)),
    Incident(
        "OpenAI limits our request rate",
        _during(15, openai_limits=0.6, analyses_a_second=0.2, analysis_seconds=12.0),
    ),
    Incident("OpenAI returns errors", _during(15, openai_errors=0.9, analyses_a_second=0.0)),
    Incident(
        "A deployment restarts all applications within half a minute",
        _during(0.5, down=_APPLICATIONS, gateway_errors=1.0),
    ),
    Incident(
        "The machine reboots",
        (Phase(0, 4, {"unknown": True}), Phase(4, 4.5, {"down": _ALL})),
    ),
    Incident("Prometheus reaches no other container", _during(15, down=_ALL)),
    Incident(
        "A release returns errors for a third of its requests",
        _during(15, error_ratio={"rust-core-engine": 0.33}, gateway_errors=0.2),
        after=35,
    ),
    Incident(
        "One endpoint is broken",
        _during(15, error_ratio={"nextjs-ui-dashboard": 0.1}),
    ),
    Incident("The dashboard is very slow", _during(15, seconds={"nextjs-ui-dashboard": 3.0})),
    Incident(
        "The engine crashes every two minutes",
        tuple(
            Phase(2 * number, 2 * number + 0.5, {"down": frozenset({ENGINE}), "restarts": number})
            for number in range(8)
        )
        + tuple(
            Phase(2 * number + 0.5, 2 * number + 2, {"restarts": number + 1}) for number in range(8)
        ),
        logs=(("PanicLogged", "rust-core-engine", 0, 15),),
    ),
    Incident(
        "Errors flood the log",
        _during(15, discarded_lines=50.0, lines_sent=2000.0),
        logs=(("ErrorLogBurst", "python-ai-service", 0, 15),),
    ),
    Incident(
        "The log collector hangs",
        _during(20, lines_sent=0.0),
        logs=(("LogsMissing", "rust-core-engine", 0, 20),),
    ),
    Incident("The CPU is saturated", _during(15, cpu_busy=0.99)),
    Incident(
        "Memory runs out and the kernel kills a process",
        (
            Phase(0, 10, {"memory_used": 0.97}),
            Phase(10, 20, {"memory_used": 0.6}),
            Phase(9, 9.5, {"memory_used": 0.97, "out_of_memory_kills": 1 / STEP}),
        ),
    ),
    Incident("cAdvisor finds no containers", _during(15, containers_seen=False)),
    Incident("A job loses its targets", _during(15, vanished=frozenset({"kong"}))),
    Incident("Slack rejects notifications", _during(15, notifications_failed=0.2)),
)
