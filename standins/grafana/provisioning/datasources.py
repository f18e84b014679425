"""Data sources: provisioning/datasources/*.yml (grafana.com/docs/grafana/v10.2/administration/provisioning)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from standins.grafana.provisioning import files
from standins.shared.process import ConfigError

_TYPE_NAMES = {"prometheus": "Prometheus", "loki": "Loki", "alertmanager": "Alertmanager"}
_LOGOS = {
    "prometheus": "public/app/plugins/datasource/prometheus/img/prometheus_logo.svg",
    "loki": "public/app/plugins/datasource/loki/img/loki_icon.svg",
    "alertmanager": "public/app/plugins/datasource/alertmanager/img/logo.svg",
}


@dataclass(frozen=True)
class DataSource:
    """A data source; `url` has no trailing slash. The texts in `secrets` are never shown."""

    id: int
    uid: str
    name: str
    type: str
    access: str
    url: str
    is_default: bool
    editable: bool
    json_data: dict[str, Any]
    database: str = ""
    user: str = ""
    basic_auth: bool = False
    basic_auth_user: str = ""
    with_credentials: bool = False
    version: int = 1
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def summary(self) -> dict[str, Any]:
        """Return the data source as GET /api/datasources lists it."""
        return self._common() | {"typeName": _TYPE_NAMES.get(self.type, self.type)}

    def details(self) -> dict[str, Any]:
        """Return the data source as GET /api/datasources/uid/:uid does."""
        return self._common() | {
            "basicAuthUser": self.basic_auth_user,
            "withCredentials": self.with_credentials,
            "secureJsonFields": dict.fromkeys(self.secrets, True),
            "version": self.version,
        }

    def _common(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "uid": self.uid,
            "orgId": 1,
            "name": self.name,
            "type": self.type,
            "typeLogoUrl": _LOGOS.get(self.type, "public/img/icn-datasource.svg"),
            "access": self.access,
            "url": self.url,
            "user": self.user,
            "database": self.database,
            "basicAuth": self.basic_auth,
            "isDefault": self.is_default,
            "jsonData": self.json_data,
            "readOnly": not self.editable,
        }


class DataSources:
    """The data sources of a provisioning folder, by name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "datasources"
        self._ids: dict[str, int] = {}
        self._sources: list[DataSource] = []

    def reload(self) -> None:
        """Read the files. On an error it raises ConfigError and keeps the previous state."""
        found: dict[str, DataSource] = {}
        for path, entry in files.entries(self._folder, "datasources"):
            source = self._source(path, entry)
            if source.name in found:
                raise ConfigError(f"{path}: two data sources have the name {source.name}")
            if source.uid in {other.uid for other in found.values()}:
                raise ConfigError(f"{path}: two data sources have the uid {source.uid}")
            found[source.name] = source
        if sum(source.is_default for source in found.values()) > 1:
            raise ConfigError(
                "Datasource provisioning error: datasource.yaml config is invalid. "
                "Only one datasource per organization can be marked as default"
            )
        self._sources = sorted(found.values(), key=lambda source: source.name)

    def __iter__(self) -> Iterator[DataSource]:
        return iter(self._sources)

    def __len__(self) -> int:
        return len(self._sources)

    def find(
        self, *, uid: str | None = None, name: str | None = None, number: int | None = None
    ) -> DataSource | None:
        """Return the data source with this uid, name or id, or None."""
        for source in self._sources:
            if source.uid == uid or source.name == name or source.id == number:
                return source
        return None

    def default(self) -> DataSource | None:
        """Return the default data source, or None."""
        return next((source for source in self._sources if source.is_default), None)

    def _source(self, path: Path, entry: dict[str, Any]) -> DataSource:
        name, kind, url = (str(entry.get(key) or "") for key in ("name", "type", "url"))
        if not name or not kind:
            raise ConfigError(f"{path}: a data source has no name or no type")
        if url and urlsplit(url).scheme not in {"http", "https"}:
            raise ConfigError(f"{path}: the url of {name} does not begin with http:// or https://")
        options, secrets = entry.get("jsonData") or {}, entry.get("secureJsonData") or {}
        if not isinstance(options, dict) or not isinstance(secrets, dict):
            raise ConfigError(f"{path}: jsonData or secureJsonData of {name} is not a mapping")
        return DataSource(
            id=self._ids.setdefault(name, len(self._ids) + 1),
            uid=str(entry.get("uid") or default_uid(name)),
            name=name,
            type=kind,
            access=str(entry.get("access") or "proxy"),
            url=url.rstrip("/"),
            is_default=bool(entry.get("isDefault")),
            editable=bool(entry.get("editable")),
            json_data=options,
            database=str(entry.get("database") or ""),
            user=str(entry.get("user") or ""),
            basic_auth=bool(entry.get("basicAuth")),
            basic_auth_user=str(entry.get("basicAuthUser") or ""),
            with_credentials=bool(entry.get("withCredentials")),
            version=int(entry.get("version") or 1),
            secrets={str(key): str(value) for key, value in secrets.items()},
        )


def default_uid(name: str) -> str:
    """Return the uid that Grafana derives from a name: P and the first eight bytes of its SHA-256."""
    return "P" + hashlib.sha256(name.encode()).digest()[:8].hex().upper()
