"""The session: the context that every command receives."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.errors import EngineError
from stackctl.ui import console

if TYPE_CHECKING:
    from rich.console import Console

    from stackctl.project.project import Project


@dataclass
class Session:
    """One run of stackctl: the global options, the project and the consoles."""

    name: str | None
    env_file: Path | None

    @cached_property
    def project(self) -> Project:
        """The project that the options select. Opening it prints a warning about abandoned faults."""
        return self._open(create=True)

    @cached_property
    def running(self) -> Project:
        """The project with the addresses of its running stack. A note is printed if the settings differ."""
        project, difference = self.project.as_running()
        if difference:
            self._warn(difference)
        return project

    def require_running(self, *services: str) -> None:
        """Raise NotRunning if the stack, or one of these services, is not running.

        Otherwise another stack might respond at its addresses. If the engine does not answer, nothing is raised, and
        the command relies on the services' responses.
        """
        from stackctl.verify import standing

        with contextlib.suppress(EngineError):
            engine = self.running.engine()
            standing.require_running(self.running, engine, engine.containers(), services)

    @cached_property
    def untouched_project(self) -> Project:
        """The same project, without creating its state folder."""
        return self._open(create=False)

    def _open(self, *, create: bool) -> Project:
        from stackctl.chaos.journal import Journal
        from stackctl.project.project import open_project

        project = open_project(name=self.name, env_file=self.env_file, create=create)
        journal = Journal(project.state)
        notes = [
            f"an abandoned fault is open: {fault.describe()}; recover with `stackctl chaos heal`"
            for fault in journal.open_faults()
            if fault.abandoned
        ]
        for note in (*notes, *journal.unreadable()):
            self._warn(note)
        return project

    def _warn(self, note: str) -> None:
        self.err.print(
            f"stackctl: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )

    @cached_property
    def out(self) -> Console:
        """The console for results."""
        return console.stdout()

    @cached_property
    def err(self) -> Console:
        """The console for progress and notes."""
        return console.stderr()


pass_session = click.make_pass_decorator(Session)
