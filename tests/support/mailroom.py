"""Mail servers as users have them, run in a container beside the real Alertmanager, whose network it shares.

Port 25 knows no TLS, 587 demands STARTTLS, 465 speaks TLS from the first byte; the latter two let log in. It hands the
alerts that it is given to Alertmanager, waits until each has been tried, and prints what arrived.

Usage: python3 mailroom.py FOLDER, which has alerts.json, cert.pem and key.pem.
"""

from __future__ import annotations

import json
import re
import ssl
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

_ALERTMANAGER = "http://127.0.0.1:9093"
_SECONDS = 60.0

_arrived: list[dict[str, Any]] = []


class _Handler:
    """Notes each mail, and how it came."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        encrypted = session.ssl is not None or server.transport.get_extra_info("ssl_object")
        login: LoginPassword | None = session.auth_data
        subject = re.search(rb"Subject: (.*)", envelope.content or b"")
        _arrived.append(
            {
                "port": self.port,
                "encrypted": bool(encrypted),
                "login": [login.login.decode(), login.password.decode()] if login else None,
                "from": envelope.mail_from,
                "to": envelope.rcpt_tos,
                "case": subject[1].decode().strip() if subject else None,
            }
        )
        return "250 OK"


def _authenticate(
    _server: SMTP, _session: Session, _envelope: Envelope, _how: str, login: Any
) -> AuthResult:
    return AuthResult(success=True, auth_data=login)


def main(folder: Path) -> None:
    """Run the servers until every alert was tried."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    # The LOGIN of aiosmtpd asks for the user in words that Alertmanager does not know.
    logins: dict[str, Any] = {"authenticator": _authenticate, "auth_exclude_mechanism": ["LOGIN"]}
    servers = [
        Controller(_Handler(25), "127.0.0.1", 25),
        Controller(
            _Handler(587), "127.0.0.1", 587, tls_context=tls, require_starttls=True, **logins
        ),
        # aiosmtpd takes only STARTTLS for TLS.
        Controller(
            _Handler(465), "127.0.0.1", 465, ssl_context=tls, auth_require_tls=False, **logins
        ),
    ]
    for server in servers:
        server.start()
    alerts = json.loads((folder / "alerts.json").read_text())
    deadline = time.monotonic() + _SECONDS
    while not _answers("/-/ready"):
        if time.monotonic() > deadline:
            raise SystemExit("Alertmanager does not start")
        time.sleep(0.1)
    body = json.dumps(alerts).encode()
    headers = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(f"{_ALERTMANAGER}/api/v2/alerts", body, headers))
    while _tried() < len(alerts) and time.monotonic() < deadline:
        time.sleep(0.2)
    # What is tried again counts twice, so the last one may still be on its way.
    time.sleep(3)
    for server in servers:
        server.stop()
    json.dump(_arrived, sys.stdout)


def _answers(path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"{_ALERTMANAGER}{path}") as answer:
            content: bytes = answer.read()
            return content
    except OSError:
        return b""


def _tried() -> int:
    """Return how many mails Alertmanager has tried to send."""
    name = rb'alertmanager_notification_requests_total\{integration="email"[^}]*\} (\d+)'
    return sum(int(number) for number in re.findall(name, _answers("/metrics")))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
