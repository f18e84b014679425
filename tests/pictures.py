"""`make pictures`: the running stack's dashboards as whole pages, into docs/images.

A page is `stackctl snapshot`, drawn by a headless Chromium, which is asked over the DevTools protocol for a picture of
all of it (chromedevtools.github.io/devtools-protocol/tot/Page/#method-captureScreenshot).
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

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WIDTH = 24 * COLUMN + 40
_START_SECONDS = 30.0
_MAX_MESSAGE = 64 << 20


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

    async def picture(self, page: Path) -> bytes:
        """Give a PNG of the whole page."""
        made = await self._call("Target.createTarget", url="about:blank")
        target = {"targetId": made["targetId"], "flatten": True}
        session = (await self._call("Target.attachToTarget", **target))["sessionId"]
        screen = {"width": _WIDTH, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", session, **screen)
        await self._call("Page.enable", session)
        await self._call("Page.navigate", session, url=page.as_uri())
        await self._until("Page.loadEventFired")
        size = (await self._call("Page.getLayoutMetrics", session))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        taken = await self._call(
            "Page.captureScreenshot", session, captureBeyondViewport=True, clip=clip
        )
        await self._call("Target.closeTarget", targetId=made["targetId"])
        return base64.b64decode(taken["data"])


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
    """Give where the DevTools protocol is spoken: Chromium writes the port and the path once it listens."""
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


def main() -> int:
    """Give 0, or 1 where Chromium or the stack is missing."""
    parser = argparse.ArgumentParser(prog="python -m tests.pictures", description=__doc__)
    parser.add_argument("--from", dest="start", default="now-1h", help="since (default: now-1h)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the pictures go")
    parser.add_argument("options", nargs="*", help="options of stackctl, after --")
    arguments = parser.parse_args()
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        sys.stderr.write("no Chromium here; on Debian: apt-get install chromium\n")
        return 1
    stackctl = [sys.executable, "-m", "stackctl", *arguments.options]
    with tempfile.TemporaryDirectory() as folder:
        pages = [Path(folder) / f"{name}.html" for name in paths.dashboards()]
        for page in pages:
            command = [*stackctl, "snapshot", page.stem, "--from", arguments.start, "-o", page]
            if subprocess.run(command, check=False).returncode != 0:
                return 1
        asyncio.run(draw(program, pages, arguments.folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
