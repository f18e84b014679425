"""Passwords and keys: generated unless the user set them, and written to the files that containers mount."""

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
"""The user name in the demo's RabbitMQ and MongoDB."""

COMMA = r"\,"
"""A comma in MongoDB's address, escaped for the exporter."""

STORE = "secrets.json"
"""The file of generated secrets in the state folder."""
_FINGERPRINT_KEY = "fingerprint_key"


class Secrets:
    """The secrets of one project. They are returned as SecretStr, and `repr` shows none of them."""

    def __init__(self, settings: Settings, state: StateFolder) -> None:
        """Load the secrets from the settings and from earlier runs, and generate and store the missing ones."""
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
        """Return whether stackctl generated this secret."""
        return self._settings.secret(name) is None and name in self._generated

    @property
    def names_one_mongodb(self) -> bool:
        """Whether MongoDB's address names a single server, not a cluster."""
        return names_one_mongodb(self._mongodb_uri())

    @property
    def fingerprint_key(self) -> bytes:
        """A key of this project, so that a secret's fingerprint reveals nothing about the secret."""
        return base64.b64encode(self._generated[_FINGERPRINT_KEY].encode())

    def write_files(
        self, state: StateFolder, defaults: Mapping[str, str], present: MonitoredServices
    ) -> None:
        """Write the secret files that the compose files mount.

        `defaults` maps a file to its content if the secret is not set; other secrets that are not set get an empty
        file. A Redis other than the demo's is scraped without a password unless the user set one.
        """
        state.secrets.mkdir(exist_ok=True)
        # Its files are readable by everyone who can enter it.
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
        """Return a fingerprint that shows whether a secret has changed, and nothing else about it."""
        return hmac.digest(
            self.fingerprint_key, f"{name}\0{self._text(name)}".encode(), "sha256"
        ).hex()[:16]

    def _rabbitmq_definitions(self, password: str) -> Mapping[str, Any]:
        """Return the user and its permissions, which the broker applies at every start, whatever its data contains.

        The hash is the one that RabbitMQ stores: SHA-256 with a salt of four bytes (rabbitmq.com/docs/passwords,
        "Computing Password Hash"). The salt changes only with the password, so `up` does not recreate the container.
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
    """Return the generated secrets, after generating the missing ones; concurrent processes get the same secrets."""
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
    """Quote text for a .env file of Compose, which expands variables and escapes in double quotes.

    `$$` is a dollar sign (docs.docker.com/reference/compose-file/interpolation). Single quotes would keep the text as
    it is, but cannot contain a quote that follows a backslash.
    """
    escaped = _escaped(text).replace("$", "$$")
    return f'"{escaped}"'


def _escaped(text: str) -> str:
    """Escape text for double quotes in redis.conf and .env files."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
