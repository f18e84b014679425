"""The sources: the logs of containers, through the Docker Engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field

from standins.promtail import relabel
from standins.promtail.client import Client
from standins.promtail.config import DockerConfig, Scrape
from standins.promtail.demux import Demultiplexer, Message, ProtocolError
from standins.promtail.discovery import LOG_STREAM, NAME, discover
from standins.promtail.metrics import Metrics
from standins.promtail.positions import Positions
from standins.promtail.program import Program
from standins.promtail.stages import Entry
from standins.shared.docker import Docker, DockerError
from standins.shared.labels import show
from standins.shared.logs import fields
from standins.shared.units import NANOSECONDS

_log = logging.getLogger("standins.promtail.targets")

_FLUSH_SECONDS = 0.25

StreamLabels = Mapping[str, Mapping[str, str]]
"""The final labels of stdout and stderr."""


@dataclass(slots=True)
class Target:
    """A container that is or was being read; `labels` belong to the key of its position."""

    job: str
    name: str
    labels: str
    since: int
    """The time from which to read, in whole seconds since 1970."""
    running: bool = False
    problem: str = ""


@dataclass(slots=True)
class Sink:
    """The path of lines: through a job's pipeline to every client.

    Like the originals, it records a line's second as the position once the line is read, not once Loki has it.
    """

    clients: list[Client]
    positions: Positions
    metrics: Metrics
    program: Program
    targets: dict[str, Target] = field(default_factory=dict)

    async def send(self, entries: Iterable[Entry]) -> None:
        """Send the output of a pipeline to all clients."""
        for entry in entries:
            if entry.drop_reason is not None:
                self.metrics.pipeline_drops.labels(entry.drop_reason).inc()
            elif not entry.labels:
                self.metrics.pipeline_drops.labels("no_labels").inc()
            else:
                for client in self.clients:
                    await client.put(entry)

    async def drain(self, scrapes: Iterable[Scrape]) -> None:
        """Try once to send everything that was read and not yet sent."""
        held = [entry for scrape in scrapes for entry in scrape.pipeline.flush(at_once=True)]
        for client in self.clients:
            await client.drain(held)

    def target(self, scrape: Scrape, container: str, name: str, labels: str) -> Target:
        """Return the target of a container, created if necessary: it begins where the last process stopped."""
        if container not in self.targets:
            since = self.positions.get(container, labels) or 0
            self.targets[container] = Target(scrape.job, name, labels, since)
        return self.targets[container]

    def note(self, container: str, target: Target, time: int) -> None:
        """Record that a line of a container was read; `time` is in nanoseconds since 1970."""
        seconds = time // NANOSECONDS
        self.positions.put(container, target.labels, seconds)
        if self.program.resumes:
            target.since = seconds

    def set_running(self, target: Target, running: bool) -> None:
        """Record whether a target is being read."""
        target.running = running
        self.metrics.targets_active.set(sum(one.running for one in self.targets.values()))

    def forget(self, container: str) -> None:
        """Remove everything about a container."""
        self.positions.forget(container)
        self.targets.pop(container, None)


async def flush(scrape: Scrape, sink: Sink) -> None:
    """Regularly send entries that wait in a job's pipeline for further lines, until cancelled."""
    while True:
        await asyncio.sleep(_FLUSH_SECONDS)
        await sink.send(scrape.pipeline.flush())


async def watch(scrape: Scrape, config: DockerConfig, sink: Sink) -> None:
    """Look for containers and read each of them, until cancelled."""
    readers: dict[str, asyncio.Task[None]] = {}
    async with Docker(config.host) as docker, asyncio.TaskGroup() as group:
        while True:
            try:
                found = await discover(docker, config)
                for gone in [one for one in readers if one not in found and readers[one].done()]:
                    del readers[gone]
                    if sink.program.resumes:
                        sink.forget(gone)
                readers = {key: task for key, task in readers.items() if not task.done()}
                for container in found.keys() - readers.keys():
                    kept = relabel.process(scrape.target_rules, found[container])
                    labels = kept and _by_stream(scrape, kept)
                    if kept and labels:
                        name = found[container][NAME].lstrip("/")
                        target = sink.target(scrape, container, name, show(sorted(kept.items())))
                        reading = _read(docker, scrape, sink, container, target, labels)
                        readers[container] = group.create_task(reading)
            except DockerError as error:
                _log.error("Unable to refresh target groups", extra=fields(err=error))
            await asyncio.sleep(config.refresh / NANOSECONDS)


def _by_stream(scrape: Scrape, discovered: Mapping[str, str]) -> StreamLabels:
    """The final labels of each of a container's streams that relabeling keeps."""
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
    """Read a container's log from its position until the container ends."""
    _log.info("added Docker target", extra=fields(containerID=container))
    sink.set_running(target, True)
    target.problem = ""
    try:
        async for message in _messages(docker, container, target.since, sink.metrics):
            if not message.line and not sink.program.blank_lines:
                continue
            if message.stream in labels:
                entry = Entry(message.time, message.line, dict(labels[message.stream]))
                await sink.send(scrape.pipeline.run(entry))
            sink.metrics.docker_entries.inc()
            sink.note(container, target, message.time)
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
    params = {
        "follow": "1",
        "stdout": "1",
        "stderr": "1",
        "timestamps": "1",
        "since": str(since),
    }
    counted = 0
    async for chunk in docker.stream(f"/containers/{container}/logs", params):
        for message in demultiplexer.feed(chunk):
            yield message
        metrics.docker_errors.inc(demultiplexer.errors - counted)
        counted = demultiplexer.errors
