"""`make pictures`: the running stack's dashboards as pictures, drawn by a headless Chromium.

A page is `stackctl snapshot`, and its picture goes to dist/pictures. With --grafana it is the first screen of a laptop
in that Grafana, and goes to docs/images: only a real one draws, not the stand-in. Chromium is asked over the DevTools
protocol (chromedevtools.github.io/devtools-protocol/tot/Page/#method-captureScreenshot).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from stackctl.snapshot.views import COLUMN
from stackctl.util import paths

_ROOT = Path(__file__).resolve().parents[1]
SNAPSHOTS = _ROOT / "dist" / "pictures"
GRAFANA = _ROOT / "docs" / "images"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WIDTH = 24 * COLUMN + 40
_START_SECONDS = 30.0
_MAX_MESSAGE = 64 << 20
_LAPTOP = (1366, 768)
_BETWEEN = 2
"""Seconds between pictures of a page of Grafana."""
_SAME, _MOST_PICTURES = 4, 60
"""As many pictures after the first must be the same until the page counts as drawn, of that many at most."""


class Browser:
    """A running Chromium."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def _call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        number = next(self._numbers)
        message: dict[str, Any] = {"id": number, "method": method, "params": params}
        await self._socket.send_json(message | ({"sessionId": session} if session else {}))
        while True:
            answer = await self._socket.receive_json()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return dict(answer["result"])

    async def _until(self, event: str) -> None:
        while (await self._socket.receive_json()).get("method") != event:
            pass

    @asynccontextmanager
    async def _tab(self, width: int, height: int) -> AsyncIterator[str]:
        made = await self._call("Target.createTarget", url="about:blank")
        target = {"targetId": made["targetId"], "flatten": True}
        session = (await self._call("Target.attachToTarget", **target))["sessionId"]
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", session, **screen)
        await self._call("Page.enable", session)
        yield str(session)
        await self._call("Target.closeTarget", targetId=made["targetId"])

    async def picture(self, page: Path) -> bytes:
        """Return a PNG of the whole page."""
        async with self._tab(_WIDTH, 800) as session:
            await self._call("Page.navigate", session, url=page.as_uri())
            await self._until("Page.loadEventFired")
            size = (await self._call("Page.getLayoutMetrics", session))["cssContentSize"]
            clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
            taken = await self._call(
                "Page.captureScreenshot", session, captureBeyondViewport=True, clip=clip
            )
        return base64.b64decode(taken["data"])

    async def screen(self, address: str, *, login: str, size: tuple[int, int] = _LAPTOP) -> bytes:
        """Return a PNG of what a screen shows of a page of Grafana; `login` is the header Authorization."""
        async with self._tab(*size) as session:
            await self._call("Network.enable", session)
            headers = {"Authorization": login}
            await self._call("Network.setExtraHTTPHeaders", session, headers=headers)
            await self._call("Page.navigate", session, url=address)
            return await self._settled(session)

    async def _settled(self, session: str) -> bytes:
        """Return the picture that stays as it is: Grafana draws panels as their answers arrive."""
        seen, same = "", 0
        for _ in range(_MOST_PICTURES):
            await asyncio.sleep(_BETWEEN)
            taken = str((await self._call("Page.captureScreenshot", session))["data"])
            same = same + 1 if taken == seen else 0
            if same >= _SAME:
                return base64.b64decode(taken)
            seen = taken
        raise RuntimeError("the page is never done")


@asynccontextmanager
async def browser(program: str) -> AsyncIterator[Browser]:
    """Run Chromium while the body runs, with a profile of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Chromium's sandbox refuses to run as root; the pages are ours, and have no script.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        process = await asyncio.create_subprocess_exec(
            program,
            *sandbox,
            "--headless=new",
            "--hide-scrollbars",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            address = await asyncio.wait_for(_address(Path(profile)), _START_SECONDS)
            async with (
                aiohttp.ClientSession() as client,
                client.ws_connect(address, max_msg_size=_MAX_MESSAGE) as socket,
            ):
                yield Browser(socket)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _address(profile: Path) -> str:
    """Return where the DevTools protocol is spoken: Chromium writes the port and the path once it listens."""
    written = profile / "DevToolsActivePort"
    while not written.exists() or "\n" not in written.read_text():  # noqa: ASYNC110 - another program's file
        await asyncio.sleep(0.05)
    port, path = written.read_text().split("\n")[:2]
    return f"ws://127.0.0.1:{port}{path}"


async def draw(program: str, pages: Sequence[Path], folder: Path) -> None:
    """Write a PNG of each page into the folder."""
    async with browser(program) as chromium:
        for page in pages:
            (folder / f"{page.stem}.png").write_bytes(await chromium.picture(page))


async def draw_grafana(program: str, address: str, query: str, folder: Path) -> None:
    """Write a PNG of the first screen of each dashboard of a Grafana; the password is GRAFANA_PASSWORD."""
    password = os.environ["GRAFANA_PASSWORD"]
    login = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
    async with browser(program) as chromium:
        for name in paths.dashboards():
            page = f"{address.rstrip('/')}/d/{name}?{query}"
            (folder / f"{name}.png").write_bytes(await chromium.screen(page, login=login))


def main() -> int:
    """Return 0, or 1 where Chromium or the stack is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--from", dest="start", default="now-1h", help="since (default: now-1h)")
    parser.add_argument("--folder", type=Path, help="where the pictures go")
    parser.add_argument(
        "--grafana",
        metavar="ADDRESS",
        help="a Grafana that draws; its password is GRAFANA_PASSWORD",
    )
    parser.add_argument("--theme", choices=("dark", "light"), default="dark", help="of Grafana")
    parser.add_argument("options", nargs="*", help="options of stackctl, after --")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        sys.stderr.write("no Chromium here; on Debian: apt-get install chromium\n")
        return 1
    target: Path = arguments.folder or (GRAFANA if arguments.grafana else SNAPSHOTS)
    target.mkdir(parents=True, exist_ok=True)
    if arguments.grafana:
        query = f"from={arguments.start}&to=now&theme={arguments.theme}"
        asyncio.run(draw_grafana(program, arguments.grafana, query, target))
        return 0
    stackctl = [sys.executable, "-m", "stackctl", *arguments.options]
    with tempfile.TemporaryDirectory() as folder:
        pages = [Path(folder) / f"{name}.html" for name in paths.dashboards()]
        for page in pages:
            command = [*stackctl, "snapshot", page.stem, "--from", arguments.start, "-o", page]
            if subprocess.run(command, check=False).returncode != 0:
                return 1
        asyncio.run(draw(program, pages, target))
    return 0


if __name__ == "__main__":
    sys.exit(main())
