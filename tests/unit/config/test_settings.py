"""Settings: flags over environment over .env over defaults, and bad ones refused in one line."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from stackctl.config.load import load
from stackctl.config.registry import GENERATED_SECRETS, SETTINGS
from stackctl.errors import UsageError
from stackctl.services.catalog import PUBLISHED_PORTS
from stackctl.services.channels import secret_files
from stackctl.util.suggest import nearest
from stackctl.values.secret import Secret


def env(tmp_path: Path, text: str) -> Path:
    file = tmp_path / ".env"
    file.write_text(text, encoding="utf-8")
    return file


def test_environment_wins_over_file_and_file_over_default(tmp_path: Path) -> None:
    file = env(tmp_path, "PROMETHEUS_PORT=1111\nLOKI_PORT=2222\n")
    found = load(env_file=file, environ={"PROMETHEUS_PORT": "3333"})
    assert found["PROMETHEUS_PORT"] == "3333"
    assert found.values["PROMETHEUS_PORT"].origin == "environment"
    assert found["LOKI_PORT"] == "2222"
    assert found.values["LOKI_PORT"].origin == f"{file}:2"
    assert found["GRAFANA_PORT"] == "3001"
    assert found.values["GRAFANA_PORT"].origin == "default"


def test_project_name_comes_from_flag_then_environment_then_default() -> None:
    assert load(project="a", environ={"COMPOSE_PROJECT_NAME": "b"}).project == "a"
    assert load(environ={"COMPOSE_PROJECT_NAME": "b"}).project == "b"
    assert load(environ={}).project == "bot-core"


@pytest.mark.parametrize("name", ["a" * 64, "Upper", "-x", "with space", "ä"])
def test_a_project_name_that_compose_refuses_is_refused_here(name: str) -> None:
    with pytest.raises(UsageError, match="invalid project name") as caught:
        load(project=name, environ={})
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nthis is not a setting\n", 2),
        ("\n\nLONELY\n", 3),
        ("A=1\n# comment\n\nB='unclosed\n", 4),
        ("=value\n", 1),
    ],
)
def test_a_broken_line_is_named_with_its_number(tmp_path: Path, text: str, line: int) -> None:
    file = env(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load(env_file=file, environ={})
    assert caught.value.message == f"{file}:{line} is not NAME=value"
    assert caught.value.remedy is not None


def test_a_missing_env_file_is_refused_only_if_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environ={}).project == "bot-core"
    with pytest.raises(UsageError, match="does not exist"):
        load(env_file=tmp_path / "none", environ={})


@pytest.mark.parametrize(
    "text", ["\ufeffLOKI_PORT=4100\r\nGRAFANA_PORT=4101\r\n", "LOKI_PORT=4100\rGRAFANA_PORT=4101\r"]
)
def test_a_file_of_another_system_is_read(tmp_path: Path, text: str) -> None:
    (tmp_path / ".env").write_bytes(text.encode())
    found = load(env_file=tmp_path / ".env", environ={})
    assert (found["LOKI_PORT"], found["GRAFANA_PORT"]) == ("4100", "4101")
    assert found.others == {}


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        load(env_file=tmp_path, environ={})
    assert caught.value.line == (
        f"cannot read {tmp_path}: Is a directory; make it a readable UTF-8 text file"
    )


@pytest.mark.parametrize(
    "values",
    [
        {"LOKI_PORT": "9" * 30_000},
        {"PROMETHEUS_IMAGE": "a" * 300_000},
        {"GRAFANA_PASSWORD": "a" * 300_000},
        {"BINANCE_API_URL": "ftp://" + "a" * 10_000},
    ],
)
def test_a_value_without_an_end_is_refused_in_a_short_line(values: dict[str, str]) -> None:
    (name,) = values
    with pytest.raises(UsageError) as caught:
        load(environ=values)
    assert caught.value.line.startswith(f"invalid {name}")
    assert len(caught.value.line) < 300
    assert "sys." not in caught.value.line


@pytest.mark.parametrize(("value", "port"), [("9090", "9090"), ("0080", "80"), ("65535", "65535")])
def test_a_port_is_a_plain_number(value: str, port: str) -> None:
    assert load(environ={"LOKI_PORT": value})["LOKI_PORT"] == port


@pytest.mark.parametrize("value", ["0", "00", "65536", "-1", "1.5", "1e3", "\u0663", "99999"])
def test_what_is_no_port_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="LOKI_PORT"):
        load(environ={"LOKI_PORT": value})


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_bytes(b"A=\xff\xfe\n")
    with pytest.raises(UsageError, match="cannot read"):
        load(env_file=file, environ={})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PROMETHEUS_PORT", "0"),
        ("PROMETHEUS_PORT", "65536"),
        ("PROMETHEUS_PORT", "٣"),
        ("STACKCTL_BIND_ADDRESS", "localhost"),
        ("STACKCTL_HOST", "http://box"),
        ("STACKCTL_DOCKER_SOCKET", "docker.sock"),
        ("STACKCTL_COPY_FILES", "maybe"),
        ("ALERTMANAGER_SLACK_WEBHOOK_URL", "hooks.example.org"),
        ("ALERTMANAGER_EMAIL_TO", "nobody"),
        ("ALERTMANAGER_EMAIL_FROM", "a@x.io, b@x.io"),
        ("ALERTMANAGER_SMTP_TLS", "ssl"),
        ("GRAFANA_PASSWORD", "abc"),
        ("STACKCTL_DOCKER_SOCKET", "/run/a:b.sock"),
        ("RABBITMQ_TARGET", "[::1:15692"),
        ("RABBITMQ_TARGET", "[fe80::x]:15692"),
        ("ALERTMANAGER_SMTP_HOST", "smtp host"),
        ("PROMETHEUS_RETENTION_TIME", "forever"),
        ("PROMETHEUS_RETENTION_SIZE", "50"),
        ("STACKCTL_KUBERNETES", "maybe"),
        ("MONGODB_EXPORTER_URI", "http://mongodb"),
        ("PROMETHEUS_IMAGE", "two words"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_with_its_name(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        load(environ={name: value})


def test_a_bad_secret_is_refused_without_being_shown() -> None:
    with pytest.raises(UsageError) as caught:
        load(environ={"ALERTMANAGER_SLACK_WEBHOOK_URL": "hush-hush"})
    assert "hush-hush" not in f"{caught.value.message} {caught.value.remedy}"


def test_secrets_do_not_show_in_repr_and_do_not_come_as_text() -> None:
    found = load(environ={"GRAFANA_PASSWORD": "hush-hush"})
    assert "hush-hush" not in repr(found)
    assert found.secret("GRAFANA_PASSWORD") == Secret("hush-hush")
    with pytest.raises(KeyError):
        found["GRAFANA_PASSWORD"]
    with pytest.raises(KeyError):
        found.secret("PROMETHEUS_PORT")


def secret_file(folder: Path, content: bytes = b"from-a-file\n", mode: int = 0o600) -> Path:
    path = folder / "password"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_can_be_given_by_its_file(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    file = env(tmp_path, f"GRAFANA_PASSWORD_FILE={path}\n")
    found = load(env_file=file, environ={})
    assert found.secret("GRAFANA_PASSWORD") == Secret("from-a-file")
    assert found.values["GRAFANA_PASSWORD"].origin == f"{path} ({file}:1)"
    assert found.doubts() == []
    # What is in the environment wins, whichever of the two it is.
    found = load(env_file=file, environ={"GRAFANA_PASSWORD": "other"})
    assert found.secret("GRAFANA_PASSWORD") == Secret("other")
    file = env(tmp_path, "GRAFANA_PASSWORD=other\n")
    found = load(env_file=file, environ={"GRAFANA_PASSWORD_FILE": str(path)})
    assert found.secret("GRAFANA_PASSWORD") == Secret("from-a-file")


def test_every_secret_can_be_given_by_its_file_and_nothing_else() -> None:
    by_file = {name.removesuffix("_FILE") for name in SETTINGS if name.endswith("_FILE")}
    assert by_file == {name for name, row in SETTINGS.items() if row.secret}
    of_channels = {setting for _, setting in secret_files()}
    assert by_file == {*GENERATED_SECRETS, *of_channels, "MONGODB_EXPORTER_URI"}


def test_a_secrets_file_that_others_can_read_is_odd(tmp_path: Path) -> None:
    path = secret_file(tmp_path, mode=0o644)
    found = load(environ={"GRAFANA_PASSWORD_FILE": str(path)})
    said = f"other users can read {path}, which contains GRAFANA_PASSWORD"
    assert found.doubts() == [(said, f"chmod 600 {path}")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\n\n", "is empty"),
        (b"\xff", "is not UTF-8 text"),
        (b"hush-hush\nhush-hush", "control characters are not allowed"),
        (b"hush-hush" * 10_000, "is longer than 65536 bytes"),
        (None, "(environment): No such file"),
    ],
)
def test_a_secrets_file_that_has_none_is_told_without_showing_it(
    tmp_path: Path, content: bytes | None, says: str
) -> None:
    path = secret_file(tmp_path, content or b"")
    if content is None:
        path.unlink()
    with pytest.raises(UsageError) as caught:
        load(environ={"GRAFANA_PASSWORD_FILE": str(path)})
    assert says in caught.value.message
    assert str(path) in caught.value.message
    assert "GRAFANA_PASSWORD" in caught.value.line
    assert "hush-hush" not in caught.value.line
    assert "\n" not in caught.value.line


def test_a_secret_that_is_set_twice_in_the_same_place_is_refused(tmp_path: Path) -> None:
    path = secret_file(tmp_path)
    with pytest.raises(UsageError) as caught:
        load(environ={"GRAFANA_PASSWORD": "hush-hush", "GRAFANA_PASSWORD_FILE": str(path)})
    assert caught.value.line == (
        "GRAFANA_PASSWORD (environment) and GRAFANA_PASSWORD_FILE (environment) are both set;"
        " remove one of them"
    )


@pytest.mark.parametrize(
    ("bind", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("[::1]", "[::1]"),
        ("[2001:db8::7]", "[2001:db8::7]"),
        ("192.0.2.7", "192.0.2.7"),
    ],
)
def test_addresses_are_reachable_ones(bind: str, host: str) -> None:
    found = load(environ={"STACKCTL_BIND_ADDRESS": bind, "LOKI_PORT": "4100"})
    assert found.url("loki") == f"http://{host}:4100"


@pytest.mark.parametrize(
    ("environ", "host"),
    [
        ({}, "server.example"),
        ({"STACKCTL_BIND_ADDRESS": "0.0.0.0"}, "server.example"),
        ({"STACKCTL_BIND_ADDRESS": "192.0.2.7"}, "192.0.2.7"),
        ({"STACKCTL_HOST": "127.0.0.1"}, "127.0.0.1"),
        ({"STACKCTL_HOST": "2001:db8::1"}, "[2001:db8::1]"),
    ],
)
def test_addresses_follow_a_remote_engine(environ: dict[str, str], host: str) -> None:
    found = replace(load(environ=environ), engine_host="server.example")
    assert found.url("loki") == f"http://{host}:3100"


def test_default_ports_do_not_collide() -> None:
    ports = [port.default for port in PUBLISHED_PORTS.values()]
    assert len(set(ports)) == len(ports)


def test_nearest_name() -> None:
    assert nearest("rust-core", ["rust-core-engine", "loki"]) == "did you mean rust-core-engine?"
    assert nearest("zzz", ["a", "b"]) == "known: a, b"


LINE = st.text(alphabet=string.printable, max_size=30)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None
)
@given(st.lists(LINE, max_size=6))
def test_any_text_gives_settings_or_one_clear_line(tmp_path: Path, lines: list[str]) -> None:
    file = env(tmp_path, "\n".join(lines))
    try:
        found = load(env_file=file, environ={})
    except UsageError as error:
        assert "\n" not in error.message
        assert error.remedy
    else:
        assert set(found.values) == set(SETTINGS)


SAFE = st.text(alphabet=string.ascii_letters + string.digits + "_-.:/@%+", min_size=5, max_size=40)


@hypothesis_settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None
)
@given(SAFE)
def test_a_password_comes_out_of_the_file_as_it_went_in(tmp_path: Path, password: str) -> None:
    found = load(env_file=env(tmp_path, f"GRAFANA_PASSWORD='{password}'\n"), environ={})
    secret = found.secret("GRAFANA_PASSWORD")
    assert secret is not None
    assert secret.reveal() == password
