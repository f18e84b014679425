"""What must be true of every notification channel's row, and of the files that a new row has its part in."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from stackctl.config.registry import GROUPS, SECRET_FILE, SETTINGS
from stackctl.services.catalog import SERVICES
from stackctl.services.channels import CHANNELS, SECRETS, Channel, secret_files
from stackctl.util import paths, yaml_text
from tests.support.channels import example

ALERTMANAGER: dict[str, Any] = yaml_text.load(
    (paths.monitoring() / "alertmanager" / "alertmanager.yml").read_text(encoding="utf-8")
)
COMPOSE: dict[str, Any] = yaml_text.load(
    (paths.compose() / "docker-compose.yml").read_text(encoding="utf-8")
)
OF_NO_CHANNEL = {"resolve_timeout"}
"""Keys of `global:` that are for all channels."""

every_channel = pytest.mark.parametrize("channel", CHANNELS, ids=lambda channel: channel.key)


def referred(template: str) -> set[str]:
    """Return the names that a template refers to."""
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def templates(channel: Channel) -> Iterator[tuple[str, str | None]]:
    """Yield the templates that end up in the configuration, and the setting that each needs."""
    for key in channel.globals:
        yield key.value if isinstance(key.value, str) else "", key.needs
    for value in channel.fields.values():
        yield value, None


def test_no_two_channels_have_the_same_name_or_key() -> None:
    assert len({channel.name for channel in CHANNELS}) == len(CHANNELS)
    assert len({channel.key for channel in CHANNELS}) == len(CHANNELS)
    files = [file for file, _ in secret_files()]
    assert len(set(files)) == len(files)


def test_the_notification_settings_are_those_of_the_channels() -> None:
    shown = [row for row in GROUPS["Notifications"] if not row.name.endswith(SECRET_FILE)]
    assert shown == [row for channel in CHANNELS for row in channel.settings]


@every_channel
def test_every_setting_of_a_row_accepts_a_value_and_says_what_it_is_for(channel: Channel) -> None:
    for setting in channel.settings:
        assert setting.parse(example(setting)) == example(setting)
        assert setting.help


@every_channel
def test_a_channel_is_left_out_for_settings_of_its_own_that_have_no_default(
    channel: Channel,
) -> None:
    own = {setting.name: setting for setting in channel.settings}
    assert channel.required
    assert all(own[name].default is None for name in channel.required)


@every_channel
def test_every_secret_setting_is_a_secret_file_and_nothing_else_is(channel: Channel) -> None:
    secret = sorted(setting.name for setting in channel.settings if setting.secret)
    assert sorted(channel.secrets.values()) == secret


@every_channel
def test_what_is_put_into_the_configuration_is_set_and_no_secret(channel: Channel) -> None:
    own = {setting.name: setting for setting in channel.settings}
    for template, needs in templates(channel):
        for name in referred(template):
            assert not own[name].secret
            assert name in channel.required or name == needs or own[name].default is not None
    assert referred(channel.destination) <= {*channel.required, "targets"}
    assert {key.needs for key in channel.globals} <= {*own, None}


@every_channel
def test_the_stand_in_knows_only_keys_and_files_of_its_channel(channel: Channel) -> None:
    if channel.stand_in is not None:
        assert set(channel.stand_in.secrets) <= set(channel.secrets)
        removed = {key for key, value in channel.stand_in.globals.items() if value is None}
        assert removed <= {key.name for key in channel.globals}
        # The sink asks nobody to log in, nor for what else is there only with a setting.
        assert removed >= {key.name for key in channel.globals if key.needs is not None}


@every_channel
def test_a_row_delivers_to_the_receivers_that_have_the_channel(channel: Channel) -> None:
    found = {
        receiver["name"]: channel.configurations(receiver)
        for receiver in ALERTMANAGER["receivers"]
        if channel.configurations(receiver)
    }
    if not channel.notifies_people:
        assert set(found) == {"dead-mans-switch"}
        return
    assert set(found) == set(channel.delivers)
    for receiver, (configuration,) in found.items():
        assert configuration["send_resolved"] is True
        # A format without a target of its own carries the receiver's name.
        for part in channel.delivers[receiver].split(" to "):
            assert part in f"{receiver} {configuration}"


def test_every_configuration_of_a_receiver_is_of_exactly_one_channel() -> None:
    for receiver in ALERTMANAGER["receivers"]:
        listed = [one for key, found in receiver.items() if key != "name" for one in found]
        owned = [one for channel in CHANNELS for one in channel.configurations(receiver)]
        assert sorted(map(str, owned)) == sorted(map(str, listed))


def test_every_global_key_is_of_exactly_one_channel() -> None:
    keys = [key.name for channel in CHANNELS for key in channel.globals]
    assert sorted(keys) == sorted(set(ALERTMANAGER["global"]) - OF_NO_CHANNEL)


def _file_values(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if str(key).endswith("_file"):
                yield value
            yield from _file_values(value)
    elif isinstance(node, list):
        for one in node:
            yield from _file_values(one)


def test_alertmanager_is_given_every_secret_file_that_it_reads_and_no_other() -> None:
    files = {file for file, _ in secret_files()}
    assert set(_file_values(ALERTMANAGER)) == {f"{SECRETS}/{file}" for file in files}
    assert set(COMPOSE["services"]["alertmanager"]["secrets"]) == files
    for file in files:
        assert COMPOSE["secrets"][file] == {"file": f"${{STACKCTL_SECRETS}}/{file}"}
    read = {path for path in SERVICES["alertmanager"].reads if path.startswith("secrets/")}
    assert read == {f"secrets/{file}" for file in files}


@every_channel
def test_where_a_channel_leads_is_said_without_its_secrets(channel: Channel) -> None:
    values = {setting.name: example(setting) for setting in channel.settings if not setting.secret}
    said = channel.describe(values)
    assert channel.name in said
    assert "{" not in said
    secrets = [example(SETTINGS[name]) for name in channel.secrets.values()]
    assert not any(secret in said for secret in secrets)


def test_two_channels_of_one_kind_are_told_apart_by_their_marks() -> None:
    row = replace(CHANNELS[0], config="webhook_configs")
    one, other = (replace(row, marks={"url_file": file}) for file in ("/a", "/b"))
    receiver: dict[str, Any] = {
        "name": "both",
        "webhook_configs": [{"url_file": "/a", "send_resolved": True}, {"url_file": "/b"}],
    }
    assert one.configurations(receiver) == [{"url_file": "/a", "send_resolved": True}]
    assert other.configurations(receiver) == [{"url_file": "/b"}]
    one.remove_from(receiver)
    assert receiver == {"name": "both", "webhook_configs": [{"url_file": "/b"}]}
    other.remove_from(receiver)
    assert receiver == {"name": "both"}
    other.remove_from(receiver)
    assert receiver == {"name": "both"}
