"""The base of the clients: requests with a deadline and a bounded body, and one kind of error."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
import ssl
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cache
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from stackctl.clients.exposition import Sample, samples
from stackctl.errors import ServiceError

DEFAULT_TIMEOUT = 5.0
MAX_BODY = 16 * 1024 * 1024
_EXCERPT = 160
_NOTED = 2000

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request to a service and its outcome: the status or the failure, and the start of the response."""

    request: str
    outcome: str
    answer: str


exchanges: ContextVar[list[Exchange] | None] = ContextVar("exchanges", default=None)
"""The list in which clients record their requests, if it is set; passwords are never included."""


@dataclass(frozen=True, slots=True)
class _Shared:
    """The pending or received response to a request, and the exchanges that led to it."""

    answer: asyncio.Task[Any]
    notes: list[Exchange]


class ClosingClient:
    """A client that is an async context manager and closes its connections at the end."""

    _client: httpx.AsyncClient

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()


class HttpClient(ClosingClient):
    """A client for one service. An async context manager; all of its errors are ServiceError.

    `base_url` is the address without a path, `timeout` the seconds that a request may take from connecting to the last
    byte, `auth` a user and a password for basic authentication. A JSON response is reused for identical requests for
    `shared_seconds`; 0 sends every request.
    """

    service = ""

    def __init__(
        self,
        base_url: str,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        auth: tuple[str, str] | None = None,
        shared_seconds: float = 0.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._timeout = timeout
        self._shared_seconds = shared_seconds
        self._shared: dict[object, _Shared] = {}
        self._client = local_http_client(timeout, auth=auth)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: object = None,
        form: dict[str, str] | None = None,
    ) -> bytes:
        """Send a request and return the body of a 2xx response. Raises ServiceError for anything else."""
        url = self.base_url + path
        try:
            content = await self._send(method, url, params=params, body=body, form=form)
        except ServiceError as error:
            self._note(
                method,
                url,
                params or form,
                error.message.removeprefix(f"{self.service} at {url}: "),
            )
            raise
        self._note(method, url, params or form, "ok", content)
        return content

    async def _send(
        self,
        method: str,
        url: str,
        *,
        params: dict[str, str] | None,
        body: object,
        form: dict[str, str] | None,
    ) -> bytes:
        content = bytearray()
        try:
            async with (
                asyncio.timeout(self._timeout),
                self._client.stream(method, url, params=params, json=body, data=form) as answer,
            ):
                async for chunk in answer.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_BODY:
                        raise self._error(
                            url, f"the response is larger than {MAX_BODY // 2**20} MiB"
                        )
        except TimeoutError:
            raise self._error(url, f"no complete response within {self._timeout:g} s") from None
        except httpx.ConnectError:
            error = self._error(url, "cannot connect")
            # If the service is not running, its log does not help.
            error.remedy = "`stackctl status` shows whether it is running"
            raise error from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._error(url, f"connection failed ({type(error).__name__})") from None
        if not answer.is_success:
            raise self._error(
                url,
                f"HTTP {answer.status_code} {answer.reason_phrase}{_detail(bytes(content))}",
                status=answer.status_code,
            )
        return bytes(content)

    def _note(
        self,
        method: str,
        url: str,
        query: dict[str, str] | None,
        outcome: str,
        content: bytes = b"",
    ) -> None:
        notes = exchanges.get()
        if notes is None:
            return
        asked = "".join(f"\n  {name}={value}" for name, value in (query or {}).items())
        answer = content[:_NOTED].decode(errors="replace")
        notes.append(Exchange(f"{method} {url}{asked}", outcome, answer))

    async def clock_skew(self) -> float:
        """Return how many seconds the service's clock is ahead of this machine's; 0 if it is within the request's time.

        It comes from the response's Date header (RFC 9110, section 6.6.1), which has a resolution of a second.
        """
        url = f"{self.base_url}/metrics"
        sent = dt.datetime.now(dt.UTC)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._client.head(url)
        except TimeoutError:
            raise self._error(url, f"no response within {self._timeout:g} s") from None
        except httpx.HTTPError as error:
            raise self._error(url, f"connection failed ({type(error).__name__})") from None
        received = dt.datetime.now(dt.UTC)
        date = answer.headers.get("Date", "")
        try:
            at = parsedate_to_datetime(date)
        except (ValueError, OverflowError):
            raise self._error(url, "the response has no Date header") from None
        self._note("HEAD", url, None, f"Date: {date}")
        # HTTP dates are in UTC, whether or not they name the zone.
        at = at.replace(tzinfo=at.tzinfo or dt.UTC)
        return (at - min(max(at, sent), received)).total_seconds()

    async def _counters(self, path: str, metric: str) -> list[Sample]:
        """Return the samples of a counter from a page in Prometheus' text format.

        Raises ServiceError for a malformed sample and for values that a counter cannot have: NaN and infinities.
        """
        text = (await self._request("GET", path)).decode(errors="replace")
        try:
            found = samples(text, metric)
        except ValueError as error:
            raise self._error(self.base_url + path, str(error)) from None
        for sample in found:
            if not math.isfinite(sample.value):
                raise self._error(self.base_url + path, f"its {metric} is {sample.value}")
        return found

    async def _json(self, shape: type[T], method: str, path: str, **options: Any) -> T:
        """Send a request and return the response's JSON as an object of this type.

        If responses are shared, identical requests made at the same time get the same one.
        """
        if not self._shared_seconds:
            return await self._ask(shape, method, path, **options)
        question = (shape, method, path, json.dumps(options, sort_keys=True))
        if question not in self._shared:
            self._shared[question] = self._ask_for_all(question, shape, method, path, **options)
        shared = self._shared[question]
        try:
            # Others may still be waiting for it.
            answer: T = await asyncio.shield(shared.answer)
        finally:
            notes = exchanges.get()
            if notes is not None:
                notes += shared.notes
        return answer

    def _ask_for_all(
        self, question: object, shape: type[T], method: str, path: str, **options: Any
    ) -> _Shared:
        """Send a request whose response is shared until `shared_seconds` after it arrived."""
        loop, notes = asyncio.get_running_loop(), list[Exchange]()
        context = copy_context()
        context.run(exchanges.set, notes)
        answer = loop.create_task(self._ask(shape, method, path, **options), context=context)
        answer.add_done_callback(
            lambda _: loop.call_later(self._shared_seconds, self._shared.pop, question)
        )
        return _Shared(answer, notes)

    async def _ask(self, shape: type[T], method: str, path: str, **options: Any) -> T:
        content = await self._request(method, path, **options)
        return self._parse(shape, self.base_url + path, content)

    async def _read(self, read: Callable[[Any], T], method: str, path: str, **options: Any) -> T:
        """Send a request and return the result of `read` for the response's JSON.

        `read` may raise what accessing an unexpected value raises. This is for the few responses that quick commands
        need: loading the models of all others takes longer than those commands do.
        """
        content = await self._request(method, path, **options)
        try:
            return read(json.loads(content))
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError):
            raise self._error(self.base_url + path, "unexpected response: the body") from None

    def _parse(self, shape: type[T], url: str, content: bytes) -> T:
        # They take longer to load than a whole `up` that finds nothing to change, and it needs none.
        from pydantic import ValidationError

        from stackctl.clients.models import adapter

        try:
            return adapter(shape).validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            raise self._error(url, f"unexpected response: {where}: {first['msg']}") from None

    def _error(self, url: str, what: str, *, status: int | None = None) -> ServiceError:
        return ServiceError(
            f"{self.service} at {url}: {what}",
            service=self.service,
            url=url,
            status=status,
            remedy=f"stackctl logs {self.service}",
        )


def local_http_client(timeout: float, *, auth: tuple[str, str] | None = None) -> httpx.AsyncClient:
    """Return an HTTP client for the stack's services. `timeout` is the limit for each step of a request, in seconds.

    It ignores proxies in the environment, which are for the internet. The services speak plain HTTP, so no certificates
    are loaded: that would take longer than all requests of a `verify` together.
    """
    return httpx.AsyncClient(auth=auth, timeout=timeout, trust_env=False, verify=_no_trust())


@cache
def _no_trust() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _detail(content: bytes) -> str:
    """Return the service's own error message as one short line."""
    text = content.decode(errors="replace")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, dict):
        text = str(parsed.get("error") or parsed.get("message") or text)
    line = " ".join(text.split())
    return f": {line[:_EXCERPT]}" if line else ""
