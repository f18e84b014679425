"""Previews the messages of an alert, rendered with Alertmanager's templates and routed by its routing tree.

All of it is the work of amtool, in one container that is removed afterwards: nothing has to run, and nothing is sent.
"""

from __future__ import annotations

import datetime as dt
import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote_plus

from stackctl.alerts.examples import Example
from stackctl.clients.alertmanager import Matcher
from stackctl.clients.matchers import written
from stackctl.config.registry import DEFAULT_RUNBOOKS
from stackctl.config.settings import Settings
from stackctl.docker.engine import Engine
from stackctl.errors import StackctlError
from stackctl.services.channels import CHANNELS, Channel
from stackctl.util import paths, yaml_text

Status = Literal["firing", "resolved"]

_AT = "/preview"
_KINDS = ("text", "html")
_BETWEEN_TEXTS = "-=- next text -=-"
_BETWEEN_COMMANDS = "-=- next command -=-"
_LASTED = dt.timedelta(hours=1, minutes=5)
_NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, which is the end of an alert that has not ended."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message that one channel would receive."""

    receiver: str
    channel: Channel
    recipient: str
    status: Status
    texts: Mapping[str, str]
    """Rendered fields by their path in the receiver's configuration, such as `headers.Subject`."""


@dataclass(frozen=True, slots=True)
class _Part:
    """The messages of one channel of a receiver for one status."""

    receiver: str
    channel: Channel
    configuration: Mapping[str, Any]
    status: Status

    def templates(self) -> list[dict[str, str]]:
        """Return the templates by their path: text templates first, then HTML templates.

        Alertmanager escapes what it e-mails as HTML, and nothing else.
        """
        every = dict(template_texts(self.configuration))
        html = {path: text for path, text in every.items() if path == "html"}
        return [{path: text for path, text in every.items() if path not in html}, html]


def preview(
    engine: Engine, image: str, settings: Settings, folder: Path, example: Example
) -> list[Message]:
    """Return the messages that each channel would receive when an alert fires and when it is resolved.

    `image` is Alertmanager's, and `folder` its rendered configuration, whose templates are used as they are. Receivers
    and routes are those of the whole configuration, so channels that are not set up are included. Raises StackctlError
    where amtool rejects a template.
    """
    source = (paths.monitoring() / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml_text.load(source)
    (folder / "alertmanager.yml").write_text(source, encoding="utf-8")
    parts = list(_parts(config))
    commands = [_route(example)]
    for number, part in enumerate(parts):
        data = f"{number}.json"
        (folder / data).write_text(
            json.dumps(_notification(config, settings, example, part)), encoding="utf-8"
        )
        commands += [
            _render(texts, kind, data)
            for kind, texts in zip(_KINDS, part.templates(), strict=True)
            if texts
        ]
    outputs = iter(_run(engine, image, folder, commands))
    receivers = next(outputs).strip().split(",")
    messages = []
    for part in parts:
        texts: dict[str, str] = {}
        for templates in filter(None, part.templates()):
            rendered = (one.strip() for one in next(outputs).split(_BETWEEN_TEXTS))
            texts |= zip(templates, rendered, strict=True)
        if part.receiver in receivers:
            messages.append(_message(part, settings, texts))
    return sorted(messages, key=lambda one: receivers.index(one.receiver))


def _parts(config: Mapping[str, Any]) -> Iterator[_Part]:
    for receiver in config["receivers"]:
        for channel in CHANNELS:
            for configuration in channel.configurations(receiver):
                for status in get_args(Status):
                    if status == "firing" or configuration.get("send_resolved", True):
                        yield _Part(receiver["name"], channel, configuration, status)


def template_texts(node: object, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield every template in a part of Alertmanager's configuration, with its path in that part.

    In the path, an item of a list is its name or its text, otherwise its number.
    """
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from template_texts(value, f"{path}.{key}".lstrip("."))
    elif isinstance(node, list):
        for number, value in enumerate(node):
            name = value.get("name") or value.get("text") if isinstance(value, Mapping) else None
            yield from template_texts(value, f"{path}.{name or number}".lstrip("."))
    elif isinstance(node, str) and "{{" in node:
        yield path, node


def _notification(
    config: Mapping[str, Any], settings: Settings, example: Example, part: _Part
) -> dict[str, Any]:
    """Return a notification of one alert as Alertmanager passes it to templates (template.Data)."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    resolved = part.status == "resolved"
    query = f"/graph?g0.expr={quote_plus(example.expression)}&g0.tab=1"
    runbooks = settings["RUNBOOK_BASE_URL"] or DEFAULT_RUNBOOKS
    annotations = {
        name: text.replace(DEFAULT_RUNBOOKS, runbooks) if name == "runbook_url" else text
        for name, text in example.annotations.items()
    }
    alert = {
        "status": part.status,
        "labels": example.labels,
        "annotations": annotations,
        "startsAt": (now - _LASTED if resolved else now).isoformat(),
        "endsAt": now.isoformat() if resolved else _NEVER,
        "generatorURL": f"{settings.url('prometheus')}{query}",
        "fingerprint": "0000000000000000",
    }
    grouping = config["route"]["group_by"]
    return {
        "receiver": part.receiver,
        "status": part.status,
        "alerts": [alert],
        "groupLabels": {name: example.labels[name] for name in grouping if name in example.labels},
        "commonLabels": example.labels,
        "commonAnnotations": annotations,
        "externalURL": settings.url("alertmanager"),
    }


def _route(example: Example) -> list[str]:
    labels = (written(Matcher(name=name, value=text)) for name, text in example.labels.items())
    return ["config", "routes", "test", f"--config.file={_AT}/alertmanager.yml", *labels]


def _render(templates: Mapping[str, str], kind: str, data: str) -> list[str]:
    return [
        *("template", "render", f"--template.glob={_AT}/templates/*.tmpl"),
        f"--template.type={kind}",
        f"--template.data={_AT}/{data}",
        f"--template.text={_BETWEEN_TEXTS.join(templates.values())}",
    ]


def _run(engine: Engine, image: str, folder: Path, commands: list[list[str]]) -> list[str]:
    """Run amtool for each of the commands in one container, and return their outputs."""
    # The engine returns stdout and stderr as one text, and amtool prints irrelevant warnings on stderr. A command that
    # fails runs again for its error message.
    script = "\n".join(
        f"{one} 2>/dev/null || {{ {one} 2>&1; exit 1; }}; echo {shlex.quote(_BETWEEN_COMMANDS)}"
        for one in (shlex.join(["amtool", *command]) for command in commands)
    )
    code, output = engine.try_program(image, ["-c", script], entrypoint="sh", folder=folder, at=_AT)
    if code:
        raise StackctlError(
            f"Alertmanager cannot render its messages: {output.split(_BETWEEN_COMMANDS)[-1].strip()}",
            remedy="correct the template in infrastructure/monitoring/alertmanager/templates",
        )
    return output.split(_BETWEEN_COMMANDS)[:-1]


def _message(part: _Part, settings: Settings, texts: Mapping[str, str]) -> Message:
    recipient = ""
    if key := part.channel.recipient:
        recipient = str(part.configuration[key])
        if key in part.channel.fields and not settings.missing(part.channel.required):
            recipient = part.channel.fields[key].format_map(settings)
    return Message(part.receiver, part.channel, recipient, part.status, texts)
