"""`make pictures`: where what it needs is missing, and what it asks of Chromium."""

from __future__ import annotations

import asyncio
import base64
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain, count, repeat
from pathlib import Path
from typing import Any

import pytest

from stackctl.util import paths
from tests import pictures


def test_without_chromium_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pictures", "--folder", str(tmp_path)])
    assert pictures.main() == 1
    assert capsys.readouterr().err == "no Chromium here; on Debian: apt-get install chromium\n"
    assert list(tmp_path.iterdir()) == []


class Screen:
    """A browser that notes what it is asked to draw."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def screen(self, address: str, *, login: str) -> bytes:
        self.asked.append((address, login))
        return b"png"


def test_a_grafana_is_pictured_board_by_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()

    @asynccontextmanager
    async def browser(_: str) -> AsyncIterator[Screen]:
        yield screen

    monkeypatch.setattr(pictures, "browser", browser)
    monkeypatch.setattr("shutil.which", lambda _: "chromium")
    monkeypatch.setattr(sys, "argv", ["pictures", "--grafana", "http://127.0.0.1:3001/"])
    monkeypatch.setattr(pictures, "GRAFANA", tmp_path)
    monkeypatch.setenv("GRAFANA_PASSWORD", "hush")
    assert pictures.main() == 0
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(paths.dashboards())
    address, login = screen.asked[0]
    first = paths.dashboards()[0]
    assert address == f"http://127.0.0.1:3001/d/{first}?from=now-1h&to=now&theme=dark"
    assert login == "Basic " + base64.b64encode(b"admin:hush").decode()


class Socket:
    """The DevTools socket: what the page looks like, at one time after another, and whatever else is asked."""

    def __init__(self, looks: Iterator[str]) -> None:
        self.looks = looks
        self.sent: list[dict[str, Any]] = []

    async def send_json(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    async def receive_json(self) -> dict[str, Any]:
        message = self.sent[-1]
        results: dict[str, dict[str, Any]] = {
            "Target.createTarget": {"targetId": "t"},
            "Target.attachToTarget": {"sessionId": "s"},
        }
        if message["method"] == "Page.captureScreenshot":
            data = base64.b64encode(next(self.looks).encode()).decode()
            return {"id": message["id"], "result": {"data": data}}
        return {"id": message["id"], "result": results.get(message["method"], {})}


async def at_once(_: float) -> None:
    pass


def test_a_picture_is_taken_once_the_page_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "sleep", at_once)
    socket = Socket(chain(["loading", "bar", "loading", "half", "half"], repeat("done")))
    drawn = pictures.Browser(socket)  # type: ignore[arg-type]
    taken = asyncio.run(drawn.screen("http://127.0.0.1:3001/d/x", login="Basic x"))
    assert taken == b"done"
    methods = [message["method"] for message in socket.sent]
    assert methods.index("Network.setExtraHTTPHeaders") < methods.index("Page.navigate")
    assert methods[-2:] == ["Page.captureScreenshot", "Target.closeTarget"]


def test_a_page_that_is_never_done_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "sleep", at_once)
    socket = Socket(map(str, count()))
    drawn = pictures.Browser(socket)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="never done"):
        asyncio.run(drawn.screen("http://127.0.0.1:3001/d/x", login="Basic x"))
