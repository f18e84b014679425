"""Which program reads which rendered files, how it is told to read them again, and what it has read.

What was written and what the programs have read are two things: a reload may fail, and `render` only writes. So what
was read is kept on record, by file.
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
    """Give the services that can read these changed files anew while they run."""
    names = list(changed)
    return [service for service in _RELOADS if files_of(service, names)]


def unattended(changed: Iterable[str]) -> list[str]:
    """Give the changed files that their reader finds by itself."""
    return [name for name in changed if name.startswith(_WATCHED)]


def waiting(changed: Iterable[str]) -> list[str]:
    """Give the changed files that are only read when a container starts."""
    known = (*_WATCHED, *_RELOADS.values())
    return [name for name in changed if not name.startswith(known)]


def changed(state: StateFolder) -> list[str]:
    """Give the rendered files, by path below `config/`, that are not what was read last; those that are gone, too.

    Without a record, after an `up` of an older stackctl, those are all that can be read anew.
    """
    present, read = _present(state), state.read_json(_RECORD)
    folders = tuple(_RELOADS.values())
    known = read or {
        name: digest for name, digest in present.items() if not name.startswith(folders)
    }
    return sorted(name for name in {*present, *known} if present.get(name) != known.get(name))


def note_started(state: StateFolder) -> None:
    """Put on record that every program has been started with what is rendered now."""
    state.write_json(_RECORD, _present(state))


def note_read(state: StateFolder, files: Iterable[str]) -> None:
    """Put on record that these files have been read as they are now."""
    present, read = _present(state), state.read_json(_RECORD)
    for name in files:
        read.pop(name, None)
        if name in present:
            read[name] = present[name]
    state.write_json(_RECORD, read)


def files_of(service: str, names: Iterable[str]) -> list[str]:
    """Give those of these files that a service which is told reads anew."""
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
    """Tell these services, and call `done` with each that has read its configuration.

    All are told before the first that does not take its configuration is raised, as ServiceError.
    """

    async def tell(service: str) -> None:
        async with ReloadClient(service, settings.url(service)) as client:
            await client.reload()
        done(service)

    ended = await asyncio.gather(*map(tell, services), return_exceptions=True)
    for failure in ended:
        if failure is not None:
            raise failure
