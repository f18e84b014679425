"""What is read: the logs of containers, through the Docker Engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import cast

from standins.promtail import relabel
from standins.promtail.client import Client
from standins.promtail.config import DockerConfig, Scrape
from standins.promtail.cursor import Cursor
from standins.promtail.demux import Demultiplexer, Message, ProtocolError
from standins.promtail.discovery import LOG_STREAM, NAME, discover
from standins.promtail.metrics import Metrics
from standins.promtail.positions import Positions
from standins.promtail.stages import Entry
from standins.shared.docker import Docker, DockerError, NotFoundError
from standins.shared.logs import fields
from standins.shared.units import NANOSECONDS

_log = logging.getLogger("standins.promtail.targets")

# Not Promtail's `cursor-`: it reads whole seconds there, and would fail on what the stand-in leaves in the volume.
_KEY = "standin-cursor-"

_FLUSH_SECONDS = 0.25

StreamLabels = Mapping[str, Mapping[str, str]]
"""The final labels of stdout and stderr."""


@dataclass(slots=True)
class Target:
    """A container that is being read, or was."""

    job: str
    name: str
    cursor: Cursor
    running: bool = False
    problem: str = ""


@dataclass(slots=True)
class Sink:
    """Where lines go: through a job's pipeline to every client; their positions are noted once all have them."""

    clients: list[Client]
    positions: Positions
    metrics: Metrics
    targets: dict[str, Target] = field(default_factory=dict)

    async def send(self, entries: Iterable[Entry]) -> None:
        """Send what a pipeline gives; with all clients done with an entry, its container is at its position.

        An entry's origin is the container and the position.
        """
        for entry in entries:
            await self._send(entry)

    async def _send(self, entry: Entry) -> None:
        if entry.drop_reason is not None:
            self.metrics.pipeline_drops.labels(entry.drop_reason).inc()
            return
        if not entry.labels:
            self.metrics.pipeline_drops.labels("no_labels").inc()
            return
        container, position = cast("tuple[str, str]", entry.origin)
        done = self._after(len(self.clients), container, position)
        for client in self.clients:
            await client.put(entry, done)

    def _after(self, left: int, container: str, position: str) -> Callable[[], None]:
        def done() -> None:
            nonlocal left
            left -= 1
            if not left:
                self.positions.put(_KEY + container, position)

        return done

    def target(self, scrape: Scrape, container: str, name: str) -> Target:
        """Give the target of a container, made if it is new: its cursor is then where the last process left it."""
        if container not in self.targets:
            cursor = Cursor(self.positions.get(_KEY + container))
            self.targets[container] = Target(scrape.job, name, cursor)
        return self.targets[container]

    def set_running(self, target: Target, running: bool) -> None:
        """Note that a target is being read, or is not any more."""
        target.running = running
        self.metrics.targets_active.set(sum(one.running for one in self.targets.values()))

    def idle(self) -> set[str]:
        """Give the containers that have a position and are not being read."""
        known = {key.removeprefix(_KEY) for key in self.positions if key.startswith(_KEY)}
        return {one for one in known if one not in self.targets or not self.targets[one].running}

    def forget(self, container: str) -> None:
        """Remove what is known of a container that does not exist any more."""
        self.positions.forget(_KEY + container)
        self.targets.pop(container, None)


async def flush(scrape: Scrape, sink: Sink) -> None:
    """Send for ever what waits in a job's pipeline for lines that do not come."""
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        await sink.send(scrape.pipeline.flush())


async def watch(scrape: Scrape, config: DockerConfig, sink: Sink) -> None:
    """Look for containers for ever, and read each that there is."""
    readers: dict[str, asyncio.Task[None]] = {}
    stopped: set[str] = set()
    async with Docker(config.host) as docker, asyncio.TaskGroup() as group:
        while True:
            try:
                found = await discover(docker, config)
                readers = {key: task for key, task in readers.items() if not task.done()}
                for container in found.keys() - readers.keys():
                    labels = _by_stream(scrape, found[container])
                    if labels:
                        target = sink.target(scrape, container, found[container][NAME].lstrip("/"))
                        reading = _read(docker, scrape, sink, container, target, labels)
                        readers[container] = group.create_task(reading)
                stopped = await _forget_removed(docker, sink, found.keys() | stopped) - found.keys()
            except DockerError as error:
                _log.error("Unable to refresh target groups", extra=fields(err=error))
            await asyncio.sleep(config.refresh / NANOSECONDS)


async def _forget_removed(docker: Docker, sink: Sink, existing: set[str]) -> set[str]:
    """Forget what was removed; give `existing` with the containers that are only stopped."""
    for container in sink.idle() - existing:
        try:
            await docker.get(f"/containers/{container}/json")
            existing = existing | {container}
        except NotFoundError:
            sink.forget(container)
    return existing


def _by_stream(scrape: Scrape, discovered: Mapping[str, str]) -> StreamLabels:
    """The final labels of each of a container's streams that relabelling keeps."""
    result = {}
    for stream in ("stdout", "stderr"):
        labels = relabel.process(scrape.rules, {**discovered, LOG_STREAM: stream})
        if labels is not None:
            result[stream] = {
                name: value for name, value in labels.items() if not name.startswith("__")
            }
    return result


async def _read(
    docker: Docker,
    scrape: Scrape,
    sink: Sink,
    container: str,
    target: Target,
    labels: StreamLabels,
) -> None:
    """Read a container's log from where it was left until the container ends."""
    _log.info("added Docker target", extra=fields(containerID=container))
    sink.set_running(target, True)
    target.problem = ""
    try:
        async for message in _messages(docker, container, target.cursor.rewind(), sink.metrics):
            if not target.cursor.is_new(message.time):
                continue
            sink.metrics.docker_entries.inc()
            if message.stream in labels:
                origin = (container, target.cursor.position)
                stream = dict(labels[message.stream])
                entry = Entry(message.time, message.line, stream, origin=origin)
                await sink.send(scrape.pipeline.run(entry))
    except (DockerError, ProtocolError) as error:
        target.problem = str(error)
        _log.warning("could not transfer logs", extra=fields(container=container, err=error))
    finally:
        sink.set_running(target, False)


async def _messages(
    docker: Docker, container: str, since: int, metrics: Metrics
) -> AsyncIterator[Message]:
    state = await docker.get(f"/containers/{container}/json")
    demultiplexer = Demultiplexer(terminal=bool(state["Config"]["Tty"]))
    seconds, rest = divmod(since, NANOSECONDS)
    params = {
        "follow": "1",
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "since": f"{seconds}.{rest:09d}",
    }
    counted = 0
    async for chunk in docker.stream(f"/containers/{container}/logs", params):
        for message in demultiplexer.feed(chunk):
            yield message
        metrics.docker_errors.inc(demultiplexer.errors - counted)
        counted = demultiplexer.errors
