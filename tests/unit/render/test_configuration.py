"""Rendering: what is not set up is left out, what is this project's own is put in, nothing secret is in the open."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from dotenv import dotenv_values
from hypothesis import strategies as st

from stackctl.config.load import load as load_settings
from stackctl.config.registry import DEFAULT_RUNBOOKS, GENERATED_SECRETS, SETTINGS
from stackctl.docker.models import Neighbour
from stackctl.errors import EngineError, UsageError
from stackctl.project.monitored import monitored_services
from stackctl.project.project import Project
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, open_state
from stackctl.render import configuration
from stackctl.render.configuration import render
from stackctl.render.rendering import Rendering
from stackctl.render.validate import Verdict
from stackctl.services.channels import CHANNELS, Channel, secret_files
from stackctl.services.releases import PLAN, Releases, current
from stackctl.util import paths, yaml_text
from tests.support.channels import SUBSETS, environment, example, names
from tests.support.cli import run_here
from tests.support.engine import MemoryEngine

SLACK = "https://hooks.example.org/marked-slack-secret"
PASSWORDS = {
    "GRAFANA_PASSWORD": "marked-grafana-secret",
    "REDIS_EXPORTER_PASSWORD": 'marked-redis"secret',
    "RABBITMQ_PASSWORD": "marked-rabbitmq-secret",
    "MONGODB_PASSWORD": "marked-mongodb/secret",
}


def run(
    environ: Mapping[str, str] | None = None,
    project: str | None = None,
    *,
    demo: bool = True,
    releases: Releases = PLAN,
) -> tuple[StateFolder, Rendering]:
    found = load_settings(project=project, environ=environ or {})
    state = open_state(found.project)
    return state, render(
        found,
        Secrets(found, state),
        state,
        images={},
        releases=releases,
        present=monitored_services(found, demo=demo),
    )


@pytest.mark.parametrize("demo", [True, False])
def test_prometheus_3_reads_a_page_without_a_content_type_as_2_does(demo: bool) -> None:
    def jobs(releases: Releases) -> list[dict[str, Any]]:
        state, _ = run(demo=demo, releases=releases)
        text = (state.config / "prometheus" / "prometheus.yml").read_text()
        found: list[dict[str, Any]] = yaml_text.load(text)["scrape_configs"]
        return found

    plan, newer = jobs(PLAN), jobs(current())
    assert all("fallback_scrape_protocol" not in job for job in plan)
    fallback = {"fallback_scrape_protocol": "PrometheusText0.0.4"}
    assert [job for job in newer if job["job_name"] != "alloy"] == [
        {**job, **fallback} for job in plan if job["job_name"] != "promtail"
    ]
    assert all(job | fallback == job for job in newer)


@pytest.fixture(autouse=True)
def _own_state(state_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("environ", "host"),
    [({}, "127.0.0.1"), ({"STACKCTL_HOST": "server.example"}, "server.example")],
)
def test_the_programs_links_to_themselves_have_the_host_that_up_prints(
    environ: dict[str, str], host: str
) -> None:
    state, _ = run(environ)
    assert dotenv_values(state.compose_env)["STACKCTL_URL_HOST"] == host
    compose = (paths.compose() / "docker-compose.yml").read_text()
    assert compose.count("http://${STACKCTL_URL_HOST:-127.0.0.1}:") == 3
    assert "//localhost:" not in compose


def test_every_folder_of_the_configuration_can_be_entered_whatever_the_umask() -> None:
    before = os.umask(0o077)
    try:
        state, _ = run()
    finally:
        os.umask(before)
    tree = list(state.config.rglob("*"))
    modes = {(path.is_dir(), path.stat().st_mode & 0o777) for path in tree}
    assert modes == {(True, 0o755), (False, 0o644)}
    # Those of an older stackctl are mended.
    for path in tree:
        if path.is_dir():
            path.chmod(0o700)
    run()
    assert {path.stat().st_mode & 0o777 for path in tree if path.is_dir()} == {0o755}
    # The folder around keeps others out all the same.
    assert state.folder.stat().st_mode & 0o777 == 0o700
    assert state.secrets.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("bind", "shown"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]"), ("[::1]", "[::1]"), ("::", "[::]")],
)
def test_the_address_of_the_ports_is_in_brackets_where_it_has_colons(bind: str, shown: str) -> None:
    state, _ = run({"STACKCTL_BIND_ADDRESS": bind})
    assert dotenv_values(state.compose_env)["STACKCTL_BIND_ADDRESS"] == shown


@pytest.mark.parametrize(
    ("environ", "smarthost", "starttls"),
    [
        ({}, "mail.example:587", True),
        ({"PORT": "465"}, "mail.example:465", False),
        ({"PORT": "465", "TLS": "implicit"}, "mail.example:465", False),
        ({"PORT": "25", "TLS": "none"}, "mail.example:25", False),
        ({"PORT": "25", "TLS": "starttls", "HOST": "[2001:db8::1]"}, "[2001:db8::1]:25", True),
    ],
)
def test_mail_is_encrypted_as_the_settings_say(
    environ: dict[str, str], smarthost: str, starttls: bool
) -> None:
    given = {"HOST": "mail.example", **environ}
    state, _ = run(
        {
            **{f"ALERTMANAGER_SMTP_{name}": value for name, value in given.items()},
            "ALERTMANAGER_EMAIL_FROM": "Alerts <a@x.example>",
            "ALERTMANAGER_EMAIL_TO": "b@x.example, c@x.example",
        }
    )
    shared = rendered_alertmanager(state)["global"]
    assert (shared["smtp_smarthost"], shared["smtp_require_tls"]) == (smarthost, starttls)


def test_only_real_channels_and_probes_of_the_outside_go_through_the_proxy() -> None:
    proxy = {"STACKCTL_PROXY": "http://proxy.corp.example:3128"}
    through = {"proxy_url": proxy["STACKCTL_PROXY"]}

    def clients(environ: dict[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
        state, _ = run(environ)
        receivers = rendered_alertmanager(state)["receivers"]
        blackbox = yaml_text.load((state.config / "blackbox" / "blackbox.yml").read_text())
        return {
            key: one.get("http_config")
            for receiver in receivers
            for key, configurations in receiver.items()
            if key != "name"
            for one in configurations
        }, {name: one.get("http") or {} for name, one in blackbox["modules"].items()}

    plain, modules = clients({})
    assert set(plain.values()) == {None}
    assert modules["http_2xx_outside"] == modules["http_2xx"]
    mail = {"SMTP_HOST": "mail.example", "EMAIL_FROM": "a@x.example", "EMAIL_TO": "b@x.example"}
    real = {"ALERTMANAGER_SLACK_WEBHOOK_URL": SLACK} | {
        f"ALERTMANAGER_{name}": value for name, value in mail.items()
    }
    some, outside = clients({**proxy, **real})
    # PagerDuty is the demo's sink, and mail is no HTTP.
    assert some == {
        "slack_configs": through,
        "pagerduty_configs": None,
        "email_configs": None,
    }
    expected = {**through, "skip_resolve_phase_with_proxy": True}
    assert outside == {**modules, "http_2xx_outside": {**modules["http_2xx"], **expected}}
    exceptions, _ = clients({**proxy, **real, "STACKCTL_NO_PROXY": "corp.example"})
    assert exceptions["slack_configs"] == {**through, "no_proxy": "corp.example"}
    alone, _ = clients({**real, "STACKCTL_NO_PROXY": "corp.example"})
    assert alone["slack_configs"] is None


def test_the_companys_authorities_are_handed_over_and_taken_back(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(b"certificates")
    found = {"STACKCTL_CA_BUNDLE": str(tmp_path / "ca.pem")}
    with pytest.MonkeyPatch.context() as patch:
        bundle = replace(SETTINGS["STACKCTL_CA_BUNDLE"], parse=str)
        patch.setitem(SETTINGS, "STACKCTL_CA_BUNDLE", bundle)  # type: ignore[arg-type]
        state, _ = run(found)
    folder = state.config / "ca"
    assert [one.read_bytes() for one in folder.iterdir()] == [b"certificates"]
    before = dotenv_values(state.compose_env)
    state, _ = run()
    assert folder.is_dir()
    assert list(folder.iterdir()) == []
    after = dotenv_values(state.compose_env)
    changed = {name for name in before if before[name] != after[name]}
    names = ("ALERTMANAGER", "BLACKBOX_EXPORTER", "GRAFANA")
    assert changed == {f"{name}_FINGERPRINT" for name in names}


def test_settings_that_contradict_each_other_are_refused_before_anything_is_written() -> None:
    mail = {**environment(CHANNELS), "ALERTMANAGER_SMTP_PORT": "465"}
    with pytest.raises(UsageError, match="ALERTMANAGER_SMTP_TLS=starttls"):
        run(mail)
    assert not open_state("bot-core").config.exists()


def rendered_alertmanager(state: StateFolder) -> dict[str, Any]:
    config: dict[str, Any] = yaml_text.load(
        (state.config / "alertmanager" / "alertmanager.yml").read_text()
    )
    return config


def in_receivers(config: dict[str, Any]) -> list[Channel]:
    return [
        channel
        for channel in CHANNELS
        if any(channel.configurations(receiver) for receiver in config["receivers"])
    ]


@pytest.mark.parametrize("channels", SUBSETS, ids=names)
def test_exactly_the_channels_that_are_set_up_are_in_alertmanagers_file(
    channels: tuple[Channel, ...],
) -> None:
    state, done = run(environment(channels), demo=False)
    config = rendered_alertmanager(state)
    assert in_receivers(config) == list(channels)
    assert done.channels == tuple(channel.name for channel in channels)
    source = yaml_text.load((paths.monitoring() / "alertmanager" / "alertmanager.yml").read_text())
    for channel in CHANNELS:
        for key in channel.globals:
            assert (key.name in config["global"]) == (channel in channels)
    assert done.left_out == {
        channel.name: channel.required
        for channel in CHANNELS
        if channel.notifies_people and channel not in channels
    }
    # No receiver disappears: every route still has one to go to.
    assert [one["name"] for one in config["receivers"]] == [
        one["name"] for one in source["receivers"]
    ]


@pytest.mark.parametrize("channels", SUBSETS, ids=names)
def test_with_the_demo_the_other_channels_go_to_its_sink(channels: tuple[Channel, ...]) -> None:
    state, _ = run(environment(channels))
    config = rendered_alertmanager(state)
    assert in_receivers(config) == [
        channel for channel in CHANNELS if channel in channels or channel.stand_in is not None
    ]
    for channel in CHANNELS:
        if channel.stand_in is None:
            continue
        stands_in = {
            name: config["global"].get(name) == value
            for name, value in channel.stand_in.globals.items()
        } | {
            file: (state.secrets / file).read_text() == content
            for file, content in channel.stand_in.secrets.items()
        }
        assert set(stands_in.values()) == {channel not in channels}, stands_in


def test_the_sink_is_where_the_stand_ins_send() -> None:
    state, _ = run()
    shared = rendered_alertmanager(state)["global"]
    sink = "http://notification-sink:8025"
    assert (state.secrets / "slack_webhook_url").read_text() == f"{sink}/slack"
    assert shared["pagerduty_url"] == f"{sink}/v2/enqueue"
    assert (state.secrets / "pagerduty_key").read_text() == "demo"
    assert (shared["smtp_smarthost"], shared["smtp_require_tls"]) == (
        "notification-sink:1025",
        False,
    )


def test_a_channel_without_a_stand_in_is_left_out_of_the_demo_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = tuple(replace(channel, stand_in=None) for channel in CHANNELS)
    monkeypatch.setattr(configuration, "CHANNELS", rows)
    state, _ = run()
    config = rendered_alertmanager(state)
    assert in_receivers(config) == []
    assert set(config["global"]) == {"resolve_timeout"}
    assert {(state.secrets / file).read_text() for file, _ in secret_files()} == {""}


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.key)
@pytest.mark.parametrize("missing", ["a required setting", "any other setting"])
def test_a_channel_needs_what_it_requires_and_no_more(channel: Channel, missing: str) -> None:
    required = missing == "a required setting"
    for name in {setting.name for setting in channel.settings}:
        if (name in channel.required) == required:
            environ = environment([channel])
            del environ[name]
            if name == "ALERTMANAGER_SMTP_PASSWORD":
                # It goes with its user.
                del environ["ALERTMANAGER_SMTP_USERNAME"]
            _, done = run(environ, demo=False)
            assert (channel.name in done.channels) is not required
            missed = required and channel.notifies_people
            assert done.left_out.get(channel.name) == ((name,) if missed else None)


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.key)
def test_a_channels_values_are_its_settings(channel: Channel) -> None:
    environ = environment([channel])
    state, _ = run(environ, demo=False)
    config = rendered_alertmanager(state)
    for key in channel.globals:
        if key.value is not None:
            assert config["global"][key.name] == key.content(environ)
    for receiver in config["receivers"]:
        for one in channel.configurations(receiver):
            assert {name: one[name] for name in channel.fields} == {
                name: value.format_map(environ) for name, value in channel.fields.items()
            }
    for file, setting in channel.secrets.items():
        assert (state.secrets / file).read_text() == environ[setting]


@pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.key)
def test_what_needs_a_setting_is_left_out_without_it(channel: Channel) -> None:
    needed = {key.needs for key in channel.globals if key.needs is not None}
    for name in needed:
        environ = environment([channel])
        del environ[name]
        state, _ = run(environ, demo=False)
        shared = rendered_alertmanager(state)["global"]
        assert {key.name for key in channel.globals if key.needs == name} & set(shared) == set()
        assert {key.name for key in channel.globals if key.needs is None} <= set(shared)


def test_email_addresses_are_the_settings() -> None:
    environ = {
        "ALERTMANAGER_SMTP_HOST": "smtp.example.org",
        "ALERTMANAGER_SMTP_PORT": "2525",
        "ALERTMANAGER_EMAIL_FROM": "from@example.org",
        "ALERTMANAGER_EMAIL_TO": "to@example.org",
        "ALERTMANAGER_SMTP_USERNAME": "user",
        "ALERTMANAGER_SMTP_PASSWORD": "hush-hush",
    }
    state, _ = run(environ)
    config = rendered_alertmanager(state)
    assert config["global"]["smtp_smarthost"] == "smtp.example.org:2525"
    assert config["global"]["smtp_from"] == "from@example.org"
    assert config["global"]["smtp_auth_username"] == "user"
    recipients = {
        one["to"] for receiver in config["receivers"] for one in receiver.get("email_configs", ())
    }
    assert recipients == {"to@example.org"}


def test_smtp_without_a_user_has_no_authentication() -> None:
    environ = environment(CHANNELS)
    del environ["ALERTMANAGER_SMTP_USERNAME"]
    state, _ = run(environ)
    shared = rendered_alertmanager(state)["global"]
    assert "smtp_auth_username" not in shared
    assert "smtp_auth_password_file" not in shared
    assert shared["smtp_require_tls"] is True


def test_promtail_reads_this_projects_containers() -> None:
    state, _ = run(project="other")
    text = (state.config / "loki" / "promtail-config.yml").read_text()
    assert "com.docker.compose.project=other" in text
    assert "com.docker.compose.project=bot-core" not in text


def test_messages_and_lokis_alerts_lead_to_this_projects_grafana() -> None:
    state, _ = run({"GRAFANA_PORT": "4001"})
    template = (state.config / "alertmanager" / "templates" / "common.tmpl").read_text()
    assert '{{ define "stackctl.grafana" }}http://127.0.0.1:4001{{ end }}' in template
    ruler = yaml_text.load((state.config / "loki" / "loki-config.yml").read_text())["ruler"]
    assert ruler["external_url"] == "http://127.0.0.1:4001"


def test_binance_has_a_target_only_with_an_address() -> None:
    state, _ = run()
    file = state.config / "prometheus" / "targets" / "binance.yml"
    assert yaml_text.load(file.read_text()) == []
    run({"BINANCE_API_URL": "https://api.example.org/ping"})
    assert yaml_text.load(file.read_text())[0]["targets"] == ["https://api.example.org/ping"]


def test_kubernetes_jobs_come_and_go_with_their_setting() -> None:
    state, _ = run()
    fragment = state.config / "prometheus" / "scrape-configs" / "kubernetes.yml"
    assert not fragment.exists()
    run({"STACKCTL_KUBERNETES": "true"})
    assert "kubernetes_sd_configs" in fragment.read_text()
    _, done = run()
    assert not fragment.exists()
    assert "prometheus/scrape-configs/kubernetes.yml" in done.changed


def test_without_the_demo_nothing_of_it_is_scraped() -> None:
    state, _ = run(demo=False)
    jobs = yaml_text.load((state.config / "prometheus" / "prometheus.yml").read_text())[
        "scrape_configs"
    ]
    names = {job["job_name"] for job in jobs}
    assert {"prometheus", "node-exporter", "cadvisor", "binance-api"} <= names
    assert not names & {"rust-core-engine", "mongodb", "redis", "rabbitmq", "kong", "blackbox-http"}


def test_rendering_again_changes_nothing() -> None:
    run()
    state, done = run()
    assert done.changed == ()
    before = state.compose_env.read_text()
    run()
    assert state.compose_env.read_text() == before


def test_a_folder_that_containers_have_mounted_is_never_replaced() -> None:
    state, _ = run()
    inode = (state.config / "prometheus").stat().st_ino
    run({"BINANCE_API_URL": "https://api.example.org"})
    assert (state.config / "prometheus").stat().st_ino == inode


def test_a_change_of_what_a_service_reads_changes_its_fingerprint_and_no_other() -> None:
    state, _ = run()
    before = dotenv_values(state.compose_env)
    run({"GRAFANA_PASSWORD": "another"})
    after = dotenv_values(state.compose_env)
    assert {name for name in before if before[name] != after[name]} == {"GRAFANA_FINGERPRINT"}


def test_secrets_are_in_the_secret_files_and_nowhere_else() -> None:
    secret = {
        setting.name: example(setting)
        for channel in CHANNELS
        for setting in channel.settings
        if setting.secret
    }
    state, done = run({**environment(CHANNELS), **PASSWORDS})
    assert "marked" not in repr(done)
    assert not any(value in repr(done) for value in secret.values())
    for path in state.folder.rglob("*"):
        if path.is_file() and state.secrets not in path.parents:
            content = path.read_text(errors="replace")
            assert "marked-" not in content, path
            assert not any(value in content for value in secret.values()), path
    found = "".join(path.read_text() for path in state.secrets.iterdir())
    for mark in ("grafana", "redis", "rabbitmq", "mongodb"):
        assert f"marked-{mark}" in found
    assert secret
    for value in secret.values():
        assert value in found
    assert stat.S_IMODE((state.secrets / "mongodb-exporter.env").stat().st_mode) == 0o600


def test_nobody_else_can_enter_the_folders_around_a_secret() -> None:
    state, _ = run(PASSWORDS)
    # Even where somebody has opened them since.
    state.secrets.chmod(0o755)
    state.folder.chmod(0o755)
    state, _ = run(PASSWORDS)
    for folder in (state.secrets, state.folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in state.secrets.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) in {0o444, 0o600}, path


def test_secrets_are_written_the_way_each_reader_takes_them() -> None:
    state, _ = run(PASSWORDS)
    files = {path.name: path.read_text() for path in state.secrets.iterdir()}
    assert files["redis_conf"] == 'requirepass "marked-redis\\"secret"\n'
    assert files["mongodb-exporter.env"].endswith(':marked-mongodb%2Fsecret@mongodb:27017"\n')
    # RabbitMQ is given what it keeps itself: four bytes of salt, and the SHA-256 of them and the password.
    assert "marked-rabbitmq" not in files["rabbitmq_conf"] + files["rabbitmq_definitions"]
    (user,) = json.loads(files["rabbitmq_definitions"])["users"]
    known = base64.b64decode(user["password_hash"])
    assert known[4:] == hashlib.sha256(known[:4] + b"marked-rabbitmq-secret").digest()
    assert files["grafana_password"] == "marked-grafana-secret"


def test_what_an_engine_repeats_of_a_secret_is_not_shown() -> None:
    uri = "mongodb://reader:marked-mongodb-${word@db:27017/?authSource=$external"
    state, _ = run(
        {"ALERTMANAGER_SLACK_WEBHOOK_URL": SLACK, **PASSWORDS, "MONGODB_EXPORTER_URI": uri}
    )
    generated = json.loads((state.folder / "secrets.json").read_text())["MONGODB_PASSWORD"]
    error = EngineError(
        f"cannot read {uri}: marked-mongodb-${{word is no template; {SLACK}",
        remedy=f"use {PASSWORDS['GRAFANA_PASSWORD']}",
    )
    assert error.line == "cannot read ****: **** is no template; ****; use ****"
    # A generated one is not in use where the user gave one, and known where nobody did.
    run()
    assert EngineError(generated).line == "****"


def test_generated_passwords_are_strong_kept_and_the_users_win() -> None:
    state, _ = run()
    first = (state.secrets / "grafana_password").read_text()
    assert len(first) >= 24
    run()
    assert (state.secrets / "grafana_password").read_text() == first
    run({"GRAFANA_PASSWORD": "my-own"})
    assert (state.secrets / "grafana_password").read_text() == "my-own"
    run()
    assert (state.secrets / "grafana_password").read_text() == first


@pytest.mark.parametrize("demo", [True, False])
def test_prometheus_keeps_this_projects_containers_only(demo: bool) -> None:
    state, _ = run(project="other", demo=demo)
    config = yaml_text.load((state.config / "prometheus" / "prometheus.yml").read_text())
    (job,) = [one for one in config["scrape_configs"] if one["job_name"] == "cadvisor"]
    (rule,) = job["metric_relabel_configs"]
    assert (rule["action"], rule["regex"]) == ("keep", "|other")


def test_two_projects_have_other_passwords_and_container_names() -> None:
    one, _ = run()
    two, _ = run(project="other")
    assert (one.secrets / "grafana_password").read_text() != (
        two.secrets / "grafana_password"
    ).read_text()
    assert dotenv_values(one.compose_env)["STACKCTL_CONTAINER_PREFIX"] == ""
    assert dotenv_values(two.compose_env)["STACKCTL_CONTAINER_PREFIX"] == "other-"


class NetworkedEngine(MemoryEngine):
    """Has a network with bot-core on it, and every image."""

    def image_id(self, reference: str) -> str:
        return reference

    def neighbours(self, network: str) -> list[Neighbour]:
        assert network == "their_net"
        return [Neighbour("engine", "bot", frozenset({"engine"}))]


def test_render_before_the_first_up_goes_by_what_the_settings_join(
    monkeypatch: pytest.MonkeyPatch, clean_environment: object
) -> None:
    monkeypatch.setattr(Project, "engine", lambda *_: NetworkedEngine())
    done = run_here("render", env={"STACKCTL_ATTACH": "their_net", "KONG_TARGET": "none"})
    assert done.returncode == 0, done.stderr
    config = open_state("bot-core").config
    prometheus = yaml_text.load((config / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in prometheus["scrape_configs"]}
    assert "kong" not in jobs
    assert jobs["cadvisor"]["metric_relabel_configs"][0]["regex"] == "|bot-core|bot"


def test_the_check_goes_by_what_the_settings_join_too(
    monkeypatch: pytest.MonkeyPatch, clean_environment: object
) -> None:
    seen: list[str] = []

    def check(_engine: object, _references: object, folder: Path) -> list[Verdict]:
        seen.append((folder / "prometheus" / "prometheus.yml").read_text())
        return [Verdict("prometheus", "its file", True, "")]

    monkeypatch.setattr("stackctl.render.validate.check", check)
    monkeypatch.setattr(Project, "engine", lambda *_: NetworkedEngine())
    assert run_here("render", "--check", env={"STACKCTL_ATTACH": "their_net"}).returncode == 0
    assert "job_name: mongodb" not in seen[0]
    assert run_here("render", "--check").returncode == 0
    assert "job_name: mongodb" in seen[1]


@pytest.mark.parametrize(("value", "prefix"), [(None, "no-"), ("true", ""), ("false", "no-")])
def test_prometheus_admin_api_is_off_unless_asked_for(value: str | None, prefix: str) -> None:
    state, _ = run({"PROMETHEUS_ADMIN_API": value} if value else {})
    assert dotenv_values(state.compose_env)["PROMETHEUS_ADMIN_API_OFF"] == prefix


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FFF), max_size=12)
"""Anything that a line can have: quotes, colons, braces, what YAML takes for something else."""
SETTINGS_OF_ANY_KIND = st.fixed_dictionaries(
    {},
    optional={
        **{name: TEXT.map(lambda text: f"marked-{text}") for name in GENERATED_SECRETS},
        "ALERTMANAGER_PAGERDUTY_KEY": TEXT.map(lambda text: f"marked-{text}"),
        "ALERTMANAGER_SMTP_PASSWORD": TEXT.map(lambda text: f"marked-{text}"),
        "ALERTMANAGER_SMTP_USERNAME": TEXT,
        "ALERTMANAGER_SLACK_WEBHOOK_URL": TEXT.map(
            lambda text: f"https://hooks.example/marked-{text}"
        ),
        "MONGODB_EXPORTER_URI": TEXT.map(lambda text: f"mongodb://u:marked-{text}@h"),
        "ALERTMANAGER_SMTP_HOST": st.just("smtp.example"),
        "ALERTMANAGER_EMAIL_FROM": st.just("yes@no.example"),
        "ALERTMANAGER_EMAIL_TO": st.just("a@b.example, c@d.example"),
        "BINANCE_API_URL": TEXT.map(lambda text: f"https://api.example/?{text}"),
        "STACKCTL_KUBERNETES": st.sampled_from(["true", "false"]),
        "PROMETHEUS_RETENTION_TIME": st.just("1y"),
        "STACKCTL_HOST": st.just("2001:db8::1"),
    },
)


@pytest.fixture
def small_monitoring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration without dashboards and rules, which no setting goes into and which take long to render."""
    folder = tmp_path / "monitoring"
    without = shutil.ignore_patterns("dashboards", "alerts", "recording-rules", "rules", "tests")
    shutil.copytree(paths.monitoring(), folder, ignore=without)
    monkeypatch.setattr(paths, "monitoring", lambda: folder)


@hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
    max_examples=10,
    deadline=None,
)
@hypothesis.given(environ=SETTINGS_OF_ANY_KIND, demo=st.booleans())
def test_any_settings_give_valid_files_with_no_secret_in_them(
    small_monitoring: None, environ: dict[str, str], demo: bool
) -> None:
    try:
        state, _ = run(environ, demo=demo)
    except UsageError as refused:
        assert "\n" not in refused.line
        return
    files = [path for path in state.config.rglob("*") if path.is_file()]
    for path in files:
        assert b"marked-" not in path.read_bytes(), path
    for path in files:
        if path.suffix in {".yml", ".yaml"}:
            content = yaml_text.load(path.read_text())
            assert yaml_text.load(yaml_text.dump(content)) == content, path
    assert "marked-" not in state.compose_env.read_text()
    assert dotenv_values(state.compose_env)["STACKCTL_SECRETS"] == str(state.secrets)
    alertmanager = yaml_text.load((state.config / "alertmanager" / "alertmanager.yml").read_text())
    name = environ.get("ALERTMANAGER_SMTP_USERNAME")
    if name and "smtp_from" in alertmanager["global"] and "ALERTMANAGER_SMTP_HOST" in environ:
        assert alertmanager["global"].get("smtp_auth_username") in {name, None}
    passwords = environ.get("REDIS_EXPORTER_PASSWORD")
    if passwords:
        assert (state.secrets / "redis_password").read_text() == passwords


def test_the_check_is_of_the_set_that_is_here_and_names_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, clean_environment: object
) -> None:
    seen: list[Mapping[str, str]] = []

    def check(_engine: object, references: Mapping[str, str], _folder: object) -> list[Verdict]:
        seen.append(references)
        return [Verdict("prometheus", "its file", True, "")]

    class LocalEngine(NetworkedEngine):
        def image_id(self, reference: str) -> str | None:  # type: ignore[override]
            return reference if reference.endswith(":local") else None

    monkeypatch.setattr("stackctl.render.validate.check", check)
    monkeypatch.setattr(Project, "engine", lambda *_: LocalEngine())
    assert run_here("render", "--check").returncode == 0
    assert seen[0]["prometheus"] == "stackctl/prometheus:local"
    done = run_here("render", "--check", env={"PROMETHEUS_IMAGE": "own/prometheus:1"})
    assert done.returncode == 1
    assert "without own/prometheus:1;" in done.stderr
    assert "stackctl up" in done.stderr
    assert len(seen) == 1


def test_the_base_url_of_runbooks_is_put_into_every_rule() -> None:
    linked = {}
    for base in (None, "https://wiki.example/it's {{ .X }}/"):
        state, _ = run({} if base is None else {"RUNBOOK_BASE_URL": base})
        files = [
            *state.config.glob("prometheus/alerts/*.yml"),
            *state.config.glob("loki/rules/*/*.yml"),
        ]
        linked[base] = [
            rule["annotations"]["runbook_url"]
            for file in files
            for group in yaml_text.load(file.read_text("utf-8"))["groups"]
            for rule in group["rules"]
        ]
    default, (other, urls) = linked.pop(None), linked.popitem()
    assert other
    assert len(default) > 100
    assert urls == [
        url.replace(DEFAULT_RUNBOOKS, "https://wiki.example/it%27s%20%7B%7B%20.X%20%7D%7D")
        for url in default
    ]
    assert all(url.startswith(f"{DEFAULT_RUNBOOKS}/") for url in default)


def test_the_on_call_settings_reach_alertmanagers_templates_as_string_literals() -> None:
    state, _ = run({"RUNBOOK_CONTACTS": 'a "b" \\ {{ ü', "RUNBOOK_KILL_SWITCH": '$contacts := ""'})
    text = (state.config / "alertmanager" / "templates" / "on_call.tmpl").read_text("utf-8")
    assert text.count('$contacts := "a \\"b\\" \\\\ {{ ü"') == 3
    assert text.count('$killSwitch := "$contacts := \\"\\""') == 3
