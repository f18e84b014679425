"""The server's side of SCRAM-SHA-256 (RFC 5802, RFC 7677), without channel binding, as in MongoDB."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

ITERATIONS = 15_000  # MongoDB's scramSHA256IterationCount


class AuthenticationError(Exception):
    """The conversation cannot continue; the text is for the server's log, not for the client."""


@dataclass(frozen=True)
class Keys:
    """The keys that a server stores instead of a password."""

    salt: bytes
    iterations: int
    stored: bytes
    server: bytes

    def dump(self) -> dict[str, str | int]:
        """Return the keys as JSON values."""
        return {
            "salt": _encode(self.salt),
            "iterationCount": self.iterations,
            "storedKey": _encode(self.stored),
            "serverKey": _encode(self.server),
        }

    @classmethod
    def load(cls, entry: Mapping[str, str]) -> Keys:
        """Read the output of `dump`. Raises KeyError, ValueError or TypeError."""
        salt, stored, server = (
            base64.b64decode(entry[name]) for name in ("salt", "storedKey", "serverKey")
        )
        return cls(salt, int(entry["iterationCount"]), stored, server)


def keys_of(password: str, salt: bytes, iterations: int) -> Keys:
    """Return the keys of a password (RFC 5802, section 3). The password is used as it is, without SASLprep."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    return Keys(salt, iterations, hashlib.sha256(client).digest(), server)


class Conversation:
    """One login: `first` answers the client's first message, `final` its second."""

    def __init__(self, keys_of_user: Callable[[str], Keys | None]) -> None:
        self._keys_of_user = keys_of_user
        self.user = ""
        self._keys: Keys | None = None
        self._nonce = ""
        self._said = ""

    def first(self, message: bytes) -> bytes:
        """Return salt and count for `n,,n=USER,r=NONCE`. Raises AuthenticationError."""
        text = _text(message)
        header, _, bare = text.partition(",,")
        if header not in {"n", "y"}:
            raise AuthenticationError("channel binding is not supported")
        given = _attributes(bare)
        self.user = given["n"].replace("=2C", ",").replace("=3D", "=")
        self._keys = self._keys_of_user(self.user)
        # An unknown user gets a salt as well, so that the response does not reveal which users exist.
        salt = self._keys.salt if self._keys else secrets.token_bytes(28)
        count = self._keys.iterations if self._keys else ITERATIONS
        self._nonce = given["r"] + _encode(secrets.token_bytes(24))
        answer = f"r={self._nonce},s={_encode(salt)},i={count}"
        self._said = f"{bare},{answer}"
        return answer.encode()

    def final(self, message: bytes) -> bytes:
        """Return the server's signature for `c=…,r=NONCE,p=PROOF`. Raises AuthenticationError."""
        text = _text(message)
        without_proof, _, proof_text = text.rpartition(",p=")
        given = _attributes(without_proof)
        if self._keys is None:
            raise AuthenticationError(f"no such user: {self.user}")
        if not hmac.compare_digest(given["r"].encode(), self._nonce.encode()):
            raise AuthenticationError("the nonce is another")
        said = f"{self._said},{without_proof}".encode()
        signature = hmac.digest(self._keys.stored, said, "sha256")
        try:
            proof = base64.b64decode(proof_text, validate=True)
        except binascii.Error:
            raise AuthenticationError("the proof is not base64") from None
        if len(proof) != len(signature):
            raise AuthenticationError("the proof has another length")
        client = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
        if not hmac.compare_digest(hashlib.sha256(client).digest(), self._keys.stored):
            raise AuthenticationError(f"wrong password for {self.user}")
        return b"v=" + _encode(hmac.digest(self._keys.server, said, "sha256")).encode()


class _Attributes(dict[str, str]):
    def __missing__(self, key: str) -> str:
        raise AuthenticationError(f"the message has no {key}=")


def _attributes(text: str) -> _Attributes:
    return _Attributes(part.split("=", 1) for part in text.split(",") if "=" in part)


def _text(message: bytes) -> str:
    try:
        return message.decode()
    except UnicodeDecodeError:
        raise AuthenticationError("the message is not UTF-8") from None


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode()
