"""Dashboards: providers in provisioning/dashboards/*.yml, each a folder of JSON files that is scanned regularly."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from standins.grafana.provisioning import files
from standins.shared.logs import fields
from standins.shared.process import ConfigError

_MAX_FILE = 8 << 20
_DEFAULT_INTERVAL = 10  # seconds; Grafana's own default

_log = logging.getLogger("standins.grafana.provisioning.dashboard")


@dataclass(frozen=True)
class Provider:
    """A folder of files. `folder` and `folder_uid` name their folder in Grafana; empty is the General folder."""

    name: str
    path: Path
    folder: str
    folder_uid: str
    interval: float
    keep_deleted: bool
    from_structure: bool


@dataclass(frozen=True)
class Folder:
    """A folder in Grafana."""

    id: int
    uid: str
    title: str

    @property
    def slug(self) -> str:
        """Its title as addresses have it."""
        return slugify(self.title)

    @property
    def url(self) -> str:
        """Its page."""
        return f"/dashboards/f/{self.uid}/{self.slug}"


@dataclass(frozen=True)
class Dashboard:
    """A dashboard from its file. `changed` is the file's time; `file` is relative to its provider's folder."""

    id: int
    uid: str
    title: str
    tags: tuple[str, ...]
    model: dict[str, Any]
    folder: Folder | None
    file: str
    changed: datetime
    version: int

    @property
    def slug(self) -> str:
        """Its title as addresses have it."""
        return slugify(self.title)

    @property
    def url(self) -> str:
        """Its page."""
        return f"/d/{self.uid}/{self.slug}"


@dataclass(frozen=True)
class _Known:
    """A file that was read, and its dashboard; None for an invalid file."""

    mark: tuple[int, int, int]
    dashboard: Dashboard | None


class Dashboards:
    """All dashboards of a provisioning folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "dashboards"
        self._providers: list[Provider] = []
        self._known: dict[tuple[str, Path], _Known] = {}
        self._ids: dict[str, int] = {}
        self._folders: dict[str, Folder] = {}
        self._by_uid: dict[str, Dashboard] = {}

    @property
    def providers(self) -> tuple[Provider, ...]:
        """The providers of the last reload."""
        return tuple(self._providers)

    @property
    def folders(self) -> list[Folder]:
        """The folders with dashboards, by title."""
        used = {board.folder for board in self._by_uid.values() if board.folder}
        return sorted(used, key=lambda folder: folder.title.lower())

    def __iter__(self) -> Iterator[Dashboard]:
        return iter(sorted(self._by_uid.values(), key=lambda board: board.title.lower()))

    def __len__(self) -> int:
        return len(self._by_uid)

    def get(self, uid: str) -> Dashboard | None:
        """Return the dashboard of a uid, or None."""
        return self._by_uid.get(uid)

    def folder(self, uid: str) -> Folder | None:
        """Return the folder of a uid, or None."""
        return next((folder for folder in self.folders if folder.uid == uid), None)

    def reload(self) -> None:
        """Read the providers and all of their files. On an error it raises ConfigError and keeps the previous state."""
        providers = [_provider(path, one) for path, one in files.entries(self._folder, "providers")]
        if len({provider.name for provider in providers}) < len(providers):
            raise ConfigError(f"{self._folder}: two dashboard providers have the same name")
        self._providers = providers
        names = {provider.name for provider in providers}
        self._known = {key: known for key, known in self._known.items() if key[0] in names}
        for provider in providers:
            self.scan(provider)

    def scan(self, provider: Provider) -> None:
        """Read new and changed files in a provider's folder; an invalid file is logged and left out."""
        if not provider.path.is_dir():
            _log.error("Cannot read directory", extra=fields(path=provider.path))
        found = dict(_json_files(provider.path))
        for path, mark in found.items():
            before = self._known.get((provider.name, path))
            if before is None or before.mark != mark:
                # A file that became invalid does not remove its dashboard from Grafana.
                last = before.dashboard if before else None
                board = self._read(provider, path, mark, last)
                self._known[provider.name, path] = _Known(mark, board or last)
        if not provider.keep_deleted:
            for key in [key for key in self._known if key[0] == provider.name]:
                if key[1] not in found:
                    del self._known[key]
        self._index()

    def _index(self) -> None:
        boards: dict[str, Dashboard] = {}
        for (name, _), known in sorted(self._known.items()):
            board = known.dashboard
            if board is None:
                continue
            if board.uid in boards:
                _log.warning(
                    "the same uid is used more than once",
                    extra=fields(uid=board.uid, provider=name, file=board.file),
                )
                continue
            boards[board.uid] = board
        self._by_uid = boards

    def _read(
        self, provider: Provider, path: Path, mark: tuple[int, int, int], last: Dashboard | None
    ) -> Dashboard | None:
        try:
            if mark[2] > _MAX_FILE:
                raise ValueError(f"the file is larger than {_MAX_FILE} bytes")
            model = json.loads(path.read_bytes())
            if not isinstance(model, dict) or not isinstance(model.get("title"), str):
                raise ValueError("Dashboard title cannot be empty")
            if not model["title"].strip():
                raise ValueError("Dashboard title cannot be empty")
        except (OSError, ValueError, RecursionError) as error:
            _log.error("failed to load dashboard from ", extra=fields(file=path, error=error))
            return None
        uid = str(model.get("uid") or _made_uid(path))
        number = self._ids.setdefault(uid, len(self._ids) + 1)
        version = last.version + 1 if last and last.uid == uid else 1
        tags = model.get("tags")
        relative = path.relative_to(provider.path)
        return Dashboard(
            id=number,
            uid=uid,
            title=model["title"],
            tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
            model=model | {"id": number, "uid": uid, "version": version},
            folder=self._place(provider, relative),
            file=str(relative),
            changed=datetime.fromtimestamp(mark[1] / 1e9, UTC),
            version=version,
        )

    def _place(self, provider: Provider, relative: Path) -> Folder | None:
        title, uid = provider.folder, provider.folder_uid
        if provider.from_structure:
            title, uid = relative.parent.name, ""
        if not title:
            return None
        uid = uid or _made_uid(Path(title))
        if uid not in self._folders or self._folders[uid].title != title:
            number = self._ids.setdefault(f"folder {uid}", len(self._ids) + 1)
            self._folders[uid] = Folder(number, uid, title)
        return self._folders[uid]


def slugify(title: str) -> str:
    """Return a title as it appears in addresses: lower case, with hyphens for everything but letters and digits."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")


def _provider(path: Path, entry: dict[str, Any]) -> Provider:
    options = entry.get("options") or {}
    name, kind = str(entry.get("name") or ""), str(entry.get("type") or "file")
    if not isinstance(options, dict) or not options.get("path"):
        raise ConfigError(f"{path}: Failed to load dashboards, path param is not a string")
    if kind != "file":
        raise ConfigError(f"{path}: type {kind} is not supported")
    try:
        interval = float(entry.get("updateIntervalSeconds") or _DEFAULT_INTERVAL)
    except (TypeError, ValueError):
        raise ConfigError(f"{path}: updateIntervalSeconds is not a number") from None
    return Provider(
        name=name or "default",
        path=Path(str(options["path"])),
        folder=str(entry.get("folder") or ""),
        folder_uid=str(entry.get("folderUid") or ""),
        interval=max(interval, 1),
        keep_deleted=bool(entry.get("disableDeletion")),
        from_structure=bool(options.get("foldersFromFilesStructure")),
    )


def _json_files(folder: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    """Return the JSON files below a folder with inode, time of change in nanoseconds, and size."""
    for parent, children, names in os.walk(folder):
        children[:] = sorted(name for name in children if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            try:
                status = path.stat()
            except OSError as error:
                _log.error("failed to load dashboard from ", extra=fields(file=path, error=error))
                continue
            if name.endswith(".json"):
                yield path, (status.st_ino, status.st_mtime_ns, status.st_size)


def _made_uid(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]
