"""Reads the settings: flags over environment over .env over defaults, each with its origin."""

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
"""Characters of a value: what a program is called with has a limit in the kernel, too."""
_SHOWN = 80
"""Characters of a wrong value that an error shows."""
_MAX_SECRET = 64 * 1024
"""Bytes of a file that has a secret."""


def load(
    *,
    project: str | None = None,
    env_file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings.

    `project` is the flag's value; `env_file` the file to read, by default `.env` in the current folder
    where there is one; `environ` the environment, by default the shell's. Raises UsageError for a file
    that is missing or has a broken line, and for a value that is not what its setting takes.
    """
    environ = shell() if environ is None else environ
    from_file = _read_env_file(env_file)
    name = project or environ.get("COMPOSE_PROJECT_NAME") or DEFAULT_PROJECT
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,62}", name):
        raise UsageError(
            f"the project name {_shortened(name)!r} is not one that Compose takes",
            remedy="use at most 63 small letters, digits, - and _, and begin with a letter or digit",
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
            raise ValueError(f"it has more than {_LONGEST} characters")
        text = row.parse(raw)
    except ValueError as reason:
        # There may be a password where none belongs.
        shown = "" if row.secret else f" {_shortened(re.sub(r'//[^/@]*@', '//****@', raw))!r}"
        raise UsageError(
            f"{row.name}{shown} ({origin}) is not valid: {reason}",
            remedy=f"correct {row.name} or remove it",
        ) from None
    if not row.secret:
        return Value(text, origin)
    remember(text)
    return Value(Secret(text), origin)


def _either(row: Setting, given: Value, path: Value) -> Value:
    """Give a secret that is set itself or by its file; of both, the one in the environment.

    Raises UsageError where both are set in the same place, or the file cannot be read or has no such value.
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
    remedy = f"name a file in {row.name}{SECRET_FILE} that has it"
    try:
        with Path(str(path.text)).expanduser().open("rb") as stream:
            raw = stream.read(_MAX_SECRET + 1).decode()
    except (OSError, RuntimeError) as error:
        # The latter for a ~ of a user who has no home folder.
        why = error.strerror if isinstance(error, OSError) else None
        reason = f"{row.name}: {origin} cannot be read: {why or error}"
        raise UsageError(reason, remedy=remedy) from None
    except UnicodeDecodeError:
        raise UsageError(f"{row.name}: {origin} is no UTF-8 text", remedy=remedy) from None
    # As a shell's $(<file) takes it, which is how the images do.
    raw = raw.rstrip("\n")
    if not raw or len(raw) > _MAX_SECRET:
        what = "is empty" if not raw else f"is longer than {_MAX_SECRET} bytes"
        raise UsageError(f"{row.name}: {origin} {what}", remedy=remedy)
    return _parsed(row, raw, origin)


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _read_env_file(path: Path | None) -> dict[str, tuple[str, str]]:
    """Give name → (value, origin) of a .env file; an absent default file is an empty one."""
    chosen = path or Path(ENV_FILE)
    try:
        text = read_env(chosen)
    except FileNotFoundError:
        if path is None:
            return {}
        raise UsageError(
            f"{path} does not exist", remedy="give --env-file a file that does"
        ) from None
    return parse_env(text, str(chosen))
