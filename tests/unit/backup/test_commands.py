"""The commands `backup` and `restore`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stackctl.commands.backup import backup as backup_command
from stackctl.commands.restore import restore as restore_command
from stackctl.commands.session import Session
from tests.support.backups import LOKI, NAMES, OLD, Docker, Restoring, Stack


def test_backup_says_how_large_what_is(stack: Stack, docker: Docker, tmp_path: Path) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    path = tmp_path / "b.tar.gz"
    done = CliRunner().invoke(backup_command, [str(path)], obj=Session("bot-core", None))
    assert done.exit_code == 0, done.output
    assert f"{path}: " in done.stdout
    assert "loki_data (" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "answer", "restored"),
    [(["--yes"], "", True), ([], "y\n", True), ([], "n\n", False), ([], "", False)],
)
def test_restore_asks_before_it_replaces(
    restoring: Restoring,
    docker: Docker,
    whole: Path,
    arguments: list[str],
    answer: str,
    restored: bool,
) -> None:
    docker.volumes = dict(OLD)
    session = Session("bot-core", None)
    done = CliRunner().invoke(restore_command, [*arguments, str(whole)], obj=session, input=answer)
    assert ("This replaces bot-core_loki_data for good" in done.stderr) is not bool(arguments)
    assert (done.exit_code == 0) is restored
    assert (docker.volumes[NAMES["loki_data"]] == LOKI) is restored
