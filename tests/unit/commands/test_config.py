"""`config`: what is in force and where it comes from, no secret, and names that are slips."""

from __future__ import annotations

import json
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stackctl.commands.config import Row, _line
from stackctl.config.env_file import parse_env
from stackctl.config.load import load
from stackctl.config.load import load as load_settings
from stackctl.config.registry import GENERATED_SECRETS, SETTINGS
from stackctl.lifecycle import preflight
from tests.support.cli import run_here

pytestmark = pytest.mark.usefixtures("own_folders")


def test_each_setting_comes_with_its_value_and_origin(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("\nLOKI_PORT=4100\nALERTMANAGER_PAGERDUTY_KEY=hush-hush\n")
    done = run_here("config", "--format", "json", env={"GRAFANA_PORT": "4001"})
    assert done.returncode == 0
    rows = {row["name"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)}
    assert set(rows) == set(SETTINGS)
    assert rows["LOKI_PORT"] == ("4100", ".env:2")
    assert rows["GRAFANA_PORT"] == ("4001", "environment")
    assert rows["PROMETHEUS_PORT"] == ("9090", "default")
    assert rows["BINANCE_API_URL"] == (None, "not set")
    assert rows["ALERTMANAGER_PAGERDUTY_KEY"] == ("****", ".env:3")
    assert rows["ALERTMANAGER_SMTP_PASSWORD"] == (None, "not set")
    assert rows["GRAFANA_PASSWORD"] == ("****", "generated")


@pytest.mark.parametrize("output", ["table", "json", "env"])
def test_no_secret_is_ever_shown(output: str) -> None:
    secrets = {
        "GRAFANA_PASSWORD": "marked-secret",
        "MONGODB_EXPORTER_URI": "mongodb://u:marked-secret@h",
        "ALERTMANAGER_SLACK_WEBHOOK_URL": "https://marked-secret",
    }
    done = run_here("config", "--format", output, env=secrets)
    assert done.returncode == 0
    assert all(name in done.stdout for name in secrets)
    assert "marked-secret" not in done.stdout + done.stderr
    for name in secrets:
        one = run_here("config", name, env=secrets)
        assert (one.returncode, one.stdout) == (1, "")
        assert "read it from environment" in one.stderr
        assert "marked-secret" not in one.stderr


def test_one_value_alone_for_a_script() -> None:
    done = run_here("config", "GRAFANA_PORT")
    assert (done.returncode, done.stdout) == (0, "3001\n")


@pytest.mark.parametrize("name", GENERATED_SECRETS)
def test_a_generated_secret_is_said_where_it_is(name: str, state_dir: Path) -> None:
    run_here("render")
    done = run_here("config", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(f"stored in {state_dir / 'bot-core' / 'secrets.json'}\n")
    assert name in json.loads((state_dir / "bot-core" / "secrets.json").read_text())


def test_a_setting_without_a_value_is_exit_1() -> None:
    done = run_here("config", "BINANCE_API_URL")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("stackctl: BINANCE_API_URL is not set; ")
    secret = run_here("config", "ALERTMANAGER_SMTP_PASSWORD")
    assert secret.stderr.startswith("stackctl: ALERTMANAGER_SMTP_PASSWORD is not set; ")


@pytest.mark.parametrize("name", ["grafana_port", "Grafana_Prot", "GRAFANAPORT"])
def test_an_unknown_name_has_the_nearest_whatever_its_case(name: str) -> None:
    done = run_here("config", name)
    assert done.returncode == 2
    assert done.stderr == f"stackctl: unknown setting {name!r}; did you mean GRAFANA_PORT?\n"


def test_an_unknown_name_has_the_nearest() -> None:
    done = run_here("config", "GRAFANA_PROT")
    assert done.returncode == 2
    assert "did you mean GRAFANA_PORT?" in done.stderr
    assert run_here("config", "GRAFANA_PORT", "--format", "json").returncode == 2


def test_as_a_file_it_gives_the_same_settings(tmp_path: Path) -> None:
    given_ = {"LOKI_PORT": "4100", "ALERTMANAGER_SMTP_USERNAME": "it's me # \\ two"}
    file = tmp_path / "written.env"
    file.write_text(run_here("config", "--format", "env", env=given_).stdout)
    again = load(env_file=file, environ={})
    wanted = load(environ=given_)
    assert {name: one.text for name, one in again.values.items()} == {
        name: one.text for name, one in wanted.values.items()
    }


TEXT = st.text(alphabet=string.printable.split("\t")[0] + "äß", min_size=1, max_size=30)


@hypothesis_settings(max_examples=200, deadline=None)
@given(TEXT.filter(lambda text: "${" not in text))
def test_a_line_of_the_file_reads_as_what_was_written(value: str) -> None:
    line = _line(Row("X", value, "default", secret=False))
    assert {name: text for name, (text, _) in parse_env(line, "").items()} == {"X": value}


@pytest.mark.parametrize(
    ("name", "doubt", "remedy"),
    [
        ("PROMETHEUS_PROT", "is no setting", "did you mean PROMETHEUS_PORT?"),
        ("GRAFANA_PASWORD", "is no setting", "did you mean GRAFANA_PASSWORD?"),
        ("grafana_port", "is no setting", "did you mean GRAFANA_PORT?"),
        ("Loki_Prot", "is no setting", "did you mean LOKI_PORT?"),
        ("stackctl_something", "is no setting", "`stackctl config` lists them"),
        (
            "DOCKER_CONTENT_TRUST",
            "has no effect on stackctl",
            "`stackctl images lock` pins every image to its digest",
        ),
        ("STACKCTL_SOMETHING_ELSE", "is no setting", "`stackctl config` lists them"),
        ("STACKCTL_STATE_DIR", "has no effect there", "set it in the environment"),
    ],
)
def test_a_slip_is_told_with_its_line_by_config_and_doctor(
    tmp_path: Path, name: str, doubt: str, remedy: str
) -> None:
    (tmp_path / ".env").write_text(f"LOKI_PORT=4100\n{name}=1\n")
    done = run_here("config")
    assert done.returncode == 0
    assert done.stderr == f"stackctl: {name} (.env:2) {doubt}; {remedy}\n"
    (finding,) = preflight._names(load_settings(environ={}))
    assert (finding.level, finding.message) == ("warning", f"{name} (.env:2) {doubt}")
    assert finding.remedy == remedy


def test_settings_and_an_applications_own_names_are_no_slips(tmp_path: Path) -> None:
    own = ("DATABASE_URL", "REDIS_PASSWORD", "MONGO_URL", "LOG_LEVEL", "JWT_SECRET")
    (tmp_path / ".env").write_text("".join(f"{name}=\n" for name in (*own, *SETTINGS)))
    assert load(environ={}).doubts() == []
