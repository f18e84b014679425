"""HTTP/1.1 to services of this machine: a connection per request, over asyncio's own streams.

httpx's transport brings a connection pool for every asynchronous library there is, which takes longer to load than all
the requests of an `up` or a `status`. The protocol is h11's, as it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import h11
import httpx

_PIECE = 64 * 1024


class LocalTransport(httpx.AsyncBaseTransport):
    """Sends each request of an httpx.AsyncClient by a connection of its own. Its errors are httpx's."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the response once its head is there; its body is read by the caller."""
        if request.url.scheme != "http":
            raise httpx.UnsupportedProtocol(f"{request.url.scheme}:// is not for services here")
        limits = request.extensions.get("timeout", {})
        with _translated(httpx.ConnectTimeout, httpx.ConnectError):
            async with asyncio.timeout(limits.get("connect")):
                reader, writer = await asyncio.open_connection(
                    request.url.host, request.url.port or 80
                )
        exchange = _Exchange(reader, writer, limits.get("read"))
        try:
            with _translated(httpx.WriteTimeout, httpx.WriteError):
                async with asyncio.timeout(limits.get("write")):
                    await exchange.send(request)
            head = await exchange.head()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(
            head.status_code,
            headers=head.headers.raw_items(),
            stream=exchange,
            extensions={"http_version": b"HTTP/" + head.http_version, "reason_phrase": head.reason},
        )


class _Exchange(httpx.AsyncByteStream):
    """One request and its response, whose body this is. `timeout` is in seconds for each piece that is read."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: float | None
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._timeout = timeout
        self._protocol = h11.Connection(h11.CLIENT)

    async def send(self, request: httpx.Request) -> None:
        """Send a request. Who closes the connection meanwhile may still have answered."""
        headers = [pair for pair in request.headers.raw if pair[0].lower() != b"connection"]
        self._write(
            h11.Request(
                method=request.method,
                target=request.url.raw_path,
                headers=[*headers, (b"Connection", b"close")],
            )
        )
        assert isinstance(request.stream, httpx.AsyncByteStream)  # noqa: S101 - an asynchronous client's
        async for piece in request.stream:
            self._write(h11.Data(data=piece))
        self._write(h11.EndOfMessage())
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def head(self) -> h11.Response:
        """Return the head of the response."""
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    async def aclose(self) -> None:
        """Close the connection."""
        self._writer.close()

    def _write(self, event: h11.Event) -> None:
        data = self._protocol.send(event)
        if data:
            self._writer.write(data)

    async def _next(self) -> h11.Event:
        """Return what the other side sends next."""
        with _translated(httpx.ReadTimeout, httpx.ReadError):
            while True:
                event = self._protocol.next_event()
                if event is not h11.NEED_DATA:
                    assert not isinstance(event, type)  # noqa: S101 - it is paused by a further request only
                    return event
                async with asyncio.timeout(self._timeout):
                    piece = await self._reader.read(_PIECE)
                self._protocol.receive_data(piece)


@contextlib.contextmanager
def _translated(
    late: type[httpx.TimeoutException], failed: type[httpx.NetworkError]
) -> Iterator[None]:
    """Raise httpx's exceptions for those of the connection."""
    try:
        yield
    except TimeoutError as error:
        raise late(str(error)) from error
    except OSError as error:
        raise failed(str(error)) from error
    except h11.RemoteProtocolError as error:
        raise httpx.RemoteProtocolError(str(error)) from error
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from error
