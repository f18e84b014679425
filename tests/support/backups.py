"""Backup files as tests make them, and a project whose volumes are in memory."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import click

from stackctl import __version__
from stackctl.backup import archive, data, restore
from stackctl.backup.archive import Manifest
from stackctl.project.project import Project
from stackctl.readiness.observer import Observer
from tests.support.engine import MemoryEngine

SILENT = Observer(lambda _: None, lambda _: None, lambda _: None)


def member(name: str, content: bytes = b"", **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar: a file, unless `type` says otherwise."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in changes.items():
        setattr(info, attribute, value)
    return info, content


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


FOLDER = member("volume", type=tarfile.DIRTYPE, mode=0o755, uid=472)


GRAFANA = tar_of(
    FOLDER,
    member("volume/grafana.db", b"rows" * 5000, mode=0o600, uid=472),
    member("volume/latest", type=tarfile.SYMTYPE, linkname="grafana.db"),
    member("volume/same", type=tarfile.LNKTYPE, linkname="volume/grafana.db"),
)


LOKI = tar_of(FOLDER, member("volume/chunks/1", os.urandom(3000)))


def write(path: Path, volumes: Mapping[str, bytes]) -> Manifest:
    with archive.writing(path) as writer:
        for name, content in volumes.items():
            writer.add(name, f"image-of-{name}", io.BytesIO(content))
        return writer.close("bot-core")


def read(path: Path) -> dict[str, bytes]:
    with archive.reading(path, data.SERVICES) as backup:
        return {volume.name: content.read() for volume, content in backup.volumes()}


def handmade(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path.write_bytes(gzip.compress(tar_of(*members)))
    return path


def manifest_of(volumes: Mapping[str, bytes], **changes: object) -> tuple[tarfile.TarInfo, bytes]:
    content = {
        "format": 1,
        "stackctl": __version__,
        "project": "bot-core",
        "time": "2026-01-02T03:04:05Z",
        "volumes": [
            {
                "name": name,
                "image": "i",
                "size": len(tar),
                "sha256": hashlib.sha256(tar).hexdigest(),
            }
            for name, tar in volumes.items()
        ],
        **changes,
    }
    return member("manifest.json", json.dumps(content).encode())


@dataclass
class Docker:
    """Volumes in memory instead of the engine's, and a record of what happened."""

    volumes: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, Mapping[str, str]] = field(default_factory=dict)
    on_read: Callable[[str], None] = lambda _: None
    on_write: Callable[[str], None] = lambda _: None
    others: set[str] = field(default_factory=set)
    """Volumes of somebody else's."""
    in_use: dict[str, list[str]] = field(default_factory=dict)

    def foreign(self, names: Collection[str], project: str) -> set[str]:
        assert project == "bot-core"
        return self.present(names) & self.others

    def users(self, volume: str) -> list[str]:
        return self.in_use.get(volume, [])

    def present(self, names: Collection[str]) -> set[str]:
        return set(names) & set(self.volumes)

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        assert volume not in self.volumes, "only into fresh volumes"
        self.volumes[volume] = b""
        self.labels[volume] = labels

    def remove(self, volumes: Collection[str]) -> None:
        for volume in volumes:
            self.volumes.pop(volume, None)

    @contextlib.contextmanager
    def open_transfer(self, project: str) -> Iterator[Docker]:
        yield self

    def read(self, volume: str, sink: IO[bytes]) -> None:
        self.on_read(volume)
        sink.write(self.volumes[volume])

    def write(self, volume: str, source: IO[bytes]) -> None:
        self.on_write(volume)
        self.volumes[volume] = source.read()


NAMES = {volume: f"bot-core_{volume}" for volume in data.SERVICES}


@dataclass
class Stack:
    project: Project
    engine: MemoryEngine

    @property
    def running(self) -> set[str]:
        return {name for name, state in self.engine.states.items() if state.running}


@dataclass
class Restoring:
    """A call of `restore`: what was asked, what was said."""

    stack: Stack
    asked: list[list[str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    refuse: bool = False

    def __call__(self, path: Path) -> Manifest:
        return restore.restore(self.stack.project, path, confirm=self.confirm, say=self.said.append)

    def confirm(self, manifest: Manifest, replaced: list[str]) -> None:
        self.asked.append(replaced)
        if self.refuse:
            raise click.Abort


OLD = {NAMES["loki_data"]: b"old", NAMES["prometheus_data"]: b"old"}
