"""Passwords and keys: generated where the user gave none, and laid out as the files that the containers mount."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from stackctl.config.registry import GENERATED_SECRETS
from stackctl.config.settings import Settings
from stackctl.project.state import MOUNTED_FILE, PRIVATE_FILE, StateFolder, write_atomic
from stackctl.services import channels
from stackctl.services.applications import MonitoredServices
from stackctl.util.redaction import remember
from stackctl.values.parsers import names_one_mongodb
from stackctl.values.secret import Secret

USER = "stackctl"
"""The user that the demo's RabbitMQ and MongoDB are set up with."""

COMMA = r"\,"
"""A comma in MongoDB's address, as the exporter takes it."""

STORE = "secrets.json"
"""Where generated secrets are kept, in the state folder."""
_FINGERPRINT_KEY = "fingerprint_key"


class Secrets:
    """The secrets of one project. They are given wrapped, and `repr` shows none."""

    def __init__(self, settings: Settings, state: StateFolder) -> None:
        """Take what the settings give and what an earlier run generated, and make up and keep the rest."""
        self._settings = settings
        self._generated = _kept(state)
        for text in self._generated.values():
            remember(text)

    def get(self, name: str) -> Secret | None:
        """Return the secret of this setting's name: the user's, else the generated one, else None."""
        given = self._settings.secret(name)
        if given is not None:
            return given
        generated = self._generated.get(name)
        return None if generated is None else Secret(generated)

    def is_generated(self, name: str) -> bool:
        """Return whether stackctl made this one up."""
        return self._settings.secret(name) is None and name in self._generated

    @property
    def names_one_mongodb(self) -> bool:
        """Whether the address of MongoDB names one server, and not a cluster."""
        return names_one_mongodb(self._mongodb_uri())

    @property
    def fingerprint_key(self) -> bytes:
        """A key of this project's own, so that a fingerprint of a secret tells nothing about the secret."""
        return base64.b64encode(self._generated[_FINGERPRINT_KEY].encode())

    def write_files(
        self, state: StateFolder, defaults: Mapping[str, str], present: MonitoredServices
    ) -> None:
        """Write the secret files that the compose files mount.

        `defaults` are the contents, by file, of what is not set; anything else that is not set is an empty file. A
        Redis that is not the demo's is asked without a password unless the user gave one.
        """
        state.secrets.mkdir(exist_ok=True)
        # The files in it can be read by everybody who can enter it.
        state.secrets.chmod(0o700)
        for name, content in self._mounted_files(present).items():
            write_atomic(state.secrets / name, content or defaults.get(name, ""), MOUNTED_FILE)
        write_atomic(
            state.secrets / "mongodb-exporter.env",
            # The exporter's command line parser (alecthomas/kong) would split it at its commas.
            f"MONGODB_URI={_env_quoted(self._mongodb_uri().replace(',', COMMA))}\n",
            PRIVATE_FILE,
        )

    def _mounted_files(self, present: MonitoredServices) -> Mapping[str, str]:
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
            "rabbitmq_conf": "load_definitions = /run/secrets/rabbitmq_definitions.json\n",
            "rabbitmq_definitions": json.dumps(self._rabbitmq_definitions(rabbitmq)),
            "mongodb_password": self._text("MONGODB_PASSWORD"),
            **{file: self._text(setting) for file, setting in channels.secret_files()},
        }

    def fingerprint(self, name: str) -> str:
        """Return what tells a secret from another of the same name, and nothing else of it."""
        return hmac.digest(
            self.fingerprint_key, f"{name}\0{self._text(name)}".encode(), "sha256"
        ).hex()[:16]

    def _rabbitmq_definitions(self, password: str) -> Mapping[str, Any]:
        """Return the user and what it may do, which the broker takes over at every start, whatever its data has.

        The hash is what RabbitMQ keeps itself: SHA-256 after a salt of four bytes
        (rabbitmq.com/docs/passwords, "Computing Password Hash"). The salt is the same as long as the password is,
        so that the container is not made anew at every `up`.
        """
        salt = bytes.fromhex(self.fingerprint("RABBITMQ_PASSWORD"))[:4]
        digest = hashlib.sha256(salt + password.encode()).digest()
        user = {
            "name": USER,
            "password_hash": base64.b64encode(salt + digest).decode(),
            "hashing_algorithm": "rabbit_password_hashing_sha256",
            "tags": ["administrator"],
        }
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        return {
            "users": [user],
            "vhosts": [{"name": "/"}],
            "permissions": [{"user": USER, "vhost": "/", **everything}],
        }

    def _mongodb_uri(self) -> str:
        given = self._text("MONGODB_EXPORTER_URI")
        return (
            given
            or f"mongodb://{USER}:{quote(self._text('MONGODB_PASSWORD'), safe='')}@mongodb:27017"
        )

    def _text(self, name: str) -> str:
        secret = self.get(name)
        return "" if secret is None else secret.reveal()


def _kept(state: StateFolder) -> dict[str, str]:
    """Return what was generated, and make up and keep what is missing: of two processes at once both have the same."""
    with state.alone():
        kept = state.read_json(STORE)
        generated = {
            name: kept.get(name) or secrets.token_urlsafe(24)
            for name in (*GENERATED_SECRETS, _FINGERPRINT_KEY)
        }
        if generated != kept:
            state.write_json(STORE, generated)
    return generated


def _env_quoted(text: str) -> str:
    """Quote text for a .env file of Compose, which replaces variables and escapes in double quotes.

    `$$` is a dollar sign (docs.docker.com/reference/compose-file/interpolation). Text in single quotes is taken as it
    is, but for the quote, which cannot be in it after a backslash.
    """
    escaped = _escaped(text).replace("$", "$$")
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    """Escape text for double quotes in redis.conf and .env files."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
