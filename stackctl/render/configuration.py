"""Renders the configuration: the files in infrastructure/monitoring with the settings applied, and compose.env.

The source files are complete and valid. Rendering removes what is not configured and inserts what is specific to this
project.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from stackctl.config.registry import DEFAULT_PROJECT, DEFAULT_RUNBOOKS
from stackctl.config.settings import Settings
from stackctl.errors import StackctlError, UsageError
from stackctl.project.secrets import Secrets
from stackctl.project.state import StateFolder, write_atomic
from stackctl.render import logs, targets
from stackctl.render.rendering import Rendering
from stackctl.services import catalog
from stackctl.services.applications import MonitoredServices
from stackctl.services.catalog import PUBLISHED_PORTS
from stackctl.services.channels import CHANNELS, Channel, StandIn
from stackctl.services.releases import Release, Releases
from stackctl.util import paths, yaml_text

_AUTHORITIES = "ca"
"""The folder of additional certificate authorities, which always exists."""
_OUTSIDE = "http_2xx_outside"
"""The blackbox exporter's module for targets outside of the stack's networks."""

_CONFIG_FILE = 0o644
_CONFIG_FOLDER = 0o755
"""The programs read the configuration under their own users, so the umask must not matter."""


def render(
    settings: Settings,
    secrets: Secrets,
    state: StateFolder,
    *,
    images: Mapping[str, str],
    releases: Releases,
    present: MonitoredServices,
) -> Rendering:
    """Write the configuration, the secret files and compose.env into the project's state folder.

    `images` are the image variables and references for compose.env, from `sets.variables`; `releases` are the releases
    of the programs to configure. What is only about services that are not `present` is left out. Raises StackctlError
    if a file cannot be read or written, UsageError if settings contradict each other.
    """
    left_out = _missing_settings(settings)
    try:
        files, alerts, panels = _configuration(
            settings, left_out, releases, present, logs.tsdb_from(state)
        )
        changed = _synchronise(state.config, files)
        secrets.write_files(state, _sink_secrets(left_out) if present.demo else {}, present)
        values = {
            **images,
            **catalog.profile_variables(releases),
            **logs.loki_health(releases["loki"]),
        }
        write_atomic(state.compose_env, _compose_env(settings, secrets, state, values, present))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise StackctlError(
            f"cannot render the configuration: {where}{error.strerror or error}"
        ) from None
    on = tuple(channel.name for channel in CHANNELS if channel.name not in left_out)
    missed = {
        channel.name: left_out[channel.name]
        for channel in CHANNELS
        if channel.notifies_people and channel.name in left_out
    }
    return Rendering(on, missed, changed, tuple(alerts), tuple(panels))


def write_configuration(
    settings: Settings,
    state: StateFolder,
    folder: Path,
    releases: Releases,
    present: MonitoredServices,
) -> tuple[str, ...]:
    """Write the configuration of every program in these releases into a folder, and return the files that changed.

    Raises OSError if a file cannot be read or written.
    """
    missing = _missing_settings(settings)
    files, _, _ = _configuration(settings, missing, releases, present, logs.tsdb_from(state))
    return _synchronise(folder, files)


def _missing_settings(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return each channel's missing settings. Raises UsageError if those of a complete one contradict each other."""
    missing = {channel.name: settings.missing(channel.required) for channel in CHANNELS}
    for channel in CHANNELS:
        if not missing[channel.name] and (conflict := channel.conflict(settings)):
            raise UsageError(conflict.message, remedy=conflict.remedy)
    return {name: names for name, names in missing.items() if names}


def _configuration(
    settings: Settings,
    left_out: Mapping[str, tuple[str, ...]],
    releases: Releases,
    present: MonitoredServices,
    tsdb_from: dt.date,
) -> tuple[dict[str, bytes], list[str], list[str]]:
    source = paths.monitoring()
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
        "alertmanager/templates/on_call.tmpl": lambda text: _on_call(
            text, settings["RUNBOOK_CONTACTS"], settings["RUNBOOK_KILL_SWITCH"]
        ),
        "loki/loki-config.yml": lambda text: _loki(
            _grafana(text, settings), releases["loki"], tsdb_from
        ),
        "loki/promtail-config.yml": lambda text: _promtail(
            _own_logs(text, settings.project), present
        ),
        "loki/config.alloy": lambda text: logs.alloy(_own_logs(text, settings.project), present),
        "prometheus/prometheus.yml": lambda text: targets.prometheus(
            _own_containers(text, settings.project), releases, present
        ),
        "blackbox/blackbox.yml": lambda text: _blackbox(text, settings),
        "prometheus/targets/binance.yml": lambda text: _binance(text, settings["BINANCE_API_URL"]),
    }
    for name, edit in edits.items():
        files[name] = edit(files[name].decode()).encode()
    _link_runbooks(files, settings["RUNBOOK_BASE_URL"] or DEFAULT_RUNBOOKS)
    fragments = {
        name: files.pop(name) for name in list(files) if name.startswith("prometheus/fragments/")
    }
    if settings.enabled("STACKCTL_KUBERNETES"):
        files["prometheus/scrape-configs/kubernetes.yml"] = fragments[
            "prometheus/fragments/kubernetes.yml"
        ]
    if bundle := settings["STACKCTL_CA_BUNDLE"]:
        files[f"{_AUTHORITIES}/company.pem"] = Path(bundle).read_bytes()
    alerts, panels = targets.leave_out(files, present)
    return files, alerts, panels


def _proxy(settings: Settings) -> dict[str, str]:
    """Return the keys that configure the proxy in a Go program's HTTP client; empty without a proxy.

    They belong in `http_config` of Alertmanager and `http` of the blackbox exporter (prometheus/common,
    config.ProxyConfig).
    """
    keys = {"proxy_url": settings["STACKCTL_PROXY"], "no_proxy": settings["STACKCTL_NO_PROXY"]}
    return {key: value for key, value in keys.items() if value} if keys["proxy_url"] else {}


def _blackbox(text: str, settings: Settings) -> str:
    """Route probes of external targets through the proxy."""
    proxy = _proxy(settings)
    if not proxy:
        return text
    config: dict[str, Any] = yaml_text.load(text)
    # Only the proxy may be able to resolve external names.
    config["modules"][_OUTSIDE]["http"] |= {**proxy, "skip_resolve_phase_with_proxy": True}
    return targets.dumped(config)


def _alertmanager(
    text: str, settings: Settings, left_out: Mapping[str, tuple[str, ...]], *, demo: bool
) -> str:
    config: dict[str, Any] = yaml_text.load(text)
    for channel in CHANNELS:
        if channel.name not in left_out:
            _set_up(config, channel, settings)
        elif demo and channel.stand_in is not None:
            _redirect_to_sink(config["global"], channel.stand_in)
        else:
            _leave_out(config, channel)
    return targets.dumped(config)


def _set_up(config: dict[str, Any], channel: Channel, settings: Settings) -> None:
    shared: dict[str, Any] = config["global"]
    for key in channel.globals:
        if key.needs is not None and settings.missing([key.needs]):
            shared.pop(key.name, None)
        elif (content := key.content(settings)) is not None:
            shared[key.name] = content
    proxy = _proxy(settings) if channel.by_http else {}
    for receiver in config["receivers"]:
        for one in channel.configurations(receiver):
            one |= {key: value.format_map(settings) for key, value in channel.fields.items()}
            if proxy:
                one["http_config"] = dict(proxy)


def _redirect_to_sink(shared: dict[str, Any], stand_in: StandIn) -> None:
    for name, value in stand_in.globals.items():
        if value is None:
            shared.pop(name, None)
        else:
            shared[name] = value


def _leave_out(config: dict[str, Any], channel: Channel) -> None:
    for key in channel.globals:
        config["global"].pop(key.name, None)
    for receiver in config["receivers"]:
        channel.remove_from(receiver)


def _sink_secrets(left_out: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    """Return the contents of the secret files of the channels that the sink replaces."""
    return {
        file: content
        for channel in CHANNELS
        if channel.name in left_out and channel.stand_in is not None
        for file, content in channel.stand_in.secrets.items()
    }


def _grafana(text: str, settings: Settings) -> str:
    port = PUBLISHED_PORTS["grafana"].default
    return text.replace(f"http://127.0.0.1:{port}", settings.url("grafana"))


def _on_call(text: str, contacts: str | None, kill_switch: str | None) -> str:
    """Insert the on-call settings into Alertmanager's templates, as Go string literals.

    For printable text, JSON strings are valid Go literals (go.dev/ref/spec#String_literals), and templates do not
    interpret braces inside of them.
    """
    for name, value in {"contacts": contacts, "killSwitch": kill_switch}.items():
        literal = json.dumps(value or "", ensure_ascii=False)
        text = text.replace(f'${name} := ""', f"${name} := {literal}")
    return text


def _link_runbooks(files: MutableMapping[str, bytes], base: str) -> None:
    for name in files:
        if name.startswith(targets.RULES):
            files[name] = files[name].replace(f"{DEFAULT_RUNBOOKS}/".encode(), f"{base}/".encode())


def _loki(text: str, release: Release, tsdb_from: dt.date) -> str:
    if release == "plan":
        return text
    config: dict[str, Any] = yaml_text.load(text)
    logs.loki(config, tsdb_from)
    return targets.dumped(config)


def _promtail(text: str, present: MonitoredServices) -> str:
    if present.demo or not present.targets:
        return text
    config: dict[str, Any] = yaml_text.load(text)
    logs.promtail(config, present)
    return targets.dumped(config)


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
    """Make the folder contain exactly these files, in place, because containers mount its subfolders."""
    changed = [
        name for name, data in files.items() if write_atomic(folder / name, data, _CONFIG_FILE)
    ]
    for path in sorted(folder.rglob("*"), reverse=True):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name not in files:
            path.unlink()
            changed.append(name)
    # The glob in prometheus.yml and mounts require these folders, even if they are empty.
    for needed in ("prometheus/scrape-configs", _AUTHORITIES):
        (folder / needed).mkdir(parents=True, exist_ok=True)
    for path in folder.rglob("*"):
        if path.is_dir() and path.stat().st_mode & 0o777 != _CONFIG_FOLDER:
            path.chmod(_CONFIG_FOLDER)
    return tuple(changed)


def _compose_env(
    settings: Settings,
    secrets: Secrets,
    state: StateFolder,
    chosen: Mapping[str, str],
    present: MonitoredServices,
) -> str:
    prefix = "" if settings.project == DEFAULT_PROJECT else f"{settings.project}-"
    bind = settings["STACKCTL_BIND_ADDRESS"] or ""
    values: dict[str, str | None] = {
        "STACKCTL_CONFIG": str(state.config),
        "STACKCTL_SECRETS": str(state.secrets),
        "STACKCTL_CONTAINER_PREFIX": prefix,
        "STACKCTL_URL_HOST": settings.host,
        # An IPv6 address before a port needs brackets.
        "STACKCTL_BIND_ADDRESS": f"[{bind}]" if ":" in bind else bind,
        **_ports(settings, present),
        "MONGODB_DIRECT_CONNECT": "true" if secrets.names_one_mongodb else "false",
        "REDIS_ADDRESS": present.targets["redis"].address if "redis" in present.targets else None,
        "PROMETHEUS_RETENTION_TIME": settings["PROMETHEUS_RETENTION_TIME"],
        "PROMETHEUS_RETENTION_SIZE": settings["PROMETHEUS_RETENTION_SIZE"],
        # A prefix of the flag's name that disables it.
        "PROMETHEUS_ADMIN_API_OFF": "" if settings.enabled("PROMETHEUS_ADMIN_API") else "no-",
        **chosen,
        **{
            catalog.fingerprint_variable(image): _fingerprint(state.folder, reads, secrets)
            for image in catalog.IMAGES
            if (reads := catalog.reads_of(image))
        },
    }
    lines = [f"{name}={quoted(value or '')}" for name, value in values.items()]
    return "# Written by stackctl; it contains no secrets.\n" + "\n".join(lines) + "\n"


def _ports(settings: Settings, present: MonitoredServices) -> dict[str, str | None]:
    """Return the variables of the published ports. Without the demo, those of bot-core are left to its own files."""
    there = {one.name for one in catalog.select(demo=present.demo)}
    return {
        port.setting: settings[port.setting]
        for service, port in PUBLISHED_PORTS.items()
        if service in there
    }


def _fingerprint(folder: Path, names: tuple[str, ...], secrets: Secrets) -> str:
    """Return a keyed digest of what a service reads, so that the label reveals nothing about secrets."""
    digest = hmac.new(secrets.fingerprint_key, digestmod=hashlib.sha256)
    for name in names:
        top = folder / name
        for path in [top] if top.is_file() else sorted(top.rglob("*")):
            if path.is_file():
                digest.update(
                    path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0"
                )
    return digest.hexdigest()[:16]


def quoted(value: str) -> str:
    """Return a value quoted for compose.env. Raises StackctlError if it contains a single quote."""
    if "'" in value:
        raise StackctlError(
            f"{value} contains a single quote, which compose.env does not support",
            remedy="set STACKCTL_STATE_DIR to a folder without one",
        )
    return f"'{value}'"
