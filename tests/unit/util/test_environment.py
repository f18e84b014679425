"""The environment of the programs that stackctl calls is an allow-list."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stackctl.config.registry import SETTINGS
from stackctl.errors import StackctlError
from stackctl.project import state
from stackctl.project.project import Project, ProjectState
from stackctl.project.project import open_project as opened
from stackctl.util import environment
from tests.support.cli import run_here

pytestmark = pytest.mark.usefixtures("own_folders")

DANGEROUS = (
    *SETTINGS,
    *("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "COMPOSE_ENV_FILES"),
    *("DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST", "DOCKER_BUILDKIT", "BUILDX_BUILDER"),
    *("REDIS_ADDRESS", "PROMETHEUS_FINGERPRINT", "STACKCTL_CONFIG", "STACKCTL_SECRETS"),
    *("PYTHONPATH", "PYTHON_ON_WHALES_DEBUG", "PERL5LIB", "LD_PRELOAD", "BASH_ENV"),
)
NEEDED = (
    *("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "XDG_RUNTIME_DIR", "SSH_AUTH_SOCK"),
    *("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH"),
    *("HTTP_PROXY", "https_proxy", "NO_PROXY", "WSL_INTEROP", "AWS_PROFILE"),
)


def inherited() -> dict[str, str]:
    """Return what a child process has."""
    done = subprocess.run(["/usr/bin/env", "-0"], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in done.stdout.split("\0") if line)


def test_a_child_gets_what_is_allowed_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*DANGEROUS, *NEEDED, "ANYTHING_ELSE"):
        if name != "PATH":
            monkeypatch.setenv(name, "marked")
    before = dict(os.environ)
    with environment.restricted():
        found = inherited()
        assert environment.shell() == before
    assert set(NEEDED) <= found.keys()
    assert not found.keys() & {*DANGEROUS, "ANYTHING_ELSE"}
    # bot-core's own .env may have it too, and only the environment wins over that.
    assert found["COMPOSE_IGNORE_ORPHANS"] == "false"
    assert dict(os.environ) == before


def test_settings_of_the_shell_are_heard_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKI_PORT", "4100")
    assert run_here("config", "LOKI_PORT").stdout == "4100\n"
    assert os.environ["LOKI_PORT"] == "4100"


DOCKER = f"""#!{sys.executable}
import json, os
with open({{file!r}}, "w") as file:
    json.dump(dict(os.environ), file)
raise SystemExit(1)
"""


def test_the_docker_command_gets_no_setting_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, program = tmp_path / "seen.json", tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(DOCKER.format(file=str(file)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    for name in ("LOKI_PORT", "COMPOSE_FILE", "REDIS_ADDRESS", "COMPOSE_IGNORE_ORPHANS"):
        monkeypatch.setenv(name, "4100")
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    assert run_here("doctor").returncode == 1
    seen = file.read_text()
    assert "LOKI_PORT" not in seen
    assert "COMPOSE_FILE" not in seen
    assert "REDIS_ADDRESS" not in seen
    assert '"DOCKER_HOST": "tcp://127.0.0.1:1"' in seen
    assert '"COMPOSE_IGNORE_ORPHANS": "false"' in seen


def test_files_of_the_users_own_get_the_variables_that_they_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is stackctl's stays what it decided, whoever names it."""
    file = tmp_path / "override.yml"
    file.write_text(
        "services:\n  app:\n    image: ${APP_IMAGE}\n    environment: [API_KEY]\n"
        "    ports: ['${LOKI_PORT}:1', '${REDIS_ADDRESS}', '${COMPOSE_PROFILES}']\n"
    )
    named = ("APP_IMAGE", "API_KEY", "LOKI_PORT", "REDIS_ADDRESS", "COMPOSE_PROFILES")
    for name in (*named, "ANYTHING_ELSE"):
        monkeypatch.setenv(name, "5")
    with environment.restricted():
        project: Project = opened(name=None, env_file=None)
        project.engine(ProjectState(override=str(file)))
        found = inherited()
    assert found.keys() & {*named, "ANYTHING_ELSE"} == {"APP_IMAGE", "API_KEY"}


def test_variables_of_docker_without_an_effect_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_DEFAULT_PLATFORM", "linux/arm64")
    monkeypatch.setenv("DOCKER_CONTENT_TRUST", "1")
    said = run_here("config").stderr
    for name in ("DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST"):
        assert f"{name} (environment) has no effect on stackctl; " in said


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_: object) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("STACKCTL_STATE_DIR")
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(StackctlError, match="has no home folder") as caught:
        state.root()
    assert "STACKCTL_STATE_DIR" in caught.value.line
    assert environment.user_name() == f"uid {os.getuid()}"
    done = run_here("urls")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "internal error" not in done.stderr


def test_a_secrets_file_of_a_user_without_a_home_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAFANA_PASSWORD_FILE", "~nobody-by-this-name/password")
    done = run_here("urls")
    assert done.returncode == 2
    assert "GRAFANA_PASSWORD: cannot read ~nobody-by-this-name/password" in done.stderr
