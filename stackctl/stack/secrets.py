"""Passwords and keys: generated where the user gave none, and laid out as the files that the containers mount."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from stackctl.applications import Present
from stackctl.settings import GENERATED_SECRETS, Settings
from stackctl.stack.state import MOUNTED_FILE, PRIVATE_FILE, State, write_atomic

if TYPE_CHECKING:
    from pydantic import SecretStr

USER = "stackctl"
"""The user that the demo's RabbitMQ and MongoDB are set up with."""

STORE = "secrets.json"
"""Where generated secrets are kept, in the state folder."""
_FINGERPRINT_KEY = "fingerprint_key"


class Secrets:
    """The secrets of one project. They are given wrapped, and `repr` shows none."""

    def __init__(self, settings: Settings, state: State) -> None:
        """Take what the settings give and what an earlier run generated, and make up and keep the rest."""
        self._settings = settings
        self._generated = _kept(state)

    def get(self, name: str) -> SecretStr | None:
        """Give the secret of this setting's name: the user's, else the generated one, else None."""
        given = self._settings.secret(name)
        if given is not None:
            return given
        from pydantic import SecretStr

        generated = self._generated.get(name)
        return None if generated is None else SecretStr(generated)

    def is_generated(self, name: str) -> bool:
        """Tell whether stackctl made this one up."""
        return self._settings.secret(name) is None and name in self._generated

    @property
    def fingerprint_key(self) -> bytes:
        """A key of this project's own, so that a fingerprint of a secret tells nothing about the secret."""
        return base64.b64encode(self._generated[_FINGERPRINT_KEY].encode())

    def write_files(self, state: State, defaults: Mapping[str, str], present: Present) -> None:
        """Write the secret files that the compose files mount.

        `defaults` are the contents, by file, of what is not set; anything else that is not set is an empty file. A
        Redis that is not the demo's is asked without a password unless the user gave one.
        """
        state.secrets.mkdir(mode=0o700, exist_ok=True)
        for name, content in self._mounted_files(present).items():
            write_atomic(state.secrets / name, content or defaults.get(name, ""), MOUNTED_FILE)
        write_atomic(
            state.secrets / "mongodb-exporter.env",
            f"MONGODB_URI={self._mongodb_uri()}\n",
            PRIVATE_FILE,
        )

    def _mounted_files(self, present: Present) -> Mapping[str, str]:
        redis = self._text("REDIS_EXPORTER_PASSWORD")
        watched = present.targets.get("redis")
        known = present.demo or not self.is_generated("REDIS_EXPORTER_PASSWORD")
        rabbitmq = self._text("RABBITMQ_PASSWORD")
        return {
            "grafana_password": self._text("GRAFANA_PASSWORD"),
            "redis_password": redis,
            "redis_conf": f'requirepass "{_escaped(redis)}"\n',
            "redis_exporter_passwords": json.dumps(
                {f"redis://{watched.address if watched else 'redis:6379'}": redis if known else ""}
            ),
            "rabbitmq_password": rabbitmq,
            # A literal in single quotes is taken as it is (RabbitMQ's new configuration format).
            "rabbitmq_conf": f"default_user = {USER}\ndefault_pass = '{rabbitmq}'\n",
            "mongodb_password": self._text("MONGODB_PASSWORD"),
            "slack_webhook_url": self._text("ALERTMANAGER_SLACK_WEBHOOK_URL"),
            "pagerduty_key": self._text("ALERTMANAGER_PAGERDUTY_KEY"),
            "smtp_password": self._text("ALERTMANAGER_SMTP_PASSWORD"),
        }

    def _mongodb_uri(self) -> str:
        given = self._text("MONGODB_EXPORTER_URI")
        return (
            given
            or f"mongodb://{USER}:{quote(self._text('MONGODB_PASSWORD'), safe='')}@mongodb:27017"
        )

    def _text(self, name: str) -> str:
        secret = self.get(name)
        return "" if secret is None else secret.get_secret_value()


def _kept(state: State) -> dict[str, str]:
    """Give what was generated, and make up and keep what is missing: of two processes at once both have the same."""
    with state.alone():
        kept = state.read_json(STORE)
        generated = {
            name: kept.get(name) or secrets.token_urlsafe(24)
            for name in (*GENERATED_SECRETS, _FINGERPRINT_KEY)
        }
        if generated != kept:
            state.write_json(STORE, generated)
    return generated


def _escaped(text: str) -> str:
    """Escape text for a double-quoted argument in redis.conf."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
