"""Renders the configuration: the files under infrastructure/monitoring with the settings applied, and compose.env.

The files in the checkout are complete and valid as they are. Rendering leaves out what is not set up here and
puts in what is this project's own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl import bundle, yaml_text
from stackctl.applications import Present
from stackctl.errors import StackctlError
from stackctl.settings import DEFAULT_PROJECT, PUBLISHED_PORTS, Settings
from stackctl.stack import services, watching
from stackctl.stack.secrets import Secrets
from stackctl.stack.state import State, write_atomic

_CONFIG_FILE = 0o644

CHANNELS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "Slack": ("slack_configs", ("ALERTMANAGER_SLACK_WEBHOOK_URL",)),
    "PagerDuty": ("pagerduty_configs", ("ALERTMANAGER_PAGERDUTY_KEY",)),
    "e-mail": (
        "email_configs",
        ("ALERTMANAGER_SMTP_HOST", "ALERTMANAGER_EMAIL_FROM", "ALERTMANAGER_EMAIL_TO"),
    ),
}
"""Channel → its key in a receiver, and the settings without which it is left out."""

_GLOBALS_OF_CHANNEL: Mapping[str, tuple[str, ...]] = {"Slack": ("slack_",), "e-mail": ("smtp_",)}

_SINK = "http://notification-sink:8025"
_SINK_MAIL = "notification-sink:1025"

_READS: Mapping[str, tuple[str, ...]] = {
    "prometheus": ("config/prometheus",),
    "alertmanager": (
        "config/alertmanager",
        "secrets/slack_webhook_url",
        "secrets/pagerduty_key",
        "secrets/smtp_password",
        "secrets/dead_mans_switch_url",
    ),
    "grafana": ("config/grafana/provisioning", "secrets/grafana_password"),
    "loki": ("config/loki/loki-config.yml", "config/loki/rules"),
    "docker-socket-proxy": ("config/docker-socket-proxy",),
    "promtail": ("config/loki/promtail-config.yml",),
    "blackbox-exporter": ("config/blackbox",),
    "redis-exporter": ("secrets/redis_exporter_passwords",),
    "redis": ("secrets/redis_conf",),
    "rabbitmq": ("secrets/rabbitmq_conf", "secrets/rabbitmq_definitions"),
    "mongodb": ("secrets/mongodb_password",),
    "demo": ("secrets/redis_password", "secrets/rabbitmq_password"),
}
"""Service → what it reads at its start. A change there changes a label, and Compose makes the container anew."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """What was rendered: the channels that are on and off, what is left out, and the files that changed."""

    channels: tuple[str, ...]
    left_out: Mapping[str, tuple[str, ...]]
    """Channel → the settings that it lacks. With the demo it goes to the demo's sink, else nowhere."""
    changed: tuple[str, ...]
    """By path below `config/`."""
    alerts_left_out: tuple[str, ...]
    """Alerts that tell only of services that are not there."""
    panels_left_out: tuple[str, ...]
    """Panels, each after its dashboard's title, that show only such services."""


def render(
    settings: Settings,
    secrets: Secrets,
    state: State,
    *,
    images: Mapping[str, str],
    present: Present,
) -> Rendering:
    """Write the configuration, the secret files and compose.env into the project's state folder.

    `images` are image variables and references for compose.env, as `images.variables` gives them. What only tells of
    services that are not `present` is left out. Raises StackctlError where a file cannot be read or written.
    """
    left_out = _missing_settings(settings)
    try:
        files, alerts, panels = _configuration(settings, left_out, present)
        changed = _synchronise(state.config, files)
        secrets.write_files(state, _sink_secrets(left_out) if present.demo else {}, present)
        write_atomic(state.compose_env, _compose_env(settings, secrets, state, images, present))
    except OSError as error:
        raise StackctlError(f"the configuration cannot be rendered: {error}") from None
    on = tuple(channel for channel in CHANNELS if channel not in left_out)
    return Rendering(on, left_out, changed, tuple(alerts), tuple(panels))


def write_configuration(settings: Settings, folder: Path, present: Present) -> tuple[str, ...]:
    """Make `folder` hold the configuration of every program, and give the files that changed.

    Raises OSError where a file cannot be read or written.
    """
    files, _, _ = _configuration(settings, _missing_settings(settings), present)
    return _synchronise(folder, files)


def _missing_settings(settings: Settings) -> dict[str, tuple[str, ...]]:
    missing = {
        channel: tuple(name for name in names if settings.values[name].text is None)
        for channel, (_, names) in CHANNELS.items()
    }
    return {channel: names for channel, names in missing.items() if names}


def _configuration(
    settings: Settings, left_out: Mapping[str, tuple[str, ...]], present: Present
) -> tuple[dict[str, bytes], list[str], list[str]]:
    source = bundle.monitoring()
    files = {
        path.relative_to(source).as_posix(): path.read_bytes()
        for path in sorted(source.rglob("*"))
        if path.is_file() and "tests" not in path.relative_to(source).parts
    }
    edits: Mapping[str, Callable[[str], str]] = {
        "alertmanager/alertmanager.yml": lambda text: _alertmanager(
            text, settings, left_out, demo=present.demo
        ),
        "alertmanager/templates/common.tmpl": lambda text: _grafana(text, settings),
        "loki/loki-config.yml": lambda text: _grafana(text, settings),
        "loki/promtail-config.yml": lambda text: watching.promtail(
            _own_logs(text, settings.project), present
        ),
        "prometheus/prometheus.yml": lambda text: watching.prometheus(
            _own_containers(text, settings.project), present
        ),
        "prometheus/targets/binance.yml": lambda text: _binance(text, settings["BINANCE_API_URL"]),
    }
    for name, edit in edits.items():
        files[name] = edit(files[name].decode()).encode()
    fragments = {
        name: files.pop(name) for name in list(files) if name.startswith("prometheus/fragments/")
    }
    if settings.enabled("STACKCTL_KUBERNETES"):
        files["prometheus/scrape-configs/kubernetes.yml"] = fragments[
            "prometheus/fragments/kubernetes.yml"
        ]
    alerts, panels = watching.leave_out(files, present)
    return files, alerts, panels


def _alertmanager(
    text: str, settings: Settings, left_out: Mapping[str, tuple[str, ...]], *, demo: bool
) -> str:
    config: dict[str, Any] = yaml_text.load(text)
    if demo:
        _point_at_sink(config["global"], left_out)
    else:
        _leave_out(config, left_out)
    if "e-mail" not in left_out:
        _email_addresses(config, settings)
    if settings.values["ALERTMANAGER_DEAD_MANS_SWITCH_URL"].text is None:
        _leave_out_receiver_key(config, "webhook_configs")
    return watching.dumped(config)


def _leave_out(config: dict[str, Any], channels: Iterable[str]) -> None:
    shared: dict[str, Any] = config["global"]
    for channel in channels:
        key, _ = CHANNELS[channel]
        _leave_out_receiver_key(config, key)
        for prefix in _GLOBALS_OF_CHANNEL.get(channel, ()):
            for name in [name for name in shared if name.startswith(prefix)]:
                del shared[name]


def _leave_out_receiver_key(config: dict[str, Any], key: str) -> None:
    for receiver in config["receivers"]:
        receiver.pop(key, None)


def _point_at_sink(shared: dict[str, Any], channels: Iterable[str]) -> None:
    """Send what these channels would get to the demo's sink; Slack's address is a secret file."""
    if "PagerDuty" in channels:
        shared["pagerduty_url"] = f"{_SINK}/v2/enqueue"
    if "e-mail" in channels:
        shared["smtp_smarthost"] = _SINK_MAIL
        shared["smtp_require_tls"] = False
        del shared["smtp_auth_username"], shared["smtp_auth_password_file"]


def _sink_secrets(channels: Iterable[str]) -> dict[str, str]:
    """Give the secret files of the channels that go to the sink, which takes any key."""
    files = {
        "Slack": ("slack_webhook_url", f"{_SINK}/slack"),
        "PagerDuty": ("pagerduty_key", "demo"),
    }
    return dict(files[channel] for channel in channels if channel in files)


def _email_addresses(config: dict[str, Any], settings: Settings) -> None:
    shared = config["global"]
    shared["smtp_from"] = settings["ALERTMANAGER_EMAIL_FROM"]
    shared["smtp_smarthost"] = (
        f"{settings['ALERTMANAGER_SMTP_HOST']}:{settings['ALERTMANAGER_SMTP_PORT']}"
    )
    if settings["ALERTMANAGER_SMTP_USERNAME"]:
        shared["smtp_auth_username"] = settings["ALERTMANAGER_SMTP_USERNAME"]
    else:
        del shared["smtp_auth_username"], shared["smtp_auth_password_file"]
    for receiver in config["receivers"]:
        for email in receiver.get("email_configs", ()):
            email["to"] = settings["ALERTMANAGER_EMAIL_TO"]


def _grafana(text: str, settings: Settings) -> str:
    _, port = PUBLISHED_PORTS["grafana"]
    here = f"http://{settings.host_in_links}:{settings['GRAFANA_PORT']}"
    return text.replace(f"http://localhost:{port}", here)


def _own_containers(text: str, project: str) -> str:
    return text.replace(f'"|{DEFAULT_PROJECT}"', f'"|{project}"')


def _own_logs(text: str, project: str) -> str:
    return text.replace(
        f"com.docker.compose.project={DEFAULT_PROJECT}", f"com.docker.compose.project={project}"
    )


def _binance(text: str, url: str | None) -> str:
    if url is None:
        return text
    targets = [{"targets": [url], "labels": {"service": "binance-api"}}]
    return yaml_text.dump(targets)


def _synchronise(folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Make the folder hold these files and no others, in place: containers have its subfolders mounted."""
    changed = [
        name for name, data in files.items() if write_atomic(folder / name, data, _CONFIG_FILE)
    ]
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in files:
            path.unlink()
            changed.append(name)
    # The glob of prometheus.yml needs a folder, also an empty one.
    (folder / "prometheus" / "scrape-configs").mkdir(parents=True, exist_ok=True)
    return tuple(changed)


def _compose_env(
    settings: Settings,
    secrets: Secrets,
    state: State,
    images: Mapping[str, str],
    present: Present,
) -> str:
    prefix = "" if settings.project == DEFAULT_PROJECT else f"{settings.project}-"
    values: dict[str, str | None] = {
        "STACKCTL_CONFIG": str(state.config),
        "STACKCTL_SECRETS": str(state.secrets),
        "STACKCTL_CONTAINER_PREFIX": prefix,
        "STACKCTL_URL_HOST": settings.host_in_links,
        "STACKCTL_BIND_ADDRESS": settings["STACKCTL_BIND_ADDRESS"],
        **_ports(settings, present),
        "REDIS_ADDRESS": present.targets["redis"].address if "redis" in present.targets else None,
        "PROMETHEUS_RETENTION_TIME": settings["PROMETHEUS_RETENTION_TIME"],
        "PROMETHEUS_RETENTION_SIZE": settings["PROMETHEUS_RETENTION_SIZE"],
        # Put before the flag's name it switches the flag off.
        "PROMETHEUS_ADMIN_API_OFF": "" if settings.enabled("PROMETHEUS_ADMIN_API") else "no-",
        **images,
        **{
            f"{service.upper().replace('-', '_')}_FINGERPRINT": _fingerprint(
                state.folder, paths, secrets
            )
            for service, paths in _READS.items()
        },
    }
    lines = [f"{name}={_quoted(value or '')}" for name, value in values.items()]
    return "# Written by stackctl; it holds no secret.\n" + "\n".join(lines) + "\n"


def _ports(settings: Settings, present: Present) -> dict[str, str | None]:
    """Give the variables of the published ports. Without the demo its names are left to bot-core's own files."""
    there = {one.name for one in services.select(demo=present.demo)}
    return {
        variable: settings[variable]
        for service, (variable, _) in PUBLISHED_PORTS.items()
        if service in there
    }


def _fingerprint(folder: Path, names: tuple[str, ...], secrets: Secrets) -> str:
    """Digest what a service reads, keyed, so that the label tells nothing of a secret."""
    digest = hmac.new(secrets.fingerprint_key, digestmod=hashlib.sha256)
    for name in names:
        top = folder / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file():
                digest.update(
                    path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
                )
    return digest.hexdigest()[:16]


def _quoted(value: str) -> str:
    if "'" in value:
        raise StackctlError(
            f"{value} has a single quote, which compose.env cannot carry",
            remedy="set STACKCTL_STATE_DIR to a folder without one",
        )
    return f"'{value}'"
