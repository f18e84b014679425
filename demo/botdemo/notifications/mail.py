"""A mail server that keeps what it receives (RFC 5321, by aiosmtpd), without login and without relaying."""

from __future__ import annotations

import asyncio
import email
import email.policy

from aiosmtpd.smtp import SMTP, Envelope, Session

from botdemo.notifications.inbox import Inbox, Parsed

PORT = 1025
_MAX_BYTES = 1 << 20


class Server:
    """The SMTP server of an inbox, in the process's own event loop."""

    def __init__(self, inbox: Inbox, host: str = "", port: int = PORT) -> None:
        self._inbox = inbox
        self._host = host or None
        self._port = port

    async def run(self) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(self, data_size_limit=_MAX_BYTES, hostname="notification-sink"),
            self._host,
            self._port,
        )
        async with server:
            await server.serve_forever()

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Receive an e-mail."""
        content = envelope.content
        raw = content if isinstance(content, bytes) else (content or "").encode()
        self._inbox.put(**parse(raw, [str(to) for to in envelope.rcpt_tos]))
        return "250 Message accepted for delivery"


def parse(content: bytes, recipients: list[str]) -> Parsed:
    """Parse an e-mail. Alertmanager says in the subject if it is a resolution."""
    message = email.message_from_bytes(content, policy=email.policy.default)
    body = message.get_body(("html", "plain"))
    subject = str(message["Subject"] or "")
    return Parsed(
        channel="email",
        target=", ".join(recipients),
        status="resolved" if "resolved" in subject.lower() else "firing",
        title=subject,
        text=body.get_content() if body else "",
    )
