"""The import budget of the commands that have no engine to ask; tests/e2e has that of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.imports import ALLOWED, excess, loaded_by

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.mark.parametrize("command", ["--version", "--help", "urls"])
def test_a_command_loads_what_it_uses(command: str, tmp_path: Path) -> None:
    loaded, code = loaded_by([command], {"STACKCTL_STATE_DIR": str(tmp_path)})
    assert code == 0
    assert "stackctl.commands" in loaded
    assert excess(command, loaded) == set()


@pytest.mark.parametrize("command", ["up", "status", "verify", "down"])
def test_the_help_of_a_command_loads_no_more_than_all_help(command: str) -> None:
    loaded, code = loaded_by([command, "--help"])
    assert code == 0
    assert f"stackctl.commands.{command}" in loaded
    assert excess("--help", loaded) == set()


def test_what_a_budget_does_not_allow_is_found() -> None:
    loaded = ["stackctl.commands", "rich", "pydantic", "httpx._main", "stackctl.lifecycle.plan"]
    assert excess("up", loaded) == {"pydantic", "httpx._main", "stackctl.lifecycle.plan"}
    assert excess("--help", loaded) == {"rich", "pydantic", "httpx._main"}
    assert all(excess(command, ALLOWED[command]) == set() for command in ALLOWED)
