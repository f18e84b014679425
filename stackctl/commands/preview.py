"""`stackctl alerts preview`."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stackctl.commands import complete
from stackctl.commands.options import FORMAT
from stackctl.commands.session import Session, pass_session
from stackctl.errors import StackctlError
from stackctl.services.channels import CHANNELS
from stackctl.ui.console import print_json

if TYPE_CHECKING:
    from rich.console import Console

    from stackctl.alerts.examples import Example
    from stackctl.render.preview import Message

_HTML = "html"
"""The field of an e-mail that is a page."""

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; margin: 2rem">
<h1>{title}</h1>
{messages}
</body>
</html>
"""

_FRAME = """<h2>{heading}</h2>
<iframe sandbox srcdoc="{document}" style="width: 100%; height: 30rem; border: 1px solid #ccc"></iframe>"""


@click.command(
    epilog="\b\nExamples:\n  stackctl alerts preview HighErrorRate\n"
    "  stackctl alerts preview TradingHalted --channel slack\n"
    "  stackctl alerts preview CriticalMemoryUsage --channel email --html mail.html"
)
@click.argument("alert", shell_complete=complete.alerts)
@click.option(
    "--channel",
    "key",
    type=click.Choice([channel.key for channel in CHANNELS]),
    help="Show only this channel's messages.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the e-mails to this file, as a mail program shows them.",
)
@FORMAT
@pass_session
def preview(session: Session, alert: str, key: str | None, page: Path | None, output: str) -> None:
    """Show the messages that ALERT would send to each channel, firing and resolved.

    Labels and values are those of the alert's own unit test. Alertmanager's routes decide who is notified, and its
    templates produce the text. Nothing is sent, and the stack need not run. Channels that are not set up are shown as
    well. Routes with time intervals are treated as active.
    """
    from stackctl.alerts.examples import example

    firing = example(alert)
    messages = [one for one in _rendered(session, firing) if key in {None, one.channel.key}]
    if page is not None:
        _write_page(page, alert, messages)
        session.err.print(f"wrote {page}", soft_wrap=True, markup=False)
    if output == "json":
        print_json(
            [
                {
                    "receiver": one.receiver,
                    "channel": one.channel.key,
                    "recipient": one.recipient,
                    "status": one.status,
                    "fields": one.texts,
                }
                for one in messages
            ]
        )
        return
    labels = " ".join(f"{name}={value}" for name, value in firing.labels.items())
    session.out.print(f"Labels: {labels}", soft_wrap=True, markup=False, highlight=False)
    if not messages:
        session.out.print(f"{alert} sends no message{f' to {key}' if key else ''}.")
    missing = {one.name for one in CHANNELS if session.project.settings.missing(one.required)}
    for (receiver, name, recipient), group in groupby(
        messages, lambda one: (one.receiver, one.channel.name, one.recipient)
    ):
        to = f" to {recipient}" if recipient else ""
        hint = " (not set up)" if name in missing else ""
        session.out.print()
        session.out.print(
            f"{receiver}: {name}{to}{hint}", style="bold", soft_wrap=True, markup=False
        )
        for message in group:
            _show(session.out, message)


def _rendered(session: Session, firing: Example) -> list[Message]:
    import tempfile

    from stackctl.images import resolve
    from stackctl.lifecycle import attach
    from stackctl.project.project import UpRequest
    from stackctl.render.configuration import write_configuration
    from stackctl.render.preview import preview as rendered

    project = session.project
    state = attach.next_state(project, UpRequest())
    engine = project.whole_engine()
    image = resolve.references_in_use(engine, project.settings, state)["alertmanager"]
    if engine.image_id(image) is None:
        raise StackctlError(
            f"messages cannot be rendered without the image {image}", remedy="stackctl up"
        )
    with tempfile.TemporaryDirectory(prefix="stackctl-preview-") as name:
        folder = Path(name)
        write_configuration(
            project.settings, project.state, folder, state.releases, project.present(state)
        )
        return rendered(engine, image, project.settings, folder / "alertmanager", firing)


def _show(out: Console, message: Message) -> None:
    from rich.text import Text

    style = "green" if message.status == "resolved" else "red"
    own = "" if message.texts else ": in Alertmanager's own format"
    out.print(Text(f"  {message.status}{own}", style=style))
    for path, text in message.texts.items():
        # --html is for pages.
        if path == _HTML or not text:
            continue
        lines = text.splitlines()
        first = lines[0] if len(lines) == 1 else ""
        out.print(Text.assemble((f"    {path}: ", "dim"), first), soft_wrap=True)
        for line in lines if len(lines) > 1 else ():
            out.print(Text(f"      {line}"), soft_wrap=True)


def _write_page(page: Path, alert: str, messages: Iterable[Message]) -> None:
    from html import escape

    # Each in a frame of its own: an e-mail is a whole document.
    frames = [
        _FRAME.format(
            heading=escape(f"{one.receiver}, {one.status}: {one.texts['headers.Subject']}"),
            document=escape(one.texts[_HTML]),
        )
        for one in messages
        if _HTML in one.texts
    ]
    if not frames:
        raise StackctlError(f"{alert} sends no e-mail, so {page} was not written")
    page.write_text(_PAGE.format(title=escape(alert), messages="\n".join(frames)), encoding="utf-8")
