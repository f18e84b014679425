"""Loads the settings: flags override the environment, which overrides .env, which overrides defaults."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from stackctl.config.env_file import ENV_FILE, parse_env, read_env
from stackctl.config.registry import DEFAULT_PROJECT, SECRET_FILE, SETTINGS
from stackctl.config.settings import ENVIRONMENT, WITHOUT_EFFECT, Settings, Value, origin_in_file
from stackctl.errors import UsageError
from stackctl.util.environment import shell
from stackctl.util.redaction import remember
from stackctl.values.secret import Secret
from stackctl.values.setting import Setting

_LONGEST = 32_768
"""The maximum number of characters in a value; the kernel also limits program arguments."""
_SHOWN = 80
"""How many characters of an invalid value an error shows."""
_MAX_SECRET = 64 * 1024
"""The maximum size of a secret's file in bytes."""


def load(
    *,
    project: str | None = None,
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Load the settings.

    `project` is the value of the flag; `env_file` defaults to `.env` in the current folder, if it exists; `environ`
    defaults to the shell's environment. Raises UsageError if the file is missing or has an invalid line, and for an
    invalid value.
    """
    environ = shell() if environ is None else environ
    from_file = _read_env_file(env_file)
    name = project or environ.get("COMPOSE_PROJECT_NAME") or DEFAULT_PROJECT
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise UsageError(
            f"invalid project name {_shortened(name)!r}",
            remedy="use at most 63 lower-case letters, digits, - and _, starting with a letter or digit",
        )
    values = {row.name: _resolve(row, environ, from_file) for row in SETTINGS.values()}
    for row in SETTINGS.values():
        if row.secret:
            values[row.name] = _either(row, values[row.name], values[f"{row.name}{SECRET_FILE}"])
    others = {name: origin for name, (_, origin) in from_file.items() if name not in SETTINGS}
    others |= {name: ENVIRONMENT for name in WITHOUT_EFFECT if environ.get(name)}
    return Settings(name, values, others)


def _resolve(
    row: Setting, environ: Mapping[str, str], from_file: Mapping[str, tuple[str, str]]
) -> Value:
    if environ.get(row.name):
        raw, origin = environ[row.name], ENVIRONMENT
    elif row.name in from_file and from_file[row.name][0]:
        raw, origin = from_file[row.name]
    else:
        return Value(row.default, "default" if row.default is not None else "not set")
    return _parsed(row, raw, origin)


def _parsed(row: Setting, raw: str, origin: str) -> Value:
    try:
        if len(raw) > _LONGEST:
            raise ValueError(f"longer than {_LONGEST} characters")
        text = row.parse(raw)
    except ValueError as reason:
        # The value may contain a password where none belongs.
        shown = "" if row.secret else f" {_shortened(re.sub(r'//[^/@]*@', '//****@', raw))!r}"
        raise UsageError(
            f"invalid {row.name}{shown} ({origin}): {reason}",
            remedy=f"correct {row.name} or remove it",
        ) from None
    if not row.secret:
        return Value(text, origin)
    remember(text)
    return Value(Secret(text), origin)


def _either(row: Setting, given: Value, path: Value) -> Value:
    """Return a secret that is set directly or by a file; if both are set, the one in the environment.

    Raises UsageError if both are set in the same place, the file cannot be read, or its content is invalid.
    """
    if path.text is None:
        return given
    if given.text is not None:
        if (given.origin == ENVIRONMENT) == (path.origin == ENVIRONMENT):
            raise UsageError(
                f"{row.name} ({given.origin}) and {row.name}{SECRET_FILE} ({path.origin}) are both set",
                remedy="remove one of them",
            )
        if given.origin == ENVIRONMENT:
            return given
    origin = origin_in_file(path)
    remedy = f"set {row.name}{SECRET_FILE} to a file that contains it"
    try:
        with Path(str(path.text)).expanduser().open("rb") as stream:
            raw = stream.read(_MAX_SECRET + 1).decode()
    except (OSError, RuntimeError) as error:
        # A RuntimeError is raised for ~ if the user has no home folder.
        why = error.strerror if isinstance(error, OSError) else None
        reason = f"{row.name}: cannot read {origin}: {why or error}"
        raise UsageError(reason, remedy=remedy) from None
    except UnicodeDecodeError:
        raise UsageError(f"{row.name}: {origin} is not UTF-8 text", remedy=remedy) from None
    # Strip newlines like the shell's $(<file), which is what the images do.
    raw = raw.rstrip("\n")
    if not raw or len(raw) > _MAX_SECRET:
        what = "is empty" if not raw else f"is longer than {_MAX_SECRET} bytes"
        raise UsageError(f"{row.name}: {origin} {what}", remedy=remedy)
    return _parsed(row, raw, origin)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _read_env_file(path: Path | None) -> dict[str, tuple[str, str]]:
    """Return name → (value, origin) for a .env file; a missing default file counts as empty."""
    chosen = path or Path(ENV_FILE)
    try:
        text = read_env(chosen)
    except FileNotFoundError:
        if path is None:
            return {}
        raise UsageError(
            f"{path} does not exist", remedy="pass an existing file to --env-file"
        ) from None
    return parse_env(text, str(chosen))
