"""Requests to the data sources, limited in time and size."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from yarl import URL

from standins.grafana.provisioning.datasources import DataSource

TIMEOUT = 10.0
"""Timeout of a request in seconds."""

MAX_BODY = 16 << 20
"""Maximum size of a response in bytes."""


class UpstreamError(Exception):
    """A data source that does not respond, or responds with an error; the text is for the user."""


class Upstream:
    """The connections to the data sources."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def lifetime(self, _app: object) -> AsyncIterator[None]:
        """Keep the connections open for as long as the server runs; for aiohttp's cleanup_ctx."""
        timeout = aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=5)
        async with aiohttp.ClientSession(
            timeout=timeout,
            connector=aiohttp.TCPConnector(limit=20),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
        ) as self._session:
            yield

    @asynccontextmanager
    async def request(
        self,
        source: DataSource,
        method: str,
        path: str,
        *,
        query: str = "",
        data: bytes | Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request and return the response. `path` and `query` are already encoded.

        Raises UpstreamError if there is none.
        """
        if self._session is None:
            raise RuntimeError("the connections are not open")
        if not source.url:
            raise UpstreamError("the data source has no URL")
        auth = None
        if source.basic_auth:
            password = source.secrets.get("basicAuthPassword", "")
            auth = aiohttp.BasicAuth(source.basic_auth_user, password)
        url = URL(f"{source.url}/{path.lstrip('/')}{'?' if query else ''}{query}", encoded=True)
        try:
            async with self._session.request(
                method, url, data=data, headers=headers, auth=auth, allow_redirects=False
            ) as answer:
                yield answer
        except TimeoutError:
            raise UpstreamError(f"{source.url}: no response within {TIMEOUT:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UpstreamError(f"{source.url}: {error or type(error).__name__}") from None

    async def json(
        self, source: DataSource, method: str, path: str, params: Mapping[str, str] | None = None
    ) -> Any:
        """Return the JSON of a 200 response; the parameters go into the address or, with POST, the body.

        Raises UpstreamError, with the data source's own message if it has one.
        """
        form = params if method == "POST" else None
        query = URL.build(query=params or {}).raw_query_string if form is None else ""
        async with self.request(source, method, path, query=query, data=form) as answer:
            body = await bounded(answer)
        try:
            content = json.loads(body)
        except (ValueError, RecursionError):
            content = None
        if answer.status == 200 and content is not None:
            return content
        if isinstance(content, dict) and content.get("error"):
            raise UpstreamError(f"{content.get('errorType', 'error')}: {content['error']}")
        text = " ".join(body[:200].decode(errors="replace").split())
        if answer.status == 200:
            raise UpstreamError(f"{source.url} answers with something that is not JSON: {text}")
        raise UpstreamError(f"{answer.status} {answer.reason}: {text}")


async def bounded(answer: aiohttp.ClientResponse) -> bytes:
    """Return the body of a response. Raises UpstreamError for more than MAX_BODY bytes."""
    body = bytearray()
    async for chunk in answer.content.iter_chunked(1 << 16):
        body += chunk
        if len(body) > MAX_BODY:
            raise UpstreamError(f"the response is larger than {MAX_BODY >> 20} MiB")
    return bytes(body)
