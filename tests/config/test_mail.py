"""Mail by the real Alertmanager, from what stackctl renders for it, to real mail servers with and without TLS."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from testcontainers.core.container import DockerContainer

from stackctl.util import yaml_text
from tests.support import mailroom
from tests.support.judged_values import RECIPIENTS, SENDERS
from tests.support.rendering import rendered_state

# Ryuk would need the Docker socket, and to be pulled; the containers are removed here.
os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"

# What its tests share takes long to make, so one process runs them all.
pytestmark = [pytest.mark.docker, pytest.mark.xdist_group("mail")]

_KEYS = {
    "smtp_smarthost": "smarthost",
    "smtp_from": "from",
    "smtp_require_tls": "require_tls",
    "smtp_auth_username": "auth_username",
    "smtp_auth_password_file": "auth_password_file",
}
"""Key of `global:` → the same of one receiver, so that one Alertmanager has every case."""

LOGIN = {"USERNAME": "alerts", "PASSWORD": "a pass:word"}
NONE = {"PORT": "25", "TLS": "none"}
TRANSPORTS: dict[str, tuple[dict[str, str], tuple[int, bool, list[str] | None] | None]] = {
    "465": ({"PORT": "465", **LOGIN}, (465, True, [*LOGIN.values()])),
    "implicit": ({"PORT": "465", "TLS": "implicit"}, (465, True, None)),
    "587": ({"PORT": "587", **LOGIN}, (587, True, [*LOGIN.values()])),
    "starttls": ({"PORT": "587", "TLS": "starttls"}, (587, True, None)),
    "none": (NONE, (25, False, None)),
    # Without a word nothing goes out in the clear, and a server that wants STARTTLS gets nothing without.
    "25": ({"PORT": "25"}, None),
    "unwanted none": ({"PORT": "587", "TLS": "none"}, None),
}
"""Settings of mail → the port that one arrives on, whether encrypted, and who logged in; None where none arrives."""


def rendered(state_dir: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """Return a configuration for e-mail as stackctl renders it with these settings, each without its beginning."""
    given = {f"ALERTMANAGER_SMTP_{name}": value for name, value in environ.items()}
    state = rendered_state(
        {
            "ALERTMANAGER_SMTP_HOST": "localhost",
            "ALERTMANAGER_EMAIL_FROM": "Alerts <from@x.example>",
            "ALERTMANAGER_EMAIL_TO": "to@x.example",
            **given,
        }
    )
    if environ.get("PASSWORD"):
        shutil.copyfile(state.secrets / "smtp_password", state_dir.parent / "smtp_password")
    config = yaml_text.load((state.config / "alertmanager" / "alertmanager.yml").read_text())
    (mail,) = next(one for one in config["receivers"] if "email_configs" in one)["email_configs"]
    return {
        "to": mail["to"],
        **{own: config["global"][key] for key, own in _KEYS.items() if key in config["global"]},
    }


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What arrived, by the case."""
    folder = tmp_path_factory.mktemp("mail")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STACKCTL_STATE_DIR", str(folder / "state"))
        cases = {
            name: rendered(folder / "state", environ) for name, (environ, _) in TRANSPORTS.items()
        }
        plain = rendered(folder / "state", NONE)
    cases |= {f"to {value}": {**plain, "to": value} for value in RECIPIENTS}
    cases |= {f"from {value}": {**plain, "from": value} for value in SENDERS}
    write(folder, list(cases.values()))
    server = (
        DockerContainer("stackctl/demo:local")
        .with_volume_mapping(str(folder), "/mail", "ro")
        .with_volume_mapping(mailroom.__file__, "/mailroom.py", "ro")
        .with_kwargs(network_mode="none", entrypoint=["python3", "/mailroom.py", "/mail"])
    )
    with server:
        wrapped = server.get_wrapped_container()
        alertmanager = (
            DockerContainer("stackctl/alertmanager:local")
            .with_volume_mapping(str(folder), "/run/secrets", "ro")
            # As the compose file has it, with the servers' authority in its second folder.
            .with_volume_mapping(str(folder / "ca"), "/etc/stackctl/ca", "ro")
            .with_env("SSL_CERT_DIR", "/etc/ssl/certs:/etc/stackctl/ca")
            .with_command(
                "--config.file=/run/secrets/alertmanager.yml --storage.path=/alertmanager"
                " --cluster.listen-address="
            )
            .with_kwargs(network_mode=f"container:{wrapped.id}")
        )
        with alertmanager:
            ended = wrapped.wait(timeout=120)
            said = wrapped.logs(stderr=False).decode()
            assert ended["StatusCode"] == 0, wrapped.logs().decode()
    names = list(cases)
    return {names[int(one["case"])]: one for one in json.loads(said)}


def write(folder: Path, mails: list[dict[str, Any]]) -> None:
    """Write a configuration with a receiver for each, an alert for each, and a certificate for the servers."""
    receivers = [
        {"name": str(number), "email_configs": [{**mail, "headers": {"Subject": str(number)}}]}
        for number, mail in enumerate(mails)
    ]
    routes = [{"receiver": one["name"], "matchers": [f"case={one['name']}"]} for one in receivers]
    route = {"receiver": "0", "group_by": ["case"], "group_wait": "0s", "routes": routes}
    config = yaml.safe_dump({"route": route, "receivers": receivers}, allow_unicode=True)
    (folder / "alertmanager.yml").write_text(config, encoding="utf-8")
    alerts = [{"labels": {"alertname": "A", "case": one["name"]}} for one in receivers]
    (folder / "alerts.json").write_text(json.dumps(alerts))
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", "key.pem", "-out", "cert.pem"),
        ],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    (folder / "ca").mkdir()
    shutil.copyfile(folder / "cert.pem", folder / "ca" / "company.pem")
    folder.chmod(0o755)
    for path in folder.iterdir():
        if path.is_file():
            path.chmod(0o644)


@pytest.mark.parametrize("case", TRANSPORTS)
def test_mail_takes_the_way_that_the_settings_say(
    arrived: dict[str, dict[str, Any]], case: str
) -> None:
    _, expected = TRANSPORTS[case]
    mail = arrived.get(case)
    found = mail and (mail["port"], mail["encrypted"], mail["login"])
    assert found == expected
    if mail:
        assert (mail["from"], mail["to"]) == ("from@x.example", ["to@x.example"])


@pytest.mark.parametrize(("field", "table"), [("to", RECIPIENTS), ("from", SENDERS)])
def test_alertmanager_agrees_on_every_address(
    arrived: dict[str, dict[str, Any]], field: str, table: Mapping[str, bool]
) -> None:
    assert {value: f"{field} {value}" in arrived for value in table} == dict(table)


def test_everybody_gets_mail(arrived: dict[str, dict[str, Any]]) -> None:
    both = ["a@x.example", "b@x.example"]
    assert arrived["to Name <a@x.example>, b@x.example"]["to"] == both
    assert arrived["to a@x.example , , b@x.example,"]["to"] == both
