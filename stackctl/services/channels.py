"""The notification channels, one row each: a new channel is a row here, its part of alertmanager.yml, and its tests.

A row holds what every part of stackctl knows about a channel: its settings, its secret files, what the settings become
in Alertmanager's configuration, how the demo's notification-sink stands in for it, and what counts as delivered. Which
alerts go to which receiver is the business of alertmanager.yml.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from stackctl.values import parsers
from stackctl.values.setting import Setting

SECRETS = "/run/secrets"
"""Where a container finds its secret files."""

_SINK = "http://notification-sink:8025"
_SINK_MAIL = "notification-sink:1025"
_IMPLICIT_TLS_PORT = "465"
_TEAM = "team@bot-core.io"
"""The plan's recipient, to whom e-mail for the sink is addressed."""


class Values(Protocol):
    """Values by name: the settings, where no secret can be had by its name."""

    def __getitem__(self, name: str, /) -> str | None:
        """Return the value of this name. Raises KeyError for a secret."""


class Given(Values, Protocol):
    """Values by name that tell of a secret as well whether it is set."""

    def missing(self, names: Iterable[str], /) -> tuple[str, ...]:
        """Return those of these names that have no value."""


class Conflict(NamedTuple):
    """Settings that are valid one by one and cannot be together."""

    message: str
    remedy: str


@dataclass(frozen=True, slots=True)
class GlobalKey:
    """A key of Alertmanager's `global:` section that only one channel uses."""

    name: str
    value: str | Callable[[Values], str | bool] | None = None
    """Template over the settings, `{NAME}` for each, or made from them; None keeps the value of alertmanager.yml."""
    needs: str | None = None
    """Setting without which the key is left out."""

    def content(self, settings: Values) -> str | bool | None:
        """Return what the key has with these settings; None for what alertmanager.yml has."""
        if isinstance(self.value, str):
            return self.value.format_map(settings)
        return None if self.value is None else self.value(settings)


@dataclass(frozen=True, slots=True)
class StandIn:
    """How the demo's notification-sink receives the messages of a channel that is not set up."""

    globals: Mapping[str, str | bool | None] = field(default_factory=dict)
    """Key of `global:` → its value; None removes the key."""
    secrets: Mapping[str, str] = field(default_factory=dict)
    """Secret file → its content. The sink accepts any key."""


@dataclass(frozen=True, slots=True)
class Channel:
    """A way in which Alertmanager notifies people."""

    name: str
    """As people call it."""
    key: str
    """The `integration` label of Alertmanager's counters, and the sink's name for it."""
    config: str
    """Key of a receiver that has its configurations, such as `slack_configs`."""
    settings: tuple[Setting, ...]
    required: tuple[str, ...]
    """Settings without which it is left out."""
    secrets: Mapping[str, str]
    """Secret file → the setting with its content."""
    delivers: Mapping[str, str]
    """Receiver → what a message for it counts as, in the form of `counted_as`."""
    destination: str
    """Where its messages go, for people: a template over the settings, `{targets}` being what it delivers to."""
    globals: tuple[GlobalKey, ...] = ()
    recipient: str | None = None
    """Key of its configurations that names who or what receives its messages, such as `to`."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Key of each of its configurations → template over the settings, for its value."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """Keys and values that tell its configurations from those of another channel with the same `config`."""
    stand_in: StandIn | None = None
    """None leaves it out where it is not set up, in the demo too."""
    counted_as: str = "{target}"
    """Template over a message in the sink: its `target`, and the `mark` that its title begins with, such as [X]."""
    conflict: Callable[[Given], Conflict | None] = lambda _: None
    """Return which of its settings contradict each other, if any do."""
    by_http: bool = True
    """Whether its messages are requests, which can go through a proxy."""
    shows_summary: bool = True
    """Whether its messages contain the alert's summary."""

    @property
    def notifies_people(self) -> bool:
        """Whether alerts go to it, so that it is missed while it is not set up."""
        return bool(self.delivers)

    def configurations(self, receiver: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return those of a receiver's configurations that are this channel's."""
        return [one for one in receiver.get(self.config) or () if self._owns(one)]

    def remove_from(self, receiver: dict[str, Any]) -> None:
        """Remove this channel's configurations from a receiver."""
        kept = [one for one in receiver.pop(self.config, ()) if not self._owns(one)]
        if kept:
            receiver[self.config] = kept

    def _owns(self, configuration: Mapping[str, Any]) -> bool:
        return all(configuration.get(key) == value for key, value in self.marks.items())

    def describe(self, settings: Values) -> str:
        """Say where its messages go."""
        targets = ", ".join(sorted(set(self.delivers.values())))
        return self.destination.replace("{targets}", targets).format_map(settings)


def _smarthost(settings: Values) -> str:
    host = settings["ALERTMANAGER_SMTP_HOST"] or ""
    # An IPv6 address.
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{settings['ALERTMANAGER_SMTP_PORT']}"


def _requires_starttls(settings: Values) -> bool:
    """Tell whether a mail goes out only after STARTTLS.

    On port 465 Alertmanager encrypts from the first byte (notify/email/email.go, since 0.15), and until 0.30 would ask
    for STARTTLS inside of that as well.
    """
    tls = settings["ALERTMANAGER_SMTP_TLS"]
    return tls == "starttls" or (
        tls == "auto" and settings["ALERTMANAGER_SMTP_PORT"] != _IMPLICIT_TLS_PORT
    )


def _mail_conflict(settings: Given) -> Conflict | None:
    tls, port = settings["ALERTMANAGER_SMTP_TLS"], settings["ALERTMANAGER_SMTP_PORT"]
    username = settings["ALERTMANAGER_SMTP_USERNAME"]
    if tls == "implicit" and port != _IMPLICIT_TLS_PORT:
        return Conflict(
            f"ALERTMANAGER_SMTP_TLS=implicit with ALERTMANAGER_SMTP_PORT={port}:"
            f" Alertmanager encrypts from the first byte on port {_IMPLICIT_TLS_PORT} only",
            f"set ALERTMANAGER_SMTP_PORT={_IMPLICIT_TLS_PORT}, or ALERTMANAGER_SMTP_TLS=starttls",
        )
    if tls in {"starttls", "none"} and port == _IMPLICIT_TLS_PORT:
        return Conflict(
            f"ALERTMANAGER_SMTP_TLS={tls} with ALERTMANAGER_SMTP_PORT={port}:"
            " Alertmanager always encrypts from the first byte on that port",
            "remove ALERTMANAGER_SMTP_TLS, or set another port",
        )
    if username is not None and tls == "none":
        return Conflict(
            "ALERTMANAGER_SMTP_TLS=none with ALERTMANAGER_SMTP_USERNAME:"
            " the password would be sent unencrypted",
            "remove ALERTMANAGER_SMTP_TLS, or the user and the password",
        )
    if username is not None and settings.missing(["ALERTMANAGER_SMTP_PASSWORD"]):
        return Conflict(
            "ALERTMANAGER_SMTP_USERNAME is set without ALERTMANAGER_SMTP_PASSWORD:"
            " Alertmanager cannot log in",
            "set both or none",
        )
    return None


CHANNELS: tuple[Channel, ...] = (
    Channel(
        "Slack",
        "slack",
        "slack_configs",
        settings=(
            Setting(
                "ALERTMANAGER_SLACK_WEBHOOK_URL",
                None,
                parsers.url,
                "Slack incoming webhook",
                secret=True,
            ),
        ),
        required=("ALERTMANAGER_SLACK_WEBHOOK_URL",),
        secrets={"slack_webhook_url": "ALERTMANAGER_SLACK_WEBHOOK_URL"},
        globals=(GlobalKey("slack_api_url_file"),),
        recipient="channel",
        stand_in=StandIn(secrets={"slack_webhook_url": f"{_SINK}/slack"}),
        delivers={
            "default": "#bot-core-alerts",
            "critical-alerts": "#critical-alerts",
            "warning-alerts": "#bot-core-alerts",
            "trading-team": "#trading-alerts",
            "ai-team": "#ai-alerts",
            "dba-team": "#database-alerts",
        },
        destination="Slack ({targets})",
    ),
    Channel(
        "PagerDuty",
        "pagerduty",
        "pagerduty_configs",
        settings=(
            Setting(
                "ALERTMANAGER_PAGERDUTY_KEY",
                None,
                parsers.text,
                "PagerDuty integration key",
                secret=True,
            ),
        ),
        required=("ALERTMANAGER_PAGERDUTY_KEY",),
        secrets={"pagerduty_key": "ALERTMANAGER_PAGERDUTY_KEY"},
        stand_in=StandIn(
            globals={"pagerduty_url": f"{_SINK}/v2/enqueue"}, secrets={"pagerduty_key": "demo"}
        ),
        delivers={"critical-alerts": "critical"},
        destination="PagerDuty",
        shows_summary=False,
    ),
    Channel(
        "e-mail",
        "email",
        "email_configs",
        settings=(
            Setting("ALERTMANAGER_EMAIL_FROM", None, parsers.sender, "sender of alert e-mails"),
            Setting(
                "ALERTMANAGER_EMAIL_TO",
                None,
                parsers.recipients,
                "recipients of alert e-mails, with commas between",
            ),
            Setting("ALERTMANAGER_SMTP_HOST", None, parsers.host_or_address, "SMTP server"),
            Setting("ALERTMANAGER_SMTP_PORT", "587", parsers.port, "SMTP server's port"),
            Setting(
                "ALERTMANAGER_SMTP_TLS",
                "auto",
                parsers.smtp_tls,
                "how mail to it is encrypted: starttls, implicit, none; auto is implicit on port 465, else starttls",
            ),
            Setting("ALERTMANAGER_SMTP_USERNAME", None, parsers.text, "SMTP user"),
            Setting("ALERTMANAGER_SMTP_PASSWORD", None, parsers.text, "SMTP password", secret=True),
        ),
        required=("ALERTMANAGER_SMTP_HOST", "ALERTMANAGER_EMAIL_FROM", "ALERTMANAGER_EMAIL_TO"),
        secrets={"smtp_password": "ALERTMANAGER_SMTP_PASSWORD"},
        globals=(
            GlobalKey("smtp_from", "{ALERTMANAGER_EMAIL_FROM}"),
            GlobalKey("smtp_smarthost", _smarthost),
            GlobalKey(
                "smtp_auth_username",
                "{ALERTMANAGER_SMTP_USERNAME}",
                needs="ALERTMANAGER_SMTP_USERNAME",
            ),
            GlobalKey("smtp_auth_password_file", needs="ALERTMANAGER_SMTP_USERNAME"),
            GlobalKey("smtp_require_tls", _requires_starttls),
        ),
        recipient="to",
        fields={"to": "{ALERTMANAGER_EMAIL_TO}"},
        stand_in=StandIn(
            globals={
                "smtp_smarthost": _SINK_MAIL,
                "smtp_require_tls": False,
                "smtp_auth_username": None,
                "smtp_auth_password_file": None,
            }
        ),
        delivers={
            "critical-alerts": f"[CRITICAL] to {_TEAM}",
            "business-hours": f"[BOT-CORE] to {_TEAM}",
        },
        destination="e-mail ({ALERTMANAGER_EMAIL_TO})",
        counted_as="{mark} to {target}",
        conflict=_mail_conflict,
        by_http=False,
    ),
    Channel(
        "dead man's switch",
        "webhook",
        "webhook_configs",
        settings=(
            Setting(
                "ALERTMANAGER_DEAD_MANS_SWITCH_URL",
                None,
                parsers.url,
                "dead man's switch: address called every minute while alerting works",
                secret=True,
            ),
        ),
        required=("ALERTMANAGER_DEAD_MANS_SWITCH_URL",),
        secrets={"dead_mans_switch_url": "ALERTMANAGER_DEAD_MANS_SWITCH_URL"},
        marks={"url_file": f"{SECRETS}/dead_mans_switch_url"},
        delivers={},
        destination="dead man's switch",
    ),
)


def secret_files() -> Iterator[tuple[str, str]]:
    """Yield the name of every channel's secret files, and the setting with the content."""
    for channel in CHANNELS:
        yield from channel.secrets.items()
