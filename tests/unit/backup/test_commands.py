"""The commands `backup` and `restore`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from stackctl.backup import archive, data
from stackctl.commands.backup import backup as backup_command
from stackctl.commands.restore import restore as restore_command
from stackctl.commands.session import Session
from tests.support.backups import LOKI, NAMES, OLD, Docker, Restoring, Stack
from tests.support.cli import run_here
from tests.support.terminal import on_terminal


def test_backup_says_how_large_what_is(stack: Stack, docker: Docker, tmp_path: Path) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    path = tmp_path / "b.tar.gz"
    done = CliRunner().invoke(backup_command, [str(path)], obj=Session("bot-core", None))
    assert done.exit_code == 0, done.output
    assert f"Backup written to {path} (" in done.stdout
    assert "loki_data (" in done.stdout


def test_a_backup_to_stdout_is_whole_and_its_progress_on_stderr(
    stack: Stack, docker: Docker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    done = CliRunner().invoke(backup_command, ["-"], obj=Session("bot-core", None))
    assert done.exit_code == 0, done.output
    assert "copying loki_data" in done.stderr
    assert "Backup written to stdout: " in done.stderr
    assert list(tmp_path.glob("*")) == [tmp_path / "state"]
    path = tmp_path / "b.tar.gz"
    path.write_bytes(done.stdout_bytes)
    with archive.reading(path, data.SERVICES) as reader:
        assert [one.name for one in reader.manifest.volumes] == list(data.SERVICES)
    # What is cut off is found out.
    path.write_bytes(done.stdout_bytes[:-100])
    with pytest.raises(archive.BadBackup), archive.reading(path, data.SERVICES):
        pass


def test_a_backup_is_not_written_to_a_terminal(
    stack: Stack, docker: Docker, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.volumes = dict.fromkeys(NAMES.values(), LOKI)
    screen = on_terminal("backup", "-")
    assert screen.code == 2
    assert "".join(screen.lines) == (
        "stackctl: cannot write a backup to a terminal; name a file, or use a pipe"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "-"),
        ("images", "save", "-"),
        ("images", "load", "-"),
        ("snapshot", "system-overview", "-o", "-"),
        ("verify", "--report", "-"),
    ],
)
def test_no_other_command_makes_or_reads_a_file_named_dash(
    words: tuple[str, ...], own_folders: None, tmp_path: Path
) -> None:
    done = run_here(*words)
    assert done.returncode == 2
    assert "'-' is not supported here" in done.stderr
    assert not (tmp_path / "-").exists()


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
    assert ("This permanently replaces bot-core_loki_data" in done.stderr) is not bool(arguments)
    assert (done.exit_code == 0) is restored
    assert (docker.volumes[NAMES["loki_data"]] == LOKI) is restored
