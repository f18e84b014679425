"""Sessions with the demo's Redis and RabbitMQ.

The client libraries are imported where they are used, because two of the four roles need none of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from botdemo.link import Link
from botdemo.settings import Settings
from botdemo.simulation.analysis import Signal

if TYPE_CHECKING:
    from aio_pika.abc import AbstractChannel, AbstractQueue
    from redis.asyncio import Redis

SIGNAL_QUEUE = "trading.signals"

_TIMEOUT_SECONDS = 5.0
_ROUND_SECONDS = 1.0
_QUEUE_LENGTH = 1000
_MESSAGE_LIFETIME_MS = 60_000

log = logging.getLogger("botdemo.backends")

# These libraries log every failed attempt; the link reports an unreachable broker once.
for _library in ("aiormq", "aio_pika"):
    logging.getLogger(_library).setLevel(logging.CRITICAL)


def redis_link(settings: Settings, work: Callable[[Redis], Awaitable[None]]) -> Link:
    """Do `work` with Redis once a second."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import RedisError

    async def session(established: Callable[[], None]) -> None:
        client = Redis(
            host=settings.redis.host,
            port=settings.redis.port,
            password=settings.secret("redis_password"),
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        async with client:
            while True:
                await work(client)
                established()
                await asyncio.sleep(_ROUND_SECONDS)

    return Link("redis", session, (OSError, RedisError))


def signal_publisher(settings: Settings, outbox: deque[Signal]) -> Link:
    """Move the signals in `outbox` to the signal queue; a signal in transit when the broker stops is lost."""

    async def use(channel: AbstractChannel, queue: AbstractQueue) -> None:
        from aio_pika import Message

        while True:
            while outbox:
                body = outbox.popleft().to_json().encode()
                message = Message(body, content_type="application/json")
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    await channel.default_exchange.publish(message, routing_key=queue.name)
            await asyncio.sleep(_ROUND_SECONDS)

    return _broker_link(settings, use)


def signal_consumer(settings: Settings, receive: Callable[[Signal], None]) -> Link:
    """Pass every signal in the signal queue to `receive`; log and discard other messages."""

    async def use(channel: AbstractChannel, queue: AbstractQueue) -> None:
        await queue.consume(partial(take_signal, receive))
        await asyncio.shield(channel.closed())

    return _broker_link(settings, use)


class Delivery(Protocol):
    """The parts of a broker's message that are used here."""

    body: bytes

    async def ack(self) -> None:
        """Acknowledge the message."""

    async def reject(self) -> None:
        """Reject the message."""


async def take_signal(receive: Callable[[Signal], None], message: Delivery) -> None:
    """Pass a message to `receive` and acknowledge it, or reject it if it is not a signal."""
    try:
        receive(Signal.from_json(message.body))
    except ValueError as error:
        log.warning("discarded a message from %s: %s", SIGNAL_QUEUE, error)
        await message.reject()
    else:
        await message.ack()


def _broker_link(
    settings: Settings, use: Callable[[AbstractChannel, AbstractQueue], Awaitable[None]]
) -> Link:
    import aio_pika
    from aio_pika.exceptions import CONNECTION_EXCEPTIONS

    async def session(established: Callable[[], None]) -> None:
        connection = await aio_pika.connect(
            host=settings.rabbitmq.host,
            port=settings.rabbitmq.port,
            login=settings.broker_user,
            password=settings.secret("rabbitmq_password"),
            timeout=_TIMEOUT_SECONDS,
        )
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=20)
            queue = await channel.declare_queue(
                SIGNAL_QUEUE,
                durable=True,
                arguments={"x-max-length": _QUEUE_LENGTH, "x-message-ttl": _MESSAGE_LIFETIME_MS},
            )
            established()
            await use(channel, queue)

    return Link("rabbitmq", session, (TimeoutError, *CONNECTION_EXCEPTIONS))
