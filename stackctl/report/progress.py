"""Progress of a long wait: a live table on a terminal, a line a change anywhere else."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stackctl.readiness import Progress

_STYLES = {"waiting": "yellow", "ready": "green", "failed": "red"}


class Display:
    """Shows steps, notes and the readiness of services while a command is at work. A context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, Progress] = {}
        self._step = ""
        self._began = time.monotonic()
        self._live = (
            Live(console=console, transient=True, refresh_per_second=4, get_renderable=self._render)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> Display:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def step(self, text: str) -> None:
        """Say what begins now."""
        self._step = text
        if not self._live:
            self._line(text)

    def note(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._line(text)

    def progress(self, progress: Progress) -> None:
        """Show how far a service is."""
        self._rows[progress.service] = progress
        if not self._live:
            reason = "" if progress.state == "ready" else f": {progress.reason}"
            self._line(
                f"{progress.service}{_standin(progress)} {progress.state} after {progress.seconds:.1f} s{reason}"
            )

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def _render(self) -> Table:
        table = Table.grid(padding=(0, 2))
        elapsed = time.monotonic() - self._began
        table.add_row(Text(f"{elapsed:5.1f} s", style="dim"), Text(self._step, style="bold"))
        for row in self._rows.values():
            seconds = row.seconds if row.state != "waiting" else elapsed
            table.add_row(
                Text(f"{seconds:5.1f} s", style="dim"),
                Text.assemble(
                    (f"{row.state:8}", _STYLES[row.state]),
                    row.service,
                    (_standin(row), "dim"),
                    ("" if row.state == "ready" else f"  {row.reason}", "dim"),
                ),
            )
        return table


def _standin(progress: Progress) -> str:
    return " (stand-in)" if progress.standin else ""
