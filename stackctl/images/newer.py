"""Compares the images of the table, and the running ones, with those in registries."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stackctl.clients.registry import RegistryClient, Repository
from stackctl.config.settings import Settings
from stackctl.errors import ServiceError
from stackctl.images.sets import catalogue, reference
from stackctl.services.releases import PLAN, current, table

_TAG = re.compile(r"(?P<before>\D*)(?P<numbers>\d+(?:\.\d+)*)(?P<after>(?:-.*)?)")


@dataclass(frozen=True, slots=True)
class Comparison:
    """An image: its tags in the table, the running references, and the newest tag in its registry."""

    name: str
    plan: str | None
    current: str | None
    running: tuple[str, ...]
    """The references that its services run; several if they differ."""
    newest: str | None = None
    """Tag of the newest release; None if it is unknown."""
    failure: str | None = None
    """Why it is unknown."""

    @property
    def outdated(self) -> bool:
        """Return whether the registry has a newer release than the current one of the table."""
        return self.newest is not None and self.newest != self.current


def compare(settings: Settings, running: Mapping[str, str]) -> list[Comparison]:
    """Get the tags of all images from their registries, concurrently, and return the comparisons.

    `running` maps a service to its image reference. Images that the settings override or that stackctl builds are left
    out. If a registry does not respond, the comparison has a failure.
    """
    return asyncio.run(_compare(settings, running))


async def _compare(settings: Settings, running: Mapping[str, str]) -> list[Comparison]:
    # By name: the current release of an image, if there is one.
    images = {image.name: image for one in (PLAN, current()) for image in catalogue(one)}
    pulled = [
        one for one in images.values() if not one.built_here and settings[one.variable] is None
    ]
    async with RegistryClient() as client:
        answers = await asyncio.gather(
            *(_tags(client, reference(one, settings, "upstream")) for one in pulled)
        )
    return [
        Comparison(
            image.name,
            tags.get("plan"),
            tags.get("current"),
            running=tuple(sorted({running[one] for one in image.services if one in running})),
            newest=None if isinstance(answer, str) else newest(tags[image.release], answer),
            failure=answer if isinstance(answer, str) else None,
        )
        for image, answer in zip(pulled, answers, strict=True)
        for tags in [{release: _tag(one) for release, one in table()[image.name].items()}]
    ]


def newest(tag: str, tags: Iterable[str]) -> str | None:
    """Return the newest of the tags with the same form as this one; None if there is none.

    v3.14.0 is like v3.15.1, and 8.0-alpine like 8.2-alpine; neither is like 9, nightly or 8.2-rc1-alpine.
    """
    like = _TAG.fullmatch(tag)
    if like is None:
        return None
    alike = [
        found
        for one in tags
        if (found := _TAG.fullmatch(one)) is not None
        if (found["before"], found["after"]) == (like["before"], like["after"])
        if len(_numbers(found)) == len(_numbers(like))
    ]
    return max(alike, key=_numbers).string if alike else None


def _numbers(tag: re.Match[str]) -> tuple[int, ...]:
    return tuple(map(int, tag["numbers"].split(".")))


async def _tags(client: RegistryClient, reference: str) -> list[str] | str:
    """Return the tags of an image's repository, or a message why they are unknown."""
    try:
        return await client.tags(Repository.of(reference))
    except ServiceError as error:
        return error.line


def _tag(reference: str) -> str:
    return reference.rpartition(":")[2]
