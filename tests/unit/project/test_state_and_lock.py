"""The state folder and the lock: whole files, private modes, one writer at a time."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stackctl.config.load import load
from stackctl.errors import StackctlError
from stackctl.project.process_lock import Standing, exclusive, standing
from stackctl.project.project import Project
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state, refuse_unwritable, write_atomic
from stackctl.services.releases import PLAN


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_the_users_alone(state_dir: Path) -> None:
    state = open_state("bot-core")
    assert state.folder == state_dir / "bot-core"
    assert mode(state.folder) == 0o700


def test_a_folder_that_cannot_be_made_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("STACKCTL_STATE_DIR", str(blocked))
    with pytest.raises(StackctlError) as caught:
        open_state("bot-core")
    assert "STACKCTL_STATE_DIR" in (caught.value.remedy or "")
    with pytest.raises(StackctlError) as looked_at:
        open_state("bot-core", create=False)
    assert looked_at.value.line == caught.value.line


def test_a_folder_that_could_not_be_made_is_told_without_making_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_unwritable(StateFolder(tmp_path / "new" / "bot-core"))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(StackctlError, match=r"cannot create .*: Not a directory"):
        refuse_unwritable(StateFolder(file / "bot-core"))
    # Root may write anywhere.
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)
    with pytest.raises(StackctlError, match=r"cannot create .*: Permission denied"):
        refuse_unwritable(StateFolder(tmp_path / "new" / "bot-core"))
    # `open_state` would give it its mode back.
    refuse_unwritable(StateFolder(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(StackctlError, match=r"cannot create .*: Permission denied"):
        refuse_unwritable(StateFolder(tmp_path))
    assert sorted(tmp_path.iterdir()) == [file]


def test_writing_tells_a_change_from_none(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "file"
    assert write_atomic(file, "one") is True
    assert write_atomic(file, "one") is False
    assert write_atomic(file, "two") is True
    assert write_atomic(file, "two", 0o444) is True
    assert (file.read_text(), mode(file)) == ("two", 0o444)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    write_atomic(file, "old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space") as caught:
        write_atomic(file, "new")
    # Not the temporary file's name, which says nothing to anybody.
    assert caught.value.filename == str(file)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_json_round_trip_and_damage(state_dir: Path) -> None:
    state = open_state("bot-core")
    assert state.read_json("x.json") == {}
    state.write_json("x.json", {"a": [1]})
    assert state.read_json("x.json") == {"a": [1]}
    assert mode(state.folder / "x.json") == 0o600
    for damage in ("{", "[]", "\xff"):
        (state.folder / "x.json").write_text(damage, encoding="latin-1")
        with pytest.raises(StackctlError, match=r"x\.json"):
            state.read_json("x.json")


HOLDER = textwrap.dedent("""
    import sys
    from stackctl.project.process_lock import Standing, exclusive, standing
    from stackctl.project.state import open_state
    with exclusive(open_state("bot-core"), "up"):
        print("held", flush=True)
        sys.stdin.read()
""")


@pytest.mark.thorough
def test_the_lock_names_its_holder_and_ends_with_it(state_dir: Path) -> None:
    state = open_state("bot-core")
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(
                StackctlError, match=rf"stackctl up \(pid {holder.pid}, since "
            ) as caught,
            exclusive(state, "down"),
        ):
            pass
        assert caught.value.remedy
        holder.kill()
        holder.wait()
    with exclusive(state, "down"):
        assert "down" in (state.folder / "lock").read_text()
    assert (state.folder / "lock").read_text() == ""


def test_a_folder_of_a_newer_stackctl_is_refused_and_kept(state_dir: Path) -> None:
    folder = open_state("bot-core").folder
    assert (folder / "format").read_text() == "1\n"
    (folder / "format").write_text("2\n")
    with pytest.raises(StackctlError, match="newer stackctl") as caught:
        open_state("bot-core")
    assert "update stackctl" in (caught.value.remedy or "")
    assert (folder / "format").read_text() == "2\n"


@pytest.mark.parametrize("text", ["", "one\n", "-1\n", "1.5"])
def test_a_folder_whose_format_cannot_be_read_is_refused_in_one_line(
    state_dir: Path, text: str
) -> None:
    folder = open_state("bot-core").folder
    (folder / "format").write_text(text)
    with pytest.raises(StackctlError) as caught:
        open_state("bot-core")
    assert str(folder) in caught.value.message
    assert "\n" not in caught.value.line
    assert caught.value.remedy


@pytest.mark.parametrize("value", [5, [], {"a": []}, ["a"], "x"])
def test_choices_of_another_shape_count_as_not_made(own_folders: None, value: object) -> None:
    project = Project(load(environ={}), open_state("bot-core"))
    names = ("request", "images", "releases", "unseen", "pins", "projects", "volumes", "addresses")
    project.state.write_json("project.json", dict.fromkeys(names, value))
    choices = project.choices
    assert (choices.images, choices.releases, choices.unseen) == (None, PLAN, None)
    assert (choices.pins, choices.addresses) == ({}, {})


def test_a_folder_of_an_older_stackctl_is_taken_over(
    state_dir: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    # As the first ones wrote it: no format, a lock whose record has less, choices of which some came later.
    folder = state_dir / "bot-core"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "lock").write_text('{"command": "down", "pid": 1, "since": "then"}')
    (folder / "secrets.json").write_text('{"GRAFANA_PASSWORD": "of-the-first-up"}')
    (folder / "project.json").write_text('{"demo": false, "images": "local"}')
    state = open_state("bot-core")
    assert (folder / "format").read_text() == "1\n"
    assert mode(folder) == 0o700
    project = Project(load(environ={}), state)
    password = project.secrets.get("GRAFANA_PASSWORD")
    assert password is not None
    assert password.reveal() == "of-the-first-up"
    assert project.secrets.get("REDIS_EXPORTER_PASSWORD") is not None
    assert (project.choices.demo, project.choices.images) == (False, "local")
    with exclusive(state, "up") as hold:
        assert hold.down_cut_off


@pytest.mark.thorough
def test_after_a_killed_holder_its_compose_is_waited_for(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state("bot-core")
    (state.folder / "lock").write_text('{"command": "down", "pid": 1, "since": "then"}')
    command = [sys.executable, "-c", "input()", "compose", "--project-name", "bot-core"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as orphan:
        monkeypatch.setattr("stackctl.project.process_lock._ORPHAN_SECONDS", 0.2)
        with (
            pytest.raises(StackctlError, match=rf"pid {orphan.pid}\) .* is still changing"),
            exclusive(state, "up"),
        ):
            pass
        orphan.communicate("\n")
    with exclusive(state, "up") as hold:
        assert hold.down_cut_off
        assert "up" in (state.folder / "lock").read_text()
        hold.settle()
    assert (state.folder / "lock").read_text() == ""
    with exclusive(state, "up") as hold:
        assert not hold.down_cut_off


def test_who_waits_for_a_killed_ones_compose_is_told_to_others_by_its_own_name(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state("bot-core")
    (state.folder / "lock").write_text('{"command": "up", "pid": 1, "since": "then"}')
    told: list[str] = []

    def waited_for(_: str) -> None:
        with pytest.raises(StackctlError) as caught, exclusive(state, "status"):
            pytest.fail("the lock is held")
        told.append(caught.value.message)

    monkeypatch.setattr("stackctl.project.process_lock._await_orphans", waited_for)
    with exclusive(state, "down"):
        pass
    assert [text.split(",")[0] for text in told] == [f"stackctl down (pid {os.getpid()}"]


def test_a_down_that_was_cut_off_is_told_until_it_is_settled(state_dir: Path) -> None:
    state = open_state("bot-core")
    with pytest.raises(KeyboardInterrupt), exclusive(state, "down"):
        raise KeyboardInterrupt
    for command in ("render", "reload", "backup", "restore"):
        with exclusive(state, command) as hold:
            assert hold.down_cut_off
    with pytest.raises(StackctlError), exclusive(state, "up"):
        raise StackctlError("failed")
    with pytest.raises(KeyboardInterrupt), exclusive(state, "backup"):
        raise KeyboardInterrupt
    with exclusive(state, "up") as hold:
        assert hold.down_cut_off
        hold.settle()
        # One that is killed from here on has finished it.
        assert "down" not in (state.folder / "lock").read_text()
    with exclusive(state, "up") as hold:
        assert not hold.down_cut_off


def test_a_record_of_which_half_was_written_is_one_of_a_holder_that_was_killed(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state("bot-core")
    (state.folder / "lock").write_text('{"command": "do')
    waited: list[str] = []
    monkeypatch.setattr("stackctl.project.process_lock._await_orphans", waited.append)
    with exclusive(state, "up") as hold:
        assert not hold.down_cut_off
    assert waited == ["bot-core"]


@pytest.mark.thorough
def test_what_a_killed_process_was_writing_is_removed(state_dir: Path) -> None:
    state = open_state("bot-core")
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    (state.folder / "secrets").mkdir()
    left = [
        state.folder / f".project.json.{gone.pid}.abcdefgh",
        state.folder / "secrets" / f".key.{gone.pid}.abcd_123",
    ]
    kept = [
        state.folder / f".project.json.{os.getpid()}.abcdefgh",
        state.folder / "secrets" / ".key",
        state.folder / ".other.json.bak",
    ]
    for path in (*left, *kept):
        path.touch()
    (state.folder / "lock").write_text('{"command": "render", "pid": 1, "since": "then"}')
    with exclusive(state, "up"):
        pass
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)
    # A file of the same name that is written outside the lock takes its own away.
    left[0].touch()
    write_atomic(state.folder / "project.json", "{}")
    assert not left[0].exists()


def test_a_secret_is_made_up_once_however_many_ask_for_it_at_once(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = open_state("bot-core")
    settings = load(environ={})
    read, write = StateFolder.read_json, StateFolder.write_json
    reading = threading.Barrier(2)
    written: list[str] = []

    def read_together(self: StateFolder, name: str) -> dict[str, Any]:
        content = read(self, name)
        # Both would have read by now, if nothing kept one of them out.
        with contextlib.suppress(threading.BrokenBarrierError):
            reading.wait(0.05)
        return content

    def note(self: StateFolder, name: str, content: dict[str, Any]) -> None:
        written.append(name)
        write(self, name, content)

    monkeypatch.setattr(StateFolder, "read_json", read_together)
    monkeypatch.setattr(StateFolder, "write_json", note)
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda _: Secrets(settings, state), range(2)))
    passwords = {one.get("GRAFANA_PASSWORD") for one in made}
    assert len(passwords) == 1
    assert written == ["secrets.json"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ("", Standing()),
        ("{}", Standing()),
        ('{"command": "up", "pid": 4194304, "since": "2026-01-01T00:00:00+00:00"}', Standing()),
        (
            '{"command": "down", "pid": 4194304, "since": "2026-01-01T00:00:00+00:00"}',
            Standing(down_cut_off=True),
        ),
        ('{"down_cut_off": true}', Standing(down_cut_off=True)),
        # Half a record, of one that was killed while it wrote.
        ('{"command": "do', Standing()),
        # Another process has its number since.
        (
            '{"command": "down", "pid": OURS, "since": "2020-01-01T00:00:00+00:00"}',
            Standing(down_cut_off=True),
        ),
    ],
)
def test_the_lock_tells_how_it_stands_without_being_taken(
    state_dir: Path, record: str, expected: Standing
) -> None:
    state = open_state("bot-core")
    assert standing(state) == Standing()
    assert not (state.folder / "lock").exists()
    record = record.replace("OURS", str(os.getpid()))
    (state.folder / "lock").write_text(record)
    assert standing(state) == expected
    assert (state.folder / "lock").read_text() == record


def test_the_lock_names_its_holder_to_one_that_does_not_take_it(state_dir: Path) -> None:
    state = open_state("bot-core")
    with exclusive(state, "down"):
        found = standing(state)
    assert found.holder is not None
    assert found.holder.startswith(f"stackctl down (pid {os.getpid()}, since ")
    # It is not cut off yet.
    assert not found.down_cut_off


def test_a_folder_that_is_only_looked_at_is_neither_made_nor_marked(state_dir: Path) -> None:
    state = open_state("bot-core", create=False)
    assert not state_dir.exists() or list(state_dir.iterdir()) == []
    state.folder.mkdir(parents=True)
    assert open_state("bot-core", create=False) == state
    assert list(state.folder.iterdir()) == []
    (state.folder / "format").write_text("9\n")
    with pytest.raises(StackctlError, match="newer stackctl"):
        open_state("bot-core", create=False)
