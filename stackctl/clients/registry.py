"""Lists the tags of an image in a container registry, with the API of the OCI distribution specification.

Registries that require a token, such as Docker Hub's and GitHub's, issue anonymous ones for public images:
https://distribution.github.io/distribution/spec/auth/token/.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

import httpx

from stackctl.clients.base import ClosingClient
from stackctl.errors import ServiceError

_HUB = "registry-1.docker.io"
_TIMEOUT = 15.0
_PAGES = 50
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_HAS_HOST = re.compile(r"(?P<host>localhost|[^/]*[.:][^/]*)/(?P<rest>.+)")
_THIS_MACHINE = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository of images: a registry and the name there."""

    host: str
    name: str

    @classmethod
    def of(cls, reference: str) -> Repository:
        """Return the repository of a reference; without a registry it is on Docker Hub."""
        untagged = re.sub(r"(:[^/]*)?$", "", reference.partition("@")[0])
        found = _HAS_HOST.fullmatch(untagged)
        host, name = (found["host"], found["rest"]) if found else ("docker.io", untagged)
        if host != "docker.io":
            return cls(host, name)
        return cls(_HUB, name if "/" in name else f"library/{name}")

    @property
    def url(self) -> str:
        """The address of the registry. As in Docker, a registry on this machine is accessed over plain HTTP."""
        scheme = "http" if _THIS_MACHINE.fullmatch(self.host) else "https"
        return f"{scheme}://{self.host}"


class RegistryClient(ClosingClient):
    """A client for registries, which uses the proxies in the environment.

    An async context manager; all of its errors are ServiceError.
    """

    def __init__(self, timeout: float = _TIMEOUT) -> None:
        """Create a client; `timeout` is the limit for each step of a request, in seconds."""
        self._client = httpx.AsyncClient(timeout=timeout, follow_redirects=True)

    async def tags(self, repository: Repository) -> list[str]:
        """Return every tag of a repository.

        Raises ServiceError if the registry does not respond, denies access, or responds unexpectedly.
        """
        url: str | None = f"{repository.url}/v2/{repository.name}/tags/list?n=1000"
        headers: dict[str, str] = {}
        found: list[str] = []
        for _ in range(_PAGES):
            if url is None:
                break
            answer = await self._get(repository, url, headers)
            if answer.status_code == httpx.codes.UNAUTHORIZED and not headers:
                headers = await self._authorization(repository, answer)
                answer = await self._get(repository, url, headers)
            if not answer.is_success:
                raise _failure(repository, f"HTTP {answer.status_code} for {repository.name}")
            found += _list(repository, answer)
            further = answer.links.get("next", {}).get("url")
            url = urljoin(url, further) if further else None
        return found

    async def _authorization(
        self, repository: Repository, refused: httpx.Response
    ) -> dict[str, str]:
        """Return the header with an anonymous token from the registry."""
        challenge = dict(_CHALLENGE.findall(refused.headers.get("WWW-Authenticate", "")))
        realm = challenge.pop("realm", "")
        if not realm.startswith(("https://", f"{repository.url}/")):
            raise _failure(repository, f"{repository.name} requires a login")
        answer = await self._get(repository, realm, {}, challenge)
        content = _json(repository, answer) if answer.is_success else {}
        token = content.get("token") or content.get("access_token")
        if not isinstance(token, str):
            raise _failure(repository, f"{repository.name} requires a login")
        return {"Authorization": f"Bearer {token}"}

    async def _get(
        self,
        repository: Repository,
        url: str,
        headers: dict[str, str],
        params: dict[str, str] | None = None,
    ) -> httpx.Response:
        try:
            return await self._client.get(url, headers=headers, params=params)
        except httpx.TimeoutException:
            raise _failure(repository, "timed out") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _failure(repository, f"connection failed ({type(error).__name__})") from None


def _list(repository: Repository, answer: httpx.Response) -> list[str]:
    # `tags` is null for a repository without tags.
    tags = _json(repository, answer).get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise _failure(repository, "invalid list of tags")
    return tags


def _json(repository: Repository, answer: httpx.Response) -> dict[str, Any]:
    try:
        content = answer.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise _failure(repository, "the response is not that of a registry")
    return content


def _failure(repository: Repository, what: str) -> ServiceError:
    return ServiceError(
        f"registry {repository.host}: {what}",
        service=repository.host,
        url=repository.url,
        remedy="check the network, or set STACKCTL_REGISTRY_MIRROR to a mirror",
    )
