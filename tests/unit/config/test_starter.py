"""`init`: files that change nothing, and never take anything away."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stackctl.config import starter
from stackctl.config.env_file import parse_env
from stackctl.config.load import load
from stackctl.config.registry import GROUPS, SETTINGS
from stackctl.errors import StackctlError, UsageError
from stackctl.util import yaml_text
from stackctl.values.setting import Setting
from tests.support.cli import run_here

pytestmark = pytest.mark.usefixtures("own_folders")


def values(text: str) -> dict[str, str]:
    return {name: value for name, (value, _) in parse_env(text, "").items()}


def test_every_setting_is_below_one_heading() -> None:
    names = [row.name for rows in GROUPS.values() for row in rows]
    assert sorted(names) == sorted(SETTINGS)
    assert all(GROUPS.values())


def test_the_file_has_every_setting_with_default_and_help_and_sets_none() -> None:
    text = starter.env_text()
    assert values(text) == {}
    for row in SETTINGS.values():
        assert f"\n## {row.help}\n#{row.name}={row.default or ''}\n" in text


def test_with_the_marks_taken_away_the_file_gives_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=[A-Z])", "", starter.env_text(), flags=re.MULTILINE)
    file = tmp_path / "switched-on.env"
    file.write_text(text)
    assert set(values(text)) == set(SETTINGS)
    found = load(env_file=file, environ={})
    assert {name: one.text for name, one in found.values.items()} == {
        name: row.default for name, row in SETTINGS.items()
    }


def test_a_new_row_is_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    new = Setting("STACKCTL_NEW", "7", str, "a new one")
    monkeypatch.setitem(GROUPS, "The stack", (new,))  # type: ignore[arg-type]
    monkeypatch.setitem(SETTINGS, new.name, new)  # type: ignore[arg-type]
    assert "## a new one\n#STACKCTL_NEW=7\n" in starter.env_text()


OLD = """\
MIRROR=registry.example.org
# Taken by the old Grafana.
GRAFANA_PORT=3100 # until May
GRAFANA_PASSWORD='two words # and a sign'
PROMETHEUS_IMAGE=${MIRROR}/prom/prometheus:v2.48.0
#LOKI_PORT=3999
export BINANCE_API_URL="https://api.example.org"
OTHER='over
two lines'
# The end.
"""


def test_an_older_file_keeps_all_that_is_set_in_its_place() -> None:
    text = starter.env_text(OLD)
    assert values(text) == values(OLD)
    for line in OLD.splitlines():
        assert line in text.splitlines()
    assert (
        "## port of grafana on this machine\n# Taken by the old Grafana.\nGRAFANA_PORT=3100" in text
    )
    assert "#LOKI_PORT=3999\n#LOKI_PORT=3100\n" in text
    assert "#GRAFANA_PORT=3001" not in text
    assert "#PROMETHEUS_PORT=9090" in text


def test_bringing_a_file_up_to_date_twice_changes_nothing_more() -> None:
    once = starter.env_text(OLD)
    assert starter.env_text(once) == once
    assert starter.env_text(starter.env_text()) == starter.env_text()


def test_an_order_that_would_change_a_value_is_refused() -> None:
    with pytest.raises(StackctlError, match=r"OURS \(\.env:2\) refers to") as caught:
        starter.env_text("LOKI_PORT=4100\nOURS=${LOKI_PORT}\n")
    assert caught.value.remedy


LINES = st.lists(
    st.one_of(
        st.text(alphabet=string.printable, max_size=25),
        st.sampled_from(
            ["LOKI_PORT=1", "#LOKI_PORT=2", "A=${LOKI_PORT}", "# a comment", "A='x\ny'"]
        ),
    ),
    max_size=6,
)


@hypothesis_settings(max_examples=200, deadline=None)
@given(LINES)
@example([" ", "#LOKI_PORT="])
def test_any_file_is_kept_or_refused(lines: list[str]) -> None:
    old = "\n".join(lines)
    try:
        text = starter.env_text(old)
    except StackctlError:
        return
    after = values(text)
    assert {name: after[name] for name in values(old)} == after
    assert starter.env_text(text) == text


def test_the_override_changes_nothing_as_it_stands() -> None:
    (extension,) = yaml_text.load(starter.override_text())
    assert extension.startswith("x-")


def test_init_writes_both_and_nothing_differs(tmp_path: Path) -> None:
    before = load(environ={})
    done = run_here("init")
    assert done.returncode == 0
    assert done.stdout == ".env: written\nstackctl.override.yml: written\n"
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert load(environ={}) == before


@pytest.mark.parametrize(
    "names", [[".env"], ["stackctl.override.yml"], [".env", "stackctl.override.yml"]]
)
def test_init_writes_over_nothing(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("LOKI_PORT=4100\n")
    done = run_here("init")
    assert done.returncode == 1
    assert done.stderr.startswith(f"stackctl: {' and '.join(names)} ")
    assert "--force" in done.stderr
    assert {
        path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()
    } == dict.fromkeys(names, "LOKI_PORT=4100\n")


def test_force_keeps_what_is_set_and_never_touches_the_override(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(OLD)
    (tmp_path / "stackctl.override.yml").write_text("x-mine: 1\n")
    done = run_here("init", "--force")
    assert done.returncode == 0
    assert done.stdout == ".env: written\nstackctl.override.yml: kept\n"
    assert values((tmp_path / ".env").read_text()) == values(OLD)
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "stackctl.override.yml").read_text() == "x-mine: 1\n"


def test_force_follows_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.env").write_text("LOKI_PORT=4100\n")
    (tmp_path / ".env").symlink_to("real.env")
    assert run_here("init", "--force").returncode == 0
    assert (tmp_path / ".env").is_symlink()
    assert "LOKI_PORT=4100" in (tmp_path / "real.env").read_text()


def test_a_broken_file_is_named_with_its_line_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOKI_PORT=4100\nbroken line\n")
    done = run_here("init", "--force")
    assert (done.returncode, done.stderr) == (
        2,
        "stackctl: .env:2 is not NAME=value; correct that line, or put # before it\n",
    )
    assert (tmp_path / ".env").read_text() == "LOKI_PORT=4100\nbroken line\n"
    assert not (tmp_path / "stackctl.override.yml").exists()


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run_here("--env-file", "file/x.env", "init")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("stackctl: ")


@pytest.mark.parametrize("content", [None, b"\xff\xfeL\x00"])
def test_what_cannot_be_brought_up_to_date_is_one_line_and_stays(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is None:
        (tmp_path / ".env").mkdir()
    else:
        (tmp_path / ".env").write_bytes(content)
    done = run_here("init", "--force")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"stackctl: \.env cannot be read: .+; make it .+\n", done.stderr)
    assert not (tmp_path / "stackctl.override.yml").exists()


def test_a_file_of_windows_keeps_what_is_set(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("\ufeff# Ours.\r\nLOKI_PORT=4100\r\n".encode())
    assert run_here("init", "--force").returncode == 0
    text = (tmp_path / ".env").read_bytes()
    assert b"\r" not in text
    assert b"\xef\xbb\xbf" not in text
    assert values(text.decode()) == {"LOKI_PORT": "4100"}
    assert b"# Ours.\nLOKI_PORT=4100\n" in text


def test_stdout_prints_and_writes_nothing(tmp_path: Path) -> None:
    done = run_here("init", "--stdout")
    assert done.returncode == 0
    assert starter.env_text() in done.stdout
    assert done.stdout.endswith(starter.override_text())
    assert not any(path.is_file() for path in tmp_path.iterdir())


def test_the_env_file_option_names_the_file(tmp_path: Path) -> None:
    assert run_here("--env-file", "other.env", "init").returncode == 0
    assert (tmp_path / "other.env").is_file()
    assert not (tmp_path / ".env").exists()


def test_a_value_without_equals_sign_is_refused() -> None:
    with pytest.raises(UsageError):
        starter.env_text("LOKI_PORT\n")
