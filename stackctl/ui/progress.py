"""Progress of long operations: a live table on a terminal, otherwise a line for each change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.status import Status
from rich.table import Table
from rich.text import Text

from stackctl.ui.console import on_screen

if TYPE_CHECKING:
    from stackctl.readiness.wait import Progress

_STYLES = {"waiting": "yellow", "ready": "green", "failed": "red"}


class _Shown:
    """A context manager that keeps a display on a terminal while its body runs; it shows nothing elsewhere.

    Meanwhile all output, on whichever console, must go through `print`.
    """

    def __init__(self, console: Console, make: Callable[[], Live | Status]) -> None:
        self._console = console
        self._make = make
        self._shown = make() if on_screen(console) else None

    def print(self, out: Console, *objects: RenderableType, style: str | None = None) -> None:
        """Print to a console, and hide the display on the same screen while doing so."""
        # rich itself handles output to the same console.
        aside = self._shown if out is not self._console and on_screen(out) else None
        if aside:
            aside.stop()
        try:
            out.print(*objects, style=style, soft_wrap=True)
        finally:
            if aside:
                # A new display, because the old one would move the cursor up over the printed lines.
                self._shown = self._make()
                self._shown.start()

    def __enter__(self) -> Self:
        if self._shown:
            self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._shown:
            self._shown.stop()


class Spinner(_Shown):
    """Shows on a terminal what stackctl is waiting for. A context manager."""

    def __init__(self, console: Console, text: str) -> None:
        self._text = Text(text)
        super().__init__(console, lambda: console.status(self._text))

    def update(self, text: str) -> None:
        """Show another text."""
        self._text = Text(text)
        if isinstance(self._shown, Status):
            self._shown.update(self._text)


class Display(_Shown):
    """Shows steps, notes and the readiness of services while a command runs. A context manager."""

    def __init__(self, console: Console) -> None:
        self._rows: dict[str, Progress] = {}
        self._step = ""
        self._began = time.monotonic()
        super().__init__(
            console,
            lambda: Live(
                console=console, transient=True, refresh_per_second=4, get_renderable=self._render
            ),
        )

    def step(self, text: str) -> None:
        """Show the step that begins now."""
        self._step = text
        if not self._shown:
            self._line(text)

    def note(self, text: str) -> None:
        """Print a note that stays on the screen."""
        self._line(text)

    def progress(self, progress: Progress) -> None:
        """Show the progress of a service."""
        self._rows[progress.service] = progress
        if not self._shown:
            reason = "" if progress.state == "ready" else f": {progress.reason}"
            self._line(
                f"{progress.service}{_standin(progress)} {progress.state} after {progress.seconds:.1f} s{reason}"
            )

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def _render(self) -> Table:
        # One line per service, because a display that is taller than the terminal cannot be erased.
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
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


class Waiting(_Shown):
    """Shows which checks are still running, and what drills wait for."""

    def __init__(self, console: Console, names: Iterable[str]) -> None:
        self._names = set(names)
        self._states: dict[str, str] = {}
        super().__init__(console, lambda: console.status(self._text()))

    def finished(self, name: str) -> None:
        """Remove a finished check."""
        self._names.discard(name)
        self._update()

    def tell(self, subject: str, state: str) -> None:
        """Show the state of a drill's service; a repeated state is shown once."""
        if self._states.get(subject) == state:
            return
        self._states[subject] = state
        if self._shown:
            self._update()
        else:
            self._console.print(Text(f"{subject}: {state}"), soft_wrap=True)

    def _update(self) -> None:
        if isinstance(self._shown, Status):
            self._shown.update(self._text())

    def _text(self) -> Text:
        lines = [f"{subject}: {state}" for subject, state in self._states.items()]
        names = f"waiting for {', '.join(sorted(self._names))}" if self._names else "done"
        return Text("\n".join([names, *lines]))


def _standin(progress: Progress) -> str:
    return " (stand-in)" if progress.standin else ""
