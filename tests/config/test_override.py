"""The override that `init` writes, as the real `docker compose config` merges it over ours."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stackctl.config import registry, starter
from stackctl.util import paths
from tests.support.rendering import rendered_state

pytestmark = pytest.mark.docker


@pytest.fixture
def merged(state_dir: Path, clean_environment: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return what Compose makes of our file and an override."""
    state = rendered_state()

    def config(override: str | None) -> dict[str, Any]:
        files = ["-f", str(paths.compose() / "docker-compose.yml"), "--profile", "monitoring"]
        if override is not None:
            (tmp_path / registry.OVERRIDE_FILE).write_text(override)
            files += ["-f", str(tmp_path / registry.OVERRIDE_FILE)]
        command = ["docker", "compose", "--env-file", str(state.compose_env), *files]
        done = subprocess.run(
            [*command, "config", "--format", "json"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        parsed: dict[str, Any] = json.loads(done.stdout)
        return {key: value for key, value in parsed.items() if not key.startswith("x-")}

    return config


def test_as_it_stands_it_changes_nothing(merged: Any) -> None:
    assert merged(starter.override_text()) == merged(None)


def test_every_example_does_what_it_says(merged: Any) -> None:
    switched_on = re.sub(r"^#(?!#)", "", starter.override_text(), flags=re.MULTILINE)
    before, after = merged(None), merged(switched_on)
    services = after["services"]
    assert services["prometheus"]["deploy"]["resources"]["limits"] == {
        "cpus": before["services"]["prometheus"]["deploy"]["resources"]["limits"]["cpus"],
        "memory": str(4 * 1024**3),
    }
    assert services["grafana"]["labels"] == {
        **before["services"]["grafana"]["labels"],
        "team": "trading",
    }
    assert set(services) - set(before["services"]) == {"pushgateway"}
    assert list(services["pushgateway"]["networks"]) == ["bot-network"]
    assert after["volumes"]["prometheus_data"]["driver_opts"]["type"] == "nfs"
    changed = {name for name in before["services"] if services[name] != before["services"][name]}
    assert changed == {"prometheus", "grafana"}
