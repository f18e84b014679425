"""The faults that can be injected into a container, and how each is undone. A new fault is a new row of `FAULTS`."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from stackctl.chaos import network, pressure
from stackctl.chaos.journal import Details, Journal, NotSteady, OpenFault
from stackctl.errors import EngineError, StackctlError, UsageError
from stackctl.util.signals import held_back
from stackctl.util.suggest import nearest

if TYPE_CHECKING:
    from stackctl.docker.engine import Engine
    from stackctl.docker.models import ContainerState

_MARGIN_SECONDS = 30.0
_INSISTENCE = 5
"""Interruptions after which to give up a recovery that they keep cancelling."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A description of what a fault would do to a container, and how that would be undone."""

    container: ContainerState
    details: Details
    does: str
    heals: str


def _as_asked(_: Engine, __: ContainerState, options: Details) -> Details:
    return options


def _nothing(_: Engine, __: Details) -> None:
    """Prepare nothing: most faults need only the engine."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, with its name on the command line.

    `heal` needs only the record, which any process can read, and also handles a container that is already healthy, was
    removed or was recreated.
    """

    name: str
    help: str
    does: str
    """A template of what it does, with {container}, {service} and the details from `prepare`."""
    heals: str
    inject: Callable[[Engine, OpenFault], None]
    heal: Callable[[Engine, OpenFault], None]
    options: Details = field(default_factory=dict)
    """Its options on the command line, with their defaults."""
    prepare: Callable[[Engine, ContainerState, Details], Details] = _as_asked
    """Return the details for the record, without changing anything; raise StackctlError if the fault is impossible."""
    provide: Callable[[Engine, Details], None] = _nothing
    """Provide what the fault needs beforehand, such as an image."""
    seconds: float = 30.0
    """The default duration."""
    attached: bool = False
    """Whether it may affect a container of an attached bot-core, which does not belong to this stack."""

    def lasting(self, seconds: float) -> Fault:
        """Return the fault with its own time limit, if it has one, set later than any regular recovery."""
        if "seconds" not in self.options:
            return self
        end = str(math.ceil(seconds + _MARGIN_SECONDS))
        return replace(self, options={**self.options, "seconds": end})

    def target(self, engine: Engine, journal: Journal, service: str) -> ContainerState:
        """Return the service's container.

        Raises NotSteady if it already has an open fault or is not running, UsageError if it does not belong to this
        stack and the fault does not allow `attached` containers.
        """
        journal.require_none(service)
        container = engine.containers().get(service)
        foreign = container is not None and container.attached
        if container is not None and foreign and not self.attached:
            raise UsageError(
                f"{service} does not belong to this stack: {owner_of(container)}",
                remedy="allow it with --attached",
            )
        if container is None or not container.running:
            raise NotSteady(
                f"cannot {self.name} {service}: it is not running",
                remedy="start it in its own project" if foreign else "stackctl up",
            )
        return container

    def plan(self, engine: Engine, journal: Journal, service: str) -> Plan:
        """Inspect the service and return the plan of the fault.

        Raises as `target` does, and StackctlError if the fault cannot be applied to it.
        """
        container = self.target(engine, journal, service)
        details = self.prepare(engine, container, self.options)
        names = {"container": container.name, "service": service, **details}
        return Plan(container, details, self.does.format_map(names), self.heals.format_map(names))


def owner_of(container: ContainerState) -> str:
    """Return a description of an attached container's owner."""
    owner = (
        f"the Compose project {container.project}" if container.project else "no Compose project"
    )
    return f"its container {container.name} belongs to {owner}"


def _start(engine: Engine, fault: OpenFault) -> None:
    if engine.container(fault.container) is not None:
        engine.start(fault.container)


def _start_after_stop(engine: Engine, fault: OpenFault) -> None:
    """Start the container, or restart it if it never stopped, because an interrupted stop continues in the engine.

    `docker stop` gives a program time to end, and the daemon carries it out even if the client is gone.
    """
    state = engine.container(fault.container)
    begun = dt.datetime.fromisoformat(fault.since)
    if state is not None and state.running and state.started and state.started < begun:
        engine.restart(fault.container)
    else:
        _start(engine, fault)


def _resume(engine: Engine, fault: OpenFault) -> None:
    state = engine.container(fault.container)
    if state is not None and state.status == "paused":
        engine.unpause(fault.container)


_ALL = (
    Fault(
        "stop",
        "Stop SERVICE with SIGTERM, as a deployment does",
        does="docker stop {container}",
        heals="docker start {container}",
        inject=lambda on, fault: on.stop(fault.container),
        heal=_start_after_stop,
    ),
    Fault(
        "kill",
        "Kill SERVICE with SIGKILL, like a crash",
        does="docker kill {container}",
        heals="docker start {container}",
        inject=lambda on, fault: on.kill(fault.container),
        heal=_start,
    ),
    Fault(
        "pause",
        "Freeze SERVICE, so that it accepts connections but never responds",
        does="docker pause {container}",
        heals="docker unpause {container}",
        inject=lambda on, fault: on.pause(fault.container),
        heal=_resume,
    ),
    Fault(
        "restart",
        "Restart SERVICE with SIGTERM",
        does="docker restart {container}",
        heals="docker start {container}, unless it is running again",
        inject=lambda on, fault: on.restart(fault.container),
        heal=_start,
        seconds=0.0,
    ),
    Fault(
        "disconnect",
        "Disconnect SERVICE from the network",
        does="docker network disconnect --force {network} {container}",
        heals="docker network connect {options}{network} {container}",
        inject=network.disconnect,
        heal=network.connect,
        prepare=network.prepare_disconnect,
    ),
    Fault(
        "slow",
        "Delay the packets that SERVICE sends, and drop some of them",
        does="tc qdisc replace dev DEVICE root netem delay {delay} loss {loss}, on every network device of {container},"
        " in a {image} container with NET_ADMIN in its network namespace",
        heals="tc qdisc del dev DEVICE root, in the same way",
        inject=network.slow,
        heal=network.quicken,
        options={"delay": "300ms", "loss": "5%"},
        prepare=network.prepare_slow,
        provide=network.provide,
    ),
    Fault(
        "fill memory",
        "Fill the memory of SERVICE up to a share of its limit",
        does="allocate {size} of memory in {container}, which brings its usage to {share} of its limit of {limit}; the"
        " process exits by itself after {seconds} s",
        heals="kill that process",
        inject=pressure.fill_memory,
        heal=pressure.release_memory,
        options={"share": "95%", "seconds": "3600"},
        prepare=pressure.prepare_memory,
    ),
    Fault(
        "fill disk",
        "Write a file of a given size to a volume of SERVICE",
        does="write {size} to {path} in {container}, on volume {volume}; the file is removed by itself after"
        " {seconds} s",
        heals="remove that file from the volume",
        inject=pressure.fill_disk,
        heal=pressure.empty_disk,
        options={"size": "200MiB", "seconds": "3600"},
        prepare=pressure.prepare_disk,
    ),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL}


def provided(engine: Engine, journal: Journal, fault: Fault, service: str) -> Plan:
    """Plan the fault and provide what it needs, so that it can be injected at once. Raises as `Fault.plan` does."""
    plan = fault.plan(engine, journal, service)
    fault.provide(engine, plan.details)
    return plan


@contextlib.contextmanager
def injected(engine: Engine, journal: Journal, fault: Fault, service: str) -> Iterator[OpenFault]:
    """Inject the fault while the body runs, and undo it on every exit path.

    The fault is in the journal from before its injection until it is undone. Raises as `Fault.plan` does, and
    StackctlError if the fault cannot be injected.
    """
    plan = provided(engine, journal, fault, service)
    record = journal.begin(fault.name, service, plan.container.id, plan.details)
    refused = False
    try:
        try:
            fault.inject(engine, record)
        except EngineError as error:
            refused = error.refused
            raise
        yield record
    finally:
        if refused:
            # Nothing was changed, and undoing it would be refused too: the fault would stay open forever.
            journal.end(record)
        else:
            heal(engine, journal, record)


def heal(engine: Engine, journal: Journal, record: OpenFault) -> None:
    """Undo a fault and remove it from the journal. Undoing it twice, or after the container was removed, is harmless.

    Interruptions take effect once the fault is undone.
    """
    fault = FAULTS.get(record.kind)
    if fault is None:
        raise UsageError(
            f"unknown fault {record.kind!r} in the journal",
            remedy=nearest(record.kind, list(FAULTS)),
        )
    with held_back() as interruptions:
        while True:
            before = len(interruptions)
            try:
                fault.heal(engine, record)
                break
            except EngineError:
                # Ctrl-C in a terminal also ends the docker command, so try again, unless the user insists because
                # the engine does not answer. The fault then stays in the journal.
                if len(interruptions) in {before, _INSISTENCE}:
                    raise
        journal.end(record)


def heal_all(engine: Engine, journal: Journal) -> list[OpenFault]:
    """Undo every open fault in the journal, and return those that were undone.

    If one fails, the others are undone before its error is raised. Unreadable records stay in the journal
    (`Journal.unreadable`).
    """
    healed: list[OpenFault] = []
    failures: list[StackctlError] = []
    for record in journal.open_faults():
        try:
            heal(engine, journal, record)
            healed.append(record)
        except StackctlError as failure:
            failures.append(failure)
    if failures:
        raise failures[0]
    return healed
