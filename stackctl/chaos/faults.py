"""What can be done to a service's container, and how each is undone. A new fault is a new row of `FAULTS`."""

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
"""Interruptions after which a healing that they cut off is given up."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a fault would do to which container, and how that would be healed, in words."""

    container: ContainerState
    details: Details
    does: str
    heals: str


def _as_asked(_: Engine, __: ContainerState, options: Details) -> Details:
    return options


def _nothing(_: Engine, __: Details) -> None:
    """Most faults need only the engine."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by its name on the command line.

    `heal` goes by the record alone, which any process may read, and works on a container that is well already, gone or
    made anew.
    """

    name: str
    help: str
    does: str
    """What it does, with {container}, {service} and what `prepare` gives."""
    heals: str
    inject: Callable[[Engine, OpenFault], None]
    heal: Callable[[Engine, OpenFault], None]
    options: Details = field(default_factory=dict)
    """What can be chosen about it, each as the command line writes it, with its default."""
    prepare: Callable[[Engine, ContainerState, Details], Details] = _as_asked
    """Looks, changes nothing, and gives the record's details; raises StackctlError where it cannot be done."""
    provide: Callable[[Engine, Details], None] = _nothing
    """Sees to what the details name and is needed beforehand, such as an image."""
    seconds: float = 30.0
    """How long it is held if nothing else is said."""
    attached: bool = False
    """Whether it may be done to a container that is not this stack's, on a network that this has joined."""

    def lasting(self, seconds: float) -> Fault:
        """Return the fault with its own time limit, if it has one, set later than any regular recovery."""
        if "seconds" not in self.options:
            return self
        end = str(math.ceil(seconds + _MARGIN_SECONDS))
        return replace(self, options={**self.options, "seconds": end})

    def target(self, engine: Engine, journal: Journal, service: str) -> ContainerState:
        """Return the service's container.

        Raises NotSteady where it has an open fault already, or is not running; UsageError where it is not this stack's
        and the fault is not for `attached` ones.
        """
        journal.require_none(service)
        container = engine.containers().get(service)
        foreign = container is not None and container.attached
        if container is not None and foreign and not self.attached:
            raise UsageError(
                f"{service} is not this stack's: {owner_of(container)}",
                remedy="give --attached if you may break it",
            )
        if container is None or not container.running:
            raise NotSteady(
                f"{service} is not running, so there is nothing to {self.name}",
                remedy="start it where it belongs" if foreign else "stackctl up",
            )
        return container

    def plan(self, engine: Engine, journal: Journal, service: str) -> Plan:
        """Inspect the service and return the plan of the fault.

        Raises as `target` does, and StackctlError where the fault cannot be done to it.
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
    """Start it; one that was never down is restarted, for a stop that was cut off goes on in the engine.

    `docker stop` gives a program seconds to end, and the daemon goes by it even if nobody waits for the answer.
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
        "stops it with SIGTERM, as a deployment does",
        does="docker stop {container}",
        heals="docker start {container}",
        inject=lambda on, fault: on.stop(fault.container),
        heal=_start_after_stop,
    ),
    Fault(
        "kill",
        "kills it with SIGKILL, as a crash does",
        does="docker kill {container}",
        heals="docker start {container}",
        inject=lambda on, fault: on.kill(fault.container),
        heal=_start,
    ),
    Fault(
        "pause",
        "freezes its processes: it accepts connections and never answers",
        does="docker pause {container}",
        heals="docker unpause {container}",
        inject=lambda on, fault: on.pause(fault.container),
        heal=_resume,
    ),
    Fault(
        "restart",
        "stops it with SIGTERM and starts it again at once",
        does="docker restart {container}",
        heals="docker start {container}, if it is not up again by itself",
        inject=lambda on, fault: on.restart(fault.container),
        heal=_start,
        seconds=0.0,
    ),
    Fault(
        "disconnect",
        "takes it off the network",
        does="docker network disconnect --force {network} {container}",
        heals="docker network connect {options}{network} {container}",
        inject=network.disconnect,
        heal=network.connect,
        prepare=network.prepare_disconnect,
    ),
    Fault(
        "slow",
        "delays what it sends, and loses some of it",
        does="tc qdisc replace dev DEVICE root netem delay {delay} loss {loss}, on every network device of {container},"
        " from a container of {image} with NET_ADMIN in its network name space",
        heals="tc qdisc del dev DEVICE root, in the same way",
        inject=network.slow,
        heal=network.quicken,
        options={"delay": "300ms", "loss": "5%"},
        prepare=network.prepare_slow,
        provide=network.provide,
    ),
    Fault(
        "fill memory",
        "takes memory in it, up to a share of its own limit",
        does="hold {size} of memory in a process of {container}, {share} of its limit of {limit} together with what it"
        " uses now; the process ends by itself after {seconds} s",
        heals="end that process",
        inject=pressure.fill_memory,
        heal=pressure.release_memory,
        options={"share": "95%", "seconds": "3600"},
        prepare=pressure.prepare_memory,
    ),
    Fault(
        "fill disk",
        "writes a file of a bounded size to its volume",
        does="write {size} to {path} in {container}, on the volume {volume}; the file goes by itself after {seconds} s",
        heals="remove that file from the volume",
        inject=pressure.fill_disk,
        heal=pressure.empty_disk,
        options={"size": "200MiB", "seconds": "3600"},
        prepare=pressure.prepare_disk,
    ),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL}


def provided(engine: Engine, journal: Journal, fault: Fault, service: str) -> Plan:
    """Plan the fault and see to what it needs, so that it can be done at once. Raises as `Fault.plan` does."""
    plan = fault.plan(engine, journal, service)
    fault.provide(engine, plan.details)
    return plan


@contextlib.contextmanager
def injected(engine: Engine, journal: Journal, fault: Fault, service: str) -> Iterator[OpenFault]:
    """Inject the fault while the body runs, and heal it on every exit path.

    The journal has the fault before it is done and until it is healed. Raises as `Fault.plan` does, and StackctlError
    where the fault cannot be done.
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
            # Nothing was done, and what is refused now is refused when it heals too: it would be open for ever.
            journal.end(record)
        else:
            heal(engine, journal, record)


def heal(engine: Engine, journal: Journal, record: OpenFault) -> None:
    """Undo a fault and strike it out. Healing twice, or a container that is gone, does no harm.

    An interruption that comes meanwhile has its effect once the fault is healed.
    """
    fault = FAULTS.get(record.kind)
    if fault is None:
        raise UsageError(
            f"the journal has an unknown fault {record.kind!r}",
            remedy=nearest(record.kind, list(FAULTS)),
        )
    with held_back() as interruptions:
        while True:
            before = len(interruptions)
            try:
                fault.heal(engine, record)
                break
            except EngineError:
                # A terminal's Ctrl-C ends the docker command too: what was cut off in that way is done again, unless
                # somebody means it, for an engine may never answer. The journal keeps the fault then.
                if len(interruptions) in {before, _INSISTENCE}:
                    raise
        journal.end(record)


def heal_all(engine: Engine, journal: Journal) -> list[OpenFault]:
    """Heal every open fault of the journal and return what was healed.

    One that cannot be healed does not keep the others from it: its error is raised after them. What the journal cannot
    read stays in it (`Journal.unreadable`).
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
