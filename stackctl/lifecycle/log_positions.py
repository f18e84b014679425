"""Hands over the positions in the containers' logs, so that one log collector continues where the other stopped.

Both keep files in the same volume that map `cursor-` and a container's ID to seconds since 1970 (positions.go and
docker/tailer.go of Promtail 2.9 and Alloy 1.18). Alloy's keys also contain the labels of the target, which
`discovery.relabel` in config.alloy sets, and each of its reading components has its own file.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

import yaml

from stackctl.docker import named_volumes
from stackctl.docker.models import PROJECT_LABEL, SERVICE_LABEL, Inspected, labels_of, name_of
from stackctl.errors import StackctlError
from stackctl.services.applications import MonitoredServices

VOLUME = "promtail_positions"
"""The volume that both collectors mount, by its key in the compose files."""

_CURSOR = "cursor-"
_FILES = {
    "promtail": ("positions.yaml",),
    "alloy": (
        "loki.source.docker.docker/positions.yml",
        "loki.source.docker.attached/positions.yml",
    ),
}
_OWN_NAME = re.compile(r"(?:[0-9a-f]{12}_)?(.+?)(?:-run-[0-9a-f]+)?")
"""Extracts the label `container_name` from a container's name, as config.alloy does."""


def hand_over(
    project: str,
    giver: str,
    taker: str,
    containers: Iterable[Inspected],
    monitored: MonitoredServices,
) -> int:
    """Convert the positions of `giver` for `taker`, and return the number of containers.

    Raises EngineError if Docker cannot copy the files, StackctlError if a positions file is damaged.
    """
    volume = f"{project}_{VOLUME}"
    present = {one["Id"]: one for one in containers}
    if not named_volumes.present([volume]):
        return 0
    with named_volumes.open_transfer(project) as transfer, tempfile.TemporaryFile() as stored:
        transfer.read(volume, stored)
        stored.seek(0)
        found = _read(stored, _FILES[giver])
        # Neither collector forgets a container that was removed while the collector was stopped.
        positions = {one: seconds for one, seconds in found.items() if one in present}
        files = (
            {_FILES[taker][0]: _promtail(positions)}
            if taker == "promtail"
            else _alloy(positions, project, present, monitored)
        )
        transfer.write(volume, io.BytesIO(_tar(files)))
    return len(positions)


def target_labels(
    container: Inspected, project: str, monitored: MonitoredServices
) -> Mapping[str, str]:
    """Return the labels of a container's target in Alloy (`discovery.relabel` in config.alloy)."""
    labels, name = labels_of(container), name_of(container)
    found = _OWN_NAME.fullmatch(name)
    own_name = found[1] if found else name
    service = labels.get(SERVICE_LABEL, "")
    if not service and labels.get(PROJECT_LABEL) != project:
        service = own_name
    for host, called in monitored.hosts().items():
        if host in (labels.get(SERVICE_LABEL), name):
            service = called
    return {
        "__meta_docker_container_id": container["Id"],
        "container_name": own_name,
        "image": labels.get("stackctl.image", ""),
        "job": service,
        "service": service,
    }


def _read(stored: io.BufferedRandom, names: Iterable[str]) -> dict[str, str]:
    """Return container ID → seconds from the files with these names in a volume's tar."""
    wanted = {f"{named_volumes.ROOT}/{name}" for name in names}
    found: dict[str, str] = {}
    with tarfile.open(fileobj=stored, mode="r:") as tar:
        for member in tar:
            if str(PurePosixPath(member.name)) in wanted and (content := tar.extractfile(member)):
                found |= _parsed(content.read(), member.name)
    return found


def _parsed(content: bytes, file: str) -> dict[str, str]:
    try:
        document = yaml.compose(content, yaml.SafeLoader)
    except yaml.YAMLError:
        raise StackctlError(
            f"{file}: the log collector's positions file is damaged",
            remedy="run `stackctl down`, then `stackctl up` with the same options: all logs are read again",
        ) from None
    pairs = _pairs(document)
    positions = next((value for key, value in pairs if key.value == "positions"), None)
    found = {}
    for key, value in _pairs(positions):
        path = key
        if isinstance(key, yaml.MappingNode):
            path = next((part for word, part in _pairs(key) if word.value == "path"), key)
        name, seconds = _scalar(path), _scalar(value)
        if name.startswith(_CURSOR) and seconds.isdecimal():
            found[name.removeprefix(_CURSOR)] = seconds
    return found


def _scalar(node: yaml.Node) -> str:
    """Return the text of a scalar; empty for any other node."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.Node, yaml.Node]]:
    pairs: list[tuple[yaml.Node, yaml.Node]] = (
        node.value if isinstance(node, yaml.MappingNode) else []
    )
    return pairs


def _promtail(positions: Mapping[str, str]) -> str:
    return yaml.safe_dump(
        {"positions": {_CURSOR + container: seconds for container, seconds in positions.items()}}
    )


def _alloy(
    positions: Mapping[str, str],
    project: str,
    present: Mapping[str, Inspected],
    monitored: MonitoredServices,
) -> dict[str, str]:
    own, attached = _FILES["alloy"]
    entries: dict[str, list[str]] = {own: [], attached: []}
    for one, seconds in positions.items():
        container = present[one]
        labels = ", ".join(
            f"{name}={json.dumps(value, ensure_ascii=False)}"
            for name, value in target_labels(container, project, monitored).items()
            if value
        )
        path = json.dumps(_CURSOR + one)
        file = own if labels_of(container).get(PROJECT_LABEL) == project else attached
        # JSON strings are valid YAML.
        entries[file].append(
            f"  ? path: {path}\n    labels: {json.dumps('{' + labels + '}')}\n  : '{seconds}'\n"
        )
    return {file: "positions:\n" + "".join(lines) for file, lines in entries.items() if lines}


def _tar(files: Mapping[str, str]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for folder in sorted({str(PurePosixPath(name).parent) for name in files} - {"."}):
            entry = tarfile.TarInfo(f"{named_volumes.ROOT}/{folder}")
            entry.type, entry.mode = tarfile.DIRTYPE, 0o750
            tar.addfile(entry)
        for name, text in files.items():
            content = text.encode()
            entry = tarfile.TarInfo(f"{named_volumes.ROOT}/{name}")
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
