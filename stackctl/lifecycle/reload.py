"""Which program reads which rendered files, how it reloads them, and which version it loaded.

A file on disk may differ from the version that a program loaded: a reload may fail, and `render` only writes. So the
loaded version of each file is recorded.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

from stackctl.clients.reload import ReloadClient
from stackctl.config.settings import Settings
from stackctl.project.state import StateFolder
from stackctl.services.catalog import SERVICES

_RECORD = "loaded.json"

_RELOADS: Mapping[str, str] = {one.name: one.reloads for one in SERVICES.values() if one.reloads}
_WATCHED = tuple(one.watches for one in SERVICES.values() if one.watches)


def reloadable(changed: Iterable[str]) -> list[str]:
    """Return the services that can reload these changed files without a restart."""
    names = list(changed)
    return [service for service in _RELOADS if files_of(service, names)]


def unattended(changed: Iterable[str]) -> list[str]:
    """Return the changed files that their program watches and reloads by itself."""
    return [name for name in changed if name.startswith(_WATCHED)]


def waiting(changed: Iterable[str]) -> list[str]:
    """Return the changed files that are read only when a container starts."""
    known = (*_WATCHED, *_RELOADS.values())
    return [name for name in changed if not name.startswith(known)]


def changed(state: StateFolder) -> list[str]:
    """Return the rendered files, by path below `config/`, that differ from the version last loaded, and deleted ones.

    Without a record, as after an `up` of an older stackctl, all files that can be reloaded count as changed.
    """
    present, read = _present(state), state.read_json(_RECORD)
    folders = tuple(_RELOADS.values())
    known = read or {
        name: digest for name, digest in present.items() if not name.startswith(folders)
    }
    return sorted(name for name in {*present, *known} if present.get(name) != known.get(name))


def note_started(state: StateFolder) -> None:
    """Record that every program was started with the files as rendered now."""
    state.write_json(_RECORD, _present(state))


def note_read(state: StateFolder, files: Iterable[str]) -> None:
    """Record that these files were loaded as rendered now."""
    present, read = _present(state), state.read_json(_RECORD)
    for name in files:
        read.pop(name, None)
        if name in present:
            read[name] = present[name]
    state.write_json(_RECORD, read)


def files_of(service: str, names: Iterable[str]) -> list[str]:
    """Return the files among these that a service reads when it reloads."""
    return [
        name
        for name in names
        if name.startswith(_RELOADS[service]) and not name.startswith(_WATCHED)
    ]


def _present(state: StateFolder) -> dict[str, str]:
    return {
        path.relative_to(state.config).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in state.config.rglob("*")
        if path.is_file()
    }


async def reload(settings: Settings, services: Sequence[str], done: Callable[[str], None]) -> None:
    """Reload these services, and call `done` with each that loaded its configuration.

    All of them reload before the first rejected configuration is raised, as ServiceError.
    """

    async def tell(service: str) -> None:
        async with ReloadClient(service, settings.url(service)) as client:
            await client.reload()
        done(service)

    ended = await asyncio.gather(*map(tell, services), return_exceptions=True)
    for failure in ended:
        if failure is not None:
            raise failure
