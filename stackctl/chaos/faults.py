"""What can be done to a service's container, and how each is undone. A new fault is a new row of `FAULTS`."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from stackctl.chaos.journal import Journal, OpenFault
from stackctl.errors import EngineError, UsageError
from stackctl.settings import nearest

if TYPE_CHECKING:
    from stackctl.stack.engine import Engine


_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault by its name on the command line. `heal` works on a container that is well already, too."""

    name: str
    help: str
    inject: Callable[[Engine, str], None]
    heal: Callable[[Engine, str], None]


def _resume(engine: Engine, container: str) -> None:
    state = engine.container(container)
    if state is not None and state.status == "paused":
        engine.unpause(container)


def _start(engine: Engine, container: str) -> None:
    state = engine.container(container)
    if state is None:
        return
    if state.running:
        # The engine goes on with a `docker stop` that Ctrl-C has cut off, and that would undo a start before its end.
        engine.stop(container)
    engine.start(container)


def _connect(engine: Engine, container: str) -> None:
    if engine.container(container) is not None:
        engine.connect(container)


_ALL = (
    Fault(
        "stop", "stops it with SIGTERM, as a deployment does", lambda on, id_: on.stop(id_), _start
    ),
    Fault("kill", "kills it with SIGKILL, as a crash does", lambda on, id_: on.kill(id_), _start),
    Fault(
        "pause",
        "freezes its processes: it accepts connections and never answers",
        lambda on, id_: on.pause(id_),
        _resume,
    ),
    Fault("disconnect", "takes it off the network", lambda on, id_: on.disconnect(id_), _connect),
)

FAULTS: Mapping[str, Fault] = {fault.name: fault for fault in _ALL}


@contextlib.contextmanager
def injected(engine: Engine, journal: Journal, fault: Fault, service: str) -> Iterator[OpenFault]:
    """Have the fault in place while the body runs, and heal it on every way out of it.

    The journal has the fault before it is done and until it is healed. Raises UsageError where the service
    has no running container or has an open fault already.
    """
    container = engine.containers().get(service)
    if container is None or not container.running:
        raise UsageError(
            f"{service} is not running, so there is nothing to {fault.name}", remedy="stackctl up"
        )
    for other in journal.open_faults():
        if other.service == service:
            raise UsageError(
                f"{service} has an open fault: {other.describe()}", remedy="stackctl chaos heal"
            )
    record = journal.begin(fault.name, service, container.id)
    try:
        fault.inject(engine, container.id)
        yield record
    finally:
        heal(engine, journal, record)


def heal(engine: Engine, journal: Journal, record: OpenFault) -> None:
    """Undo a fault and strike it out. Healing twice, or a container that is gone, does no harm."""
    fault = FAULTS.get(record.kind)
    if fault is None:
        raise UsageError(
            f"the journal has an unknown fault {record.kind!r}",
            remedy=nearest(record.kind, list(FAULTS)),
        )
    with _uninterrupted():
        # The docker command catches Ctrl-C even where it is ignored, and ends by it: healing twice does no harm.
        for attempt in Retrying(
            stop=stop_after_attempt(_ATTEMPTS),
            retry=retry_if_exception_type(EngineError),
            reraise=True,
        ):
            with attempt:
                fault.heal(engine, record.container)
        journal.end(record)


def heal_all(engine: Engine, journal: Journal) -> list[OpenFault]:
    """Heal every open fault of the journal and give what was healed."""
    healed = journal.open_faults()
    for record in healed:
        heal(engine, journal, record)
    return healed


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM while the body runs: an impatient second one must not stop the healing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kept = {
        number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
