"""A view that is refreshed, on a terminal and in a pipe, until Ctrl-C."""

from __future__ import annotations

import io

import click
import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from stackctl.errors import EngineError, ServiceError
from stackctl.ui import watch
from tests.support.terminal import TerminalText


class Views:
    """Views one after the other, and a Ctrl-C after the last."""

    def __init__(self, *steps: str | Exception) -> None:
        self._steps = iter(steps)

    def __call__(self) -> RenderableType:
        step = next(self._steps, None)
        if step is None:
            raise KeyboardInterrupt
        if isinstance(step, Exception):
            raise step
        return Text(step)


def shown(*steps: str | Exception, terminal: bool = False) -> str:
    """Watch these views, see that Ctrl-C ends it with 130, and return what was printed."""
    stream = TerminalText() if terminal else io.StringIO()
    out = Console(file=stream, force_terminal=terminal, width=60)
    with pytest.raises(click.exceptions.Exit) as caught:
        watch.watch(out, 0.01, "table", Views(*steps))
    assert caught.value.exit_code == 130
    return stream.getvalue()


def test_in_a_pipe_one_view_follows_the_other() -> None:
    assert shown("first", "second") == "first\nsecond\n"


def test_on_a_terminal_each_takes_the_screen_which_is_given_back() -> None:
    text = shown("first", "second", terminal=True)
    assert text.index("\x1b[?1049h") < text.index("first") < text.index("second")
    assert text.index("second") < text.index("\x1b[?1049l")


def test_a_service_that_does_not_answer_is_asked_again() -> None:
    failure = ServiceError("loki at x: gone", service="loki", remedy="stackctl logs loki")
    assert shown(failure, "back") == "loki at x: gone; stackctl logs loki\nback\n"


def test_any_other_error_ends_it() -> None:
    out = Console(file=io.StringIO())
    with pytest.raises(EngineError):
        watch.watch(out, 0.01, "table", Views(EngineError("no engine")))


def test_the_time_between_two_views(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(watch, "sleep", slept.append)
    out = Console(file=io.StringIO())
    with pytest.raises(click.exceptions.Exit):
        watch.watch(out, 7, "table", Views("a", "b"))
    assert slept == [7, 7]
