"""Copies configuration and secrets into volumes where containers cannot mount this machine's folders.

This is the case for an engine on another machine, and with STACKCTL_COPY_FILES. Compose's own `configs` and `secrets`
with content do not work: Compose copies them into the container and refuses to do so for a read-only root file system.
So each folder and each service's secrets get a volume, and a generated Compose file mounts the volumes instead. Only
what differs is copied.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stackctl.docker import named_volumes
from stackctl.docker.engine import COPY_LABEL, Engine
from stackctl.errors import StackctlError
from stackctl.project.state import MOUNTED_FILE, StateFolder

_PLAN = "copies.json"
_SECRETS_AT = "/run/secrets"
_ROOT = "copies"
_SECRETS = "secrets_"
_FOLDER_MODE = 0o755
_CONFIG_MODE = 0o644

_Tree = dict[str, bytes | None]
"""Content by path in a volume; None is a folder."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A volume with copies of files."""

    volume: str
    """Its name in the compose file."""
    parts: Mapping[str, str]
    """Path in the volume → path of a file or folder, relative to the state folder unless it is absolute."""
    image: str
    """The image of a service that mounts it; its `rm` removes stale files."""

    @property
    def mode(self) -> int:
        """The mode of its files, which is that of the files they replace."""
        return MOUNTED_FILE if self.volume.startswith(_SECRETS) else _CONFIG_MODE


def plan(configuration: Mapping[str, Any], folder: Path) -> tuple[list[Copy], dict[str, Any]]:
    """Return the volumes that replace what services mount from the state folder, and each service's mounts of them.

    `configuration` is the configuration that Compose resolved. The mounts are the `services` section of a Compose file.
    Raises StackctlError for a mount that a volume cannot replace.
    """
    from stackctl.project.compose_overlay import RESET

    copies: dict[str, Copy] = {}
    services: dict[str, Any] = {}
    files = {name: one.get("file") for name, one in configuration.get("secrets", {}).items()}
    for service, body in configuration["services"].items():
        # Compose names the images that it builds if the file does not.
        image = body.get("image") or f"{configuration['name']}-{service}"
        mounts = []
        for mount in body.get("volumes") or ():
            source = Path(mount["source"]) if mount["type"] == "bind" else None
            if source is None or not source.is_relative_to(folder):
                continue
            if source.is_file():
                raise StackctlError(
                    f"{service} mounts the file {source}, but only folders can be copied to this engine",
                    remedy="mount the file's folder instead",
                )
            below = _below(source, folder)
            volume = below.replace("/", "_")
            copies.setdefault(volume, Copy(volume, {"": below}, image))
            mounts.append(_mount(volume, mount["target"]))
        parts = {}
        secrets = body.get("secrets") or ()
        if not any(files.get(secret["source"]) for secret in secrets):
            # Compose itself copies secrets that are not files into the container.
            secrets = ()
        for secret in secrets:
            target = PurePosixPath(_SECRETS_AT, secret.get("target") or secret["source"])
            file = files.get(secret["source"])
            if file is None or str(target.parent) != _SECRETS_AT:
                raise StackctlError(
                    f"secret {secret['source']} of {service} is not a file with a target in {_SECRETS_AT},"
                    " and others cannot be copied to this engine",
                    remedy=f"define it by a file, with a target directly in {_SECRETS_AT}",
                )
            parts[target.name] = _below(Path(file), folder)
        if parts:
            volume = f"{_SECRETS}{service}"
            copies[volume] = Copy(volume, parts, image)
            mounts.append(_mount(volume, _SECRETS_AT))
        if mounts:
            services[service] = {"volumes": mounts, **({"secrets": RESET} if parts else {})}
    return list(copies.values()), services


def declaration(copies: Iterable[Copy]) -> dict[str, Any]:
    """Return the `volumes` section of a Compose file for these volumes."""
    return {one.volume: {"labels": {COPY_LABEL: "true"}} for one in copies}


def keep(state: StateFolder, copies: list[Copy]) -> None:
    """Record the volumes so that a later command can refresh them; an empty list removes the record."""
    content = {one.volume: {"parts": dict(one.parts), "image": one.image} for one in copies}
    if content or kept(state):
        state.write_json(_PLAN, content)


def kept(state: StateFolder) -> list[Copy]:
    """Return the volumes into which the last `up` copied files."""
    return [
        Copy(volume, one["parts"], one["image"]) for volume, one in state.read_json(_PLAN).items()
    ]


def refresh(engine: Engine, state: StateFolder, copies: list[Copy]) -> list[str]:
    """Bring every volume up to date, and return the names of those that changed.

    Missing volumes are created. Raises EngineError if the engine fails.
    """
    if not copies:
        return []
    by_name = {f"{engine.project}_{one.volume}": one for one in copies}
    there = named_volumes.present(by_name)
    for name, one in by_name.items():
        if name not in there:
            named_volumes.create(name, _labels(engine.project, one.volume))
    places = {name: f"{_ROOT}/{name}" for name in by_name}
    changed = []
    with (
        named_volumes.open_transfer(engine.project) as volumes,
        volumes.mounted(places, "rw"),
    ):
        # One at a time, because Podman finds a volume only by its mount path.
        for name, one in by_name.items():
            held = _unpacked(volumes.contents(places[name]))
            wanted = _wanted(state.folder, one)
            new = {
                path: data
                for path, data in wanted.items()
                if path not in held or held[path] != data
            }
            if new:
                volumes.copy_in(places[name], _packed(new, one.mode))
            stale = sorted(path for path in held if path not in wanted)
            if stale:
                paths = [f"/volume/{path}" for path in stale]
                engine.run_in_volume(name, one.image, ["rm", "-rf", *paths])
            if new or stale:
                changed.append(name)
    return changed


def remove(engine: Engine, *, but: Iterable[Copy] = ()) -> None:
    """Remove the project's configuration volumes except these."""
    used = {f"{engine.project}_{one.volume}" for one in but}
    named_volumes.remove([name for name in engine.copies() if name not in used])


def _below(path: Path, folder: Path) -> str:
    """Return a path relative to the folder, so that `folder / path` still works after the folder moved."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)


def _mount(volume: str, target: str) -> dict[str, Any]:
    return {"type": "volume", "source": volume, "target": target, "read_only": True}


def _labels(project: str, volume: str) -> dict[str, str]:
    return {
        "com.docker.compose.project": project,
        "com.docker.compose.volume": volume,
        COPY_LABEL: "true",
    }


def _wanted(folder: Path, one: Copy) -> _Tree:
    tree: _Tree = {}
    for at, below in one.parts.items():
        top = folder / below
        if top.is_dir():
            for path in sorted(top.rglob("*")):
                inside = PurePosixPath(at, path.relative_to(top).as_posix())
                tree[str(inside)] = None if path.is_dir() else path.read_bytes()
        else:
            tree[at] = top.read_bytes()
    return tree


def _unpacked(held: bytes) -> _Tree:
    """Return a volume's files, from a tar whose paths begin with the name of its mount."""
    import tarfile

    tree: _Tree = {}
    with tarfile.open(fileobj=io.BytesIO(held)) as tar:
        for member in tar:
            inside = PurePosixPath(*PurePosixPath(member.name).parts[1:])
            if inside.parts:
                stream = tar.extractfile(member)
                tree[str(inside)] = stream.read() if stream else None
    return tree


def _packed(tree: _Tree, mode: int) -> io.BytesIO:
    """Return a tar of these files, owned by root, with this mode."""
    import tarfile

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, data in tree.items():
            member = tarfile.TarInfo(path)
            member.mtime = int(time.time())
            if data is None:
                member.type, member.mode = tarfile.DIRTYPE, _FOLDER_MODE
            else:
                member.size, member.mode = len(data), mode
            tar.addfile(member, io.BytesIO(data or b""))
    packed.seek(0)
    return packed
