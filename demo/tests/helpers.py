"""Roles of the demo without ports, and ways to read what they expose."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, Protocol, TypeAlias

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from botdemo.app import Server
from botdemo.roles import ROLES
from botdemo.roles.base import Application, Role
from botdemo.roles.python_ai_service import PythonAiService
from botdemo.roles.rust_core_engine import RustCoreEngine
from botdemo.settings import Settings

ENGINE, ANALYST, DASHBOARD, KONG = (
    *("rust-core-engine", "python-ai-service", "nextjs-ui-dashboard", "kong"),
)
APPLICATIONS = (ENGINE, ANALYST, DASHBOARD)

NOON = datetime(2025, 11, 18, 12, tzinfo=UTC)

Client: TypeAlias = TestClient[web.Request, web.Application]
Scenario = Callable[[Client], Awaitable[None]]


class Exposing(Protocol):
    """Whatever has a registry."""

    registry: CollectorRegistry


def generator(seed: int) -> Random:
    """Return a generator whose draws are known."""
    return Random(seed)  # noqa: S311 - a simulation, no secret


def make_role(name: str, *, seed: int = 1, start: datetime = NOON) -> Role:
    """Build the role of a name, at noon UTC unless `start` is given."""
    return ROLES[name](Settings(seed=seed), start)


def make_application(name: str) -> Application:
    """Build a role that counts its requests."""
    role = make_role(name)
    assert isinstance(role, Application)
    return role


def make_engine(*, start: datetime = NOON) -> RustCoreEngine:
    """Build rust-core-engine."""
    return RustCoreEngine(Settings(), start)


def make_analyst() -> PythonAiService:
    """Build python-ai-service."""
    return PythonAiService(Settings(), NOON)


def samples(role: Exposing, sample_name: str, **labels: str) -> list[float]:
    """Return the values of a role's series of one name that carry the given labels."""
    return [
        sample.value
        for family in role.registry.restricted_registry([sample_name]).collect()
        for sample in family.samples
        if labels.items() <= sample.labels.items()
    ]


def read(role: Exposing, sample_name: str, **labels: str) -> float:
    """Add up the series that `samples` gives, of which there must be one."""
    values = samples(role, sample_name, **labels)
    assert values, f"no series {sample_name} {labels}"
    return sum(values)


def run(role: Role, steps: int, seconds: float = 1.0) -> None:
    """Let a role's time pass in steps."""
    for _ in range(steps):
        role.advance(seconds)


def turn(role: Role, **switches: Any) -> None:
    """Set switches as the control endpoint does."""
    role.control.update(switches)
    role.advance(0.0)


def visit(role: Role, scenario: Scenario) -> None:
    """Run a scenario against a role's server on a free port."""

    async def with_server() -> None:
        async with TestClient(TestServer(Server(role).application())) as client:
            await scenario(client)

    asyncio.run(with_server())
